package secrets

import (
	"maps"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/value"
)

// Variables are what the expressions of one module can keep secret: the sensitive
// variables of the module, and whatever sensitive() hides.
type Variables struct {
	*Secrets
	declared map[string]*config.Variable
	values   map[string]cty.Value
}

// Variables returns the secrets as a module sees them that declares these
// variables, and adds the values of the sensitive ones.
func (s *Secrets) Variables(declared map[string]*config.Variable, values map[string]cty.Value) *Variables {
	for _, v := range values {
		if value.IsSensitive(v) {
			s.Add(v)
		}
	}
	return &Variables{Secrets: s, declared: declared, values: values}
}

// Values returns the values of sensitive variables in clear text.
func (vs *Variables) Values(names []string) map[string]cty.Value {
	values := make(map[string]cty.Value, len(names))
	for _, name := range names {
		values[name] = cty.DynamicVal
		if v, ok := vs.value(name); ok {
			values[name] = v
		}
	}
	return values
}

// value returns the value that a name in an expression represents, in clear text.
func (vs *Variables) value(name string) (cty.Value, bool) {
	v, ok := vs.Hidden(name)
	if !ok {
		v, ok = vs.values[name]
	}
	v, _ = v.UnmarkDeep()
	return v, ok
}

// With adds the values of sensitive variables to the values that an expression
// is evaluated with.
func (vs *Variables) With(vars map[string]cty.Value, names []string) map[string]cty.Value {
	if len(names) == 0 {
		return vars
	}
	out := maps.Clone(vars)
	if out == nil {
		out = map[string]cty.Value{}
	}
	out["var"] = cty.ObjectVal(vs.Values(names))
	return out
}

// Seal returns the keyed digest of a sensitive variable's value.
func (vs *Variables) Seal(variable string) (string, error) {
	v, ok := vs.value(variable)
	if vs.store == nil || !ok || !v.IsWhollyKnown() {
		return "", nil // a validation does not need keys
	}
	text, err := value.Value{Value: v}.MarshalJSON()
	if err != nil {
		return "", err
	}
	return vs.store.Seal(text)
}

// IsSensitive reports whether a variable is declared as sensitive, or the name
// is that of a hidden value.
func (vs *Variables) IsSensitive(variable string) bool {
	if _, hidden := vs.Hidden(variable); hidden {
		return true
	}
	v := vs.declared[variable]
	return v != nil && v.Sensitive
}

// IsGiven reports whether a variable has a value.
func (vs *Variables) IsGiven(variable string) bool {
	v, ok := vs.value(variable)
	return ok && v.IsWhollyKnown()
}

// Open returns the values of the variables that are not sensitive.
func (vs *Variables) Open() map[string]value.Value {
	open := map[string]value.Value{}
	for name, v := range vs.values {
		if !vs.IsSensitive(name) && v.IsWhollyKnown() {
			open[name] = value.Value{Value: v}
		}
	}
	return open
}
