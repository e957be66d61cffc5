package module

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/schema"
)

// In addition to artifacts, a stage has plain values, such as the figures of an
// evaluation. They can take several MiB, so they are read only if an expression
// refers to them.

// readPlain reports whether one of the references may need plain values of a
// stage.
func (r *Refs) readPlain(s *Stage) bool {
	for _, t := range r.traversals {
		if a, _, ok := addr.FromTraversal(t); ok && a.Stage == s.Config.Addr && s.readPlain(t, r.artifacts) {
			return true
		}
	}
	return false
}

// readPlain reports whether a reference to the stage may need plain values of
// it: it names one, or it represents the stage as a whole, unless its range is
// in artifacts.
func (s *Stage) readPlain(t hcl.Traversal, artifacts map[hcl.Range]bool) bool {
	_, rest, _ := addr.FromTraversal(t)
	if len(rest) == 0 {
		return !artifacts[t.SourceRange()]
	}
	name, ok := rest[0].(hcl.TraverseAttr)
	if !ok {
		return true
	}
	for _, n := range s.instances {
		if n.Mode == plan.ModeDeploy || n.ValueType.Type.IsObjectType() && n.ValueType.Type.HasAttribute(name.Name) {
			return true
		}
	}
	return false
}

// artifactPlaces returns the ranges of references that represent only an
// artifact: an argument that takes artifacts consists of them.
func artifactPlaces(body *hclsyntax.Body, args map[string]*schema.Argument) map[hcl.Range]bool {
	places := map[hcl.Range]bool{}
	for name, a := range body.Attributes {
		if arg := args[name]; arg != nil && len(arg.Kinds) > 0 {
			addPlaces(a.Expr, places)
		}
	}
	return places
}

func addPlaces(e hclsyntax.Expression, places map[hcl.Range]bool) {
	switch e := e.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		places[e.Traversal.SourceRange()] = true
	case *hclsyntax.ParenthesesExpr:
		addPlaces(e.Expression, places)
	case *hclsyntax.IndexExpr:
		addPlaces(e.Collection, places)
	case *hclsyntax.TupleConsExpr:
		for _, element := range e.Exprs {
			addPlaces(element, places)
		}
	case *hclsyntax.ObjectConsExpr:
		for _, item := range e.Items {
			addPlaces(item.ValueExpr, places)
		}
	}
}
