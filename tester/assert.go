package tester

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/testfile"
	"github.com/quern-dev/quern/lang/value"
)

// asserts evaluates the conditions of the run.
func (e *execution) asserts(ctx context.Context) {
	for _, a := range e.config.Asserts {
		if e.plan == nil {
			e.failures = append(e.failures, diag.Errorf(&a.Range, "Condition cannot be evaluated", "The plan has errors, so there is nothing to compare. Move the condition to a run without expected errors of the plan."))
			continue
		}
		e.assert(ctx, a)
	}
}

func (e *execution) assert(ctx context.Context, a testfile.Assert) {
	v, scope, diags := e.values.Expression(a.Condition, e.scope(ctx, a.Condition))
	if diags.HasErrors() {
		e.failures = append(e.failures, diags...)
		return
	}
	v, _ = v.UnmarkDeep()
	if !v.IsWhollyKnown() {
		why := "The condition depends on results that a plan does not know. Use a run with command = apply."
		if e.result != nil {
			why = "The condition depends on results that the run has not computed."
		}
		e.failures = append(e.failures, explained(diag.Errorf(a.Condition.Range().Ptr(), "Condition is not known", "%s", why), e.parts(a.Condition, scope)))
		return
	}
	met, err := convert.Convert(v, cty.Bool)
	switch {
	case err != nil || met.IsNull():
		e.failures = append(e.failures, diag.Errorf(a.Condition.Range().Ptr(), "Invalid condition", "A condition must be true or false, but this is %s.", value.TypeName(v.Type())))
	case met.False():
		message, more := e.message(ctx, a)
		detail := strings.TrimSpace(message + "\n\n" + lookalikes(a.Condition, scope))
		d := explained(diag.Errorf(a.Condition.Range().Ptr(), "Assertion failed", "%s", detail), e.parts(a.Condition, scope))
		e.failures = append(append(e.failures, d), more...)
	}
}

// lookalikes explains why two values that look the same are not equal: they have different
// types.
func lookalikes(e hcl.Expression, ctx *hcl.EvalContext) string {
	op, ok := e.(*hclsyntax.BinaryOpExpr)
	if !ok || op.Op != hclsyntax.OpEqual {
		return ""
	}
	left, leftDiags := eval.Value(op.LHS, ctx)
	right, rightDiags := eval.Value(op.RHS, ctx)
	if leftDiags.HasErrors() || rightDiags.HasErrors() || value.IsSensitive(left) || value.IsSensitive(right) || value.Format(left) != value.Format(right) {
		return ""
	}
	return fmt.Sprintf("Both sides look the same but have different types: %s and %s. Convert one of them, for example with tolist(…), tomap(…), or tostring(…).", value.TypeName(left.Type()), value.TypeName(right.Type()))
}

// message evaluates the message of an assertion.
func (e *execution) message(ctx context.Context, a testfile.Assert) (string, hcl.Diagnostics) {
	if a.Message == nil {
		return "", nil
	}
	v, _, diags := e.values.Expression(a.Message, e.scope(ctx, a.Message))
	if diags.HasErrors() {
		return "", diags
	}
	if value.IsSensitive(v) {
		return "The message is sensitive.", nil
	}
	v, _ = v.UnmarkDeep()
	text, err := convert.Convert(v, cty.String)
	if err != nil || text.IsNull() || !text.IsKnown() {
		return "", hcl.Diagnostics{diag.Errorf(a.Message.Range().Ptr(), "Invalid message", "error_message must be a text that is known.")}
	}
	return text.AsString(), nil
}

// explained adds the values of parts of its expression to a diagnostic.
func explained(d *hcl.Diagnostic, parts diag.Parts) *hcl.Diagnostic {
	if len(parts) > 0 {
		d.Extra = parts
	}
	return d
}

// parts returns the values of the parts of an expression: references, calls, and both sides
// of operators.
func (e *execution) parts(of hcl.Expression, ctx *hcl.EvalContext) diag.Parts {
	root, ok := of.(hclsyntax.Expression)
	if !ok || ctx == nil {
		return nil
	}
	p := &partList{source: e.file.Source, ctx: ctx, seen: map[string]bool{}}
	p.inside(root)
	return p.parts
}

type partList struct {
	source []byte
	ctx    *hcl.EvalContext
	seen   map[string]bool
	parts  diag.Parts
}

// inside adds the parts of an expression, but not the expression itself.
func (p *partList) inside(e hclsyntax.Expression) {
	switch e := e.(type) {
	case *hclsyntax.BinaryOpExpr:
		p.add(e.LHS)
		p.add(e.RHS)
	case *hclsyntax.UnaryOpExpr:
		p.add(e.Val)
	case *hclsyntax.ParenthesesExpr:
		p.inside(e.Expression)
	case *hclsyntax.ConditionalExpr:
		p.add(e.Condition)
		p.add(e.TrueResult)
		p.add(e.FalseResult)
	case *hclsyntax.FunctionCallExpr:
		for _, arg := range e.Args {
			p.add(arg)
		}
	case *hclsyntax.IndexExpr:
		p.add(e.Key)
	case *hclsyntax.RelativeTraversalExpr:
		p.add(e.Source)
	case *hclsyntax.ForExpr:
		p.add(e.CollExpr)
	case *hclsyntax.SplatExpr:
		p.add(e.Source)
	}
}

// add adds an expression, unless it is a literal, and then its parts.
func (p *partList) add(e hclsyntax.Expression) {
	if inner, ok := e.(*hclsyntax.ParenthesesExpr); ok {
		e = inner.Expression
	}
	if _, isLiteral := e.(*hclsyntax.LiteralValueExpr); isLiteral {
		return
	}
	if t, ok := e.(*hclsyntax.TemplateExpr); ok && t.IsStringLiteral() {
		return
	}
	text := collapsed(string(e.Range().SliceBytes(p.source)))
	if p.seen[text] {
		return
	}
	p.seen[text] = true
	if v, diags := eval.Value(e, p.ctx); !diags.HasErrors() {
		p.parts = append(p.parts, diag.SnippetValue{Reference: text, Statement: statement(v)})
	}
	p.inside(e)
}

// oneLine writes a value on one line: attributes of objects are on lines of their own.
func oneLine(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if at := b.String(); at != "" {
			opens := strings.HasSuffix(at, "{") || strings.HasSuffix(at, "[") || strings.HasSuffix(at, ",")
			closes := strings.HasPrefix(line, "}") || strings.HasPrefix(line, "]")
			if !opens && !closes {
				b.WriteByte(',')
			}
			b.WriteByte(' ')
		}
		b.WriteString(line)
	}
	return b.String()
}

// longest is the length at which values are cut.
const longest = 300

// statement says what a value is.
func statement(v cty.Value) string {
	switch {
	case value.IsSensitive(v):
		return "is sensitive"
	case !v.IsWhollyKnown():
		return "is not known"
	}
	v, _ = v.UnmarkDeep()
	text := oneLine(value.Format(v))
	if r := []rune(text); len(r) > longest {
		text = string(r[:longest]) + "…"
	}
	return "is " + text
}
