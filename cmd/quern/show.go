package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/state"
	"github.com/urfave/cli/v3"
)

func showCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:        "show",
		Usage:       "show the state, an instance, or a saved plan",
		ArgsUsage:   "[ADDRESS|PLAN]",
		Description: "Without an argument, shows all instances and the outputs. With an address, shows that instance and its result:\nfor a prompt, the prompt filled in with a row, without calling a model; for an evaluation, its figures and\nanswers. With a file, shows the saved plan.",
		Flags: slices.Concat(environmentFlags(), variableFlags(), []cli.Flag{jsonFlag,
			&cli.StringFlag{Name: "format", Value: "text", Usage: "for a saved plan: text, json, or markdown; for an evaluation: also csv or junit"},
			&cli.IntFlag{Name: "row", Usage: "for a prompt: the row to fill it in with, counted from 0"},
			&cli.StringFlag{Name: "stage", Usage: "for a prompt: the stage that uses it (default: the first)"}}, evaluationFlags()),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			given, second, err := evaluationArguments(cmd)
			if err != nil {
				return err
			}
			if info, err := os.Stat(given); given != "" && err == nil && !info.IsDir() {
				p, err := readPlan(given)
				if err != nil {
					return err
				}
				format, err := chosenFormat(cmd, planFormats)
				if err != nil {
					return err
				}
				return printPlan(ui, p, format)
			}
			if strings.HasPrefix(given, "prompt.") {
				return showPrompt(ctx, ui, cmd, given)
			}
			if _, err := addr.Parse(given); given != "" && err != nil {
				return fmt.Errorf("%q is not a file, and %w", given, err)
			}
			s, st, err := stateHere(cmd)
			if err != nil {
				return err
			}
			if given != "" {
				return showInstance(ctx, ui, cmd, s, st, given, second)
			}
			return showState(ui, cmd, s, st)
		},
	}
}

func showInstance(ctx context.Context, ui *terminal, cmd *cli.Command, s *store.Store, st *state.State, given, second string) error {
	inst, err := instanceAt(st, given)
	if err != nil {
		return err
	}
	if cmd.Bool("json") {
		return ui.json(inst)
	}
	if inst.Kind == "evaluate" {
		return showEvaluation(ctx, ui, cmd, s, st, inst, second)
	}
	return printInstance(ui, s, inst)
}

func showState(ui *terminal, cmd *cli.Command, s *store.Store, st *state.State) error {
	if cmd.Bool("json") {
		return ui.json(st)
	}
	if len(st.Instances) == 0 {
		ui.notef("Environment %q is empty. Run \"quern apply\" to fill it.\n", st.Environment)
		return nil
	}
	var rows [][]string
	for _, address := range slices.Sorted(maps.Keys(st.Instances)) {
		inst := st.Instances[address]
		rows = append(rows, []string{address, inst.Type, made(s, inst), inst.Updated.Local().Format("2006-01-02 15:04:05")})
	}
	if err := ui.table([]string{"ADDRESS", "TYPE", "RESULT", "UPDATED"}, rows); err != nil {
		return err
	}
	if len(st.Outputs) > 0 {
		ui.printf("\nOutputs:\n\n%s", stateOutputLines(st))
	}
	return nil
}

// made says in a few words what an instance has made.
func made(s *store.Store, inst *state.Instance) string {
	var parts []string
	for _, port := range slices.Sorted(maps.Keys(inst.Outputs)) {
		if inst.Kind == "source" && port == "parts" {
			continue // for the next read, of no use to people
		}
		text := size(s, inst.Outputs[port])
		if port != "" {
			text = port + ": " + text
		}
		parts = append(parts, text)
	}
	if inst.Deployment != nil {
		parts = append(parts, "deployed")
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
			text = strings.Join(strings.Fields(col.ValueStr(i)), " ")
		}
		if runes := []rune(text); len(runes) > longestCell {
			text = string(runes[:longestCell-1]) + "…"
		}
		texts[c] = text
	}
	return texts
}
