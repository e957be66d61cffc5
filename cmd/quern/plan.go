package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/render"
)

func planCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:  "plan",
		Usage: "show what apply would do, and why",
	}
	return command(ui, c, &arguments.Plan{}, func(ctx context.Context, args *arguments.Plan) error {
		return makePlan(ctx, ui, args)
	})
}

func makePlan(ctx context.Context, ui *terminal, args *arguments.Plan) error {
	ui.compactWarnings = args.CompactWarnings.Value
	p, err := requestedPlan(ctx, ui, args.Request())
	if err != nil {
		return err
	}
	out := args.Out.Value
	if out != "" {
		if err := savePlan(out, p); err != nil {
			return err
		}
	}
	if err := printPlan(ui, p, args.Chosen); err != nil {
		return err
	}
	if out != "" && args.Chosen == "text" {
		ui.printf("\nSaved the plan to %s. To apply exactly this plan, run:\n    quern apply %s\n", out, out)
	}
	if args.DetailedExitcode.Value && (p.HasChanges() || p.RefreshOnly && p.HasDrift()) {
		return exitStatus(exitChanges)
	}
	return nil
}

// printPlan prints a plan in one of its forms.
func printPlan(ui *terminal, p *plan.Plan, format string) error {
	switch format {
	case "text":
		return render.Text(ui.out, p, render.Options{Color: ui.color(ui.out), Width: ui.width(ui.out)})
	case "json":
		return render.JSON(ui.out, p)
	}
	return render.Markdown(ui.out, p)
}

// savePlan writes a plan to a file that only its owner can read, because it
// contains the values of variables.
func savePlan(name string, p *plan.Plan) error {
	err := replaceFile(name, 0o600, func(w io.Writer) error { return plan.Encode(w, p) })
	if err != nil {
		return diag.Failed("the plan cannot be saved", "%w", err)
	}
	return nil
}

func readPlan(name string) (*plan.Plan, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, diag.Failed(fmt.Sprintf("the plan %s cannot be read", name), "%w", err)
	}
	defer f.Close()
	p, err := plan.Decode(f)
	if err != nil {
		return nil, diag.Failed(fmt.Sprintf("the plan %s cannot be used", name), "%w", err)
	}
	return p, nil
}
