package module

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// chains checks references that continue after a computed index or a splat, such
// as transform.x[local.key].train.rows. Which instance they read may be known only
// in the run, but an attribute that no instance has is an error in any case.
type chains struct {
	module *Module
	refs   *Refs
	user   *Stage
	// roots are the places of the references with which chains can begin.
	roots []hcl.Range
	diags []*hcl.Diagnostic
	// links are the parts of chains that are checked already.
	links map[hclsyntax.Expression]bool
	// items are the elements of the splats around an expression.
	items map[*hclsyntax.AnonSymbolExpr]place
}

func (c *chains) check(within []hcl.Expression, bodies []*hclsyntax.Body) []*hcl.Diagnostic {
	if len(c.roots) == 0 {
		return nil
	}
	for _, e := range within {
		if syntax, ok := e.(hclsyntax.Expression); ok {
			c.expression(syntax)
		}
	}
	for _, b := range bodies {
		c.body(b)
	}
	return c.diags
}

func (c *chains) body(b *hclsyntax.Body) {
	if b == nil {
		return
	}
	for _, a := range b.Attributes {
		c.expression(a.Expr)
	}
	for _, block := range b.Blocks {
		c.body(block.Body)
	}
}

// expression walks an expression, unless no reference is inside it, as is the case
// for most.
func (c *chains) expression(e hclsyntax.Expression) {
	at := e.Range()
	inside := func(r hcl.Range) bool {
		return r != at && r.Filename == at.Filename && r.Start.Byte >= at.Start.Byte && r.End.Byte <= at.End.Byte
	}
	if slices.ContainsFunc(c.roots, inside) {
		_ = hclsyntax.Walk(e, c)
	}
}

func (c *chains) Enter(n hclsyntax.Node) hcl.Diagnostics {
	switch n.(type) {
	case *hclsyntax.IndexExpr, *hclsyntax.RelativeTraversalExpr, *hclsyntax.SplatExpr:
		if c.links == nil {
			c.links, c.items = map[hclsyntax.Expression]bool{}, map[*hclsyntax.AnonSymbolExpr]place{}
		}
		if e := n.(hclsyntax.Expression); !c.links[e] {
			c.place(e)
		}
	}
	return nil
}

func (c *chains) Exit(hclsyntax.Node) hcl.Diagnostics { return nil }

// place follows a chain from its stage, and reports where it cannot be followed.
func (c *chains) place(e hclsyntax.Expression) place {
	c.links[e] = true
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return c.place(e.Expression)
	case *hclsyntax.ScopeTraversalExpr:
		return c.stage(e.Traversal)
	case *hclsyntax.AnonSymbolExpr:
		return c.items[e]
	case *hclsyntax.RelativeTraversalExpr:
		p, d := c.place(e.Source).follow(e.Traversal)
		if d != nil {
			c.diags = append(c.diags, d)
		}
		return p
	case *hclsyntax.IndexExpr:
		return c.place(e.Collection).elements("[" + c.source(e.Key.Range()) + "]")
	case *hclsyntax.SplatExpr:
		return c.splat(e)
	}
	return place{}
}

// stage returns the place of a traversal that refers to a stage. Its own steps are
// checked elsewhere.
func (c *chains) stage(t hcl.Traversal) place {
	if !slices.Contains(c.roots, t.SourceRange()) {
		return place{} // such as the variable of a loop
	}
	s, _ := c.module.leadsTo(t, c.user)
	v, _ := c.module.value(s, s.readPlain(t, c.refs.artifacts))
	p, _ := wholePlace(s, v.Type()).follow(t[2:])
	return p
}

// splat returns a tuple of what is read from each element. A value that is no list
// is its own element.
func (c *chains) splat(e *hclsyntax.SplatExpr) place {
	p := c.place(e.Source)
	if len(p.types) == 1 && p.types[0].IsTupleType() {
		c.items[e.Item] = p.elements("[*]")
	} else {
		c.items[e.Item] = p
	}
	each := c.place(e.Each)
	if len(each.types) == 0 {
		return place{}
	}
	return place{path: each.path, types: []cty.Type{cty.Tuple(each.types)}}
}

// source returns the text of a range of the configuration.
func (c *chains) source(r hcl.Range) string {
	text := c.module.Config.Sources[r.Filename]
	if !r.CanSliceBytes(text) {
		return "…"
	}
	return string(r.SliceBytes(text))
}
