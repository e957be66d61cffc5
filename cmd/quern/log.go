package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/history"
)

func logCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:      "log",
		Usage:     "list runs, or show one",
		ArgsUsage: "[RUN]",
	}
	return command(ui, c, &arguments.Log{}, func(ctx context.Context, args *arguments.Log) error {
		s, err := openStore(ui)
		if err != nil {
			return err
		}
		if args.Costs.Value {
			return showCosts(ui, args, s.Runs())
		}
		if args.Run != "" {
			return showRun(ctx, ui, args, s)
		}
		return listRuns(ui, args, s.Runs())
	})
}

// chosenRuns returns the runs that are listed.
func chosenRuns(ui *terminal, args *arguments.Log, runs *history.Store) []*history.Run {
	only := inspect.Filter{Last: args.N.Value}
	if args.Env.Given() {
		only.Environment = args.Env.Value
	}
	shown, err := inspect.Runs(runs, only)
	if err != nil {
		// The others can still be shown.
		ui.diagnose(hcl.Diagnostics{{Severity: hcl.DiagWarning, Summary: "Some runs are missing from the list", Detail: err.Error()}})
	}
	return shown
}

func listRuns(ui *terminal, args *arguments.Log, runs *history.Store) error {
	shown := chosenRuns(ui, args, runs)
	if args.JSON.Value {
		return ui.json(map[string]any{"runs": shown})
	}
	if len(shown) == 0 {
		ui.notef("There are no runs yet.\n")
		return nil
	}
	var rows [][]string
	for _, r := range shown {
		rows = append(rows, []string{r.ID, r.Started.Local().Format("2006-01-02 15:04:05"), r.Environment, r.Status, duration(r), what(r), spent(r.Spend()), commit(r)})
	}
	return ui.table(filled([]string{"RUN", "STARTED", "ENV", "STATUS", "TIME", "ACTIONS", "SPENT", "COMMIT"}, rows))
}

func showRun(ctx context.Context, ui *terminal, args *arguments.Log, s *store.Store) error {
	id := args.Run
	r, err := s.Runs().Get(id)
	if errors.Is(err, fs.ErrNotExist) {
		return diag.Failed(fmt.Sprintf("run %q does not exist", id), "Run \"quern log\" to see the runs.")
	}
	if err != nil {
		return diag.Failed(fmt.Sprintf("the run %q cannot be shown", id), "%w", err)
	}
	if args.JSON.Value {
		return ui.json(r)
	}
	ui.printf("run %s  %s\n  command  %s\n  started  %s, took %s\n  quern    %s\n", r.ID, r.Status, r.Command,
		r.Started.Local().Format("2006-01-02 15:04:05"), duration(r), r.QuernVersion)
	if c := commit(r); c != "" {
		ui.printf("  commit   %s\n", c)
	}
	if path, err := s.Runs().LogFile(id); err == nil {
		if _, err := os.Stat(path); err == nil {
			ui.printf("  log      %s\n", shortPath(path))
		}
	}
	ui.printf("\n")
	var rows [][]string
	for _, i := range r.Instances {
		rows = append(rows, []string{i.Address, i.Action, i.Status, fmt.Sprintf("%.1f s", i.Seconds), rowsText(i), spent(i.Spend), firstLine(reasonText(i))})
	}
	if err := ui.table(filled([]string{"ADDRESS", "ACTION", "STATUS", "TIME", "ROWS", "SPENT", "REASON"}, rows)); err != nil {
		return err
	}
	if err := showRunFigures(ctx, ui, s, r); err != nil {
		return err
	}
	if len(r.Outputs) > 0 {
		ui.printf("\nOutputs:\n\n%s", outputLines(runOutputs(r)))
	}
	return nil
}

// showRunFigures prints the results of a run's evaluations.
func showRunFigures(ctx context.Context, ui *terminal, s *store.Store, r *history.Run) error {
	for _, e := range inspect.Evaluations(ctx, s, r) {
		ui.printf("\n%s:\n\n", e.Address)
		if e.Err != nil {
			ui.printf("  (its report is no longer in the store)\n")
			continue
		}
		if err := e.Found.Matrix(false).Text(ui.out, 0); err != nil {
			return err
		}
	}
	return nil
}

// runOutputs returns the outputs of a run, with sensitive ones marked.
func runOutputs(r *history.Run) map[string]cty.Value {
	values := make(map[string]cty.Value, len(r.Outputs))
	for name, v := range r.Outputs {
		values[name] = cty.StringVal("").Mark(value.Sensitive{Variable: name})
		if v != nil {
			values[name] = v.Value
		}
	}
	return values
}

// filled removes empty columns.
func filled(header []string, rows [][]string) ([]string, [][]string) {
	all := append([][]string{header}, rows...)
	kept := make([][]string, len(all))
	for column := range header {
		if !slices.ContainsFunc(rows, func(r []string) bool { return r[column] != "" }) {
			continue
		}
		for i, row := range all {
			kept[i] = append(kept[i], row[column])
		}
	}
	return kept[0], kept[1:]
}

// spent describes the total of the calls of language models, or returns "" if
// there were none.
func spent(s *llm.Spend) string {
	switch {
	case s == nil || s.Calls+s.CachedCalls == 0:
		return ""
	case s.Calls == 0:
		return "0 calls"
	case s.UnpricedCalls > 0:
		return english.Count(s.Calls, "call") + ", " + english.Count(s.Tokens(), "token")
	}
	return english.Count(s.Calls, "call") + ", " + english.Count(s.Tokens(), "token") + ", " + llm.FormatMoney(s.Cost)
}

func rowsText(i history.Instance) string {
	switch {
	case i.RowsIn > 0 && i.NewRows > 0:
		return fmt.Sprintf("%s (from %s, %s new)", english.Number(i.Rows), english.Number(i.RowsIn), english.Number(i.NewRows))
	case i.RowsIn > 0:
		return fmt.Sprintf("%s (from %s)", english.Number(i.Rows), english.Number(i.RowsIn))
	case i.Rows == 0:
		return ""
	case i.NewRows > 0 && i.NewRows < i.Rows:
		return fmt.Sprintf("%s (%s new)", english.Number(i.Rows), english.Number(i.NewRows))
	}
	return english.Number(i.Rows)
}

// reasonText says why an instance is not done.
func reasonText(i history.Instance) string {
	if i.Pending != nil {
		return i.Pending.Text()
	}
	return i.Error
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func duration(r *history.Run) string {
	if r.Ended == nil {
		return "-"
	}
	return r.Ended.Sub(r.Started).Round(100 * time.Millisecond).String()
}

// what describes what a run did.
func what(r *history.Run) string {
	var parts []string
	for _, t := range inspect.Tallies(r) {
		parts = append(parts, fmt.Sprintf("%d %s", t.N, t.Action))
	}
	return strings.Join(parts, ", ")
}

func commit(r *history.Run) string {
	c := r.Commit
	if len(c) > 12 {
		c = c[:12]
	}
	if c != "" && r.Dirty {
		c += " (modified)"
	}
	return c
}
