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

// StandInKind returns the kind of the block that StandIn replaces a variable with:
// empty if it is a value.
func (v *Variable) StandInKind() string {
	switch {
	case v.Artifact == nil:
		return ""
	case v.Artifact.Kind == "dataset":
		return kind.Source
	}
	return v.Artifact.Kind
}

// StandIn replaces a variable that is a dataset, a model, or a prompt with a source,
// model, or prompt of the same name, so that the module can be planned without a
// caller. A source has no arguments yet, and must have the columns of the variable's
// type; a model can do what the type says; a prompt is empty. Whatever refers to
// the variable refers to the block from then on.
func (m *Module) StandIn(v *Variable) *hcl.Diagnostic {
	at := addr.Stage{Kind: v.StandInKind(), Name: v.Name}
	switch {
	case v.Artifact.Capability == "predict":
		return diag.Errorf(&v.Range, "Variable cannot be mocked", "var.%s is a model that predicts, which only a train block can produce. Test the module through a pipeline that calls it.", v.Name)
	case m.stages[at] != nil:
		return diag.Errorf(&v.Range, "Variable cannot be mocked", "The module also has %s, which would have the same address. Rename one of them, or test the module through a pipeline that calls it.", at)
	case slices.ContainsFunc(m.Stages, func(s *Stage) bool { return s.json != nil }):
		return diag.Errorf(&v.Range, "Variable cannot be mocked", "The module has files in JSON, in which references to var.%s cannot be replaced. Test it through a pipeline that calls it.", v.Name)
	}
	s := v.standIn(at)
	m.Stages, m.stages[at] = append(slices.Clip(m.Stages), s), s
	delete(m.Variables, v.Name)
	m.StandIns = append(m.StandIns, at)
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

// standIn returns the block that takes the place of a variable.
func (v *Variable) standIn(at addr.Stage) *Stage {
	s := &Stage{
		Addr: at, Body: &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, SrcRange: v.Range, EndRange: v.Range},
		TypeRange: v.Range, NameRange: v.Range, DeclRange: v.Range, Range: v.Range,
	}
	set := func(name string, value cty.Value) {
		s.Body.Attributes[name] = &hclsyntax.Attribute{Name: name, Expr: &hclsyntax.LiteralValueExpr{Val: value, SrcRange: v.Range}, SrcRange: v.Range, NameRange: v.Range}
	}
	switch at.Kind {
	case kind.Source:
		s.Type = "csv"
		set("path", cty.StringVal(v.Name))
		if columns := v.Artifact.Columns; len(columns) > 0 {
			s.Contracts = []Contract{{Columns: columns, ColumnsRange: v.Range, Range: v.Range}}
		}
	case kind.Model:
		s.Type = "openai"
		set("name", cty.StringVal(v.Name))
		can := []cty.Value{cty.StringVal("chat"), cty.StringVal("embed")}
		if v.Artifact.Capability != "" {
			can = []cty.Value{cty.StringVal(v.Artifact.Capability)}
		}
		set("capabilities", cty.TupleVal(can))
	}
	return s
}

// PromptContent checks the body of a prompt that is written elsewhere than in a prompt
// block of the module.
func PromptContent(body *hclsyntax.Body) (*hclsyntax.Body, hcl.Diagnostics) {
	l, s := newLoader(""), &Stage{Addr: addr.Stage{Kind: kind.Prompt}}
	l.prompt(s, body)
	return s.Body, l.diags
}

// Fill gives a stage that takes the place of a variable its content, as PromptContent
// returns it. at is where it is written.
func (s *Stage) Fill(body *hclsyntax.Body, at hcl.Range) {
	s.Body, s.inBody = body, BodyReferences(body)
	s.DeclRange, s.Range = at, body.SrcRange
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
