package module

import (
	"maps"
	"reflect"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/dataset"
)

// Instance is a decided instance, as later levels see it.
type Instance struct {
	*plan.Node
	Addr addr.Instance
	// Inputs are its artifact inputs, by input key.
	Inputs map[string]*Handle
	Result Result
	// Model is set for a language model, and Prompt for a prompt and for a stage that
	// produces one.
	Model  *plan.Model
	Prompt *Prompt
	// Block is a language model's block as its plugin sees it.
	Block *pluginv1.Instance
	// Breaches are the columns that its contracts require and that it does not
	// produce as required.
	Breaches []Breach
}

// Breach is a column that a contract requires and that an output does not have, or has
// with another type.
type Breach struct {
	Output, Column string
	Diagnostic     *hcl.Diagnostic
}

// Prompt is the block of a prompt, which is compiled where it is used. For a stage
// that produces a prompt, it is the block that the stage started from.
type Prompt struct {
	Stage *Stage
	Scope *Scope
}

// Result is the existing result of an instance. It is known for instances that
// are kept or whose result is reused, and for models.
type Result struct {
	Known     bool
	Artifacts map[string]*artifact.Artifact // by port
	Digests   map[string]string
	Value     *value.Stored // nil if there is none
}

// Artifacts returns all artifacts that an instance receives or may receive, in
// the order of the input keys.
func Artifacts(inputs map[string]*Handle) []*Handle {
	var all []*Handle
	for _, key := range ordered.Keys(inputs) {
		all = append(all, inputs[key].Each()...)
	}
	return all
}

// Made returns the result of an instance as expressions see it, with plain
// values only if values is set. It returns nil if the result is not known.
func (m *Module) Made(n *plan.Node, r *Result, values bool) *plan.Made {
	if n.Mode == plan.ModeDeploy && n.Action == plan.Keep && n.Deployment != nil && n.Deployment.Value != nil {
		return &plan.Made{Value: n.Deployment.Value.Value}
	}
	if !r.Known {
		return nil
	}
	made := &plan.Made{Outputs: map[string]plan.Artifact{}}
	if values && r.Value != nil {
		v, err := r.Value.Get()
		if err != nil {
			m.Report(diag.Errorf(n.Range.Ptr(), "Cannot read stored values", "The result of %s is in the store, but its values cannot be read: %s. Compute it again with -replace=%s.", n.Address, err, n.Address))
		}
		made.Value = v
	}
	for port, a := range r.Artifacts {
		out := plan.Artifact{Digest: r.Digests[port]}
		if a.Dataset != nil {
			out.Rows = a.Dataset.Rows
		}
		made.Outputs[port] = out
	}
	return made
}

// handleAttr is the attribute that contains a handle in the objects that
// arguments which take artifacts are evaluated with. No HCL expression can
// spell its name.
const handleAttr = "(artifact)"

// Handle is an artifact that an instance produces, or the instance as a whole.
type Handle struct {
	From *Instance
	// Port is nil if the instance itself is not an artifact, or if it is not
	// known what it produces.
	Port *plan.Port
	// Among are the candidates, if a result decides which artifact it is. Then
	// only the kind of From is known, and Port is what all of them have in
	// common.
	Among []*Handle
}

var handleType = cty.Capsule("artifact", reflect.TypeFor[Handle]())

// HandleOf returns the handle in a value.
func HandleOf(v cty.Value) (*Handle, bool) {
	v, _ = v.Unmark()
	if v == cty.NilVal || v.IsNull() || !v.IsKnown() || !v.Type().IsObjectType() || !v.Type().HasAttribute(handleAttr) {
		return nil, false
	}
	return v.GetAttr(handleAttr).EncapsulatedValue().(*Handle), true
}

// withHandles adds handles to an instance's value and to its ports.
func withHandles(n *Instance, value cty.Value) cty.Value {
	whole := &Handle{From: n}
	attrs := map[string]cty.Value{}
	if value.Type().IsObjectType() && value.IsKnown() {
		attrs = value.AsValueMap()
		if attrs == nil {
			attrs = map[string]cty.Value{}
		}
	}
	for i := range n.Outputs {
		port := &n.Outputs[i]
		if port.Name == "" {
			whole.Port = port
			continue
		}
		if !port.Stored() {
			continue
		}
		// A plain value of the port's name hides the port's attributes, but not the port:
		// where an artifact is needed, the name can only mean the artifact.
		inner := map[string]cty.Value{}
		if of := attrs[port.Name]; of != cty.NilVal && of.Type().IsObjectType() && of.IsKnown() && !of.IsNull() {
			maps.Copy(inner, of.AsValueMap())
		}
		inner[handleAttr] = cty.CapsuleVal(handleType, &Handle{From: n, Port: port})
		attrs[port.Name] = cty.ObjectVal(inner)
	}
	attrs[handleAttr] = cty.CapsuleVal(handleType, whole)
	return cty.ObjectVal(attrs)
}

// Each returns the artifact, or all candidates if a result decides.
func (h *Handle) Each() []*Handle {
	if h.Among != nil {
		return h.Among
	}
	return []*Handle{h}
}

// IsDataset reports whether the artifact is a dataset.
func (h *Handle) IsDataset() bool { return h.Port != nil && h.Port.Kind == plan.KindDataset }

// Known reports whether the artifact exists. The violations of a contract may not,
// although the result does.
func (h *Handle) Known() bool {
	if !h.From.Result.Known || h.Port == nil || !h.Port.Violations {
		return h.From.Result.Known
	}
	return h.From.Result.Artifacts[h.Port.Name] != nil
}

// Manifest returns the manifest of a dataset, or nil if it is not known yet.
func (h *Handle) Manifest() *dataset.Manifest {
	if !h.From.Result.Known || h.Port == nil {
		return nil
	}
	if a := h.From.Result.Artifacts[h.Port.Name]; a != nil {
		return a.Dataset
	}
	return nil
}

// Rows returns the number of rows of a dataset, or nil if it is not known yet.
func (h *Handle) Rows() *int64 {
	if h == nil {
		return nil
	}
	if m := h.Manifest(); m != nil {
		return &m.Rows
	}
	return nil
}

// String returns the artifact as an expression refers to it.
func (h *Handle) String() string {
	if h.Among != nil {
		names := make([]string, len(h.Among))
		for i, one := range h.Among {
			names[i] = one.String()
		}
		return "one of " + strings.Join(names, ", ")
	}
	if h.Port == nil || h.Port.Name == "" {
		return h.From.Address
	}
	return h.From.Address + "." + h.Port.Name
}
