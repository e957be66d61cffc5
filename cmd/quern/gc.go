package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/registry"
	"github.com/quern-dev/quern/store/gc"
	"github.com/quern-dev/quern/store/state"
	"github.com/urfave/cli/v3"
)

func gcCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:  "gc",
		Usage: "remove what no environment and no recent run refers to",
		Description: "Shows what it would remove; with -delete, removes it. Takes the leases of all environments, so no apply can run\n" +
			"at the same time.",
	}
	return command(ui, c, &arguments.GC{}, func(ctx context.Context, args *arguments.GC) error {
		ctx, cancel := interruptible(ctx)
		defer cancel()
		return collect(ctx, ui, args)
	})
}

func collect(ctx context.Context, ui *terminal, args *arguments.GC) error {
	s, err := openStore(ui)
	if err != nil {
		return err
	}
	lease, err := acquire(ctx, ui, s, state.AllEnvironments, &args.Lock)
	if err != nil {
		return err
	}
	defer lease.Release()
	ctx, cancel := whileHeld(ctx, lease)
	defer cancel()
	root, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	venvs, err := registry.UsedVenvs(s.Venvs(), root)
	if err != nil {
		return err
	}
	result, err := gc.Collect(ctx, s, gc.Options{
		Runs: args.KeepRuns.Value, Grace: args.Grace.Value, Answers: args.Answers.Value, Venvs: venvs,
		DryRun: !args.Delete.Value, Now: time.Now(),
	})
	if err != nil {
		return err
	}
	if args.JSON.Value {
		return ui.json(result)
	}
	verb := "Would remove"
	if args.Delete.Value {
		verb = "Removed"
	}
	ui.printf("%s %s, %s, and %s in %s. %s in %s remain.\n", verb, english.Count(result.Actions, "action"), english.Count(result.Parts, "part"),
		byteSize(result.Bytes), english.Count(result.Blobs, "blob"), byteSize(result.KeptBytes), english.Count(result.KeptBlobs, "blob"))
	if result.Staging > 0 {
		ui.printf("%s %s of abandoned work (%s).\n", verb, english.Count(result.Staging, "folder"), byteSize(result.StagingBytes))
	}
	if result.PendingRows > 0 {
		ui.printf("%s what %s waited for.\n", verb, english.Count(result.PendingRows, "row"))
	}
	if result.Batches > 0 {
		ui.printf("%s %s %s of requests to language models whose answers are no longer available.\n", verb, english.Number(result.Batches), english.Agree(result.Batches, "batch", "batches"))
	}
	if result.Venvs > 0 {
		ui.printf("%s %s of plugins in Python (%s).\n", verb, english.Count(result.Venvs, "virtual environment"), byteSize(result.VenvBytes))
	}
	if result.Logs > 0 {
		ui.printf("%s %s of runs (%s).\n", verb, english.Count(result.Logs, "log"), byteSize(result.LogBytes))
	}
	if args.Answers.Value > 0 {
		ui.printf("%s %s of language models (%s). %s remain.\n", verb, english.Count(result.Answers, "answer"), byteSize(result.AnswerBytes), english.Count(result.KeptAnswers, "answer"))
	}
	if !args.Delete.Value && result.Actions+result.Parts+result.Blobs+result.Staging+result.Venvs+result.PendingRows+result.Batches+result.Logs+result.Answers > 0 {
		ui.printf("To remove them, run: quern gc -delete\n")
	}
	return nil
}

// whileHeld returns a context that ends when a lease is lost, because another
// command may then use the store.
func whileHeld(ctx context.Context, lease *state.Lease) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-lease.Lost():
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
