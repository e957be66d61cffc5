package expr

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/text/unicode/norm"

	"github.com/quern-dev/quern/lang/addr"
)

// Precedences of printed expressions, lowest first. A part is put in
// parentheses if its context binds tighter.
const (
	precConditional = iota
	precOr
	precAnd
	precEqual
	precCompare
	precAdd
	precMultiply
	precUnary
	precPostfix // may be followed by steps
)

type operator struct {
	text string
	prec int
}

var binaryOperators = map[*hclsyntax.Operation]operator{
	hclsyntax.OpLogicalOr:          {"||", precOr},
	hclsyntax.OpLogicalAnd:         {"&&", precAnd},
	hclsyntax.OpEqual:              {"==", precEqual},
	hclsyntax.OpNotEqual:           {"!=", precEqual},
	hclsyntax.OpGreaterThan:        {">", precCompare},
	hclsyntax.OpGreaterThanOrEqual: {">=", precCompare},
	hclsyntax.OpLessThan:           {"<", precCompare},
	hclsyntax.OpLessThanOrEqual:    {"<=", precCompare},
	hclsyntax.OpAdd:                {"+", precAdd},
	hclsyntax.OpSubtract:           {"-", precAdd},
	hclsyntax.OpMultiply:           {"*", precMultiply},
	hclsyntax.OpDivide:             {"/", precMultiply},
	hclsyntax.OpModulo:             {"%", precMultiply},
}

// printExpr writes a reduced expression in its canonical form, on one line.
// Parsing and reducing the result gives the same text.
func printExpr(e hclsyntax.Expression) string {
	var p printer
	p.expr(e, precConditional)
	return p.String()
}

type printer struct{ strings.Builder }

func (p *printer) expr(e hclsyntax.Expression, min int) {
	if precedence(e) < min {
		p.WriteByte('(')
		defer p.WriteByte(')')
	}
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr:
		p.value(e.Val)
	case *hclsyntax.ScopeTraversalExpr:
		p.WriteString(traversalText(e.Traversal))
	case *hclsyntax.RelativeTraversalExpr:
		p.source(e.Source, e.Traversal[0])
		p.WriteString(stepsText(e.Traversal))
	case *hclsyntax.FunctionCallExpr:
		p.call(e)
	case *hclsyntax.ConditionalExpr:
		p.expr(e.Condition, precOr)
		p.WriteString(" ? ")
		p.expr(e.TrueResult, precConditional)
		p.WriteString(" : ")
		p.expr(e.FalseResult, precConditional)
	case *hclsyntax.IndexExpr:
		p.source(e.Collection, nil)
		p.WriteByte('[')
		p.expr(e.Key, precConditional)
		p.WriteByte(']')
	case *hclsyntax.TupleConsExpr:
		p.WriteByte('[')
		p.list(e.Exprs)
		p.WriteByte(']')
	case *hclsyntax.ObjectConsExpr:
		p.object(e)
	case *hclsyntax.ForExpr:
		p.forExpr(e)
	case *hclsyntax.SplatExpr:
		p.splat(e, "[*]")
	case *hclsyntax.TemplateExpr:
		p.WriteByte('"')
		p.template(e.Parts, true)
		p.WriteByte('"')
	case *hclsyntax.TemplateJoinExpr:
		p.WriteByte('"')
		p.template([]hclsyntax.Expression{e}, true)
		p.WriteByte('"')
	case *hclsyntax.BinaryOpExpr:
		op := binaryOperators[e.Op]
		p.expr(e.LHS, op.prec)
		p.WriteString(" " + op.text + " ")
		p.expr(e.RHS, op.prec+1)
	case *hclsyntax.UnaryOpExpr:
		p.WriteByte(map[bool]byte{true: '-', false: '!'}[e.Op == hclsyntax.OpNegate])
		p.expr(e.Val, precUnary)
	case *hclsyntax.AnonSymbolExpr: // the item of a splat, which has no text
	default:
		panic(fmt.Sprintf("quern has no text for a %T", e))
	}
}

func precedence(e hclsyntax.Expression) int {
	switch e := e.(type) {
	case *hclsyntax.ConditionalExpr:
		return precConditional
	case *hclsyntax.BinaryOpExpr:
		return binaryOperators[e.Op].prec
	case *hclsyntax.UnaryOpExpr:
		return precUnary
	case *hclsyntax.LiteralValueExpr:
		if e.Val.IsKnown() && !e.Val.IsNull() && e.Val.Type() == cty.Number {
			return precUnary // never followed by steps, and it may begin with -
		}
	}
	return precPostfix
}

// source writes an expression that is followed by steps. A splat applies all
// later steps to its elements, so one that ends here is put in parentheses.
// Within another splat, parentheses are not possible, so the attribute-only
// form is used.
func (p *printer) source(e hclsyntax.Expression, next hcl.Traverser) {
	splat, ok := e.(*hclsyntax.SplatExpr)
	if !ok {
		p.expr(e, precPostfix)
		return
	}
	if _, isAttr := next.(hcl.TraverseAttr); !isAttr && startsAnonymous(splat) {
		p.splat(splat, ".*")
		return
	}
	p.WriteByte('(')
	p.expr(e, precConditional)
	p.WriteByte(')')
}

// startsAnonymous reports whether an expression begins with a splat's item.
func startsAnonymous(e hclsyntax.Expression) bool {
	switch e := e.(type) {
	case *hclsyntax.AnonSymbolExpr:
		return true
	case *hclsyntax.SplatExpr:
		return startsAnonymous(e.Source)
	case *hclsyntax.RelativeTraversalExpr:
		return startsAnonymous(e.Source)
	case *hclsyntax.IndexExpr:
		return startsAnonymous(e.Collection)
	}
	return false
}

