package secret

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/value"
)

// Explain replaces the details of errors that came from evaluating sensitive
// values. A detail that would be the same for any value, such as a wrong type,
// stays: evaluating with the sensitive values unknown gives the same detail.
func Explain(diags hcl.Diagnostics) hcl.Diagnostics {
	for i, d := range diags {
		if d.Expression == nil || d.EvalContext == nil {
			continue
		}
		names := sensitiveIn(d.Expression, d.EvalContext)
		if len(names) == 0 {
			continue
		}
		_, again := eval.Value(d.Expression, unknown(d.EvalContext))
		diags[i] = hidden(d, again, names)
	}
	return diags
}

// Hide is Explain for an evaluation in which secrets had no marks. again are the
// diagnostics of an evaluation in which the secrets with those names were unknown.
func Hide(diags, again hcl.Diagnostics, names []string) hcl.Diagnostics {
	out := make(hcl.Diagnostics, len(diags))
	for i, d := range diags {
		out[i] = hidden(d, again, names)
	}
	return out
}

// UnknownVariables returns the values of an expression, by root name, with those
// of variables unknown, for an evaluation whose diagnostics Hide needs.
func UnknownVariables(vars map[string]cty.Value) map[string]cty.Value {
	variables, ok := vars["var"]
	if !ok {
		return vars
	}
	attrs := map[string]cty.Value{}
	for name, v := range variables.AsValueMap() {
		attrs[name] = cty.UnknownVal(v.Type())
	}
	out := maps.Clone(vars)
	out["var"] = cty.ObjectVal(attrs)
	return out
}

func hidden(d *hcl.Diagnostic, again hcl.Diagnostics, names []string) *hcl.Diagnostic {
	same := func(other *hcl.Diagnostic) bool { return other.Summary == d.Summary && other.Detail == d.Detail }
	if slices.ContainsFunc(again, same) {
		return d
	}
	quiet := *d
	quiet.Detail = Reason(names)
	return &quiet
}

// Reason says why the detail of an error is not shown.
func Reason(names []string) string {
	refs := make([]string, len(names))
	for i, name := range names {
		refs[i] = Ref(name)
	}
	return "The reason is not shown, because it could reveal a sensitive value: this expression uses " + strings.Join(slices.Compact(refs), ", ") + "."
}

// HiddenPrefix is the prefix of the names under which plans know values that sensitive()
// hides, as if they were those of variables.
const HiddenPrefix = "sensitive--"

// Ref returns how a sensitive value is written: as the variable or the function that
// it comes from.
func Ref(name string) string {
	if name == "" || strings.HasPrefix(name, HiddenPrefix) {
		return "sensitive(…)"
	}
	return "var." + name
}

// sensitiveIn returns the sensitive variables that an expression uses, sorted.
func sensitiveIn(e hcl.Expression, ctx *hcl.EvalContext) []string {
	names := map[string]bool{}
	if eval.Calls(e, sensitiveName) {
		names[""] = true
	}
	for _, t := range e.Variables() {
		v, diags := t.TraverseAbs(ctx)
		if diags.HasErrors() {
			// The reference itself may be what fails.
			v, diags = hcl.Traversal{t[0]}.TraverseAbs(ctx)
		}
		if diags.HasErrors() {
			continue
		}
		_, marks := v.UnmarkDeep()
		for m := range marks {
			if s, ok := m.(value.Sensitive); ok {
				names[s.Variable] = true
			}
		}
	}
	return ordered.Keys(names)
}

// sensitiveName is the function that makes a value sensitive.
const sensitiveName = "sensitive"

// unknownFunc returns an unknown value of its argument's type.
var unknownFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowNull: true, AllowMarked: true, AllowDynamicType: true}},
	Type:   func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
	Impl:   func(_ []cty.Value, t cty.Type) (cty.Value, error) { return cty.UnknownVal(t), nil },
})

// unknown returns a context in which sensitive values are unknown.
func unknown(ctx *hcl.EvalContext) *hcl.EvalContext {
	if ctx == nil {
		return nil
	}
	out := unknown(ctx.Parent()).NewChild()
	out.Functions = ctx.Functions
	if _, ok := out.Functions[sensitiveName]; ok {
		out.Functions = maps.Clone(out.Functions)
		out.Functions[sensitiveName] = unknownFunc
	}
	if ctx.Variables == nil {
		return out
	}
	out.Variables = make(map[string]cty.Value, len(ctx.Variables))
	for name, v := range ctx.Variables {
		out.Variables[name] = Unknown(v)
	}
	return out
}

// Unknown returns a value with its sensitive parts unknown.
func Unknown(v cty.Value) cty.Value {
	if v == cty.NilVal || !v.ContainsMarked() {
		return v
	}
	out, err := cty.TransformWithTransformer(v, concealer{})
	if err != nil {
		return cty.DynamicVal
	}
	return out
}

type concealer struct{}

func (concealer) Enter(_ cty.Path, v cty.Value) (cty.Value, error) {
	if _, marks := v.Unmark(); value.HasSensitive(marks) {
		return cty.UnknownVal(v.Type()), nil
	}
	return v, nil
}

func (concealer) Exit(_ cty.Path, v cty.Value) (cty.Value, error) { return v, nil }
