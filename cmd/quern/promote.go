package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/garbage"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/store/state"
)

func promoteCommand(ui *terminal) *cli.Command {
	args := &arguments.Promote{}
	return adoptionCommand(ui, args, &args.Apply, &cli.Command{
		Name:      "promote",
		Usage:     "let an environment use the results of another one",
		ArgsUsage: "FROM TO",
		Description: "Compares the results of the environments, checks the gates with the variables of TO, and, once you approve, lets TO\n" +
			"refer to the results of FROM and updates its deployments. Nothing is computed, and no model is called.",
	}, func(ctx context.Context, o planner.Options) (*plan.Plan, hcl.Diagnostics) {
		from, err := existingState(o.Store, args.From)
		if err != nil {
			return nil, diag.Of(err)
		}
		return planner.Promote(ctx, o, from)
	})
}

func rollbackCommand(ui *terminal) *cli.Command {
	args := &arguments.Rollback{}
	return adoptionCommand(ui, args, &args.Apply, &cli.Command{
		Name:      "rollback",
		Usage:     "return an environment to what an earlier run left",
		ArgsUsage: "[RUN]",
		Description: "Once you approve, lets the environment refer to the results that it had after a run, and returns its deployments to\n" +
			"them. Without RUN, that is the last complete run before the latest one. Nothing is computed, and no model is called.",
	}, func(ctx context.Context, o planner.Options) (*plan.Plan, hcl.Diagnostics) {
		run, err := rollbackTo(o.Store, o.Environment, args.Run)
		if err != nil {
			return nil, diag.Of(err)
		}
		left, err := o.Store.States().Kept(run.Environment, run.ID)
		if err != nil {
			return nil, diag.Of(diag.Failed(fmt.Sprintf("the environment cannot return to run %s", run.ID), "%w", err))
		}
		return planner.Rollback(ctx, o, run, left)
	})
}

// adoptionCommand binds a command that applies a plan of its own to its arguments.
func adoptionCommand(ui *terminal, args arguments.Set, apply *arguments.Apply, c *cli.Command, build build) *cli.Command {
	c.Flags = args.Flags()
	c.Action = func(ctx context.Context, cmd *cli.Command) error {
		garbage.Allow(garbage.Reserve)
		a := application{ui: ui, args: apply, build: build}
		return a.run(func() error {
			if err := parsed(args, cmd); err != nil {
				return err
			}
			return a.attempt(ctx)
		})
	}
	return c
}

// existingState reads the state of an environment that must exist.
func existingState(s *store.Store, env string) (*state.State, error) {
	there, err := s.States().List()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(there, env) {
		return nil, diag.Failed(fmt.Sprintf("environment %q does not exist", env), "Run \"quern env list\" to see what is available.%s", diag.Suggest(env, there))
	}
	return loadState(s, env)
}

// rollbackTo returns the run with an ID or, if that is empty, the last complete
// run of an environment before its latest one.
func rollbackTo(s *store.Store, env, id string) (*history.Run, error) {
	if _, err := existingState(s, env); err != nil {
		return nil, err
	}
	if id == "" {
		return runBefore(s, env)
	}
	run, err := s.Runs().Get(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, diag.Failed(fmt.Sprintf("run %q does not exist", id), "Run \"quern log -env=%s\" to see the runs of the environment.", env)
	}
	if err != nil {
		return nil, diag.Failed(fmt.Sprintf("the environment cannot return to run %q", id), "%w", err)
	}
	if run.Environment != env {
		return nil, diag.Failed(fmt.Sprintf("run %s is not one of environment %q", id, env), "It changed environment %q. To use results of another environment, run \"quern promote %s %s\".", run.Environment, run.Environment, env)
	}
	return run, nil
}

func runBefore(s *store.Store, env string) (*history.Run, error) {
	runs, err := s.Runs().List()
	if err != nil {
		return nil, diag.Failed("the runs cannot be read", "%w", err)
	}
	runs = slices.DeleteFunc(runs, func(r *history.Run) bool { return r.Environment != env })
	for _, run := range runs[min(1, len(runs)):] {
		if _, err := s.States().Kept(env, run.ID); run.Status == history.Done && !errors.Is(err, fs.ErrNotExist) {
			return run, nil
		}
	}
	return nil, diag.Failed(fmt.Sprintf("environment %q has no earlier run to return to", env), "Run \"quern log -env=%s\" to see its runs.", env)
}
