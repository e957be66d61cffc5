package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/state"
	"github.com/quern-dev/quern/ui/report"
	"github.com/quern-dev/quern/ui/results"
)

func reportCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "report",
		Usage:       "write an evaluation or a training as a web page",
		ArgsUsage:   "ADDRESS",
		Description: "Writes one self-contained file. Of an evaluation: figures and differences with their intervals, confusions, and\nanswers with their requests. You can filter and search the answers. Of a profile: the columns with their distributions. Of a training: its curves, metrics, and origin.",
	}
	return command(ui, c, &arguments.Report{}, func(ctx context.Context, args *arguments.Report) error {
		ctx, cancel := interruptible(ctx)
		defer cancel()
		return writeReport(ctx, ui, args)
	})
}

func writeReport(ctx context.Context, ui *terminal, args *arguments.Report) error {
	s, st, inst, err := instanceHere(ui, args.Env.Value, args.Address)
	if err != nil {
		return err
	}
	o := report.Options{Rows: args.Rows.Value, Environment: st.Environment, Made: inst.Updated.Local().Format("2006-01-02 15:04")}
	switch inst.Kind {
	case kind.Train:
		return reportTraining(ctx, ui, args, s, inst, o)
	case kind.Evaluate:
		return reportEvaluation(ctx, ui, args, s, st, inst, o)
	}
	return diag.Failed(fmt.Sprintf("%s has no report", inst.Address), "Only evaluations and trainings, such as evaluate.NAME and train.NAME, have reports.")
}

func reportTraining(ctx context.Context, ui *terminal, args *arguments.Report, s *store.Store, inst *state.Instance, o report.Options) error {
	if args.Rows.Given() {
		return diag.Failed(args.Rows.Name()+" cannot be used for a training", "The report of a training has no answers.")
	}
	found, err := results.ReadTraining(ctx, s, inst)
	if err != nil {
		return diag.Failed(fmt.Sprintf("the report of %s cannot be written", inst.Address), "%w", err)
	}
	return writePage(ui, args, inst.Address, func(w io.Writer) error { return report.WriteTraining(w, found, o) })
}

func reportEvaluation(ctx context.Context, ui *terminal, args *arguments.Report, s *store.Store, st *state.State, inst *state.Instance, o report.Options) error {
	found, err := results.Read(ctx, s, inst)
	if errors.Is(err, results.ErrNoSubjects) && !args.Rows.Given() {
		if err := reportProfile(ui, args, s, inst, o); !errors.Is(err, measurement.ErrNoProfile) {
			return err
		}
	}
	if err != nil {
		return evaluationError(inst.Address, err)
	}
	if args.Rows.Given() {
		o.Bytes = math.MaxInt // a user who sets -rows wants all of them, regardless of their size
	}
	return writePage(ui, args, inst.Address, func(w io.Writer) error { return report.Write(w, found, found.Each(ctx, s, st), o) })
}

func writePage(ui *terminal, args *arguments.Report, address string, write func(io.Writer) error) error {
	path := args.Out.Value
	if path == "" {
		path = address + ".html"
	}
	if err := replaceFile(path, 0o666, write); err != nil {
		return err
	}
	ui.printf("Wrote %s.\n", path)
	return nil
}
