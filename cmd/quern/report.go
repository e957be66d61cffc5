package main

import (
	"context"
	"fmt"
	"io"
	"math"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/ui/report"
	"github.com/quern-dev/quern/ui/results"
)

func reportCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "report",
		Usage:       "write an evaluation as a web page",
		ArgsUsage:   "ADDRESS",
		Description: "Writes one self-contained file: figures and differences with their intervals, confusions, and answers with their\nrequests. You can filter and search the answers.",
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
	if inst.Kind != kind.Evaluate {
		return diag.Failed(fmt.Sprintf("%s has no report", inst.Address), "Only evaluations, such as evaluate.NAME, have reports.")
	}
	found, err := results.Read(ctx, s, inst)
	if err != nil {
		return evaluationError(inst.Address, err)
	}
	path := args.Out.Value
	if path == "" {
		path = inst.Address + ".html"
	}
	bytes := 0
	if args.Rows.Given() {
		bytes = math.MaxInt // a user who sets -rows wants all of them, regardless of their size
	}
	err = replaceFile(path, 0o666, func(w io.Writer) error {
		o := report.Options{Rows: args.Rows.Value, Bytes: bytes, Environment: st.Environment, Made: inst.Updated.Local().Format("2006-01-02 15:04")}
		return report.Write(w, found, found.Each(ctx, s, st), o)
	})
	if err != nil {
		return err
	}
	ui.printf("Wrote %s.\n", path)
	return nil
}
