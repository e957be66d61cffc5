package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/state"
	"github.com/urfave/cli/v3"
)

func lineageCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:      "lineage",
		Usage:     "show what a result came from, and what was made from it",
		ArgsUsage: "ADDRESS",
		Description: "Shows which plugin produced each result, when, in which Git commit, and from which artifacts, models, and prompts. It reads the action\n" +
			"entries of the store, so later changes to the state do not matter.\n\n" +
			"With -downstream, it shows what was made from a result, a model, or a prompt, in all environments. With -column, it shows which columns a\n" +
			"column, a value, a model, or a report came from, up to the files of sources; with -row, which rows a row came from. -calls adds the\n" +
			"requests to language models that were made for these rows. To find them, quern plans, and asks built-in stages about the rows again. Only the cache\n" +
			"of answers replies: quern calls no model and changes nothing.",
	}
	return command(ui, c, &arguments.Lineage{}, func(ctx context.Context, args *arguments.Lineage) error {
		s, st, err := stateHere(ui, args.Env.Value)
		if err != nil {
			return err
		}
		if st.Serial == 0 {
			return diag.Failed(fmt.Sprintf("environment %q has no results", args.Env.Value), "Run \"quern apply -env=%s\" to compute them, or \"quern env list\" to see the environments.", args.Env.Value)
		}
		switch {
		case args.Downstream.Value:
			return showDownstream(ui, s, st, args)
		case args.Column.Value:
			found, err := inspect.ColumnLineage(ctx, s, st, args.Subject)
			if err != nil {
				return err
			}
			return showTree(ui, args.Chosen, found, fieldTree(found, nil))
		case args.Row.Given():
			return showRow(ctx, ui, s, st, args)
		}
		return showUpstream(ctx, ui, s, st, args)
	})
}

func showUpstream(ctx context.Context, ui *terminal, s *store.Store, st *state.State, args *arguments.Lineage) error {
	inst, err := inspect.Instance(st, args.Subject)
	if err != nil {
		return err
	}
	origin, err := inspect.Lineage(s, inst)
	if err != nil {
		return err
	}
	if args.Chosen != "openlineage" {
		return showTree(ui, args.Chosen, origin, ancestorTree(origin))
	}
	events, err := inspect.OpenLineage(ctx, s, origin, inspect.Producer{Namespace: args.Namespace.Value, Repository: gitRepository(), Version: version})
	if err != nil {
		return err
	}
	out := json.NewEncoder(ui.out)
	out.SetEscapeHTML(false)
	for _, e := range events {
		if err := out.Encode(e); err != nil {
			return err
		}
	}
	return nil
}

func showDownstream(ui *terminal, s *store.Store, st *state.State, args *arguments.Lineage) error {
	names, err := s.States().List()
	if err != nil {
		return err
	}
	var states []*state.State
	for _, name := range names {
		if name == st.Environment {
			states = append(states, st)
			continue
		}
		other, err := s.States().Load(name)
		if err != nil {
			return err
		}
		if other != nil {
			states = append(states, other)
		}
	}
	found, err := inspect.Downstream(s, st, states, args.Subject)
	if err != nil {
		return err
	}
	return showTree(ui, args.Chosen, found, descendantTree(found))
}

func showRow(ctx context.Context, ui *terminal, s *store.Store, st *state.State, args *arguments.Lineage) error {
	a, err := inspect.FindArtifact(st, args.Subject)
	if err != nil {
		return err
	}
	inst := st.Instances[a.Address]
	if inst == nil {
		return errors.New(a.Name() + " has no lineage: it was rejected")
	}
	found, err := inspect.RowLineage(ctx, s, a, inst.ActionKey, int64(args.Row.Value))
	if err != nil {
		return err
	}
	if args.Calls.Value {
		if err := addRequests(ctx, ui, args, s, found); err != nil {
			return err
		}
	}
	return showTree(ui, args.Chosen, found, rowTree(found))
}

// showTree prints a lineage.
func showTree(ui *terminal, format string, document any, t *tree) error {
	switch format {
	case "json":
		return ui.json(document)
	case "mermaid":
		return t.mermaid(ui.out)
	}
	t.print(ui)
	return nil
}
