package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/urfave/cli/v3"
)

// prepare gives every command the same behavior on wrong usage: an error
// that says which command to ask for help. A flag's value is one value, with
// or without commas: -var takes lists.
func prepare(ui *terminal, cmd *cli.Command) {
	cmd.DisableSliceFlagSeparator = true
	cmd.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error {
		return fmt.Errorf("%s\nRun \"%s -help\" to see its flags.%s", plainly(err), c.FullName(), suggestFlag(c, err))
	}
	cmd.CommandNotFound = func(_ context.Context, c *cli.Command, name string) {
		ui.finish(fmt.Errorf("unknown command %q\nRun \"%s -help\" to see the commands.%s", name, c.FullName(), diag.Suggest(name, commandNames(c))))
		os.Exit(exitError)
	}
	cmd.HideHelpCommand = true
	if cmd.Action != nil && slices.Contains(cmd.Flags, cli.Flag(jsonFlag)) {
		cmd.Action = withJSONErrors(ui, cmd.Action)
	}
	for _, sub := range cmd.Commands {
		prepare(ui, sub)
	}
}

// withJSONErrors makes -json print errors, too, so that a program that reads standard
// output always finds a document there. People read the same on standard error.
func withJSONErrors(ui *terminal, action cli.ActionFunc) cli.ActionFunc {
	return func(ctx context.Context, cmd *cli.Command) error {
		err := action(ctx, cmd)
		if _, said := exitCode(err); err == nil || said || !cmd.Bool("json") {
			return err
		}
		return errors.Join(err, ui.json(map[string]any{"diagnostics": diag.JSON(diagnosticsOf(err), ui.sources, diag.PrintOptions{Redact: ui.secrets.Text})}))
	}
}

// plainly rewrites an error about a flag's value for people: the
// parser returns the errors of Go's packages.
func plainly(err error) string {
	message, cause, _ := strings.Cut(err.Error(), ": ")
	switch {
	case !strings.HasPrefix(message, "invalid value "):
	case strings.HasPrefix(cause, "strconv.ParseInt"):
		return message + ": must be a whole number"
	case strings.HasPrefix(cause, "time: "):
		return message + ": must be a duration such as 90s, 15m, or 2h"
	case cause == "parse error":
		return message + ": must be true or false"
	}
	return err.Error()
}

func suggestFlag(cmd *cli.Command, err error) string {
	_, name, found := strings.Cut(err.Error(), "not defined: -")
	if !found {
		return ""
	}
	var names []string
	for _, flag := range cmd.Flags {
		names = append(names, flag.Names()...)
	}
	return diag.Suggest(strings.TrimLeft(name, "-"), names)
}

func commandNames(cmd *cli.Command) []string {
	var names []string
	for _, sub := range cmd.Commands {
		names = append(names, sub.Name)
	}
	slices.Sort(names)
	return names
}

// atLeast is the validator of a flag whose value must be at least least.
func atLeast(least int) func(int) error {
	return func(n int) error {
		if n < least {
			return fmt.Errorf("must be at least %d", least)
		}
		return nil
	}
}

// chosenFormat is the output format that -json or -format asks for.
func chosenFormat(cmd *cli.Command, formats []string) (string, error) {
	format := cmd.String("format")
	if cmd.Bool("json") {
		if cmd.IsSet("format") && format != "json" {
			return "", fmt.Errorf("-json and -format=%s cannot be combined", format)
		}
		format = "json"
	}
	if !slices.Contains(formats, format) {
		return "", fmt.Errorf("%s does not support the format %q\nThe formats are %s.%s", cmd.FullName(), format, strings.Join(formats, ", "), diag.Suggest(format, formats))
	}
	return format, nil
}

// noArguments refuses positional arguments.
func noArguments(cmd *cli.Command) error {
	if cmd.Args().Present() {
		return fmt.Errorf("%s takes no arguments, but got %q\nRun \"%s -help\" to see its flags.", cmd.FullName(), cmd.Args().First(), cmd.FullName())
	}
	return nil
}

// arguments are the positional arguments, described by what. Their number
// must be between least and most.
func arguments(cmd *cli.Command, least, most int, what string) ([]string, error) {
	given := cmd.Args().Slice()
	if len(given) < least {
		return nil, fmt.Errorf("%s needs %s\nUsage: %s %s", cmd.FullName(), what, cmd.FullName(), cmd.ArgsUsage)
	}
	if len(given) > most {
		return nil, fmt.Errorf("%s takes %s, but got %d arguments\nUsage: %s %s", cmd.FullName(), what, len(given), cmd.FullName(), cmd.ArgsUsage)
	}
	return given, nil
}

// oneArgument is the only positional argument, described by what.
func oneArgument(cmd *cli.Command, what string) (string, error) {
	given, err := arguments(cmd, 1, 1, what)
	if err != nil {
		return "", err
	}
	return given[0], nil
}

// optionalArgument is the only positional argument, or "".
func optionalArgument(cmd *cli.Command, what string) (string, error) {
	if _, err := arguments(cmd, 0, 1, what); err != nil {
		return "", err
	}
	return cmd.Args().First(), nil
}
