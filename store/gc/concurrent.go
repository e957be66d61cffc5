package gc

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
)

// Running is a command that changes an environment while gc runs, and says what it
// relies on: see store.Use.
type Running struct {
	Environment string
	Lease       string
	Acquired    time.Time
}

// batch is the number of objects that are removed before running commands can look
// something up again.
const batch = 500

// concurrent is what a collection needs to know about the running commands.
type concurrent struct {
	running []Running
	since   time.Time // everything written since is kept
	seen    map[string]bool
	ended   map[string]bool
}

func newConcurrent(running []Running) *concurrent {
	b := &concurrent{running: running, seen: map[string]bool{}, ended: map[string]bool{}}
	for _, r := range running {
		if since := store.UsedSince(r.Acquired); b.since.IsZero() || since.Before(b.since) {
			b.since = since
		}
	}
	return b
}

// written reports whether something may have been written for a running command.
func (b *concurrent) written(t time.Time) bool { return len(b.running) > 0 && !t.Before(b.since) }

// removing calls remove for parts of a list. Commands that run at the same time cannot
// look anything up meanwhile, and what they rely on by then is marked before.
func removing[T any](ctx context.Context, c *collection, all []T, remove func(T) error) error {
	for part := range slices.Chunk(all, batch) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.exclusively(func() error { return each(ctx, part, remove) }); err != nil {
			return err
		}
	}
	return nil
}

func each[T any](ctx context.Context, all []T, f func(T) error) error {
	for _, one := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(one); err != nil {
			return err
		}
	}
	return nil
}

func (c *collection) exclusively(f func() error) error {
	if len(c.concurrent.running) == 0 {
		return f()
	}
	unlock, err := c.store.SweepLock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.markUses(); err != nil {
		return err
	}
	return f()
}

// markUses marks what running commands rely on. What a command that has ended relied
// on is in its environment's state.
func (c *collection) markUses() error {
	defer func(before string) { c.why = before }(c.why)
	c.why = "running commands"
	for _, r := range c.concurrent.running {
		keys, ok, err := c.store.InUse(r.Lease)
		switch {
		case err != nil:
			return fmt.Errorf("read what the command in environment %q relies on: %w", r.Environment, err)
		case !ok && c.concurrent.ended[r.Lease]:
			continue
		case !ok:
			c.concurrent.ended[r.Lease] = true
			st, err := c.load(r.Environment)
			if err == nil {
				err = c.markState(st)
			}
			if err != nil {
				return err
			}
		}
		for _, key := range keys {
			if err := c.markKey(key); err != nil {
				return err
			}
		}
	}
	return nil
}

// markKey marks the result of an action and the memo of a definition.
func (c *collection) markKey(key string) error {
	if c.concurrent.seen[key] {
		return nil
	}
	c.concurrent.seen[key], c.keys[key], c.definitions[key] = true, true, true
	entry, err := c.store.Actions.Get(key)
	if err != nil && !isDamaged(err) {
		return err
	}
	if entry != nil {
		if err := c.markEntry(entry); err != nil {
			return err
		}
	}
	for part, err := range c.store.Memo.Parts(key) {
		if isDamaged(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("list the memo: %w", err)
		}
		for _, b := range part.Blobs() {
			c.mark(b)
		}
	}
	return nil
}

// markEntry marks the result of an action and the memo of its definition.
func (c *collection) markEntry(entry *action.Entry) error {
	if err := c.markResult(entry.Key, entry.Outputs); err != nil {
		return fmt.Errorf("action of %s: %w", entry.Address, err)
	}
	c.definitions[entry.Definition] = true
	c.definitions[entry.RowsKey] = true
	return nil
}

// stays reports whether a blob that nothing referred to has to be kept after all,
// because a running command has used it since.
func (c *collection) stays(digest string) (bool, error) {
	if len(c.concurrent.running) == 0 {
		return false, nil
	}
	if c.blobs[digest] != "" {
		return true, nil
	}
	written, ok, err := c.store.Blobs.Written(digest)
	return ok && c.young(written), err
}

// busy reports whether a command runs in an environment.
func (c *collection) busy(env string) bool {
	return slices.ContainsFunc(c.concurrent.running, func(r Running) bool { return r.Environment == env })
}

// workedIn reports whether a running command may work in a staging folder.
func (c *collection) workedIn(name string) bool {
	return slices.ContainsFunc(c.concurrent.running, func(r Running) bool { return strings.HasSuffix(name, "-"+r.Environment) })
}
