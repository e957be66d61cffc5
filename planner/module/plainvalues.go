package module

import (
	"slices"

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
func (s *Stage) readPlain(t hcl.Traversal, artifacts []hcl.Range) bool {
	_, rest, _ := addr.FromTraversal(t)
	if len(rest) == 0 {
		return !slices.Contains(artifacts, t.SourceRange())
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
func artifactPlaces(body *hclsyntax.Body, args map[string]*schema.Argument) []hcl.Range {
	var places []hcl.Range
	for name, a := range body.Attributes {
		if arg := args[name]; arg != nil && len(arg.Kinds) > 0 {
			places = appendPlaces(places, a.Expr)
		}
	}
	return places
}

func appendPlaces(places []hcl.Range, e hclsyntax.Expression) []hcl.Range {
	switch e := e.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		return append(places, e.Traversal.SourceRange())
	case *hclsyntax.ParenthesesExpr:
		return appendPlaces(places, e.Expression)
	case *hclsyntax.IndexExpr:
		return appendPlaces(places, e.Collection)
	case *hclsyntax.TupleConsExpr:
		for _, element := range e.Exprs {
			places = appendPlaces(places, element)
		}
	case *hclsyntax.ObjectConsExpr:
		for _, item := range e.Items {
			places = appendPlaces(places, item.ValueExpr)
		}
	}
	return places
}
