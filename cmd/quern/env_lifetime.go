package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/store/gc"
	"github.com/quern-dev/quern/store/state"
)

// minute is how precisely people see when an environment expires.
const minute = "2006-01-02 15:04"

func createEnvironment(ctx context.Context, ui *terminal, args *arguments.EnvCreate) error {
	s, err := openStore(ui)
	if err != nil {
		return err
	}
	name := args.Name
	failed := func(err error) error {
		return diag.Failed(fmt.Sprintf("environment %q cannot be created", name), "%w", err)
	}
	if err := state.CheckName(name); err != nil {
		return failed(err)
	}
	// While this command has the lease, gc cannot remove what the environment adopts.
	lease, err := acquire(ctx, ui, s, name, &args.Lock)
	if err != nil {
		return err
	}
	defer lease.Release()
	var from *state.State
	if args.From.Given() {
		if from, err = existingState(s, args.From.Value); err != nil {
			return err
		}
	}
	st, err := s.States().Create(name, from, args.Lifetime.Until(time.Now()))
	if errors.Is(err, fs.ErrExist) {
		return diag.Failed(fmt.Sprintf("environment %q already exists", name), "Choose another name, or first run \"quern env delete %s\". To change when it expires, run \"quern env extend %s -expires-in=72h\".", name, name)
	}
	if err != nil {
		return failed(err)
	}
	with := ""
	if from != nil {
		with = fmt.Sprintf(" with %s of environment %q", english.Count(len(st.Instances), "instance"), from.Environment)
	}
	ui.printf("Created environment %q%s. Use it with -env=%s or QUERN_ENV=%s.\n", name, with, name, name)
	if st.Expires != nil {
		ui.printf("It expires on %s.\n", st.Expires.Local().Format(minute))
	}
	return nil
}

func envExtendCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "extend",
		Usage:       "change when an environment expires",
		ArgsUsage:   "NAME",
		Description: "The time is counted from now, so it can also be shortened.",
	}
	return command(ui, c, &arguments.EnvExtend{}, func(ctx context.Context, args *arguments.EnvExtend) error {
		s, err := openStore(ui)
		if err != nil {
			return err
		}
		lease, err := acquire(ctx, ui, s, args.Name, &args.Lock)
		if err != nil {
			return err
		}
		defer lease.Release()
		st, err := existingState(s, args.Name)
		if err != nil {
			return err
		}
		st.Expires = args.Lifetime.Until(time.Now())
		if err := s.States().Save(st); err != nil {
			return err
		}
		when := "does not expire"
		if st.Expires != nil {
			when = "expires on " + st.Expires.Local().Format(minute)
		}
		ui.printf("Environment %q %s.\n", args.Name, when)
		return nil
	})
}

// unexpired refuses to apply to an environment that gc may delete. What it has
// deployed can still be destroyed.
func unexpired(st *state.State) error {
	if !st.Expired(time.Now()) {
		return nil
	}
	return diag.Failed(fmt.Sprintf("environment %q has expired", st.Environment),
		"It expired on %s, and \"quern gc\" will delete it. To use it again, run \"quern env extend %s -expires-in=72h\". To delete it now, run \"quern destroy -env=%s\", and then \"quern env delete %s\".",
		st.Expires.Local().Format(minute), st.Environment, st.Environment, st.Environment)
}

// printExpired names the environments that have expired.
func printExpired(ui *terminal, args *arguments.GC, expired []gc.Expired) {
	for _, e := range expired {
		on := e.Expired.Local().Format(minute)
		switch {
		case e.Deleted && args.Delete.Value:
			ui.printf("Deleted environment %q, which expired on %s.\n", e.Environment, on)
		case e.Deleted:
			ui.printf("Would delete environment %q, which expired on %s.\n", e.Environment, on)
		case len(e.Deployments) > 0:
			ui.printf("Environment %q expired on %s, but stays because it has %s: %s. Run \"quern destroy -env=%s\" first.\n",
				e.Environment, on, english.Count(len(e.Deployments), "deployment"), english.And(e.Deployments), e.Environment)
		case e.InUse:
			ui.printf("Environment %q expired on %s, but stays because a command is changing it.\n", e.Environment, on)
		default:
			ui.printf("Environment %q expired on %s. gc deletes it after %s. To keep it, run \"quern env extend %s -expires-in=72h\".\n",
				e.Environment, on, e.Until.Local().Format(minute), e.Environment)
		}
	}
}
