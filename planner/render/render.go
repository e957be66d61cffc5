// Package render shows plans: as text for a terminal, as JSON for programs, as
// Markdown for a pull request, and as graphs in DOT and Mermaid. It decides
// nothing: everything that it shows is in the plan.
package render

import (
	"strings"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/planner/plan"
)

// Options say how text is shown.
type Options struct {
	Color bool
	// Width of the terminal in cells, or 0 if it is not limited.
	Width int
	// Verbose also shows unchanged instances.
	Verbose bool
}

// symbols before an address, all three cells wide.
var symbols = map[plan.Action]string{
	plan.Keep: "   ", plan.Run: "  +", plan.Reuse: "  =", plan.MayRun: "  ?", plan.Check: "  >",
	plan.Create: "  +", plan.Update: "  ~", plan.Replace: "-/+", plan.Delete: "  -", plan.Forget: "  -",
	plan.Refresh: "  ~", plan.Adopt: "  »",
}

// symbol returns the symbol of a node's action: a run that replaces an earlier
// result is a change, like an update. A replacement shows its order.
func symbol(n *plan.Node) string {
	if n.Action == plan.Run && !isNew(n) {
		return "  ~"
	}
	if n.Action == plan.Replace && n.Deposes != "" {
		return "+/-"
	}
	return symbols[n.Action]
}

func isNew(n *plan.Node) bool {
	return len(n.Reasons) > 0 && n.Reasons[0].Code == plan.BecauseNew
}

// phrases say what will happen to an instance.
var phrases = map[plan.Action]string{
	plan.Keep: "is unchanged", plan.Run: "will run", plan.Reuse: "will be reused from the store", plan.MayRun: "may run",
	plan.Check: "will be checked", plan.Create: "will be created", plan.Update: "will be updated",
	plan.Replace: "will be replaced", plan.Delete: "will be deleted", plan.Forget: "will be forgotten",
	plan.Refresh: "has changed outside of quern", plan.Adopt: "will refer to another result",
}

func phrase(n *plan.Node) string {
	if n.Action == plan.Run && n.Pending != nil {
		return "will continue"
	}
	if n.Action == plan.Run && !isNew(n) {
		return "will run again"
	}
	if n.Action == plan.MayRun && n.Mode == plan.ModeDeploy {
		return "may be updated"
	}
	switch {
	case n.Action == plan.Replace && n.Deposes == "":
		return "will be deleted and created again, and is unavailable meanwhile"
	case n.Action == plan.Adopt && n.Adoption.Before == nil:
		return "will be adopted"
	case n.Action == plan.Refresh && n.Deployment == nil:
		return "no longer exists"
	case n.Action == plan.Keep && len(n.Reasons) > 0 && n.Reasons[0].IsDrift():
		return "has changed since it was read"
	case n.Action == plan.Keep && len(n.Reasons) > 0:
		return "was not refreshed"
	}
	return phrases[n.Action]
}

// counts are the parts of the summary, in its order.
var counts = []struct {
	action plan.Action
	text   string
}{
	{plan.Adopt, "to adopt"}, {plan.Run, "to run"}, {plan.MayRun, "may run"}, {plan.Reuse, "to reuse"}, {plan.Check, "to check"},
	{plan.Create, "to create"}, {plan.Update, "to update"}, {plan.Replace, "to replace"},
	{plan.Delete, "to delete"}, {plan.Forget, "to forget"}, {plan.Refresh, "to refresh"}, {plan.Keep, "unchanged"},
}

// Summary summarizes in one line what a plan does: "3 to run, 1 may run, 2
// unchanged".
func Summary(p *plan.Plan) string {
	total := p.Total()
	var parts []string
	if n := len(p.Moves); n > 0 {
		parts = append(parts, english.Number(n)+" to move")
	}
	for _, c := range counts {
		if c.action == plan.Keep && p.RefreshOnly {
			continue // its sources are listed because they differ
		}
		if n := total.Actions[c.action]; n > 0 {
			parts = append(parts, english.Number(n)+" "+c.text)
		}
	}
	if n, what := deferredCount(p); n > 0 {
		parts = append(parts, what+" to plan during the run")
	}
	changed := 0
	for _, o := range p.Outputs {
		if o.Action != plan.Keep {
			changed++
		}
	}
	if changed > 0 {
		verb := " to set"
		if p.Destroy {
			verb = " to remove"
		}
		parts = append(parts, english.Count(changed, "output")+verb)
	}
	if len(parts) == 0 {
		return "nothing to do"
	}
	return strings.Join(parts, ", ")
}
