package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/state"
)

func statePullCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "pull",
		Usage:       "print the state as JSON",
		Description: "Prints the state of the environment, as a backup or for \"quern state push\". The state contains the digests of\nartifacts, not the artifacts themselves. Prints nothing if nothing has been applied yet.",
	}
	return command(ui, c, &arguments.StatePull{}, func(_ context.Context, args *arguments.StatePull) error {
		_, st, err := stateHere(ui, args.Env.Value)
		if err != nil {
			return err
		}
		if st.Serial == 0 {
			ui.notef("Environment %q has no state yet.\n", st.Environment)
			return nil
		}
		text, err := state.Text(st)
		if err != nil {
			return diag.Failed("the state cannot be printed", "%w", err)
		}
		_, err = ui.out.Write(text)
		return err
	})
}

func statePushCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:      "push",
		Usage:     "replace the state with the one in a file",
		ArgsUsage: "FILE|-",
		Description: "Replaces the environment's state with the one in FILE (- is standard input), and keeps the old state as\n" +
			"state.json.backup. Refuses a state of another lineage or environment, with a lower serial, or with the same serial\n" +
			"but different content. The store must have all artifacts that the new state refers to.",
	}
	return command(ui, c, &arguments.StatePush{}, func(ctx context.Context, args *arguments.StatePush) error {
		text, err := readInput(ui, args.File)
		if err != nil {
			return err
		}
		return pushState(ctx, ui, args, text)
	})
}

// readInput returns the content of a file, or of standard input if its name is
// "-".
func readInput(ui *terminal, name string) ([]byte, error) {
	read := func() ([]byte, error) { return os.ReadFile(name) }
	if name == "-" {
		read = func() ([]byte, error) { return io.ReadAll(ui.in) }
	}
	text, err := read()
	if err != nil {
		return nil, diag.Failed("the state cannot be read", "%w", err)
	}
	return text, nil
}

func pushState(ctx context.Context, ui *terminal, args *arguments.StatePush, text []byte) error {
	st, err := state.Parse(text)
	if err != nil {
		return diag.Failed("the state cannot be pushed", "%w.", err)
	}
	s, err := openStore(ui)
	if err != nil {
		return err
	}
	env := args.Env.Value
	lease, err := acquire(ctx, ui, s, env, &args.Lock)
	if err != nil {
		return err
	}
	defer lease.Release()
	if err := presentIn(s, st); err != nil {
		return err
	}
	changed, err := s.States().Push(env, st, args.Force.Value)
	var unrelated *state.Unrelated
	switch {
	case errors.As(err, &unrelated):
		return diag.Failed(fmt.Sprintf("the state cannot be pushed to environment %q", env), "%w. If you are sure, push it with -force.", err)
	case err != nil:
		return diag.Failed(fmt.Sprintf("the state cannot be pushed to environment %q", env), "%w", err)
	case !changed:
		ui.printf("The state of environment %q is already the same.\n", env)
	default:
		ui.printf("Pushed the state to environment %q. It has %s.\n", env, english.Count(len(st.Instances), "instance"))
	}
	return nil
}

// presentIn checks that the store contains the artifacts in a state.
func presentIn(s *store.Store, st *state.State) error {
	for _, address := range slices.Sorted(maps.Keys(st.Instances)) {
		outputs := st.Instances[address].Outputs
		for _, port := range slices.Sorted(maps.Keys(outputs)) {
			if _, err := artifact.Present(s.Blobs, outputs[port]); err != nil {
				return diag.Failed("the state cannot be pushed", "The state says that %s produced %s %s, which this store does not have: %w.\nYou can push a state only to a store that has its artifacts. Copy the store, or remove the instance from the state.", address, outputs[port].Kind, outputs[port].Digest, err)
			}
		}
	}
	return nil
}
