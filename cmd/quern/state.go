package main

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/pending"
	"github.com/quern-dev/quern/store/state"
)

func stateCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:     "state",
		Usage:    "inspect and edit the state of an environment",
		Commands: []*cli.Command{stateListCommand(ui), stateShowCommand(ui), stateMoveCommand(ui), stateRemoveCommand(ui), statePullCommand(ui), statePushCommand(ui), stateUnlockCommand(ui)},
	}
}

func stateListCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "list",
		Usage:       "list the instances",
		ArgsUsage:   "[ADDRESS]...",
		Description: "Lists all instances, or those at the given addresses. An address without a key means all instances of a stage.",
	}
	return command(ui, c, &arguments.StateList{}, func(_ context.Context, args *arguments.StateList) error {
		_, st, err := stateHere(ui, args.Env.Value)
		if err != nil {
			return err
		}
		listing, err := inspect.List(st, args.Addresses...)
		if err != nil {
			return err
		}
		if args.JSON.Value {
			return ui.json(listing)
		}
		for _, inst := range listing.Instances {
			ui.printf("%s%s\n", inst.Address, pendingSuffix(inst))
		}
		return nil
	})
}

func stateShowCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:      "show",
		Usage:     "show one instance",
		ArgsUsage: "ADDRESS",
	}
	return command(ui, c, &arguments.StateShow{}, func(_ context.Context, args *arguments.StateShow) error {
		s, st, inst, err := instanceHere(ui, args.Env.Value, args.Address)
		if err != nil {
			return err
		}
		if args.JSON.Value {
			return ui.json(inspect.NewEntry(st, inst))
		}
		return printInstance(ui, s, inspect.NewEntry(st, inst))
	})
}

func stateRemoveCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "rm",
		Usage:       "remove instances from the state",
		ArgsUsage:   "ADDRESS...",
		Description: "An address without a key means all instances of a stage. Deployments keep running, but quern no longer manages\nthem.",
	}
	return command(ui, c, &arguments.StateRemove{}, func(ctx context.Context, args *arguments.StateRemove) error {
		var forgotten []*state.Instance
		err := changeState(ctx, ui, &args.StateChange, func(st *state.State) (err error) {
			forgotten, err = inspect.Instances(st, args.Addresses...)
			for _, inst := range forgotten {
				delete(st.Instances, inst.Address)
				delete(st.Pending, inst.Address)
				delete(st.Rejected, inst.Address)
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, inst := range forgotten {
			ui.printf("Removed %s from the state.\n", inst.Address)
		}
		return nil
	})
}

func stateUnlockCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:      "unlock",
		Usage:     "end another command's lease by force",
		ArgsUsage: "ID",
		Description: "Use it if the process that has the lease ran on another machine or in another container and has ended. If it ran\n" +
			"on this machine, quern takes over its lease without this command. The ID is in the message that says who has the\n" +
			"lease.\n\n" +
			"Refuses to end the lease of a process that is alive: one that runs on this machine, or one elsewhere that renews its\n" +
			"lease, for which the command watches up to 30 seconds.",
	}
	return command(ui, c, &arguments.StateUnlock{}, func(ctx context.Context, args *arguments.StateUnlock) error {
		s, err := openStore(ui)
		if err != nil {
			return err
		}
		holder, proof, err := s.States().ForceUnlock(ctx, args.Env.Value, args.ID, func(h state.Holder) {
			ui.notef("Watching whether %s renews the lease ...\n", h)
		})
		if err != nil {
			return diag.Failed("the lease cannot be ended", "%w", err)
		}
		ui.printf("Ended the lease of %s: %s.\n", holder, proof)
		return nil
	})
}

// changeState changes an environment's state under a lease.
func changeState(ctx context.Context, ui *terminal, args *arguments.StateChange, change func(*state.State) error) error {
	s, err := openStore(ui)
	if err != nil {
		return err
	}
	lease, err := acquire(ctx, ui, s, args.Env.Value, &args.Lock)
	if err != nil {
		return err
	}
	defer lease.Release()
	st, err := loadState(s, args.Env.Value)
	if err != nil {
		return err
	}
	if err := change(st); err != nil {
		return err
	}
	return s.States().Save(st)
}

// stateHere returns the store of this folder and the state of an environment.
func stateHere(ui *terminal, env string) (*store.Store, *state.State, error) {
	s, err := openStore(ui)
	if err != nil {
		return nil, nil, err
	}
	st, err := loadState(s, env)
	return s, st, err
}

// instanceHere is stateHere with the instance at an address.
func instanceHere(ui *terminal, env, given string) (*store.Store, *state.State, *state.Instance, error) {
	s, st, err := stateHere(ui, env)
	if err != nil {
		return nil, nil, nil, err
	}
	inst, err := inspect.Instance(st, given)
	return s, st, inst, err
}

// artifactHere returns the store of this folder and the artifact with a name in an
// environment.
func artifactHere(ui *terminal, env, name string) (*store.Store, inspect.Artifact, error) {
	s, st, err := stateHere(ui, env)
	if err != nil {
		return nil, inspect.Artifact{}, err
	}
	found, err := inspect.FindArtifact(st, name)
	return s, found, err
}

// pendingSuffix marks an instance that waits for something.
func pendingSuffix(inst inspect.Entry) string {
	if inst.Pending == nil {
		return ""
	}
	return "  (pending)"
}

func printInstance(ui *terminal, s *store.Store, inst inspect.Entry) error {
	what := inst.Kind
	if inst.Type != "" { // gates have none
		what += " " + strconv.Quote(inst.Type)
	}
	ui.printf("%s  (%s)\n", inst.Address, what)
	field := func(name, text string) {
		if text != "" {
			ui.printf("  %-13s %s\n", name, text)
		}
	}
	field("action key", inst.ActionKey)
	field("definition", inst.Definition)
	field("plugin", inst.Plugin)
	field("run", inst.Run)
	field("updated", inst.Updated.Local().Format("2006-01-02 15:04:05"))
	if inst.Errors > 0 {
		field("failed rows", strconv.FormatInt(inst.Errors, 10))
	}
	if p := inst.Pending; p != nil {
		field("pending", p.Text())
		field("", "since "+pending.Time(p.Since))
		field("", p.Again())
	}
	for _, port := range slices.Sorted(maps.Keys(inst.Outputs)) {
		ui.printf("\n  %s\n", artifactTitle(port, inst.Outputs[port]))
		a, err := artifact.Get(s.Blobs, inst.Outputs[port])
		if err != nil {
			return err
		}
		printArtifact(ui, a, "    ")
	}
	if err := printContracts(ui, s, inst); err != nil {
		return err
	}
	switch {
	case inst.Deployment != nil && inst.Deployment.Value != nil:
		ui.printf("\n%s", indent(value.Format(inst.Deployment.Value.Value), "  "))
	case inst.Value != nil:
		v, err := inst.Value.Get()
		if err != nil {
			return err
		}
		ui.printf("\n%s", indent(value.Format(v), "  "))
	}
	return nil
}
