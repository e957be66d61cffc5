package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/revision"
	"github.com/quern-dev/quern/planner/comparison"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/render"
)

func diffCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:      "diff",
		Usage:     "compare revisions of the pipeline, or runs",
		ArgsUsage: "REVISION | A..B | A...B | RUN RUN",
		Description: "Compares two Git revisions of the pipeline as graphs: stages, arguments, columns, models, and costs. One revision is\n" +
			"compared with the working folder; A..B compares two, and A...B compares B with where it diverged from A.\n\n" +
			"Given two runs, as \"quern log\" lists them, compares what they left: results, rows, metrics, time, and cost.",
	}
	return command(ui, c, &arguments.Diff{}, func(ctx context.Context, args *arguments.Diff) error {
		ctx, cancel := interruptible(ctx)
		defer cancel()
		if args.Runs != nil {
			return diffRuns(ctx, ui, args)
		}
		return diffRevisions(ctx, ui, args)
	})
}

func diffRevisions(ctx context.Context, ui *terminal, args *arguments.Diff) error {
	repo, err := revision.Open(ctx, ".")
	if err != nil {
		return err
	}
	before, after, err := repo.Range(ctx, args.Range)
	if err != nil {
		return err
	}
	was, err := describeBoth(ctx, ui, repo, &before, args.Request())
	if err != nil {
		return err
	}
	is, err := describeBoth(ctx, ui, repo, after, args.Request())
	if err != nil {
		return err
	}
	return printComparison(ui, args.Chosen, was, is)
}

// described is a configuration, and what applying it would do. The plan is nil if
// a revision has no pipeline.
type described struct {
	revision      *revision.Revision
	configuration *plan.Plan
	plan          *plan.Plan
}

func describeBoth(ctx context.Context, ui *terminal, repo *revision.Repository, v *revision.Revision, r arguments.Request) (described, error) {
	d := described{revision: v}
	err := quietly(ctx, ui, repo, v, r, func(w *workspace, r arguments.Request) (err error) {
		if d.configuration, err = w.describe(ctx, r); err != nil {
			return err
		}
		st, err := loadState(w.store, r.Environment)
		if err != nil {
			return err
		}
		d.plan, err = w.plan(ctx, r, st)
		return err
	})
	if v != nil && errors.Is(err, errNoPipeline) {
		ui.notef("%s has no pipeline in this folder.\n", v)
		d.configuration, err = &plan.Plan{}, nil
	}
	return d, err
}

func (d described) name() string {
	if d.revision == nil {
		return render.WorkingFolder
	}
	return d.revision.String()
}

// side is one of two configurations that are compared, as JSON.
type side struct {
	// Revision is nil for the working folder.
	Revision *revision.Revision `json:"revision"`
	Summary  *render.Sums       `json:"summary,omitempty"`
}

func (d described) side() side {
	s := side{Revision: d.revision}
	if d.plan != nil {
		sums := render.SumsOf(d.plan)
		s.Summary = &sums
	}
	return s
}

func printComparison(ui *terminal, format string, before, after described) error {
	c := comparison.Of(before.configuration, after.configuration)
	if after.plan != nil {
		c.Estimate(after.plan)
	}
	compared := render.Compared{
		Before: before.name(), After: after.name(), Plans: [2]*plan.Plan{before.plan, after.plan}, Comparison: c,
	}
	switch format {
	case "json":
		return ui.json(struct {
			Before side `json:"before"`
			After  side `json:"after"`
			*comparison.Comparison
		}{before.side(), after.side(), c})
	case "markdown":
		return render.ComparisonMarkdown(ui.out, compared)
	}
	return render.Comparison(ui.out, compared, render.Options{Color: ui.color(ui.out), Width: ui.width(ui.out)})
}
