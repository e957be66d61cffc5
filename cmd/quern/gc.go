package main

import (
	"context"
	"time"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/gc"
	"github.com/quern-dev/quern/store/state"
	"github.com/urfave/cli/v3"
)

func gcCommand(ui *terminal) *cli.Command {
	return &cli.Command{
		Name:  "gc",
		Usage: "remove what no environment and no recent run refers to",
		Description: "Shows what it would remove; with -delete, removes it. Takes the leases of all environments, so no apply can run\n" +
			"at the same time.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "delete", Usage: "remove it instead of only showing what would be removed"},
			&cli.IntFlag{Name: "keep-runs", Value: 20, Usage: "keep the results of the last `N` runs"},
			&cli.DurationFlag{Name: "grace", Value: 7 * 24 * time.Hour, Usage: "keep results newer than `DURATION`"},
			&cli.DurationFlag{Name: "answers", HideDefault: true, Usage: "remove cached answers older than `DURATION`; by default, all are kept"},
			lockTimeoutFlag(), jsonFlag,
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			ctx, cancel := interruptible(ctx)
			defer cancel()
			return collect(ctx, ui, cmd)
		},
	}
}

func collect(ctx context.Context, ui *terminal, cmd *cli.Command) error {
	s, err := openStore()
	if err != nil {
		return err
	}
	release, err := acquireAll(ctx, ui, s, cmd)
	if err != nil {
		return err
	}
	defer release()
	result, err := gc.Collect(ctx, s, gc.Options{
		Runs: cmd.Int("keep-runs"), Grace: cmd.Duration("grace"), Answers: cmd.Duration("answers"),
		DryRun: !cmd.Bool("delete"), Now: time.Now(),
	})
	if err != nil {
		return err
	}
	if cmd.Bool("json") {
		return ui.json(result)
	}
	verb := "Would remove"
	if cmd.Bool("delete") {
		verb = "Removed"
	}
	ui.printf("%s %s, %s, and %s in %s. %s in %s remain.\n", verb, english.Count(result.Actions, "action"), english.Count(result.Parts, "part"),
		byteSize(result.Bytes), english.Count(result.Blobs, "blob"), byteSize(result.KeptBytes), english.Count(result.KeptBlobs, "blob"))
	if result.Staging > 0 {
		ui.printf("%s %s of abandoned work (%s).\n", verb, english.Count(result.Staging, "folder"), byteSize(result.StagingBytes))
	}
	if result.Logs > 0 {
		ui.printf("%s %s of runs (%s).\n", verb, english.Count(result.Logs, "log"), byteSize(result.LogBytes))
	}
	if cmd.Duration("answers") > 0 {
		ui.printf("%s %s of language models (%s). %s remain.\n", verb, english.Count(result.Answers, "answer"), byteSize(result.AnswerBytes), english.Count(result.KeptAnswers, "answer"))
	}
	if !cmd.Bool("delete") && result.Actions+result.Parts+result.Blobs+result.Staging+result.Logs+result.Answers > 0 {
		ui.printf("To remove them, run: quern gc -delete\n")
	}
	return nil
}

// acquireAll takes the leases of all environments.
func acquireAll(ctx context.Context, ui *terminal, s *store.Store, cmd *cli.Command) (release func(), err error) {
	environments, err := s.States().List()
	if err != nil {
		return nil, err
	}
	var leases []*state.Lease
	release = func() {
		for _, l := range leases {
			l.Release()
		}
	}
	for _, env := range environments {
		lease, err := acquire(ctx, ui, s, env, cmd)
		if err != nil {
			release()
			return nil, err
		}
		leases = append(leases, lease)
	}
	return release, nil
}
