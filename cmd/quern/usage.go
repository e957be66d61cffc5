package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/lang/diag"
)

// prepare gives every command the same behavior on wrong usage: an error that
// names the command to get help for. A flag's value is never split at commas,
// because -var takes lists.
func prepare(ui *terminal, cmd *cli.Command) {
	cmd.DisableSliceFlagSeparator = true
	cmd.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error {
		return diag.Failed(plainly(err), "Run \"%s -help\" to see its flags.%s", c.FullName(), suggestFlag(c, err))
	}
	cmd.CommandNotFound = func(_ context.Context, c *cli.Command, name string) {
		ui.finish(diag.Failed(fmt.Sprintf("unknown command %q", name), "Run \"%s -help\" to see the commands.%s", c.FullName(), diag.Suggest(name, commandNames(c))))
		os.Exit(exitError)
	}
	cmd.HideHelpCommand = true
	for _, sub := range cmd.Commands {
		prepare(ui, sub)
	}
}

// plainly rewrites an error about a flag's value for people, because the parser
// returns the errors of Go's packages.
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
		for _, n := range flag.Names() {
			names = append(names, "-"+n)
		}
	}
	return diag.Suggest("-"+strings.TrimLeft(name, "-"), names)
}

func commandNames(cmd *cli.Command) []string {
	var names []string
	for _, sub := range cmd.Commands {
		names = append(names, sub.Name)
	}
	slices.Sort(names)
	return names
}
