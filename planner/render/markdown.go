package render

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/quern-dev/quern/planner/plan"
)

// Markdown shows a plan as a comment on a pull request: a table of the changes,
// followed by everything that is longer than a line. It has at most [CommentSize]
// bytes: what does not fit is counted at the end.
func Markdown(w io.Writer, p *plan.Plan) error {
	c := &comment{}
	c.plan(p)
	return c.write(w, "The complete plan is what quern plan prints in a terminal.")
}

func (c *comment) plan(p *plan.Plan) {
	environment := code(p.Environment)
	switch {
	case p.RefreshOnly && len(p.Nodes) == 0 && len(p.Moves) == 0:
		c.printf("### quern plan: no drift\n\nDeployments and sources match the state of environment %s.\n", environment)
		return
	case !p.RefreshOnly && !p.HasChanges():
		c.printf("### quern plan: no changes\n\nEnvironment %s matches the configuration.%s\n", environment, markdownScope(p))
		return
	}
	c.printf("### quern plan: %s\n\nEnvironment %s.", Summary(p), environment)
	if all := totals(p); all != "" {
		c.printf(" Estimate: %s.", all)
	}
	if all := whole(p); all != "" {
		c.printf(" The whole pipeline from scratch: %s.", all)
	}
	c.printf("%s\n", markdownScope(p))
	var rows []row
	for _, n := range p.Nodes {
		if n.Action == plan.Keep && !p.RefreshOnly {
			continue
		}
		rows = append(rows, row{
			cells:  []string{code(strings.TrimSpace(symbol(n))), code(n.Address), phrase(n), cell(whyText(n)), cell(estimate(n))},
			urgent: n.Action == plan.Delete || n.Action == plan.Replace,
		})
	}
	c.table("stage", []string{"", "stage", "action", "why", "estimate"}, append(rows, deferredRows(p)...))
	c.table("move", []string{"moved from", "to"}, moveRows(p))
	c.table("output", []string{"output", "before", "after"}, outputRows(p))
	c.table("check", []string{"check", ""}, checkRows(p))
	c.folds(merged(planFolds(p)))
}

// markdownScope says which part of the pipeline a plan covers, if not all.
func markdownScope(p *plan.Plan) string {
	if p.Since == nil {
		return ""
	}
	return fmt.Sprintf(" The plan covers only what has changed since %s.", code(p.Since.String()))
}

// whyText returns a node's reasons in one line.
func whyText(n *plan.Node) string {
	var parts []string
	for _, r := range n.Reasons {
		parts = append(parts, r.Text)
	}
	for _, c := range n.Changes {
		parts = append(parts, c.Argument+" changes")
	}
	return strings.Join(slices.Concat(parts, contracts(n), adoption(n), n.Differences), "; ")
}

func moveRows(p *plan.Plan) (rows []row) {
	for _, m := range p.Moves {
		rows = append(rows, row{cells: []string{code(m.From), code(m.To)}})
	}
	return rows
}

func outputRows(p *plan.Plan) (rows []row) {
	for _, o := range p.Outputs {
		if o.Action == plan.Keep {
			continue
		}
		before, after := outputValues(o)
		if o.Action == plan.Delete {
			after = "(nothing)"
		}
		rows = append(rows, row{cells: []string{code(o.Name), cell(before), cell(after)}})
	}
	return rows
}

func checkRows(p *plan.Plan) (rows []row) {
	words := map[plan.CheckStatus]string{plan.Fail: "fails", plan.Unknown: "(known after apply)"}
	for _, c := range p.Checks {
		if c.Status != plan.Pass {
			rows = append(rows, row{cells: []string{code(c.Name), words[c.Status]}, urgent: c.Status == plan.Fail})
		}
	}
	return rows
}

// planFolds returns the differences that explain a plan.
func planFolds(p *plan.Plan) (all []fold) {
	for _, n := range p.Nodes {
		for _, r := range n.Reasons {
			if isDifference(r) {
				all = append(all, difference(n.Address, r.Text, r.Before, r.After))
			}
		}
		for _, c := range n.Changes {
			all = append(all, difference(n.Address, c.Argument+" changes", c.Before, c.After))
		}
	}
	return all
}

// isDifference reports whether a reason shows two values.
func isDifference(r plan.Reason) bool {
	return r.Code == plan.BecauseArgument && (r.Before != "" || r.After != "")
}
