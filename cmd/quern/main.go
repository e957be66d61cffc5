// Command quern plans and applies declarative pipelines for the lifecycle of
// language models.
// Each command has three parts: its arguments, a type in internal/arguments
// that declares the flags and rejects contradictions; its work, done by the
// packages lang, planner, runner, store, and inspect; and its view, the
// functions that print. It contains no logic that another front end would need.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/quern-dev/quern/internal/garbage"
	_ "github.com/quern-dev/quern/internal/openfiles" // refuses a limit that is too low
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/plugins/builtin"
	"github.com/quern-dev/quern/registry"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Exit codes. Only -detailed-exitcode uses exitChanges, and only apply uses
// exitPending: nothing failed, but a stage waits for something outside.
const (
	exitOK      = 0
	exitError   = 1
	exitChanges = 2
	exitPending = 3
	exitCrash   = 11
)

func main() {
	// The built-in plugins are ordinary plugins. This program serves them when
	// it is started with this argument.
	if len(os.Args) >= 2 && os.Args[1] == "serve-plugin" {
		os.Exit(serve(os.Args[2:]))
	}
	os.Exit(run(os.Args))
}

// serve serves the built-in plugin, or the named plugin of a vendor, until
// quern ends.
func serve(args []string) int {
	name := registry.Builtin
	if len(args) > 0 {
		name = args[0]
	}
	plugins := builtin.Plugins()
	i := slices.IndexFunc(plugins, func(p plugin.Plugin) bool { return p.Name == name })
	if i < 0 {
		fmt.Fprintf(os.Stderr, "quern does not serve a plugin %q\n", name)
		return exitError
	}
	garbage.Allow(garbage.Workspace)
	plugin.Serve(plugins[i])
	return exitOK
}

func run(args []string) int {
	ui := newTerminal(os.Stdin, os.Stdout, os.Stderr)
	if err := limit.Check(); err != nil {
		return ui.finish(err)
	}
	if len(args) == 2 && (args[1] == "-version" || args[1] == "--version") {
		args = []string{args[0], "version"} // the usual spelling in other programs
	}
	return execute(ui, func() error {
		app := newApp(ui)
		args, err := withArguments(app, args, os.Getenv)
		if err != nil {
			return err
		}
		return app.Run(context.Background(), args)
	})
}

// execute runs a command and returns its exit code. After a panic in any
// goroutine, it prints where to report the bug.
func execute(ui *terminal, command func() error) (code int) {
	err := parallel.Call(func() error {
		err := command()
		if bug := (*parallel.Panic)(nil); errors.As(err, &bug) {
			return bug
		}
		code = ui.finish(err)
		return nil
	})
	if err == nil {
		return code
	}
	ui.notef(`
quern crashed. This is a bug in quern, not in your pipeline.
Your state and artifacts are as the last finished step left them. Run the command again.
Please report the text below at https://github.com/quern-dev/quern/issues

quern %s: %s`, version, err)
	return exitCrash
}

// exitStatus is an error that only sets the exit code. Everything else has
// already been printed.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func exitCode(err error) (int, bool) {
	var status exitStatus
	if errors.As(err, &status) {
		return int(status), true
	}
	return 0, false
}
