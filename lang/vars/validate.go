package vars

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/value"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// validate evaluates the validations of all variables that have a value.
func (r *resolver) validate(values map[string]cty.Value) {
	ctx := &hcl.EvalContext{
		Variables: map[string]cty.Value{"var": cty.ObjectVal(values)},
		Functions: funcs.Functions(r.m.Dir),
	}
	for _, name := range ordered.Keys(r.m.Variables) {
		v := r.m.Variables[name]
		if got, _ := values[name].UnmarkDeep(); !got.IsWhollyKnown() {
			continue // it has already been reported
		}
		for _, c := range v.Validations {
			r.check(v, c, ctx)
		}
	}
}

func (r *resolver) check(v *config.Variable, c config.Condition, ctx *hcl.EvalContext) {
	result, diags := eval.Value(c.Condition, ctx)
	if diags.HasErrors() {
		r.diags = append(r.diags, funcs.Explain(diags)...)
		return
	}
	result, _ = result.UnmarkDeep()
	result, err := convert.Convert(result, cty.Bool)
	if err != nil || result.IsNull() {
		r.add(diag.Errorf(c.Condition.Range().Ptr(), "Invalid condition", "The condition of a validation must evaluate to true or false. %s", booleanHint))
		return
	}
	if !result.IsKnown() || result.True() {
		return
	}
	d := diag.Errorf(r.place(v, r.given[v.Name]), "Invalid value for variable", "%s\n\nThis was checked by the validation at %s:%d.", r.message(c, ctx), c.Range.Filename, c.Range.Start.Line)
	d.Expression, d.EvalContext = c.Condition, ctx
	if v.Sensitive && r.given[v.Name].at != nil {
		d.Extra = diag.SecretLines{}
	}
	r.add(d)
}

const booleanHint = "Compare with ==, or test with can(…)."

// message returns the text of a validation's error message.
func (r *resolver) message(c config.Condition, ctx *hcl.EvalContext) string {
	v, diags := eval.Value(c.ErrorMessage, ctx)
	if diags.HasErrors() {
		r.diags = append(r.diags, funcs.Explain(diags)...)
		return "The value is not valid."
	}
	if value.IsSensitive(v) {
		return "The value is not valid. (The message is not shown, because it contains a sensitive value.)"
	}
	v, _ = v.UnmarkDeep()
	v, err := convert.Convert(v, cty.String)
	if err != nil || v.IsNull() || !v.IsKnown() {
		r.add(diag.Errorf(c.ErrorMessage.Range().Ptr(), "Invalid error message", "The error_message of a validation must be a string."))
		return "The value is not valid."
	}
	if config.IsBlank(v) {
		r.add(config.EmptyMessage(c.ErrorMessage.Range()))
		return "The value is not valid."
	}
	return strings.TrimSpace(v.AsString())
}
