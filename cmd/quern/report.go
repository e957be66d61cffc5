package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/quern-dev/quern/ui/report"
	"github.com/quern-dev/quern/ui/results"
	"github.com/urfave/cli/v3"
)

func reportCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:        "report",
		Usage:       "write an evaluation as a web page",
		ArgsUsage:   "ADDRESS",
		Description: "Writes one self-contained file: figures and differences with their intervals, confusions, and answers with their\nrequests. You can filter and search the answers.",
		Flags: slices.Concat(environmentFlags(), []cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write to `FILE` (default: ADDRESS.html)"},
			&cli.IntFlag{Name: "rows", Value: report.DefaultRows, Usage: "embed the answers of at most the first `N` rows"},
		}),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			ctx, cancel := interruptible(ctx)
			defer cancel()
			return writeReport(ctx, ui, cmd)
		},
	}
}

func writeReport(ctx context.Context, ui *terminal, cmd *cli.Command) error {
	if cmd.Int("rows") < 1 {
		return errors.New("-rows must be at least 1\nIt is the number of rows that the page contains.")
	}
	s, st, inst, err := instanceHere(cmd)
	if err != nil {
		return err
	}
	if inst.Kind != "evaluate" {
		return fmt.Errorf("%s has no report\nOnly evaluations, such as evaluate.NAME, have reports.", inst.Address)
	}
	found, err := results.Read(ctx, s, inst)
	if err != nil {
		return evaluationError(inst.Address, err)
	}
	path := cmd.String("out")
	if path == "" {
		path = inst.Address + ".html"
	}
	bytes := 0
	if cmd.IsSet("rows") {
		bytes = math.MaxInt // a user who sets -rows wants them, however large
	}
	err = replaceFile(path, func(f *os.File) error {
		o := report.Options{Rows: cmd.Int("rows"), Bytes: bytes, Environment: st.Environment, Made: inst.Updated.Local().Format("2006-01-02 15:04")}
		return report.Write(f, found, found.Each(ctx, s, st), o)
	})
	if err != nil {
		return err
	}
	ui.printf("Wrote %s.\n", path)
	return nil
}

// replaceFile writes a file as a whole or not at all.
func replaceFile(path string, write func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".quern-*")
	if err != nil {
		return fmt.Errorf("%s cannot be written\n%w", path, err)
	}
	defer os.Remove(f.Name())
	if err := errors.Join(write(f), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
