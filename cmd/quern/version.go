package main

import (
	"context"
	"runtime"

	"github.com/urfave/cli/v3"
)

func versionCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version",
		Flags: []cli.Flag{jsonFlag},
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			if cmd.Bool("json") {
				return ui.json(map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "_" + runtime.GOARCH})
			}
			ui.printf("quern %s on %s_%s\n", version, runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}
