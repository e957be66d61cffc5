package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/store/state"
)

func envCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:     "env",
		Usage:    "list, create, and delete environments",
		Commands: []*cli.Command{envListCommand(ui), envCreateCommand(ui), envDeleteCommand(ui)},
	}
}

func envListCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:  "list",
		Usage: "list the environments",
	}
	return command(ui, c, &arguments.EnvList{}, func(_ context.Context, args *arguments.EnvList) error {
		s, err := openStore(ui)
		if err != nil {
			return err
		}
		names, err := s.States().List()
		if err != nil {
			return err
		}
		if args.JSON.Value {
			return ui.json(map[string]any{"environments": names})
		}
		var rows [][]string
		for _, name := range names {
			st, err := loadState(s, name)
			if err != nil {
				return err
			}
			rows = append(rows, []string{name, strconv.FormatInt(st.Serial, 10), english.Count(len(st.Instances), "instance")})
		}
		return ui.table([]string{"ENVIRONMENT", "SERIAL", "CONTENTS"}, rows)
	})
}

func envCreateCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "create",
		Usage:       "create an empty environment",
		ArgsUsage:   "NAME",
		Description: "Each environment has its own state. All environments share the artifacts of the store, so quern reuses what\nanother environment has computed.",
	}
	return command(ui, c, &arguments.EnvCreate{}, func(_ context.Context, args *arguments.EnvCreate) error {
		s, err := openStore(ui)
		if err != nil {
			return err
		}
		name := args.Name
		if _, err := s.States().Create(name); err != nil {
			return diag.Failed(fmt.Sprintf("environment %q cannot be created", name), "%w", err)
		}
		ui.printf("Created environment %q. Use it with -env=%s or QUERN_ENV=%s.\n", name, name, name)
		return nil
	})
}

func envDeleteCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "delete",
		Usage:       "delete an environment that has no deployments",
		ArgsUsage:   "NAME",
		Description: "Its artifacts stay in the store until gc removes them.",
	}
	return command(ui, c, &arguments.EnvDelete{}, func(ctx context.Context, args *arguments.EnvDelete) error {
		return deleteEnvironment(ctx, ui, args)
	})
}

func deleteEnvironment(ctx context.Context, ui *terminal, args *arguments.EnvDelete) error {
	s, err := openStore(ui)
	if err != nil {
		return err
	}
	there, err := s.States().List()
	if err != nil {
		return err
	}
	name := args.Name
	if !slices.Contains(there, name) {
		return diag.Failed(fmt.Sprintf("environment %q does not exist", name), "Run \"quern env list\" to see what is available.%s", diag.Suggest(name, there))
	}
	lease, err := acquire(ctx, ui, s, name, &args.Lock)
	if err != nil {
		return err
	}
	defer lease.Release()
	st, err := loadState(s, name)
	if err != nil {
		return err
	}
	if deployed := deployments(st); len(deployed) > 0 {
		return diag.Failed(fmt.Sprintf("environment %q still has %s", name, english.Count(len(deployed), "deployment")), "First run \"quern destroy -env=%s\".", name)
	}
	if err := s.States().Delete(st); err != nil {
		return diag.Failed(fmt.Sprintf("environment %q cannot be deleted", name), "%w", err)
	}
	ui.printf("Deleted environment %q.\n", name)
	return nil
}

func deployments(st *state.State) []string {
	var addresses []string
	for address, inst := range st.Instances {
		if inst.Deployment != nil {
			addresses = append(addresses, address)
		}
	}
	return addresses
}
