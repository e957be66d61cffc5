package main

import (
	"fmt"
	"math"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store/history"
)

// showCosts compares what runs took, or a run and its stages, with their estimates.
func showCosts(ui *terminal, args *arguments.Log, runs *history.Store) error {
	if args.Run != "" {
		return showRunCosts(ui, args, runs)
	}
	all := []inspect.RunCosts{}
	for _, r := range chosenRuns(ui, args, runs) {
		all = append(all, inspect.CostsOf(r))
	}
	if args.JSON.Value {
		return ui.json(map[string]any{"runs": all})
	}
	if len(all) == 0 {
		ui.notef("There are no runs yet.\n")
		return nil
	}
	var rows [][]string
	for _, c := range all {
		rows = append(rows, append([]string{c.Run, c.Started.Local().Format("2006-01-02 15:04:05"), c.Environment, c.Status}, costCells(&c.Costs)...))
	}
	return ui.table(filled(append([]string{"RUN", "STARTED", "ENV", "STATUS"}, costHeader...), rows))
}

func showRunCosts(ui *terminal, args *arguments.Log, runs *history.Store) error {
	r, err := runs.Get(args.Run)
	if err != nil {
		return diag.Failed(fmt.Sprintf("the run %q cannot be shown", args.Run), "%w", err)
	}
	costs := inspect.CostsOf(r)
	if args.JSON.Value {
		return ui.json(costs)
	}
	var rows [][]string
	for _, s := range costs.Stages {
		rows = append(rows, append([]string{s.Address, s.Status}, costCells(&s.Costs)...))
	}
	rows = append(rows, append([]string{"total", costs.Status}, costCells(&costs.Costs)...))
	return ui.table(filled(append([]string{"ADDRESS", "STATUS"}, costHeader...), rows))
}

var costHeader = []string{"CALLS", "TOKENS", "COST", "STAGE TIME"}

func costCells(c *inspect.Costs) []string {
	number := func(f float64) string { return english.Number(int64(math.Round(f))) }
	time := func(f float64) string { return fmt.Sprintf("%.1f s", f) }
	return []string{costCell(c.Calls, number), costCell(c.Tokens, number), costCell(c.Money, llm.FormatMoney), costCell(c.Seconds, time)}
}

// costCell shows an actual figure, its estimate in parentheses, and whether it was
// above or below it.
func costCell(c inspect.Compared, text func(float64) string) string {
	if c.Estimate == nil && (c.Actual == nil || *c.Actual == 0) {
		return ""
	}
	actual := "unknown"
	if c.Actual != nil {
		actual = text(*c.Actual)
	}
	switch r := c.Estimate; {
	case r == nil:
		return actual + " (no estimate)"
	case r.High == nil:
		actual += fmt.Sprintf(" (at least %s)", text(r.Low))
	case text(r.Low) == text(*r.High):
		actual += fmt.Sprintf(" (%s)", text(r.Low))
	default:
		actual += fmt.Sprintf(" (%s to %s)", text(r.Low), text(*r.High))
	}
	if c.Within != nil && !*c.Within {
		if *c.Actual < c.Estimate.Low {
			return actual + " below"
		}
		return actual + " above"
	}
	return actual
}
