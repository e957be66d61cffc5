package eval

import (
	"fmt"
	"maps"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

// KeepTexts returns the expression with hcl's templates replaced by ones that
// keep the bytes of text; hcl's own normalize text to NFC.
func KeepTexts(e hclsyntax.Expression) hclsyntax.Expression {
	if harmless(e) {
		return e
	}
	return keepText(MapChildren(e, KeepTexts, func(*hclsyntax.ForExpr) {}, func() {}))
}

// keepText is KeepTexts for a node whose parts are converted already. The node
// is a copy.
func keepText(e hclsyntax.Expression) hclsyntax.Expression {
	switch e := e.(type) {
	case *hclsyntax.TemplateExpr:
		return &template{e}
	case *hclsyntax.TemplateJoinExpr:
		return &loopText{e}
	case *hclsyntax.ObjectConsExpr:
		for _, item := range e.Items {
			if k, ok := item.KeyExpr.(*hclsyntax.ObjectConsKeyExpr); ok && !harmless(k.Wrapped) {
				k.Wrapped = &key{k.Wrapped}
			}
		}
	case *hclsyntax.ForExpr:
		if e.KeyExpr != nil {
			e.KeyExpr = &key{e.KeyExpr}
		}
	case *hclsyntax.IndexExpr:
		e.Key = &key{e.Key}
	}
	return e
}

// template is hcl's template; only joining the parts differs.
type template struct{ *hclsyntax.TemplateExpr }

func (t *template) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	var text strings.Builder
	var diags hcl.Diagnostics
	known, marks := true, cty.ValueMarks{}
	for _, part := range t.Parts {
		v, more := part.Value(ctx)
		diags = append(diags, more...)
		if v.IsNull() {
			diags = append(diags, t.invalid("The expression result is null. Cannot include a null value in a string template.", part, ctx))
			continue
		}
		v, of := v.Unmark()
		maps.Copy(marks, of)
		if !v.IsKnown() {
			known = false
			continue
		}
		s, err := convert.Convert(v, cty.String)
		if err != nil {
			diags = append(diags, t.invalid(fmt.Sprintf("Cannot include the given value in a string template: %s.", err), part, ctx))
			continue
		}
		text.WriteString(s.AsString())
	}
	if !known {
		return cty.UnknownVal(cty.String).RefineNotNull().WithMarks(marks), diags
	}
	return verbatim.Text(text.String()).WithMarks(marks), diags
}

func (t *template) invalid(detail string, part hclsyntax.Expression, ctx *hcl.EvalContext) *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: "Invalid template interpolation value", Detail: detail,
		Subject: part.Range().Ptr(), Context: &t.SrcRange, Expression: part, EvalContext: ctx,
	}
}

// loopText joins the results of a template's loop.
type loopText struct{ *hclsyntax.TemplateJoinExpr }

func (l *loopText) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	rounds, diags := l.Tuple.Value(ctx)
	rounds, marks := rounds.Unmark()
	if !rounds.IsKnown() || !rounds.Type().IsTupleType() {
		return cty.UnknownVal(cty.String).WithMarks(marks), diags
	}
	var text strings.Builder
	all := []cty.ValueMarks{marks}
	for _, v := range rounds.AsValueSlice() {
		v, of := v.Unmark()
		all = append(all, of)
		if v.IsNull() {
			diags = append(diags, l.invalid("An iteration result is null. Cannot include a null value in a string template.", ctx))
			continue
		}
		if !v.IsKnown() {
			return cty.UnknownVal(cty.String).WithMarks(all...), diags
		}
		s, err := convert.Convert(v, cty.String)
		if err != nil {
			diags = append(diags, l.invalid(fmt.Sprintf("Cannot include one of the interpolation results into the string template: %s.", err), ctx))
			continue
		}
		text.WriteString(s.AsString())
	}
	return verbatim.Text(text.String()).WithMarks(all...), diags
}

func (l *loopText) invalid(detail string, ctx *hcl.EvalContext) *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: "Invalid template interpolation value", Detail: detail,
		Subject: l.Range().Ptr(), Expression: l, EvalContext: ctx,
	}
}

// key is a key of a map or object. Keys are normalized to NFC, so that keys
// that differ only in form are the same from the start.
type key struct{ hclsyntax.Expression }

func (k *key) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := k.Expression.Value(ctx)
	plain, marks := v.Unmark()
	if plain.Type() == cty.String && plain.IsKnown() && !plain.IsNull() && !verbatim.Inert(plain.AsString()) {
		v = cty.StringVal(plain.AsString()).WithMarks(marks)
	}
	return v, diags
}
