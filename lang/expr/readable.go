package expr

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Readable formats a compiled text for people to compare with another: a
// template as the text that it was written as, over several lines, and a
// prompt's request as its messages. Any other text is returned unchanged.
func Readable(text string) string {
	e, diags := hclsyntax.ParseExpression([]byte(text), "", hcl.InitialPos)
	if diags.HasErrors() {
		return text
	}
	r := readable{text}
	if call, ok := e.(*hclsyntax.FunctionCallExpr); ok && call.Name == "jsonencode" && len(call.Args) == 1 {
		if request, ok := call.Args[0].(*hclsyntax.ObjectConsExpr); ok && isRequest(request) {
			return r.request(request)
		}
	}
	return r.expr(e)
}

type readable struct{ text string }

func isRequest(o *hclsyntax.ObjectConsExpr) bool {
	return field(o, "messages") != nil
}

// field returns the value of an object's field with a fixed name, or nil if
// there is none.
func field(o *hclsyntax.ObjectConsExpr, name string) hclsyntax.Expression {
	for _, item := range o.Items {
		if hcl.ExprAsKeyword(item.KeyExpr) == name {
			return item.ValueExpr
		}
	}
	return nil
}

func (r readable) request(o *hclsyntax.ObjectConsExpr) string {
	var sections []string
	for _, item := range o.Items {
		name := hcl.ExprAsKeyword(item.KeyExpr)
		if name == "messages" {
			sections = append(sections, r.messages(item.ValueExpr)...)
			continue
		}
		sections = append(sections, section(name, r.expr(item.ValueExpr)))
	}
	return strings.Join(sections, "\n")
}

// messages returns the messages of a list, or of lists that are joined.
func (r readable) messages(e hclsyntax.Expression) (sections []string) {
	switch e := e.(type) {
	case *hclsyntax.TupleConsExpr:
		for _, message := range e.Exprs {
			sections = append(sections, r.message(message))
		}
		return sections
	case *hclsyntax.FunctionCallExpr:
		if e.Name == "concat" {
			for _, list := range e.Args {
				sections = append(sections, r.messages(list)...)
			}
			return sections
		}
	}
	return []string{section("messages", r.expr(e))}
}

func (r readable) message(e hclsyntax.Expression) string {
	if o, ok := e.(*hclsyntax.ObjectConsExpr); ok && len(o.Items) == 2 {
		if role, content := field(o, "role"), field(o, "content"); role != nil && content != nil {
			return section(r.expr(role), r.expr(content))
		}
	}
	return section("message", r.expr(e))
}

func section(title, body string) string { return "── " + title + "\n" + body }

// expr returns a string or template without quotes and escapes, and any other
// expression as it is written.
func (r readable) expr(e hclsyntax.Expression) string {
	switch e := e.(type) {
	case *hclsyntax.TemplateExpr:
		var b strings.Builder
		for _, part := range e.Parts {
			if l, ok := part.(*hclsyntax.LiteralValueExpr); ok && l.Val.Type() == cty.String {
				b.WriteString(l.Val.AsString())
				continue
			}
			b.WriteString("${" + r.source(part) + "}")
		}
		return b.String()
	case *hclsyntax.TemplateWrapExpr:
		return "${" + r.source(e.Wrapped) + "}"
	}
	return r.source(e)
}

func (r readable) source(e hclsyntax.Expression) string {
	return string(e.Range().SliceBytes([]byte(r.text)))
}
