// Package gc removes what nothing refers to anymore from a store: mark, then
// sweep.
//
// It deletes environments that have expired, and keeps whatever another environment's state, one of the last runs, or a young
// action entry refers to, and the memo of their definitions. Action entries are
// removed before the blobs that they name, so that a store in which gc was
// interrupted contains no entry without its blobs. The caller holds the lease
// on all environments, so that no command starts while gc runs. Commands that were
// running before can go on if they say what they rely on: see Running.
package gc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/store/memo"
	"github.com/quern-dev/quern/store/pending"
	"github.com/quern-dev/quern/store/state"
)

// Options say what is kept.
type Options struct {
	// Runs is the number of runs, counted from the latest, that are kept
	// completely.
	Runs int
	// Grace keeps everything written within this time, whether it is used or
	// not: results that an interrupted run will need, or that were produced on
	// a branch.
	Grace time.Duration
	// Answers keeps answers of language models from within this time. 0 keeps
	// all of them: they are small, and requesting them again costs money.
	Answers time.Duration
	// Venvs are the names of the virtual environments of plugins in Python that are
	// kept. nil keeps all.
	Venvs map[string]bool
	// Running are the commands that run at the same time.
	Running []Running
	// Only, if not nil, limits the collection to what the stages at these addresses have
	// produced and no longer need.
	Only func(address string) bool
	// Kept, if not nil, is called for each blob that is kept, and why.
	Kept func(why string, b blob.Stored)
	// Gone, if not nil, is called for each blob that is removed, or would be.
	Gone func(b blob.Stored)
	// DryRun only counts what would be removed.
	DryRun bool
	// Now is the time that Grace counts back from.
	Now time.Time
}

// Result counts what was removed or would be removed.
type Result struct {
	Actions int `json:"actions"`
	Parts   int `json:"parts"`
	// PendingRows are rows that waited for something and no longer exist.
	PendingRows int   `json:"pending_rows,omitempty"`
	Blobs       int   `json:"blobs"`
	Bytes       int64 `json:"bytes"`
	// Answers of language models and their size in bytes. KeptAnswers are kept.
	Answers     int   `json:"answers,omitempty"`
	AnswerBytes int64 `json:"answer_bytes,omitempty"`
	KeptAnswers int   `json:"kept_answers,omitempty"`
	// Staging is the number of folders with abandoned work, StagingBytes the
	// size of their files.
	Staging      int   `json:"staging"`
	StagingBytes int64 `json:"staging_bytes"`
	// Logs of runs, and their size in bytes.
	Logs     int   `json:"logs,omitempty"`
	LogBytes int64 `json:"log_bytes,omitempty"`
	// Venvs are virtual environments of plugins in Python, VenvBytes the size of
	// their files.
	Venvs     int   `json:"venvs,omitempty"`
	VenvBytes int64 `json:"venv_bytes,omitempty"`
	// Transfers are downloads of sources that were not used for some time, and
	// TransferBytes is their size.
	Transfers     int   `json:"transfers,omitempty"`
	TransferBytes int64 `json:"transfer_bytes,omitempty"`
	// Batches are batches of requests whose answers are no longer available.
	Batches int `json:"batches,omitempty"`
	// Expired are the environments that have expired.
	Expired []Expired `json:"expired,omitempty"`
	// KeptBlobs and KeptBytes count what is kept.
	KeptBlobs int   `json:"kept_blobs"`
	KeptBytes int64 `json:"kept_bytes"`
}

// IsEmpty reports whether nothing was removed or would be.
func (r *Result) IsEmpty() bool {
	return r.Actions+r.Parts+r.PendingRows+r.Blobs+r.Answers+r.Staging+r.Logs+r.Venvs+r.Transfers+r.Batches == 0 &&
		!slices.ContainsFunc(r.Expired, func(e Expired) bool { return e.Deleted })
}

