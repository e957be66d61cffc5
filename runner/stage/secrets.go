package stage

import (
	"fmt"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
)

// Secrets are the values of sensitive variables, by name.
type Secrets map[string]cty.Value

// Values returns the unmarked values of some of them.
func (s Secrets) Values(names []string) map[string]cty.Value {
	values := make(map[string]cty.Value, len(names))
	for _, name := range names {
		if v, ok := s[name]; ok {
			values[name], _ = v.UnmarkDeep()
		}
	}
	return values
}

// Vars returns the values that expressions are evaluated with that refer to
// sensitive variables and to nothing else.
func (s Secrets) Vars(names []string) map[string]cty.Value {
	return (&plan.Scope{}).Vars(nil, s.Values(names))
}

// Seal returns the function that computes the keyed digest of a variable's
// value.
func (s Secrets) Seal(seal func([]byte) (string, error)) fingerprint.Seal {
	return func(variable string) (string, error) {
		v, ok := s.Values([]string{variable})[variable]
		if !ok {
			return "", fmt.Errorf("%s has no value", secret.Ref(variable))
		}
		text, err := value.Value{Value: v}.MarshalJSON()
		if err != nil {
			return "", err
		}
		return seal(text)
	}
}

// Redactor returns a redactor that knows all of them.
func (s Secrets) Redactor() *secret.Redactor {
	return secret.New(slices.Collect(maps.Values(s))...)
}

// Conceal registers with a redactor the values that were computed from secrets
// for a plugin, so that no message contains them either. A value that contains
// a secret verbatim is found anyway.
func Conceal(r *secret.Redactor, bound *plan.Bound) {
	for _, text := range texts(bound.Secrets) {
		if !r.In(text) {
			r.AddText(text)
		}
	}
}

// texts returns the strings in values, at any depth.
func texts(values []cty.Value) (all []string) {
	for _, v := range values {
		_ = cty.Walk(v, func(_ cty.Path, v cty.Value) (bool, error) {
			if v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
				all = append(all, v.AsString())
			}
			return true, nil
		})
	}
	return all
}
