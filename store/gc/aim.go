package gc

import (
	"context"
	"fmt"

	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
)

// aim is what a collection that is limited to some addresses may remove.
type aim struct{ definitions, blobs map[string]bool }

func newAim() aim { return aim{map[string]bool{}, map[string]bool{}} }

func (a aim) add(blobs ...string) {
	for _, b := range blobs {
		a.blobs[b] = true
	}
}

// at adds the result of an action.
func (a aim) at(s *store.Store, entry *action.Entry) error {
	a.definitions[entry.Definition] = true
	a.definitions[entry.RowsKey] = true
	for _, ref := range entry.Outputs {
		a.add(ref.Manifest)
		found, err := artifact.Get(s.Blobs, ref)
		if blob.Unavailable(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("action of %s: %w", entry.Address, err)
		}
		a.add(found.Blobs()...)
	}
	return nil
}

func (c *collection) aimedAt(address string) bool { return c.opts.Only == nil || c.opts.Only(address) }

// mark keeps a blob. The first reason counts.
func (c *collection) mark(digest string) {
	if c.blobs[digest] == "" {
		c.blobs[digest] = c.why
	}
}

func (c *collection) kept(why string, b blob.Stored) {
	c.result.KeptBlobs++
	c.result.KeptBytes += b.Size
	if c.opts.Kept != nil {
		c.opts.Kept(why, b)
	}
}

// markPins marks what is pinned.
func (c *collection) markPins(context.Context) error {
	pins, err := c.store.Pins.All()
	if err != nil {
		return err
	}
	for _, p := range pins {
		if p.Expired(c.opts.Now) {
			continue
		}
		c.why = fmt.Sprintf("pin of %s by %s: %s", p.Name, p.By, p.Reason)
		if err := c.markResult(p.ActionKey, map[string]artifact.Ref{"": p.Artifact}); err != nil {
			return fmt.Errorf("pin of %s: %w", p.Name, err)
		}
	}
	return nil
}

// sweepUses removes the lists of commands that were killed.
func (c *collection) sweepUses(context.Context) error {
	if c.opts.DryRun {
		return nil
	}
	kept := map[string]bool{}
	for _, r := range c.opts.Running {
		kept[r.Lease] = true
	}
	return c.store.SweepUses(kept)
}
