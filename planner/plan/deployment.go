package plan

import (
	"errors"
	"fmt"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Deployment is what is known about something that exists outside the store.
type Deployment struct {
	Value   *value.Value `json:"value"`
	Private []byte       `json:"private,omitempty"`
	// Version is the plugin's version of the state at the time it was written.
	Version int64 `json:"version,omitempty"`
}

// Proto returns the deployment as its plugin receives it, or nil for nil.
func (d *Deployment) Proto() (*pluginv1.DeploymentState, error) {
	if d == nil {
		return nil, nil
	}
	out := &pluginv1.DeploymentState{Private: d.Private, Version: d.Version}
	if d.Value != nil {
		b, err := client.EncodeValue(d.Value.Value)
		if err != nil {
			return nil, err
		}
		out.Value = b
	}
	return out, nil
}

// ReadDeployment reads the state of a deployment that its plugin returned. The
// deployment is never nil: with an error, it contains what can be stored, and
// null for each attribute that cannot, so that quern does not lose track of
// what exists outside.
func ReadDeployment(s *pluginv1.DeploymentState) (*Deployment, error) {
	d := &Deployment{Value: &value.Value{Value: cty.EmptyObjectVal}, Private: s.GetPrivate(), Version: s.GetVersion()}
	v, err := client.DecodeValue(s.GetValue())
	switch {
	case err != nil:
		return d, fmt.Errorf("the state of its deployment cannot be read: %w", err)
	case !v.Type().IsObjectType() || v.IsNull() || !v.IsKnown():
		return d, fmt.Errorf("the state of its deployment is %s, not an object of known values", v.Type().FriendlyName())
	}
	attrs := map[string]cty.Value{}
	var errs []error
	for name, attr := range v.AsValueMap() {
		if err := Storable(attr); err != nil {
			errs = append(errs, fmt.Errorf("the state of its deployment cannot be stored: in %q %w", name, err))
			attr = cty.NullVal(cty.DynamicPseudoType)
		}
		attrs[name] = attr
	}
	d.Value.Value = cty.ObjectVal(attrs)
	return d, errors.Join(errs...)
}

// maxJSONDepth bounds the nesting of the JSON of a stored value, including its
// type. The state nests it a few levels deeper, and Go refuses to read JSON
// with more than 10,000 levels.
const maxJSONDepth = 9000

// Storable returns an error for a value that a plan or a state cannot contain:
// one with an unknown part, with a number that JSON cannot represent, or one
// that could not be read back.
func Storable(v cty.Value) error {
	if !v.IsWhollyKnown() {
		return errors.New("a value is unknown")
	}
	_, err := limit.Measure(v)
	if errors.Is(err, limit.ErrNumber) {
		return errors.New("a number is infinite, not a number, or too large or too small; use null for a figure that does not exist")
	}
	if err != nil {
		return err
	}
	text, err := value.Value{Value: v}.MarshalJSON()
	if err != nil {
		return err
	}
	if depth, _ := limit.JSONShape(text); depth > maxJSONDepth {
		return limit.TooDeep("the value")
	}
	return nil
}
