package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/store/state"
)

func stateMoveCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:      "mv",
		Usage:     "move instances to other addresses",
		ArgsUsage: "FROM TO [FROM TO]...",
		Description: "Use it when you rename a stage in one environment, to keep what the stage produced or deployed. For all\n" +
			"environments, write a moved block. Addresses without a key move all instances of a stage, which keep their keys, and\n" +
			"the address of a module moves everything in it. All moves are one write of the state: either all happen, or none.",
	}
	return command(ui, c, &arguments.StateMove{}, func(ctx context.Context, args *arguments.StateMove) error {
		asked, err := movesAsked(ui, args)
		if err != nil {
			return err
		}
		var moves []state.Move
		err = changeState(ctx, ui, &args.StateChange, func(st *state.State) error {
			if moves, err = movesIn(st, asked); err != nil {
				return err
			}
			if err := st.Move(moves); err != nil {
				return diag.Failed("the instances cannot be moved", "%w.", err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, m := range moves {
			ui.printf("Moved %s to %s.\n", m.From, m.To)
		}
		return nil
	})
}

// movesAsked returns the moves on the command line or in a file.
func movesAsked(ui *terminal, args *arguments.StateMove) ([]state.Move, error) {
	if args.File.Value == "" {
		return args.Moves, nil
	}
	text, err := readInput(ui, args.File.Value)
	if err != nil {
		return nil, err
	}
	var moves []state.Move
	if err := json.Unmarshal(text, &moves); err != nil {
		return nil, diag.Failed("the moves cannot be read", "%w. Write a JSON list of objects with from and to: [{\"from\": \"label.a\", \"to\": \"label.b\"}].", err)
	}
	if len(moves) == 0 {
		return nil, diag.Failed("there is nothing to move", "%s contains no moves.", args.File.Value)
	}
	return moves, nil
}

// movesIn returns the moves of single instances.
func movesIn(st *state.State, asked []state.Move) ([]state.Move, error) {
	var all []state.Move
	taken := map[string]bool{}
	for _, m := range asked {
		of, err := movesOf(st, m.From, m.To)
		if err != nil {
			return nil, err
		}
		all = append(all, of...)
		for _, one := range of {
			taken[one.From] = true
		}
	}
	for _, m := range all {
		if st.Has(m.To) && !taken[m.To] {
			return nil, diag.Failed(fmt.Sprintf("the state already has an instance %s", m.To), "First remove it with \"quern state rm\".")
		}
	}
	return all, nil
}

// movesOf returns the moves of one instance, of all instances of a stage, or of
// everything in a module.
func movesOf(st *state.State, from, to string) ([]state.Move, error) {
	source, err := addr.ParseTarget(from)
	if err != nil {
		return nil, err
	}
	target, err := addr.ParseTarget(to)
	if err != nil {
		return nil, err
	}
	if source.Kind != target.Kind {
		return nil, diag.Failed(fmt.Sprintf("%s cannot become %s", source, target), "Both must be modules, or stages of the same kind.")
	}
	if source.String() == target.String() {
		return nil, diag.Failed(fmt.Sprintf("%s is moved to itself", source), "Name another address.")
	}
	sources, err := inspect.Instances(st, from)
	if err != nil {
		return nil, err
	}
	moves := make([]state.Move, len(sources))
	for i, inst := range sources {
		rest := strings.TrimPrefix(inst.Address, source.String())
		if (source.HasKey() || target.HasKey()) && strings.HasPrefix(rest, "[") {
			if len(sources) > 1 || source.IsModule() {
				return nil, diag.Failed(fmt.Sprintf("%s has %s, but %s is the address of a single instance", source, english.Count(len(sources), "instance"), target), "Move the instances one by one, or give an address without a key.")
			}
			rest = ""
		}
		moves[i] = state.Move{From: inst.Address, To: target.String() + rest}
	}
	slices.SortFunc(moves, func(a, b state.Move) int { return strings.Compare(a.From, b.From) })
	return moves, nil
}
