package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/ui/results"
)

func artifactProfileCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:      "profile",
		Usage:     "describe the columns of a dataset",
		ArgsUsage: "ADDRESS[.PORT]|DIGEST",
		Description: "Reads a dataset once and prints nulls, distinct values, distributions, and what may be wrong, as evaluate\n" +
			"\"profile\" with its defaults does. Nothing is kept. To compare profiles or to use their figures in expressions, add a block.",
	}
	return command(ui, c, &arguments.ArtifactProfile{}, func(ctx context.Context, args *arguments.ArtifactProfile) error {
		ctx, cancel := interruptible(ctx)
		defer cancel()
		s, found, err := artifactHere(ui, args.Env.Value, args.Artifact)
		if err != nil {
			return err
		}
		p, err := inspect.Profile(ctx, s, found, args.Columns.Value)
		if err != nil {
			return err
		}
		if args.Chosen == "json" {
			return ui.json(p)
		}
		return printProfileAs(ui, args.Chosen, &results.Profile{Address: found.Name(), Profile: p})
	})
}
