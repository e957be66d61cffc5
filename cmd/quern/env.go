package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
)

func envCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:     "env",
		Usage:    "list, create, extend, and delete environments",
		Commands: []*cli.Command{envListCommand(ui), envCreateCommand(ui), envExtendCommand(ui), envDeleteCommand(ui)},
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
		expires := map[string]time.Time{}
		var rows [][]string
		for _, name := range names {
			st, err := loadState(s, name)
			if err != nil {
				return err
			}
			until := ""
			if st.Expires != nil {
				expires[name], until = *st.Expires, st.Expires.Local().Format(minute)
			}
			if st.Expired(time.Now()) {
				until += " (expired)"
			}
			rows = append(rows, []string{name, strconv.FormatInt(st.Serial, 10), english.Count(len(st.Instances), "instance"), until})
		}
		if args.JSON.Value {
			return ui.json(map[string]any{"environments": names, "expires": expires})
		}
		return ui.table(filled([]string{"ENVIRONMENT", "SERIAL", "CONTENTS", "EXPIRES"}, rows))
	})
}

func envCreateCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "create",
		Usage:       "create an environment",
		ArgsUsage:   "NAME",
		Description: "Each environment has its own state. All environments share the artifacts of the store, so quern reuses what\nanother environment has computed. With -from, the new environment refers to the results of another one: nothing is\ncopied or computed. Deployments and outputs stay with the other environment.",
	}
	return command(ui, c, &arguments.EnvCreate{}, func(ctx context.Context, args *arguments.EnvCreate) error {
		return createEnvironment(ctx, ui, args)
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
	if deployed := st.Deployments(); len(deployed) > 0 {
		return diag.Failed(fmt.Sprintf("environment %q still has %s", name, english.Count(len(deployed), "deployment")), "First run \"quern destroy -env=%s\".", name)
	}
	if err := s.States().Delete(st); err != nil {
		return diag.Failed(fmt.Sprintf("environment %q cannot be deleted", name), "%w", err)
	}
	ui.printf("Deleted environment %q.\n", name)
	return nil
}
