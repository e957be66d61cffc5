package main

import (
	"context"
	"runtime"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/urfave/cli/v3"

	release "github.com/quern-dev/quern/internal/version"
)

const version = release.Number

func versionCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:  "version",
		Usage: "print the version",
	}
	return command(ui, c, &arguments.Version{}, func(_ context.Context, args *arguments.Version) error {
		if args.JSON.Value {
			return ui.json(map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "_" + runtime.GOARCH})
		}
		ui.printf("quern %s on %s_%s\n", version, runtime.GOOS, runtime.GOARCH)
		return nil
	})
}
