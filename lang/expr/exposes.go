package expr

import (
	"slices"
	"sync"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/funcs"
)

// Exposes reports whether the value of the expression contains a secret, rather
// than only depending on one: "key-${var.s}" does; row.id == var.s and
// sha256(var.s) do not.
func (c *Compiled) Exposes() bool {
	if len(c.Secrets) == 0 || c.ColumnType == "bool" {
		return false
	}
	e, err := c.Syntax()
	return err == nil && exposes(e)
}

// exposes errs on the side of true.
func exposes(e hclsyntax.Expression) bool {
	switch e := e.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		return e.Traversal.RootName() == "var"
	case *hclsyntax.FunctionCallExpr:
		return !opaque()[e.Name] && slices.ContainsFunc(e.Args, exposes)
	case *hclsyntax.BinaryOpExpr:
		switch e.Op {
		case hclsyntax.OpAdd, hclsyntax.OpSubtract, hclsyntax.OpMultiply, hclsyntax.OpDivide, hclsyntax.OpModulo:
			return exposes(e.LHS) || exposes(e.RHS)
		}
		return false
	case *hclsyntax.UnaryOpExpr:
		return e.Op != hclsyntax.OpLogicalNot && exposes(e.Val)
	case *hclsyntax.ConditionalExpr:
		return exposes(e.TrueResult) || exposes(e.FalseResult)
	case *hclsyntax.IndexExpr:
		return exposes(e.Collection)
	}
	found := false
	eval.MapChildren(e, func(part hclsyntax.Expression) hclsyntax.Expression {
		found = found || exposes(part)
		return part
	}, func(*hclsyntax.ForExpr) {}, func() {})
	return found
}

// opaque are the functions whose results do not contain their arguments.
var opaque = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for _, name := range []string{"length", "can", "contains", "startswith", "endswith", "issensitive", "nonsensitive"} {
		names[name] = true
	}
	for _, d := range funcs.Docs() {
		if d.Group == funcs.Hashes || d.Group == funcs.Likeness {
			names[d.Name] = true
		}
	}
	return names
})
