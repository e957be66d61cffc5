package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/lang/diag"
)

// newApp returns the command line. Flags may be written with one or two dashes.
func newApp(ui *terminal) *cli.Command {
	global := &arguments.Global{}
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
		Flags:                 global.Flags(),
		Before: func(ctx context.Context, _ *cli.Command) (context.Context, error) {
			return ctx, enter(ui, global)
		},
		Commands: []*cli.Command{
			initCommand(ui), validateCommand(ui), fmtCommand(ui), testCommand(ui), docsCommand(ui),
			planCommand(ui), applyCommand(ui), destroyCommand(ui), promoteCommand(ui), rollbackCommand(ui),
			showCommand(ui), reportCommand(ui), outputCommand(ui), graphCommand(ui), whyCommand(ui), diffCommand(ui), consoleCommand(ui),
			stateCommand(ui), artifactCommand(ui), logCommand(ui), lineageCommand(ui),
			envCommand(ui), storeCommand(ui), gcCommand(ui),
			exportCommand(ui), importCommand(ui), pluginCommand(ui), versionCommand(ui), manCommand(ui),
		},
	}
	prepare(ui, app)
	return app
}

// enter applies the flags that all commands share.
func enter(ui *terminal, global *arguments.Global) error {
	if global.NoColor.Value {
		ui.noColor = true
	}
	if cwd, err := os.Getwd(); err == nil {
		ui.startedIn = cwd
	}
	dir := global.Chdir.Value
	if dir == "" {
		return nil
	}
	if err := os.Chdir(dir); err != nil {
		return diag.Failed(fmt.Sprintf("cannot change to the folder %q", dir), "%w", err)
	}
	return nil
}

// command binds a command to its arguments. The work begins once the flags and
// positional arguments are parsed and do not contradict each other.
func command[A arguments.Set](ui *terminal, c *cli.Command, args A, work func(context.Context, A) error) *cli.Command {
	c.Flags = args.Flags()
	c.Action = func(ctx context.Context, cmd *cli.Command) error {
		err := parsed(args, cmd)
		if err == nil {
			err = interrupted(cmd, work(ctx, args))
		}
		return ui.alsoJSON(err, args)
	}
	return c
}

// interrupted says in words that a command was interrupted, unless its error already
// describes what that means.
func interrupted(cmd *cli.Command, err error) error {
	var described diag.Described
	if !errors.Is(err, context.Canceled) || errors.As(err, &described) || errors.As(err, new(diagnosed)) {
		return err
	}
	if _, said := exitCode(err); said {
		return err
	}
	return &diag.Error{Summary: cmd.FullName() + " was interrupted", Cause: err}
}

// parsed parses the arguments of a command.
func parsed(args arguments.Set, cmd *cli.Command) error {
	if diags := args.Parse(arguments.Of(cmd)); diags.HasErrors() {
		return diagnosed{diags}
	}
	return nil
}

// alsoJSON makes -json print errors as JSON, too, so that a program that reads
// standard output always finds a document there. People read the error on
// standard error.
func (t *terminal) alsoJSON(err error, args arguments.Set) error {
	document, can := args.(interface{ PrintsJSON() bool })
	if _, said := exitCode(err); err == nil || said || !can || !document.PrintsJSON() {
		return err
	}
	return errors.Join(err, t.json(map[string]any{"diagnostics": diag.JSON(diagnosticsOf(err), t.sources, diag.PrintOptions{Redact: t.secrets.Text})}))
}
