package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/render"
	"github.com/urfave/cli/v3"
)

func whyCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:        "why",
		Usage:       "explain why an instance would or would not run",
		ArgsUsage:   "ADDRESS",
		Description: "Compares what the instance's keys are computed from now with what they were computed from for its last result.",
		Flags: slices.Concat(environmentFlags(), variableFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "refresh", Value: true, Usage: "refresh sources and deployments first"},
			jsonFlag,
		}),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			given, err := oneArgument(cmd, "the address of an instance")
			if err != nil {
				return err
			}
			a, err := addr.Parse(given)
			if err != nil {
				return err
			}
			return explain(ctx, ui, cmd, a)
		},
	}
}

func explain(ctx context.Context, ui *terminal, cmd *cli.Command, a addr.Instance) error {
	p, st, err := planHere(ctx, ui, cmd)
	if err != nil {
		return err
	}
	node, err := nodeAt(p, a)
	if err != nil {
		return err
	}
	why := planner.Why(node, st)
	if cmd.Bool("json") {
		return ui.json(why)
	}
	return render.Why(ui.out, why, render.Options{Color: ui.color(ui.out), Width: ui.width(ui.out)})
}

// nodeAt finds a node of a plan by its address.
func nodeAt(p *plan.Plan, a addr.Instance) (*plan.Node, error) {
	var addresses []string
	for _, n := range p.Nodes {
		if n.Address == a.String() {
			return n, nil
		}
		addresses = append(addresses, n.Address)
	}
	return nil, fmt.Errorf("the pipeline has no instance %s\nRun \"quern state list\" or \"quern graph\" to see the instances.%s", a, diag.Suggest(a.String(), addresses))
}
