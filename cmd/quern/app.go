package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/urfave/cli/v3"
)

// newApp is the command line. A flag may be written with one dash or two.
func newApp(ui *terminal) *cli.Command {
	app := &cli.Command{
		Name:    "quern",
		Usage:   "plan and apply pipelines that turn data into models you can defend",
		Version: version,
		Description: "Describe a pipeline in *.quern.hcl files, then:\n" +
			"  quern plan     shows what would run, what would be reused, and why\n" +
			"  quern apply    does exactly that",
		HideVersion:           true,
		EnableShellCompletion: true,
		Writer:                ui.out,
		ErrWriter:             ui.err,
		ExitErrHandler:        func(context.Context, *cli.Command, error) {},
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "chdir", Usage: "change to the folder `DIR` before running the command"},
			&cli.BoolFlag{Name: "no-color", Usage: "print without color"},
		},
		Before: func(ctx context.Context, cmd *cli.Command) (context.Context, error) {
			return ctx, enter(ui, cmd)
		},
		Commands: []*cli.Command{
			initCommand(ui), validateCommand(ui), fmtCommand(ui),
			planCommand(ui), applyCommand(ui), destroyCommand(ui),
			showCommand(ui), reportCommand(ui), outputCommand(ui), graphCommand(ui), whyCommand(ui), consoleCommand(ui),
			stateCommand(ui), artifactCommand(ui), logCommand(ui), lineageCommand(ui),
			envCommand(ui), gcCommand(ui),
			importCommand(ui), pluginCommand(ui), versionCommand(ui),
		},
	}
	prepare(ui, app)
	return app
}

// enter applies the flags that every command has.
func enter(ui *terminal, cmd *cli.Command) error {
	if cmd.Bool("no-color") {
		ui.noColor = true
	}
	if cwd, err := os.Getwd(); err == nil {
		ui.startedIn = cwd
	}
	dir := cmd.String("chdir")
	if dir == "" {
		return nil
	}
	if err := os.Chdir(dir); err != nil {
		return fmt.Errorf("cannot change to the folder %q\n%w", dir, err)
	}
	return nil
}

var jsonFlag = &cli.BoolFlag{Name: "json", Usage: "print JSON"}

// environmentFlags choose the environment. An empty QUERN_ENV is none.
func environmentFlags() []cli.Flag {
	env := &cli.StringFlag{Name: "env", Value: "default", Usage: "use the environment `NAME`; QUERN_ENV sets it, too"}
	if os.Getenv("QUERN_ENV") != "" {
		env.Sources = cli.EnvVars("QUERN_ENV")
	}
	return []cli.Flag{env}
}

// variableFlags give values to variables.
func variableFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "var", Usage: "set a variable with `NAME=VALUE`; can be repeated"},
		&cli.StringSliceFlag{Name: "var-file", Usage: "set variables from `FILE`; can be repeated"},
	}
}

// planFlags are those of all commands that make a plan.
func planFlags() []cli.Flag {
	return slices.Concat(environmentFlags(), variableFlags(), []cli.Flag{
		&cli.StringSliceFlag{Name: "target", Usage: "only `ADDRESS` and what it depends on; can be repeated"},
		&cli.StringSliceFlag{Name: "exclude", Usage: "everything except `ADDRESS` and what depends on it; can be repeated"},
		&cli.StringSliceFlag{Name: "replace", Usage: "run or deploy `ADDRESS` again even if nothing changed; can be repeated"},
		&cli.BoolFlag{Name: "refresh", Value: true, Usage: "refresh sources and deployments first; -refresh=false trusts the state"},
		&cli.IntFlag{Name: "parallelism", Value: 10, Usage: "run at most `N` stages at once", Validator: atLeast(1)},
		&cli.BoolFlag{Name: "input", Value: true, Usage: "ask for approval; -input=false fails instead"},
		&cli.BoolFlag{Name: "compact-warnings", Usage: "print only the summary of each warning"},
	}, lockFlags())
}
