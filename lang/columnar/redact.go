package columnar

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
)

// NewRedacted is New with "(sensitive value)" in place of each part
// that depends on a sensitive variable, whatever is computed from the variable
// there. So it needs no secrets, and its results reveal nothing about them, not
// even their length. Templates, objects, lists, and loops around such a part
// remain.
func NewRedacted(c *expr.Compiled, in data.Schema) (*Program, error) {
	e, err := c.Syntax()
	if err != nil {
		return nil, err
	}
	return newProgram(c, redacted(e), in, nil, nil)
}

// transparent are the functions whose results show where their arguments are:
// the text around a secret in them may be seen.
var transparent = map[string]bool{"jsonencode": true, "concat": true, "merge": true, "flatten": true, eval.ConvertName: true}

func redacted(e hclsyntax.Expression) hclsyntax.Expression {
	if !readsSecret(e) {
		return e
	}
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr, *hclsyntax.TemplateWrapExpr, *hclsyntax.TemplateExpr, *hclsyntax.TemplateJoinExpr, *hclsyntax.TupleConsExpr:
		return redactedParts(e)
	case *hclsyntax.FunctionCallExpr:
		if transparent[e.Name] {
			return redactedParts(e)
		}
	case *hclsyntax.ConditionalExpr:
		if !readsSecret(e.Condition) {
			return redactedParts(e)
		}
	case *hclsyntax.ObjectConsExpr:
		return redactedObject(e)
	case *hclsyntax.ForExpr:
		loop := *e
		loop.ValExpr = redacted(e.ValExpr)
		if !readsSecret(&loop) {
			return &loop
		}
	}
	return hiddenAt(e.Range())
}

func redactedParts(e hclsyntax.Expression) hclsyntax.Expression {
	return eval.MapChildren(e, redacted, func(*hclsyntax.ForExpr) {}, func() {})
}

// redactedObject keeps the attributes whose names do not depend on a secret.
func redactedObject(e *hclsyntax.ObjectConsExpr) hclsyntax.Expression {
	object := *e
	object.Items = make([]hclsyntax.ObjectConsItem, len(e.Items))
	for i, item := range e.Items {
		if readsSecret(item.KeyExpr) {
			return hiddenAt(e.Range())
		}
		object.Items[i] = hclsyntax.ObjectConsItem{KeyExpr: item.KeyExpr, ValueExpr: redacted(item.ValueExpr)}
	}
	return &object
}

func readsSecret(e hclsyntax.Expression) bool {
	for _, t := range e.Variables() {
		if t.RootName() == "var" {
			return true
		}
	}
	return false
}

func hiddenAt(at hcl.Range) hclsyntax.Expression {
	return &hclsyntax.LiteralValueExpr{Val: cty.StringVal(value.Redacted), SrcRange: at}
}
