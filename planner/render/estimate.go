package render

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/quern-dev/quern/internal/amount"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/llm"
)

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
	if text := costText(n); text != "" {
		parts = append(parts, text)
	}
	if e.Seconds != nil && *e.Seconds >= leastSeconds {
		parts = append(parts, "about "+seconds(*e.Seconds)+between(n.Amounts().Seconds, seconds))
	}
	text := strings.Join(parts, ", ")
	if e.CallsAtMost {
		text += "; cached answers are not requested again"
	}
	return text
}

// rows describes a number of rows.
func rows(e plan.Estimate) string {
	switch {
	case e.RowsAtMost:
		return "at most " + english.Count(*e.Rows, "row")
	case e.RowsEstimated:
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
		if noCalls(e) {
			return calls
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

// noCalls reports whether a stage certainly calls no model. It then has neither tokens
// nor a cost to describe.
func noCalls(e plan.Estimate) bool {
	return e.Calls != nil && *e.Calls == 0 && !e.RowsEstimated && !e.CostUnknown
}

// costText describes the cost of calling models, and of what else is paid for, and
// which part is not known.
func costText(n *plan.Node) string {
	e := n.Estimate
	switch {
	case n.Payment != nil && e.Money == nil && n.Payment.Unpriced != "":
		return "cost unknown (" + n.Payment.Unpriced + ")"
	case n.Payment != nil && e.Money == nil:
		return "cost unknown"
	case n.Payment != nil && n.Pending != nil: // it was paid for when it began
		return ""
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
		return "costs at least " + llm.FormatMoney(n.Amounts().Money.Low) + " (the rest is unknown)"
	case e.Money == nil || noCalls(e):
		return ""
	}
	return "costs " + amountText(n.Amounts().Money, e.OutputAtMost || e.CallsAtMost || e.CallsCapped, llm.FormatMoney)
}

// amountText describes a figure and its range. With atMost, what is expected is no
// more likely than less.
func amountText(r *amount.Range, atMost bool, text func(float64) string) string {
	switch {
	case r.High == nil:
		return "at least " + text(r.Low)
	case r.Expected != nil && (!atMost || *r.High == 0):
		return "about " + text(*r.Expected) + between(r, text)
	case text(r.Low) == text(0) || text(r.Low) == text(*r.High):
		return "at most " + text(*r.High)
	}
	return text(r.Low) + " to " + text(*r.High)
}

// between describes a range in parentheses, if it says more than the figure.
func between(r *amount.Range, text func(float64) string) string {
	if r == nil || r.High == nil || text(r.Low) == text(*r.High) {
		return ""
	}
	return fmt.Sprintf(" (%s to %s)", text(r.Low), text(*r.High))
}

// until names the stages that have to run before the rest is known.
func until(e plan.Estimate) string {
	has := " has run"
	if len(e.UnknownUntil) > 1 {
		has = " have run"
	}
	return strings.Join(e.UnknownUntil, " and ") + has
}

// totals describes what carrying out a plan takes.
func totals(p *plan.Plan) string {
	t := p.Total()
	var parts []string
	if r := t.Change.Rows; r != nil {
		unit := "rows"
		if r.Certain() {
			unit = english.Plural(int64(r.Low), "row")
		}
		for _, text := range sumText(r, t.Change.Missing.Rows, t.Bounded, number) {
			parts = append(parts, withUnit(text, unit))
		}
	}
	parts = append(parts, sumTexts(&t.Change, t.AtMost && !t.Estimated)...)
	if n, what := deferredCount(p); n > 0 && len(parts) > 0 {
		parts = append(parts, "plus "+what+" that "+english.Agree(n, "is", "are")+" planned during the run")
	}
	return strings.Join(parts, ", ")
}

// whole describes what the pipeline would take if nothing existed, or returns "" if
// that is what the plan takes, or if nothing is known.
func whole(p *plan.Plan) string {
	if !slices.ContainsFunc(p.Nodes, savesWork) || !p.Computes() || p.Partial {
		return ""
	}
	t := p.Total()
	var parts []string
	if calls := t.Whole.Calls; calls != nil && calls.Expected != nil {
		parts = append(parts, "about "+english.Count(int64(math.Round(*calls.Expected)), "call"))
	}
	parts = append(parts, sumTexts(&t.Whole, false)...)
	return strings.Join(parts, ", ")
}

// savesWork reports whether a node takes less than it would if nothing existed.
func savesWork(n *plan.Node) bool {
	e := &n.Estimate
	return e.Whole != nil && (n.Action != plan.Run || e.CallsAtMost || e.NewRows != nil && e.Rows != nil && *e.NewRows < *e.Rows)
}

// sumTexts describes the tokens, the cost, and the time of several nodes.
func sumTexts(s *plan.Sum, atMost bool) (parts []string) {
	if tokens := s.Tokens(); tokens != nil {
		for _, text := range sumText(tokens, s.Missing.Tokens, atMost, number) {
			parts = append(parts, withUnit(text, "tokens"))
		}
	}
	if s.Money != nil {
		for _, text := range sumText(s.Money, s.Missing.Money, atMost, llm.FormatMoney) {
			parts = append(parts, "costs "+text)
		}
	}
	if n := s.Missing.Money; n > 0 {
		parts = append(parts, "the cost of "+english.Count(n, "stage")+" is unknown")
	}
	if s.Seconds != nil && s.Seconds.Expected != nil && *s.Seconds.Expected >= leastSeconds {
		text := "about " + seconds(*s.Seconds.Expected) + between(s.Seconds, seconds)
		if s.Missing.Seconds > 0 {
			text += fmt.Sprintf(" plus %s of unknown duration", english.Count(s.Missing.Seconds, "stage"))
		}
		parts = append(parts, text)
	}
	return parts
}

// withUnit puts a unit before a range in parentheses.
func withUnit(text, unit string) string {
	if figure, rest, ok := strings.Cut(text, " ("); ok {
		return figure + " " + unit + " (" + rest
	}
	return text + " " + unit
}

// sumText describes a sum that lacks so many nodes.
func sumText(r *amount.Range, missing int, atMost bool, text func(float64) string) []string {
	switch {
	case missing > 0 && r.Low > 0:
		return []string{"at least " + text(r.Low)}
	case missing > 0:
		return nil
	case r.Certain():
		return []string{text(r.Low)}
	}
	return []string{amountText(r, atMost, text)}
}

func number(f float64) string { return english.Number(int64(math.Round(f))) }

func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d == 0:
		return "0 s"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}