// Collect removes what is no longer needed.
func Collect(ctx context.Context, s *store.Store, opts Options) (*Result, error) {
	c := &collection{
		store: s, opts: opts, result: &Result{},
		keys: map[string]bool{}, definitions: map[string]bool{}, blobs: map[string]string{}, aim: newAim(),
		waiting: map[waiting]bool{}, places: map[string]bool{}, concurrent: newConcurrent(opts.Running),
	}
	if len(opts.Running) > 0 {
		c.opts.Venvs = nil // their plugins may run in any
	}
	steps := []func(context.Context) error{c.markStates, c.markPins, c.markRuns, c.markActions, c.sweepActions, c.sweepMemo, c.sweepBlobs}
	if opts.Only == nil {
		steps = append(steps, c.sweepPending, c.sweepBatches, c.sweepStaging, c.sweepVenvs, c.sweepTransfers, c.sweepLogs, c.sweepAnswers, c.sweepUses)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return c.result, err
		}
		if err := ctx.Err(); err != nil {
			return c.result, err
		}
	}
	return c.result, nil
}

type collection struct {
	store  *store.Store
	opts   Options
	result *Result
	// What stays.
	keys, definitions map[string]bool
	blobs             map[string]string // why, by digest
	why               string            // why what is marked now is kept
	aim               aim
	waiting           map[waiting]bool
	places            map[string]bool // staging folders
	concurrent        *concurrent
}

// waiting is a stage with rows that wait for something outside.
type waiting struct {
	owner pending.Owner
	rows  string // key of the rows
}

