package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mattn/go-shellwords"
	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/lang/diag"
)

// argumentsVariable is the environment variable with arguments for all commands;
// followed by _ and the name of a command, for that command only.
const argumentsVariable = "QUERN_CLI_ARGS"

// withArguments puts the arguments that the environment gives directly after the
// command, so that those of the command line win. Those for one command win over
// those for all.
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

// commandAt finds the command in args: where its arguments begin, and its name,
// such as plan or state_list.
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
