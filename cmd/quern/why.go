package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/render"
)

func whyCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "why",
		Usage:       "explain why an instance would or would not run",
		ArgsUsage:   "ADDRESS",
		Description: "Compares what the instance's keys are computed from now with what they were computed from for its last result.",
	}
	return command(ui, c, &arguments.Why{}, func(ctx context.Context, args *arguments.Why) error {
		return explain(ctx, ui, args)
	})
}

func explain(ctx context.Context, ui *terminal, args *arguments.Why) error {
	p, st, err := planHere(ctx, ui, args.Request())
	if err != nil {
		return err
	}
	node, err := nodeAt(p, args.Address)
	if err != nil {
		return err
	}
	why := plan.Why(node, st)
	if args.JSON.Value {
		return ui.json(why)
	}
	return render.Why(ui.out, why, render.Options{Color: ui.color(ui.out), Width: ui.width(ui.out)})
}

// nodeAt returns the node of a plan with that address.
func nodeAt(p *plan.Plan, a addr.Instance) (*plan.Node, error) {
	var addresses []string
	for _, n := range p.Nodes {
		if n.Address == a.String() {
			return n, nil
		}
		addresses = append(addresses, n.Address)
	}
	if err := a.CheckModule(slices.Values(addresses)); err != nil {
		return nil, err
	}
	return nil, diag.Failed(fmt.Sprintf("the pipeline has no instance %s", a), "Run \"quern state list\" or \"quern graph\" to see the instances.%s", diag.Suggest(a.String(), addresses))
}
