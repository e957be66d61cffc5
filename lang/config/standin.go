package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
)

// StandIn replaces a variable that is a dataset with a source of the same name,
// so that the module can be planned without a caller. The source has no arguments
// yet, and must have the columns of the variable's type. Whatever refers to the
// variable refers to the source from then on.
func (m *Module) StandIn(v *Variable) *hcl.Diagnostic {
	at := addr.Stage{Kind: kind.Source, Name: v.Name}
	switch {
	case m.stages[at] != nil:
		return diag.Errorf(&v.Range, "Variable cannot be mocked", "The module also has %s, which would have the same address. Rename one of them, or test the module through a pipeline that calls it.", at)
	case slices.ContainsFunc(m.Stages, func(s *Stage) bool { return s.json != nil }):
		return diag.Errorf(&v.Range, "Variable cannot be mocked", "The module has files in JSON, in which references to var.%s cannot be replaced. Test it through a pipeline that calls it.", v.Name)
	}
	s := &Stage{
		Addr: at, Type: "csv", Body: &hclsyntax.Body{
			Attributes: hclsyntax.Attributes{"path": {Name: "path", Expr: &hclsyntax.LiteralValueExpr{Val: cty.StringVal(v.Name), SrcRange: v.Range}, SrcRange: v.Range, NameRange: v.Range}},
			SrcRange:   v.Range, EndRange: v.Range,
		},
		TypeRange: v.Range, NameRange: v.Range, DeclRange: v.Range, Range: v.Range,
	}
	if columns := v.Artifact.Columns; len(columns) > 0 {
		s.Contracts = []Contract{{Columns: columns, ColumnsRange: v.Range, Range: v.Range}}
	}
	m.Stages, m.stages[at] = append(slices.Clip(m.Stages), s), s
	delete(m.Variables, v.Name)
	m.StandIns = append(m.StandIns, v.Name)
	for _, b := range m.bodies {
		_ = hclsyntax.VisitAll(b, func(n hclsyntax.Node) hcl.Diagnostics {
			if e, ok := n.(*hclsyntax.ScopeTraversalExpr); ok && isVariable(e.Traversal, v.Name) {
				e.Traversal[0] = hcl.TraverseRoot{Name: at.Kind, SrcRange: e.Traversal[0].SourceRange()}
				e.Traversal[1] = hcl.TraverseAttr{Name: at.Name, SrcRange: e.Traversal[1].SourceRange()}
			}
			return nil
		})
	}
	return nil
}

// isVariable reports whether a reference is to a variable.
func isVariable(t hcl.Traversal, name string) bool {
	if len(t) < 2 || t.RootName() != "var" {
		return false
	}
	switch step := t[1].(type) {
	case hcl.TraverseAttr:
		return step.Name == name
	case hcl.TraverseIndex:
		return step.Key.Type() == cty.String && step.Key.AsString() == name
	}
	return false
}
