package main

import (
	"context"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/planner/render"
	"github.com/urfave/cli/v3"
)

func graphCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "graph",
		Usage:       "print the graph of stages",
		Description: "Prints the stages, their dependencies, and their planned actions as Graphviz DOT, a Mermaid flowchart, or JSON.",
	}
	return command(ui, c, &arguments.Graph{}, func(ctx context.Context, args *arguments.Graph) error {
		p, _, err := planHere(ctx, ui, args.Request())
		if err != nil {
			return err
		}
		switch args.Chosen {
		case "dot":
			return render.DOT(ui.out, p)
		case "mermaid":
			return render.Mermaid(ui.out, p)
		}
		return ui.json(render.Graph(p))
	})
}
