package prepare

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/planner/plan"
)

// checkProduced reports a prompt from which the instance cannot make another one.
// What the instance replaces must be the same for all rows, and the question must
// be the last message, so that the plugin knows which messages it replaces.
func (n *answered) checkProduced() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for i := range n.Outputs {
		p := &n.Outputs[i]
		if p.Kind != plan.KindPrompt {
			continue
		}
		start := n.Prompts[p.RowsOf][0].Prompt.Stage.Config
		use := n.RangeOf(p.RowsOf)
		refuse := func(format string, args ...any) {
			diags = append(diags, diag.Errorf(use, "Cannot start from this prompt", format, args...))
		}
		if n.Bound.Undecided[p.RowsOf] != nil {
			refuse("Which prompt it is depends on a result that is not known yet, so stages that use %s could not be checked. Apply what decides first, or name the prompt.", n.Address)
			continue
		}
		if start.Body.Attributes["messages"] != nil {
			refuse("%s has the argument messages. %s replaces what comes before the question, so the prompt must consist of system, examples, and user.", start.Addr, n.Address)
		}
		for _, b := range start.Body.Blocks {
			if b.Type == "examples" {
				refuse("%s draws its examples from a dataset, and %s would replace them. Write example blocks, or leave the examples out.", start.Addr, n.Address)
			}
		}
		if at := ofRow(start.Body); at != nil {
			refuse("The expression at %s:%d depends on row, but %s replaces the system message and the examples by texts that are the same for all rows. Move what depends on row to user.", at.Filename, at.Start.Line, n.Address)
		}
	}
	return diags
}

// ofRow returns the range of an expression before the question that depends on the
// row, or nil if there is none.
func ofRow(prompt *hclsyntax.Body) *hcl.Range {
	if a := prompt.Attributes["system"]; a != nil && expr.MentionsRow(a.Expr) {
		return a.Expr.Range().Ptr()
	}
	for _, b := range prompt.Blocks {
		body := b.Body
		if b.Type == "dynamic" && len(b.Labels) == 1 && b.Labels[0] == "example" {
			for _, content := range body.Blocks {
				body = content.Body
			}
		} else if b.Type != "example" {
			continue
		}
		for _, a := range body.Attributes {
			if expr.MentionsRow(a.Expr) {
				return a.Expr.Range().Ptr()
			}
		}
	}
	return nil
}
