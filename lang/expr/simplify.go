package expr

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

// meld joins adjacent literals of a template and merges nested templates.
func meld(e *hclsyntax.TemplateExpr) hclsyntax.Expression {
	var parts []hclsyntax.Expression
	for _, part := range e.Parts {
		if inner, ok := part.(*hclsyntax.TemplateExpr); ok {
			parts = append(parts, inner.Parts...)
		} else {
			parts = append(parts, part)
		}
	}
	melded := make([]hclsyntax.Expression, 0, len(parts))
	for _, part := range parts {
		text, ok := literalText(part)
		if !ok {
			melded = append(melded, part)
			continue
		}
		if text == "" {
			continue
		}
		if n := len(melded) - 1; n >= 0 {
			if before, ok := literalText(melded[n]); ok {
				melded[n] = literal(verbatim.Text(before+text), hcl.RangeBetween(melded[n].Range(), part.Range()))
				continue
			}
		}
		melded = append(melded, literal(verbatim.Text(text), part.Range()))
	}
	if len(melded) == 0 {
		return literal(cty.StringVal(""), e.SrcRange)
	}
	if text, ok := literalText(melded[0]); ok && len(melded) == 1 {
		return literal(verbatim.Text(text), e.SrcRange)
	}
	return &hclsyntax.TemplateExpr{Parts: melded, SrcRange: e.SrcRange}
}

// literalText returns the text that a literal adds to a template. It returns
// false for anything else, and for values that a template cannot contain.
func literalText(e hclsyntax.Expression) (string, bool) {
	l, ok := e.(*hclsyntax.LiteralValueExpr)
	if !ok || l.Val.IsNull() || !l.Val.IsKnown() {
		return "", false
	}
	s, err := convert.Convert(l.Val, cty.String)
	if err != nil {
		return "", false
	}
	return s.AsString(), true
}

// simplifyIndex converts an index with a known key to a step of a traversal.
func simplifyIndex(e *hclsyntax.IndexExpr) hclsyntax.Expression {
	key, ok := e.Key.(*hclsyntax.LiteralValueExpr)
	if !ok || key.Val.IsNull() || isFailing(e) {
		return e
	}
	if t := key.Val.Type(); t != cty.String && t != cty.Number {
		return e
	}
	step := hcl.TraverseIndex{Key: key.Val, SrcRange: e.BracketRange}
	if key.Val.Type() == cty.String {
		step.Key = cty.StringVal(key.Val.AsString()) // keys are normalized to NFC
	}
	return extend(e.Collection, hcl.Traversal{step}, e.SrcRange)
}

// extend adds steps to an expression. Steps into a literal object or tuple are
// taken immediately.
func extend(src hclsyntax.Expression, steps hcl.Traversal, r hcl.Range) hclsyntax.Expression {
	for len(steps) > 0 {
		part, ok := pick(src, steps[0])
		if !ok {
			break
		}
		src, steps = part, steps[1:]
	}
	if len(steps) == 0 {
		return src
	}
	switch src := src.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		all := slices.Concat(src.Traversal, steps)
		return &hclsyntax.ScopeTraversalExpr{Traversal: all, SrcRange: r}
	case *hclsyntax.RelativeTraversalExpr:
		all := slices.Concat(src.Traversal, steps)
		return &hclsyntax.RelativeTraversalExpr{Source: src.Source, Traversal: all, SrcRange: r}
	}
	return &hclsyntax.RelativeTraversalExpr{Source: src, Traversal: steps, SrcRange: r}
}

// pick takes an element out of an object or tuple constructor. It does not if
// other elements could fail, because then the whole expression would fail.
func pick(src hclsyntax.Expression, step hcl.Traverser) (hclsyntax.Expression, bool) {
	switch src := src.(type) {
	case *hclsyntax.ObjectConsExpr:
		name, ok := AttributeName(step)
		if !ok || !allKeysKnown(src) {
			return nil, false
		}
		var found hclsyntax.Expression
		for _, item := range src.Items {
			if key, _ := knownKey(item.KeyExpr); key == name {
				found = item.ValueExpr
			} else if !infallible(item.ValueExpr) {
				return nil, false
			}
		}
		return found, found != nil
	case *hclsyntax.TupleConsExpr:
		index, ok := stepIndex(step)
		if !ok || index >= len(src.Exprs) {
			return nil, false
		}
		for i, e := range src.Exprs {
			if i != index && !infallible(e) {
				return nil, false
			}
		}
		return src.Exprs[index], true
	}
	return nil, false
}

// infallible reports that evaluating an expression cannot fail: it is a literal
// or just a name.
func infallible(e hclsyntax.Expression) bool {
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr:
		return true
	case *hclsyntax.ScopeTraversalExpr:
		root := e.Traversal.RootName()
		return len(e.Traversal) == 1 || root == "var" || addr.StartsReference(root) || root == RowName && len(e.Traversal) == 2
	case *hclsyntax.ObjectConsExpr:
		return allKeysKnown(e) && !slices.ContainsFunc(e.Items, func(i hclsyntax.ObjectConsItem) bool { return !infallible(i.ValueExpr) })
	case *hclsyntax.TupleConsExpr:
		return !slices.ContainsFunc(e.Exprs, func(e hclsyntax.Expression) bool { return !infallible(e) })
	}
	return false
}

// AttributeName returns the attribute that a step of a traversal reads, as .NAME
// or ["NAME"].
func AttributeName(step hcl.Traverser) (string, bool) {
	switch step := step.(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String {
			return step.Key.AsString(), true
		}
	}
	return "", false
}

func stepIndex(step hcl.Traverser) (int, bool) {
	index, ok := step.(hcl.TraverseIndex)
	if !ok || index.Key.Type() != cty.Number || !index.Key.AsBigFloat().IsInt() {
		return 0, false
	}
	n, _ := index.Key.AsBigFloat().Int64()
	return int(n), n >= 0 && n < 1<<31
}

func knownKey(e hclsyntax.Expression) (string, bool) {
	if key, ok := e.(*hclsyntax.ObjectConsKeyExpr); ok && key.ForceNonLiteral {
		return literalText(key.Wrapped)
	}
	return "", false
}

func allKeysKnown(e *hclsyntax.ObjectConsExpr) bool {
	return !slices.ContainsFunc(e.Items, func(i hclsyntax.ObjectConsItem) bool {
		_, ok := knownKey(i.KeyExpr)
		return !ok
	})
}

// sortItems sorts an object's items by key. If a key is not known or occurs
// twice, the order could matter and does not change.
func sortItems(e *hclsyntax.ObjectConsExpr) {
	if !allKeysKnown(e) {
		return
	}
	seen := map[string]bool{}
	for _, item := range e.Items {
		key, _ := knownKey(item.KeyExpr)
		if seen[key] {
			return
		}
		seen[key] = true
	}
	slices.SortFunc(e.Items, func(a, b hclsyntax.ObjectConsItem) int {
		ka, _ := knownKey(a.KeyExpr)
		kb, _ := knownKey(b.KeyExpr)
		return strings.Compare(ka, kb)
	})
}
