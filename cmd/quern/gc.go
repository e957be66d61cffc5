package main

import (
	"cmp"
	"context"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/registry"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/gc"
	"github.com/quern-dev/quern/store/state"
	"github.com/urfave/cli/v3"
)

func gcCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:        "gc",
		Usage:       "remove what no environment, pin, and recent run refers to",
		Description: "Shows what it would remove; with -delete, removes it, and deletes environments that expired longer than -grace ago. An\napply that is running goes on, and keeps what it uses. Commands that start meanwhile wait, or fail without -lock-timeout.",
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
	lease, running, err := acquireBeside(ctx, ui, s, &args.Lock)
	if err != nil {
		return err
	}
	defer lease.Release()
	ctx, cancel := whileHeld(ctx, lease)
	defer cancel()
	options, err := gcOptions(s, args)
	if err != nil {
		return err
	}
	options.Running = running
	kept := keptBy{}
	if args.Verbose.Value || args.JSON.Value {
		options.Kept = kept.add
	}
	result, err := gc.Collect(ctx, s, options)
	if err != nil {
		return err
	}
	if args.JSON.Value {
		return ui.json(struct {
			*gc.Result
			Kept []keptFor `json:"kept,omitempty"`
		}{result, kept.sorted()})
	}
	printCollected(ui, args, result)
	if args.Verbose.Value {
		return kept.print(ui)
	}
	return nil
}

// acquireBeside takes the lease on the store, and returns the applies that go on.
func acquireBeside(ctx context.Context, ui *terminal, s *store.Store, lock *arguments.Lock) (*state.Lease, []gc.Running, error) {
	const what = "the store"
	inUse := func(h state.Holder) bool {
		_, ok, err := s.InUse(h.ID)
		return ok && err == nil
	}
	lease, others, err := s.States().LockBeside(ctx, ownerOf(lock), lock.Timeout.Value, waitingFor(ui, what), inUse)
	if err != nil {
		return nil, nil, leaseError(what, err)
	}
	var running []gc.Running
	for _, env := range slices.Sorted(maps.Keys(others)) {
		h := others[env]
		running = append(running, gc.Running{Environment: env, Lease: h.ID, Acquired: h.Acquired})
		ui.notef("Environment %q is being changed by %s. What that command uses stays.\n", env, h)
	}
	return lease, running, nil
}

func gcOptions(s *store.Store, args *arguments.GC) (gc.Options, error) {
	o := gc.Options{
		Runs: args.KeepRuns.Value, Grace: args.Grace.Value, Answers: args.Answers.Value,
		DryRun: !args.Delete.Value, Now: time.Now(),
	}
	if args.Address.Value != "" {
		target, err := addr.ParseTarget(args.Address.Value)
		if err != nil {
			return o, err
		}
		o.Only = target.Encloses
		return o, nil
	}
	root, err := filepath.Abs(".")
	if err != nil {
		return o, err
	}
	o.Venvs, err = registry.UsedVenvs(s.Venvs(), root)
	return o, err
}

func printCollected(ui *terminal, args *arguments.GC, result *gc.Result) {
	verb := "Would remove"
	if args.Delete.Value {
		verb = "Removed"
	}
	printExpired(ui, args, result.Expired)
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
	if result.Transfers > 0 {
		ui.printf("%s %s of sources (%s).\n", verb, english.Count(result.Transfers, "download"), byteSize(result.TransferBytes))
	}
	if result.Logs > 0 {
		ui.printf("%s %s of runs (%s).\n", verb, english.Count(result.Logs, "log"), byteSize(result.LogBytes))
	}
	if args.Answers.Value > 0 {
		ui.printf("%s %s of language models (%s). %s remain.\n", verb, english.Count(result.Answers, "answer"), byteSize(result.AnswerBytes), english.Count(result.KeptAnswers, "answer"))
	}
	if !args.Delete.Value && !result.IsEmpty() {
		ui.printf("To remove them, run: quern gc -delete\n")
	}
}

// keptFor is what is kept for one reason.
type keptFor struct {
	Why   string `json:"why"`
	Blobs int    `json:"blobs"`
	Bytes int64  `json:"bytes"`
}

// keptBy is what is kept, by reason.
type keptBy map[string]*keptFor

func (k keptBy) add(why string, b blob.Stored) {
	if k[why] == nil {
		k[why] = &keptFor{Why: why}
	}
	k[why].Blobs++
	k[why].Bytes += b.Size
}

// sorted returns the reasons that keep most first.
func (k keptBy) sorted() []keptFor {
	var all []keptFor
	for _, f := range k {
		all = append(all, *f)
	}
	slices.SortFunc(all, func(a, b keptFor) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Why, b.Why)) })
	return all
}

func (k keptBy) print(ui *terminal) error {
	var rows [][]string
	for _, f := range k.sorted() {
		rows = append(rows, []string{byteSize(f.Bytes), english.Count(f.Blobs, "blob"), f.Why})
	}
	if len(rows) == 0 {
		return nil
	}
	ui.printf("\n")
	return ui.table([]string{"KEPT", "BLOBS", "FOR"}, rows)
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
