package main

import (
	"errors"
	"io"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/state"
	"github.com/quern-dev/quern/ui/report"
	"github.com/quern-dev/quern/ui/results"
)

// showProfile prints the profile of a dataset. Any other instance is shown as
// usual.
func showProfile(ui *terminal, format string, s *store.Store, st *state.State, inst *state.Instance) error {
	p, err := results.ReadProfile(s, inst)
	switch {
	case errors.Is(err, measurement.ErrNoProfile):
		return printInstance(ui, s, inspect.NewEntry(st, inst))
	case err != nil:
		return err
	}
	return printProfileAs(ui, format, p)
}

// printProfileAs prints a profile as csv, markdown, or text.
func printProfileAs(ui *terminal, format string, p *results.Profile) error {
	switch format {
	case "csv":
		return p.ColumnTable().CSV(ui.out)
	case "markdown":
		return printProfile(ui, p, "## %s\n\n%s\n\n", "\n### %s\n\n", longestAnswer, (*results.Table).Markdown)
	}
	return printProfile(ui, p, "%s: %s\n\n", "\n%s:\n\n", longestCell, func(t *results.Table, w io.Writer, longest int) error {
		return t.Text(w, fitting(t, ui.width(ui.out), longest))
	})
}

// shortestCell is how much of a value a table shows at least.
const shortestCell = 16

// fitting returns how long the cells of a table can be, at most longest, so that
// its lines are not wider than the terminal.
func fitting(t *results.Table, width, longest int) int {
	for longest > shortestCell && t.Width(longest) > width {
		longest--
	}
	return longest
}

// printProfile prints the tables of a profile with a title and headings.
func printProfile(ui *terminal, p *results.Profile, title, heading string, longest int, table func(*results.Table, io.Writer, int) error) error {
	ui.printf(title, p.Address, p.Extent())
	if err := table(p.ColumnTable(), ui.out, longest); err != nil {
		return err
	}
	for i, note := range p.Notes() {
		if i == 0 {
			ui.printf(heading, "What may be wrong")
		}
		ui.printf("- %s\n", results.Brief(note, 0))
	}
	if p.Drift == nil {
		return nil
	}
	ui.printf(heading, "Differences from the baseline")
	return table(p.DriftTable(), ui.out, longest)
}

// reportProfile writes the page of a profile. It returns measurement.ErrNoProfile
// for any other instance.
func reportProfile(ui *terminal, args *arguments.Report, s *store.Store, inst *state.Instance, o report.Options) error {
	p, err := results.ReadProfile(s, inst)
	if err != nil {
		return err
	}
	return writePage(ui, args, inst.Address, func(w io.Writer) error { return report.WriteProfile(w, p, o) })
}
