package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/internal/arrowjson"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/state"
	"github.com/urfave/cli/v3"
)

func showCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "show",
		Usage:       "show the state, an instance, or a saved plan",
		ArgsUsage:   "[ADDRESS|PLAN]",
		Description: "Without an argument, shows all instances and the outputs. With an address, shows that instance and its result:\nfor a prompt, the prompt filled in with a row, without calling a model (with -row, also for a prompt that a\nstage produced); for an evaluation, its figures and\nanswers. With a file, shows the saved plan.",
	}
	return command(ui, c, &arguments.Show{}, func(ctx context.Context, args *arguments.Show) error {
		return show(ctx, ui, args)
	})
}

func show(ctx context.Context, ui *terminal, args *arguments.Show) error {
	given := args.Subject
	if info, err := os.Stat(given); given != "" && err == nil && !info.IsDir() {
		return showPlan(ui, args)
	}
	if asPrompt(args) {
		return showPrompt(ctx, ui, args)
	}
	if _, err := addr.Parse(given); given != "" && err != nil {
		return fmt.Errorf("%q is not a file, and %w", given, err)
	}
	s, st, err := stateHere(ui, args.Env.Value)
	if err != nil {
		return err
	}
	if given != "" {
		return showInstance(ctx, ui, args, s, st)
	}
	return showState(ui, args, s, st)
}

// asPrompt reports whether what is shown is filled in with a row: a prompt, or a
// prompt that a stage produced.
func asPrompt(args *arguments.Show) bool {
	return strings.HasPrefix(args.Subject, kind.Prompt+".") ||
		strings.HasPrefix(args.Subject, kind.Train+".") && (args.Row.Given() || args.Stage.Given())
}

// shownAs returns the form of what is shown, or an error if args have flags
// that do not apply to it.
func shownAs(args *arguments.Show, what arguments.Shown) (string, error) {
	format, diags := args.For(what)
	if diags.HasErrors() {
		return "", diagnosed{diags}
	}
	return format, nil
}

func showPlan(ui *terminal, args *arguments.Show) error {
	format, err := shownAs(args, arguments.ShownPlan)
	if err != nil {
		return err
	}
	p, err := readPlan(args.Subject)
	if err != nil {
		return err
	}
	return printPlan(ui, p, format)
}

func showInstance(ctx context.Context, ui *terminal, args *arguments.Show, s *store.Store, st *state.State) error {
	inst, err := inspect.Instance(st, args.Subject)
	if err != nil {
		return err
	}
	if inst.Kind == kind.Evaluate && st.Instances[inst.Address] != nil {
		return showEvaluation(ctx, ui, args, s, st, inst)
	}
	format, err := shownAs(args, arguments.ShownState)
	if err != nil {
		return err
	}
	if format == "json" {
		return ui.json(inspect.NewEntry(st, inst))
	}
	return printInstance(ui, s, inspect.NewEntry(st, inst))
}

func showState(ui *terminal, args *arguments.Show, s *store.Store, st *state.State) error {
	format, err := shownAs(args, arguments.ShownState)
	if err != nil {
		return err
	}
	if format == "json" {
		return ui.json(st)
	}
	if len(st.Instances)+len(st.Pending)+len(st.Rejected) == 0 {
		ui.notef("Environment %q is empty. Run \"quern apply\" to fill it.\n", st.Environment)
		return nil
	}
	var rows [][]string
	all, err := inspect.Instances(st)
	if err != nil {
		return err
	}
	for _, inst := range all {
		rows = append(rows, []string{inst.Address, inst.Type, made(s, inspect.NewEntry(st, inst)), inst.Updated.Local().Format("2006-01-02 15:04:05")})
	}
	if err := ui.table([]string{"ADDRESS", "TYPE", "RESULT", "UPDATED"}, rows); err != nil {
		return err
	}
	if len(st.Outputs) > 0 {
		ui.printf("\nOutputs:\n\n%s", stateOutputLines(st))
	}
	return nil
}

// made describes the result of an instance in a few words.
func made(s *store.Store, inst inspect.Entry) string {
	var parts []string
	for _, a := range inspect.Results(inst.Instance) {
		text := size(s, a.Ref)
		if a.Port != "" {
			text = a.Port + ": " + text
		}
		parts = append(parts, text)
	}
	if inst.Deployment != nil {
		parts = append(parts, "deployed")
	}
	if inst.Pending != nil {
		parts = append(parts, "pending: "+inst.Pending.Text())
	}
	if inst.Rejected != nil {
		parts = append(parts, "the latest result violates its contract")
	}
	return strings.Join(parts, ", ")
}

// printRows prints the first rows of a dataset as a table.
func printRows(ctx context.Context, ui *terminal, s *store.Store, m *dataset.Manifest, n int) error {
	shards, err := m.Files(s.Blobs, nil)
	if err != nil {
		return err
	}
	var rows [][]string
	for rec, err := range data.Read(ctx, shards, m.Schema.Names(), n) {
		if err != nil {
			return err
		}
		for i := 0; i < int(rec.NumRows()) && len(rows) < n; i++ {
			rows = append(rows, rowTexts(rec, i))
		}
		rec.Release()
		if len(rows) == n {
			break
		}
	}
	return ui.table(m.Schema.Names(), rows)
}

// longestCell is how much of a value a table shows.
const longestCell = 60

func rowTexts(rec arrow.RecordBatch, i int) []string {
	texts := make([]string, rec.NumCols())
	for c, col := range rec.Columns() {
		text := "-"
		if !col.IsNull(i) {
			text = strings.Join(strings.Fields(valueText(col, i)), " ")
		}
		if runes := []rune(text); len(runes) > longestCell {
			text = string(runes[:longestCell-1]) + "…"
		}
		texts[c] = text
	}
	return texts
}

// valueText formats a value for people. Lists and structs are JSON, unless JSON cannot
// represent them.
func valueText(col arrow.Array, i int) string {
	switch col.(type) {
	case *array.List, *array.Struct:
		if text, err := (arrowjson.Encoder{NonFinite: true}).Append(nil, col, i); err == nil {
			return string(text)
		}
	}
	return col.ValueStr(i)
}
