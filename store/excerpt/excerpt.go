// Package excerpt copies from a store what some instances consist of and came from
// into a new store: their part of a state, action entries, records of runs, and, if
// requested, the answers of language models. It does not copy blobs, which may be
// large, but says which ones belong to it.
//
// The same instances give the same files. An excerpt contains no deployments, because
// another store must not change what exists outside of this one, and not the store's
// key, so that nothing in it can be used to guess a secret.
package excerpt

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/state"
)

// Excerpt is a part of a store.
type Excerpt struct {
	// State has the instances and outputs of the excerpt, and no deployments.
	State *state.State
	// Blobs are the digests of the blobs that belong to it, sorted, and Runs the IDs of
	// the runs, sorted.
	Blobs, Runs []string
	// Answers is set if it contains the answers of language models: all that the store
	// has, because a stored answer does not say who asked for it.
	Answers bool
}

// Copy copies the excerpt of an environment's state into an empty store. The state
// must have no instances other than those of the excerpt.
func Copy(from, to *store.Store, st *state.State, answers bool) (*Excerpt, error) {
	c := &copying{from: from, to: to, blobs: map[string]bool{}, runs: map[string]bool{}}
	part := *st
	part.Pending, part.Rejected = nil, nil
	part.Instances, part.Outputs = map[string]*state.Instance{}, map[string]*state.Output{}
	for address, inst := range st.Instances {
		if inst.Deployment != nil {
			continue
		}
		if err := c.instance(inst); err != nil {
			return nil, fmt.Errorf("%s: %w", address, err)
		}
		part.Instances[address] = inst
	}
	for name, o := range st.Outputs {
		if !o.Sensitive { // its digest can only be compared in its own store
			part.Outputs[name] = o
		}
	}
	if _, err := to.States().Push(st.Environment, &part, true); err != nil {
		return nil, err
	}
	runs, err := c.history()
	if err == nil && answers {
		err = c.answers()
	}
	if err != nil {
		return nil, err
	}
	return &Excerpt{State: &part, Blobs: slices.Sorted(maps.Keys(c.blobs)), Runs: runs, Answers: answers}, to.Flush()
}

type copying struct {
	from, to    *store.Store
	blobs, runs map[string]bool
}

func (c *copying) instance(inst *state.Instance) error {
	if inst.Run != "" {
		c.runs[inst.Run] = true
	}
	if err := c.result(inst.ActionKey, inst.Outputs); err != nil {
		return err
	}
	for port, check := range inst.Contracts {
		if err := c.result(check.Key, map[string]artifact.Ref{port: check.Violations}); err != nil {
			return fmt.Errorf("contract: %w", err)
		}
	}
	return nil
}

// result copies the entry of an action, if it has one, and collects the blobs of its
// outputs.
func (c *copying) result(key string, outputs map[string]artifact.Ref) error {
	for _, ref := range outputs {
		a, err := artifact.Present(c.from.Blobs, ref)
		if err != nil {
			return err
		}
		c.blobs[ref.Manifest] = true
		for _, b := range a.Blobs() {
			c.blobs[b] = true
		}
	}
	if key == "" {
		return nil
	}
	entry, err := c.from.Actions.Get(key)
	if err != nil || entry == nil {
		return err
	}
	if entry.Run != "" {
		c.runs[entry.Run] = true
	}
	_, err = c.to.Actions.Put(entry)
	return err
}

// history copies the records of the runs that still have one.
func (c *copying) history() (ids []string, err error) {
	for _, id := range slices.Sorted(maps.Keys(c.runs)) {
		run, err := c.from.Runs().Get(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = c.to.Runs().Put(run)
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func (c *copying) answers() (err error) {
	var damaged error
	from, err := c.from.Responses(func(err error) { damaged = err })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close(), damaged) }()
	if !from.Complete() {
		return errors.New("another process uses the answers of language models. Wait until it has ended")
	}
	return c.to.TakeAnswers(from)
}
