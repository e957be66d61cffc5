package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mattn/go-shellwords"
	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/lang/diag"
)

// argumentsVariable is the environment variable with arguments for all
// commands. Followed by _ and the name of a command, it applies only to that
// command.
const argumentsVariable = "QUERN_CLI_ARGS"

// withArguments inserts the arguments from the environment directly after the
// command, so that the command line takes precedence. Arguments for one command
// take precedence over those for all commands.
func withArguments(app *cli.Command, args []string, getenv func(string) string) ([]string, error) {
	at, name := commandAt(app, args)
	if name == "" {
		return args, nil
	}
	var more []string
	for _, variable := range []string{argumentsVariable, argumentsVariable + "_" + name} {
		words, err := shellwords.Parse(getenv(variable))
		if err != nil {
			return nil, diag.Failed(fmt.Sprintf("%s is malformed", variable), "Write arguments as in a shell, and check the quotes: %w", err)
		}
		more = append(more, words...)
	}
	return slices.Insert(slices.Clone(args), at, more...), nil
}

// commandAt finds the command in args: the index where its arguments begin, and
// its name, such as plan or state_list.
func commandAt(app *cli.Command, args []string) (at int, name string) {
	var names []string
	for at = 1; at < len(args); at++ {
		flag, isFlag := strings.CutPrefix(args[at], "-")
		if isFlag && len(names) == 0 {
			if strings.TrimPrefix(flag, "-") == "chdir" {
				at++ // its value
			}
			continue
		}
		sub := app.Command(args[at])
		if isFlag || sub == nil {
			break
		}
		app, names = sub, append(names, strings.ReplaceAll(sub.Name, "-", "_"))
	}
	return min(at, len(args)), strings.Join(names, "_")
}