func (c *collection) markStates(context.Context) error {
	environments, err := c.store.States().List()
	if err != nil {
		return fmt.Errorf("list environments: %w", err)
	}
	for _, env := range environments {
		st, err := c.load(env)
		if err != nil {
			return err
		}
		deleted, err := c.expire(st)
		if err == nil && !deleted {
			err = c.markState(st)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *collection) load(env string) (*state.State, error) {
	st, err := c.store.States().Load(env)
	if err != nil {
		return nil, fmt.Errorf("read the state of environment %q: %w", env, err)
	}
	return st, nil
}

// markInstance marks a result with the checks of its contracts.
func (c *collection) markInstance(inst *state.Instance) error {
	return errors.Join(c.markResult(inst.ActionKey, inst.Outputs), c.markContracts(inst.Contracts))
}

// markContracts marks the checks of contracts.
func (c *collection) markContracts(checked map[string]state.Checked) error {
	for port, check := range checked {
		if err := c.markResult(check.Key, map[string]artifact.Ref{port: check.Violations}); err != nil {
			return err
		}
	}
	return nil
}

func (c *collection) markState(st *state.State) error {
	env := st.Environment
	c.why = fmt.Sprintf("environment %q", env)
	for _, inst := range st.Instances {
		if err := c.markInstance(inst); err != nil {
			return fmt.Errorf("%s in environment %q: %w", inst.Address, env, err)
		}
		c.definitions[inst.Definition] = true
		c.definitions[inst.RowsKey] = true
	}
	for address, r := range st.Rejected {
		if err := errors.Join(c.markResult(r.ActionKey, r.Outputs), c.markContracts(r.Contracts)); err != nil {
			return fmt.Errorf("the rejected result of %s in environment %q: %w", address, env, err)
		}
	}
	for address, p := range st.Pending {
		c.definitions[p.Definition] = true
		c.definitions[p.RowsKey] = true
		c.waiting[waiting{pending.Owner{Environment: env, Address: address}, p.Rowwise()}] = true
		c.places[store.Workplace(p.ActionKey, env)] = true
	}
	return nil
}

func (c *collection) markRuns(context.Context) error {
	c.why = "the last runs"
	runs, err := c.store.Runs().List()
	if err != nil {
		return fmt.Errorf("list runs: %w", err)
	}
	// The newest come first.
	for _, run := range runs[:min(len(runs), c.opts.Runs)] {
		for _, inst := range run.Instances {
			if err := c.markResult(inst.ActionKey, inst.Outputs); err != nil {
				return fmt.Errorf("%s in run %s: %w", inst.Address, run.ID, err)
			}
		}
		if err := c.markLeft(run); err != nil {
			return err
		}
	}
	return nil
}

// markLeft marks everything that the environment referred to after a run, so that
// it can return to it.
func (c *collection) markLeft(run *history.Run) error {
	left, err := c.store.States().Kept(run.Environment, run.ID)
	if errors.Is(err, fs.ErrNotExist) || isDamaged(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the state after run %s: %w", run.ID, err)
	}
	for _, inst := range left.Instances {
		if err := c.markInstance(inst); err != nil {
			return fmt.Errorf("%s after run %s: %w", inst.Address, run.ID, err)
		}
	}
	return nil
}

// markActions marks what young entries and kept entries refer to.
func (c *collection) markActions(context.Context) error {
	for entry, err := range c.store.Actions.All() {
		if isDamaged(err) {
			continue // it was set aside, and no longer exists
		}
		if err != nil {
			return fmt.Errorf("list actions: %w", err)
		}
		if c.why = c.whyKept(entry); c.why != "" {
			err = c.markEntry(entry)
		} else if c.opts.Only != nil {
			err = c.aim.at(c.store, entry)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// whyKept says why an entry is kept. It is empty if the entry can be removed.
func (c *collection) whyKept(entry *action.Entry) string {
	switch {
	case c.young(entry.Created):
		return "new results"
	case c.keys[entry.Key]:
		return "results that are kept"
	case !c.aimedAt(entry.Address):
		return otherAddresses
	}
	return ""
}

// otherAddresses is why something is kept that is not at the given addresses.
const otherAddresses = "other addresses"

// markResult marks an action and all blobs of its result. A manifest that no
// longer exists marks nothing.
func (c *collection) markResult(key string, outputs map[string]artifact.Ref) error {
	if key != "" {
		c.keys[key] = true
	}
	for _, ref := range outputs {
		if c.blobs[ref.Manifest] != "" {
			continue
		}
		a, err := artifact.Get(c.store.Blobs, ref)
		if blob.Unavailable(err) {
			continue
		}
		if err != nil {
			return err
		}
		c.mark(ref.Manifest)
		for _, b := range a.Blobs() {
			c.mark(b)
		}
	}
	return nil
}

// isDamaged reports whether an error is about the content of a document. After
// any other error, unread documents may refer to anything, so nothing can be
// removed.
func isDamaged(err error) bool {
	var damaged *document.Damaged
	return errors.As(err, &damaged)
}

func (c *collection) young(t time.Time) bool {
	return c.opts.Now.Sub(t) < c.opts.Grace || c.concurrent.written(t)
}

func (c *collection) sweepActions(ctx context.Context) error {
	var gone []*action.Entry
	for entry, err := range c.store.Actions.All() {
		if isDamaged(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("list actions: %w", err)
		}
		if !c.keys[entry.Key] {
			gone = append(gone, entry)
		}
	}
	if c.opts.DryRun {
		c.result.Actions = len(gone)
		return nil
	}
	return removing(ctx, c, gone, func(entry *action.Entry) error {
		if c.keys[entry.Key] { // a running command has found it
			return nil
		}
		c.result.Actions++
		return c.store.Actions.Remove(entry.Key)
	})
}

// sweepMemo drops the parts of definitions that are no longer used, and marks
// the blobs of the others.
func (c *collection) sweepMemo(ctx context.Context) error {
	c.why = "rows that are computed already"
	definitions, err := c.store.Memo.Definitions()
	if err != nil {
		return fmt.Errorf("list the memo: %w", err)
	}
	for _, definition := range definitions {
		changed, err := c.store.Memo.Changed(definition)
		if err != nil {
			return err
		}
		stays := c.definitions[definition] || c.young(changed) || c.opts.Only != nil && !c.aim.definitions[definition]
		if err := c.sweepParts(ctx, definition, stays); err != nil {
			return err
		}
	}
	return nil
}

func (c *collection) sweepParts(ctx context.Context, definition string, stay bool) error {
	var gone []*memo.Part
	for part, err := range c.store.Memo.Parts(definition) {
		switch {
		case isDamaged(err): // it was set aside, and no longer exists
		case err != nil:
			return fmt.Errorf("list the memo: %w", err)
		case stay:
			for _, b := range part.Blobs() {
				c.mark(b)
			}
		default:
			gone = append(gone, part)
			c.aim.add(part.Blobs()...)
		}
	}
	if c.opts.DryRun {
		c.result.Parts += len(gone)
		return nil
	}
	return removing(ctx, c, gone, func(part *memo.Part) error {
		if c.definitions[definition] { // a running command uses it
			return nil
		}
		c.result.Parts++
		return c.store.Memo.Drop(part)
	})
}

// sweepPending forgets what rows wait for that no longer exist.
func (c *collection) sweepPending(context.Context) (err error) {
	waits := func(by pending.Owner, rows string) bool {
		return c.waiting[waiting{by, rows}] || c.busy(by.Environment)
	}
	c.result.PendingRows, err = c.store.Pending.Sweep(c.opts.Now.Add(-c.opts.Grace), waits, c.opts.DryRun)
	return err
}

// batchAge is the age of a batch of requests at which its provider no longer has
// its answers.
const batchAge = 30 * 24 * time.Hour

// sweepBatches forgets batches of requests that nobody has read.
func (c *collection) sweepBatches(context.Context) (err error) {
	c.result.Batches, err = c.store.Batches.Sweep(c.opts.Now.Add(-max(c.opts.Grace, batchAge)), c.opts.DryRun)
	return err
}

// sweepStaging removes work in progress that nobody has continued: nothing is
// running now. The work of pending stages stays.
func (c *collection) sweepStaging(context.Context) (err error) {
	c.result.Staging, c.result.StagingBytes, err = c.store.SweepStaging(c.opts.Now.Add(-c.opts.Grace), func(name string) bool { return c.places[name] || c.workedIn(name) }, c.opts.DryRun)
	return err
}

// sweepVenvs removes the virtual environments that no pipeline refers to.
func (c *collection) sweepVenvs(context.Context) (err error) {
	if c.opts.Venvs == nil {
		return nil
	}
	c.result.Venvs, c.result.VenvBytes, err = c.store.SweepVenvs(c.opts.Venvs, c.opts.Now.Add(-c.opts.Grace), c.opts.DryRun)
	return err
}

// sweepTransfers removes what sources have transferred and no longer use. A command
// that runs at the same time may be about to read it.
func (c *collection) sweepTransfers(context.Context) (err error) {
	if len(c.opts.Running) > 0 {
		return nil
	}
	c.result.Transfers, c.result.TransferBytes, err = c.store.SweepTransfers(c.opts.Now.Add(-c.opts.Grace), c.opts.DryRun)
	return err
}

// sweepLogs removes the logs of runs that are no longer kept, and the states that
// they left. The records of
// the runs remain, because they are small.
func (c *collection) sweepLogs(context.Context) error {
	runs, err := c.store.Runs().List()
	if err != nil {
		return fmt.Errorf("list runs: %w", err)
	}
	for _, run := range runs[min(len(runs), c.opts.Runs):] {
		if !c.opts.DryRun {
			if err := c.store.States().Drop(run.Environment, run.ID); err != nil {
				return fmt.Errorf("remove the state after run %s: %w", run.ID, err)
			}
		}
		path, err := c.store.Runs().LogFile(run.ID)
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && c.young(info.ModTime()) {
			continue
		}
		if err == nil && !c.opts.DryRun {
			err = os.Remove(path)
		}
		if err != nil {
			return fmt.Errorf("remove the log of run %s: %w", run.ID, err)
		}
		c.result.Logs++
		c.result.LogBytes += info.Size()
	}
	return nil
}

// sweepAnswers removes old answers of models.
func (c *collection) sweepAnswers(ctx context.Context) (err error) {
	if c.opts.Answers == 0 {
		return nil
	}
	answers, err := c.store.Responses(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, answers.Close()) }()
	n, err := answers.Sweep(ctx, c.opts.Now.Add(-c.opts.Answers), c.opts.DryRun)
	c.result.Answers, c.result.AnswerBytes, c.result.KeptAnswers = n.Removed, n.RemovedBytes, n.Kept
	return err
}

func (c *collection) sweepBlobs(ctx context.Context) error {
	var gone []blob.Stored
	for ref, err := range c.store.Blobs.All() {
		if err != nil {
			return fmt.Errorf("list blobs: %w", err)
		}
		why := c.blobs[ref.Digest]
		switch {
		case why != "":
		case c.young(ref.Written):
			why = "new files"
		case c.opts.Only != nil && !c.aim.blobs[ref.Digest]:
			why = otherAddresses
		default:
			gone = append(gone, ref)
			continue
		}
		c.kept(why, ref)
	}
	removed := func(ref blob.Stored) {
		c.result.Blobs++
		c.result.Bytes += ref.Size
		if c.opts.Gone != nil {
			c.opts.Gone(ref)
		}
	}
	if c.opts.DryRun {
		for _, ref := range gone {
			removed(ref)
		}
		return nil
	}
	return removing(ctx, c, gone, func(ref blob.Stored) error {
		stays, err := c.stays(ref.Digest)
		if err != nil {
			return err
		}
		if stays {
			c.kept("running commands", ref)
			return nil
		}
		removed(ref)
		return c.store.Blobs.Remove(ref.Digest)
	})
}
