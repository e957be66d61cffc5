package main

import (
	"context"
	"slices"

	"github.com/quern-dev/quern/planner/render"
	"github.com/urfave/cli/v3"
)

func graphCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:        "graph",
		Usage:       "print the graph of stages",
		Description: "Prints the stages, their dependencies, and their planned actions as Graphviz DOT, a Mermaid flowchart, or JSON.",
		Flags: slices.Concat(environmentFlags(), variableFlags(), []cli.Flag{
			&cli.StringFlag{Name: "format", Value: "dot", Usage: "dot, mermaid, or json"},
			&cli.BoolFlag{Name: "refresh", Usage: "refresh sources and deployments first"},
			jsonFlag,
		}),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			format, err := chosenFormat(cmd, []string{"dot", "mermaid", "json"})
			if err != nil {
				return err
			}
			p, _, err := planHere(ctx, ui, cmd)
			if err != nil {
				return err
			}
			switch format {
			case "dot":
				return render.DOT(ui.out, p)
			case "mermaid":
				return render.Mermaid(ui.out, p)
			}
			return ui.json(render.Graph(p))
		},
	}
}
