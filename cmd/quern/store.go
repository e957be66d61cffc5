package main

import (
	"context"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/internal/english"
)

func storeCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:     "store",
		Usage:    "inspect the store",
		Commands: []*cli.Command{storeStatsCommand(ui)},
	}
}

func storeStatsCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:  "stats",
		Usage: "show what takes up space in the store",
		Description: "Shows sizes by kind, environment, type, and stage, what environments share, the largest artifacts, what gc would\n" +
			"remove, and why it would keep the rest. It removes nothing, and other commands can run meanwhile.",
	}
	return command(ui, c, &arguments.StoreStats{}, func(ctx context.Context, args *arguments.StoreStats) error {
		ctx, cancel := interruptible(ctx)
		defer cancel()
		s, err := openStore(ui)
		if err != nil {
			return err
		}
		options, err := gcOptions(s, args.GC())
		if err != nil {
			return err
		}
		stats, err := inspect.Measured(ctx, s, options, args.N.Value)
		if err != nil {
			return err
		}
		if args.JSON.Value {
			return ui.json(stats)
		}
		return printStats(ui, stats)
	})
}

func printStats(ui *terminal, s *inspect.Stats) error {
	var kinds, environments, artifacts [][]string
	for _, k := range s.Kinds {
		kinds = append(kinds, []string{k.Kind, english.Number(int64(k.Files)), byteSize(k.Bytes)})
	}
	for _, e := range s.Environments {
		environments = append(environments, []string{e.Name, english.Number(int64(e.Instances)), english.Number(int64(e.Blobs)), byteSize(e.Bytes), byteSize(e.SharedBytes), byteSize(e.Bytes - e.SharedBytes)})
	}
	for _, a := range s.Largest {
		artifacts = append(artifacts, []string{a.Artifact, english.Number(int64(a.Blobs)), byteSize(a.Bytes), strings.Join(a.Environments, ", ")})
	}
	for i, t := range []struct {
		header []string
		rows   [][]string
	}{
		{[]string{"KIND", "FILES", "SIZE"}, kinds},
		{[]string{"ENVIRONMENT", "INSTANCES", "BLOBS", "SIZE", "SHARED", "ONLY HERE"}, environments},
		{[]string{"TYPE", "BLOBS", "SIZE"}, groupRows(s.Types)},
		{[]string{"STAGE", "BLOBS", "SIZE"}, groupRows(s.Addresses)},
		{[]string{"LARGEST ARTIFACT", "BLOBS", "SIZE", "ENVIRONMENTS"}, artifacts},
		{[]string{"KEPT BY GC FOR", "BLOBS", "SIZE"}, groupRows(s.Kept)},
	} {
		if len(t.rows) == 0 {
			continue
		}
		if i > 0 {
			ui.printf("\n")
		}
		if err := ui.table(t.header, t.rows); err != nil {
			return err
		}
	}
	ui.printf("\n\"quern gc -delete\" would remove %s in %s.\n", byteSize(s.Collect.Bytes), english.Count(s.Collect.Blobs, "blob"))
	return nil
}

func groupRows(groups []inspect.GroupStats) (rows [][]string) {
	for _, g := range groups {
		rows = append(rows, []string{g.Name, english.Number(int64(g.Blobs)), byteSize(g.Bytes)})
	}
	return rows
}
