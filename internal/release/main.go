// Command release creates the parts of a quern release. "make release", "make
// wheels", "make licenses", and the release workflow run it; docs/releasing.md
// describes how to make a release.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

// commands are the subcommands by name.
var commands = map[string]func(ctx context.Context, args []string) error{
	"archive":   archiveCommand,
	"checksums": checksumsCommand,
	"commit":    commitCommand,
	"licenses":  licensesCommand,
	"notes":     notesCommand,
	"proxy":     proxyCommand,
	"wheel":     wheelCommand,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || commands[args[0]] == nil {
		return fmt.Errorf("usage: release archive|checksums|commit|licenses|notes|proxy|wheel [flags]")
	}
	return commands[args[0]](ctx, args[1:])
}

// parse parses a command's flags, all of which are required.
func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	var missing error
	flags.VisitAll(func(f *flag.Flag) {
		if f.Value.String() == "" {
			missing = fmt.Errorf("-%s is missing: %s", f.Name, f.Usage)
		}
	})
	return missing
}