func (p *printer) splat(e *hclsyntax.SplatExpr, marker string) {
	p.source(e.Source, nil)
	p.WriteString(marker)
	if marker == ".*" {
		// This form allows only literal attributes.
		for each, ok := e.Each.(*hclsyntax.RelativeTraversalExpr); ok; ok = false {
			p.WriteString(stepsText(each.Traversal))
		}
		return
	}
	p.expr(e.Each, precPostfix)
}

func (p *printer) list(list []hclsyntax.Expression) {
	for i, e := range list {
		if i > 0 {
			p.WriteString(", ")
		}
		p.expr(e, precConditional)
	}
}

func (p *printer) call(e *hclsyntax.FunctionCallExpr) {
	p.WriteString(e.Name)
	p.WriteByte('(')
	if e.Name == convertName && len(e.Args) == 2 {
		p.expr(e.Args[0], precConditional)
		p.WriteString(", ")
		p.typeText(e.Args[1])
	} else {
		p.list(e.Args)
	}
	if e.ExpandFinal {
		p.WriteString("...")
	}
	p.WriteByte(')')
}

// typeText writes the second argument of a conversion in its canonical form.
func (p *printer) typeText(e hclsyntax.Expression) {
	t, diags := typeexpr.TypeConstraint(e)
	if diags.HasErrors() {
		p.expr(e, precConditional)
		return
	}
	p.WriteString(typeexpr.TypeString(t))
}

func (p *printer) object(e *hclsyntax.ObjectConsExpr) {
	if len(e.Items) == 0 {
		p.WriteString("{}")
		return
	}
	p.WriteString("{ ")
	for i, item := range e.Items {
		if i > 0 {
			p.WriteString(", ")
		}
		p.key(item.KeyExpr)
		p.WriteString(" = ")
		p.expr(item.ValueExpr, precConditional)
	}
	p.WriteString(" }")
}

func (p *printer) key(e hclsyntax.Expression) {
	if text, ok := knownKey(e); ok {
		p.name(text)
		return
	}
	if key, ok := e.(*hclsyntax.ObjectConsKeyExpr); ok {
		e = key.Wrapped
	}
	p.WriteByte('(')
	p.expr(e, precConditional)
	p.WriteByte(')')
}

func (p *printer) forExpr(e *hclsyntax.ForExpr) {
	open, end := "[for ", "]"
	if e.KeyExpr != nil {
		open, end = "{for ", "}"
	}
	p.WriteString(open)
	p.forIntro(e)
	p.WriteString(" : ")
	if e.KeyExpr != nil {
		p.expr(e.KeyExpr, precConditional)
		p.WriteString(" => ")
	}
	p.expr(e.ValExpr, precConditional)
	if e.Group {
		p.WriteString("...")
	}
	if e.CondExpr != nil {
		p.WriteString(" if ")
		p.expr(e.CondExpr, precConditional)
	}
	p.WriteString(end)
}

func (p *printer) forIntro(e *hclsyntax.ForExpr) {
	if e.KeyVar != "" {
		p.WriteString(e.KeyVar + ", ")
	}
	p.WriteString(e.ValVar + " in ")
	p.expr(e.CollExpr, precConditional)
}

// template writes the parts of a template. A template with only one
// interpolation would be read as the interpolated expression itself, which does
// not convert its value to a string, so an empty part is added.
func (p *printer) template(parts []hclsyntax.Expression, whole bool) {
	for i, part := range parts {
		if text, ok := literalText(part); ok && norm.NFC.IsNormalString(text) {
			p.WriteString(escape(text, i < len(parts)-1 || !whole))
			continue
		}
		if join, ok := part.(*hclsyntax.TemplateJoinExpr); ok {
			p.directive(join)
			continue
		}
		p.WriteString("${")
		p.expr(part, precConditional)
		p.WriteByte('}')
		if whole && len(parts) == 1 {
			p.WriteString(`${""}`)
		}
	}
}

func (p *printer) directive(e *hclsyntax.TemplateJoinExpr) {
	loop := e.Tuple.(*hclsyntax.ForExpr)
	p.WriteString("%{for ")
	p.forIntro(loop)
	p.WriteByte('}')
	switch body := loop.ValExpr.(type) {
	case *hclsyntax.TemplateExpr:
		p.template(body.Parts, false)
	default:
		p.template([]hclsyntax.Expression{body}, false)
	}
	p.WriteString("%{endfor}")
}

func traversalText(t hcl.Traversal) string {
	if inst, _, ok := addr.Referenced(t); ok && !inst.Module.IsRoot() {
		path := len(inst.Stage.Traversal(hcl.Range{}))
		return inst.Stage.String() + stepsText(t[path:]) // the path keeps the form of its keys
	}
	return t.RootName() + stepsText(t[1:])
}

func stepsText(steps hcl.Traversal) string {
	var p printer
	for _, step := range steps {
		switch step := step.(type) {
		case hcl.TraverseAttr:
			p.WriteString("." + step.Name)
		case hcl.TraverseIndex:
			p.index(step.Key)
		}
	}
	return p.String()
}

func (p *printer) index(key cty.Value) {
	if key.Type() == cty.String && addr.ValidIdentifier(key.AsString()) {
		p.WriteString("." + key.AsString())
		return
	}
	p.WriteByte('[')
	p.value(key)
	p.WriteByte(']')
}
