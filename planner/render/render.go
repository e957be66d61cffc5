// Package render shows plans: as text for a terminal, as JSON for programs, as
// Markdown for a pull request, and as graphs in DOT and Mermaid. It decides
// nothing: everything that it shows is in the plan.
package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/llm"
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
// result is a change, like an update.
func symbol(n *plan.Node) string {
	if n.Action == plan.Run && !isNew(n) {
		return "  ~"
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
	if n := p.Deferred.Len(); n > 0 {
		parts = append(parts, english.Count(n, "stage")+" to plan during the run")
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

// leastSeconds is the shortest duration that is shown.
const leastSeconds = 1

// estimate describes what a node will take; "" if nothing is known.
func estimate(n *plan.Node) string {
	if n.Action != plan.Run && n.Action != plan.MayRun {
		return ""
	}
	e := n.Estimate
	var parts []string
	from := ""
	if n.Mode == plan.ModeFlatMap { // the number of output rows is not known
		from = "from "
	}
	switch {
	case e.NewRows != nil && e.Rows != nil && *e.NewRows == 0 && *e.Rows > 0:
		parts = append(parts, from+english.Count(*e.Rows, "row")+", all already computed")
	case e.NewRows != nil && e.Rows != nil && *e.NewRows < *e.Rows:
		bound := "at most"
		if e.RowsEstimated {
			bound = "about"
		}
		parts = append(parts, from+fmt.Sprintf("%s, %s %s of them new", rows(e), bound, english.Number(*e.NewRows)))
	case e.Rows != nil:
		parts = append(parts, from+rows(e))
	}
	if tokens := tokenText(e); tokens != "" {
		parts = append(parts, tokens)
	}
	if text := costText(e); text != "" {
		parts = append(parts, text)
	}
	if e.Seconds != nil && *e.Seconds >= leastSeconds {
		parts = append(parts, "about "+seconds(*e.Seconds))
	}
	text := strings.Join(parts, ", ")
	if e.CallsAtMost {
		text += "; cached answers are not requested again"
	}
	return text
}

// rows describes a number of rows.
func rows(e plan.Estimate) string {
	if e.RowsEstimated {
		return "about " + english.Count(*e.Rows, "row")
	}
	return english.Count(*e.Rows, "row")
}

func tokenText(e plan.Estimate) string {
	var parts []string
	if e.Calls != nil {
		calls := english.Count(*e.Calls, "call")
		switch {
		case e.RowsEstimated:
			calls = "about " + calls
		case e.CallsAtMost || e.CallsCapped:
			calls = "at most " + calls
		}
		parts = append(parts, calls)
	}
	if e.InputTokens != nil {
		in := english.Count(*e.InputTokens, "token")
		if e.Calls == nil && e.OutputTokens == nil { // read by a trainer
			return in
		}
		in += " in"
		if e.InputEstimated && *e.InputTokens > 0 {
			in = "about " + in
		}
		if e.OutputTokens != nil {
			out := "about "
			if e.OutputAtMost {
				out = "at most "
			}
			in += " and " + out + english.Number(*e.OutputTokens) + " out"
		}
		return strings.Join(append(parts, in), ", ")
	}
	if e.OutputTokens != nil {
		parts = append(parts, english.Count(*e.OutputTokens, "token")+" out")
	}
	return strings.Join(parts, ", ")
}

// costText describes the cost of calling models and which part is not known.
func costText(e plan.Estimate) string {
	switch {
	case e.CostUnknown && e.Calls == nil && len(e.UnknownUntil) > 0:
		return "number of model calls unknown until " + until(e)
	case e.CostUnknown && e.Calls == nil:
		return "number of model calls not known yet"
	case e.CostUnknown && len(e.UnknownUntil) > 0:
		return "cost unknown until " + until(e)
	case e.CostUnknown && (e.Money == nil || *e.Money == 0):
		return "cost unknown"
	case e.CostUnknown && (e.CallsAtMost || e.CallsCapped):
		return "cost only partly known"
	case e.CostUnknown:
		return "costs at least " + llm.FormatMoney(*e.Money) + " (the rest is unknown)"
	case e.Money == nil:
		return ""
	case (e.OutputAtMost || e.CallsAtMost || e.CallsCapped) && !e.RowsEstimated && *e.Money > 0:
		return "costs at most " + llm.FormatMoney(*e.Money)
	}
	return "costs about " + llm.FormatMoney(*e.Money)
}

// until names the stages that have to run before the rest is known.
func until(e plan.Estimate) string {
	has := " has run"
	if len(e.UnknownUntil) > 1 {
		has = " have run"
	}
	return strings.Join(e.UnknownUntil, " and ") + has
}

// totals describes the sums of a plan.
func totals(p *plan.Plan) string {
	t := p.Total()
	var parts []string
	if t.Rows != nil {
		parts = append(parts, english.Count(*t.Rows, "row"))
	}
	if t.Tokens != nil {
		parts = append(parts, atMost(t, t.TokensUnknown)+english.Count(*t.Tokens, "token"))
	}
	switch {
	case t.Money != nil:
		parts = append(parts, "costs "+atMost(t, t.CostUnknown)+llm.FormatMoney(*t.Money))
	case t.CostUnknown > 0:
		parts = append(parts, "the cost of "+english.Count(t.CostUnknown, "stage")+" is unknown")
	}
	if t.Seconds != nil && *t.Seconds >= leastSeconds {
		text := "about " + seconds(*t.Seconds)
		if t.SecondsUnknown > 0 {
			text += fmt.Sprintf(" plus %s of unknown duration", english.Count(t.SecondsUnknown, "stage"))
		}
		parts = append(parts, text)
	}
	if n := p.Deferred.Len(); n > 0 && len(parts) > 0 {
		parts = append(parts, "plus "+english.Count(n, "stage")+" that "+english.Agree(n, "is", "are")+" planned during the run")
	}
	return strings.Join(parts, ", ")
}

// atMost qualifies a sum of which some parts are bounds or missing.
func atMost(t plan.Total, unknown int) string {
	switch {
	case t.Estimated, unknown > 0 && t.MayBeKept:
		return "about "
	case unknown > 0:
		return "at least "
	case t.AtMost:
		return "at most "
	}
	return ""
}

func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}
