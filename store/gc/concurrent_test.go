package gc_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/gc"
	"github.com/quern-dev/quern/store/memo"
	"github.com/quern-dev/quern/store/state"
)

// apply is a command that runs during collections. It finds old results and memo
// parts that nothing refers to, uses them, produces the others again, and writes a
// state.
type apply struct {
	*model
	st     *state.State
	reused int
	// relied are the parts whose blobs the apply has put into new parts.
	relied []*memo.Part
}

// garbage is what earlier runs have left: results and memo parts that no state refers
// to, older than anything that a collection keeps for its age.
func garbage(m *model) {
	for i := range 6 {
		_, err := m.s.Actions.Put(&action.Entry{Key: key(i), Definition: definition(i), Address: address(i), Outputs: m.result(i), Created: m.now.Add(-10 * grace)})
		m.must(err)
		m.remember(i, i)
	}
	for b, err := range m.s.Blobs.All() {
		m.must(err)
		m.setBlobAge(b.Digest, 10*grace)
	}
	parts, err := filepath.Glob(filepath.Join(m.s.Dir, "memo", "*", "*.json"))
	m.must(err)
	for _, p := range parts {
		m.touch(p, 10*grace)
	}
}

func key(i int) string        { return blob.Sum(fmt.Appendf(nil, "key %d", i)) }
func definition(i int) string { return blob.Sum(fmt.Appendf(nil, "definition %d", i)) }
func address(i int) string    { return fmt.Sprint("label.x", i) }

// result stores an artifact whose content depends only on i. Neighbors share a
// file.
func (m *model) result(i int) map[string]artifact.Ref {
	a := &artifact.Artifact{Kind: artifact.Model, ModelFormat: "v"}
	for j := range 2 {
		b, err := m.s.Blobs.Put(fmt.Appendf(nil, "file %d", i+j))
		m.must(err)
		a.Files = append(a.Files, artifact.File{Name: fmt.Sprint(j), Digest: b.Digest})
	}
	ref, err := artifact.Put(m.s.Blobs, a)
	m.must(err)
	return map[string]artifact.Ref{"": ref}
}

// remember adds a part to the memo of definition i, with a column that depends on j.
func (m *model) remember(i, j int) *memo.Part {
	b, err := m.s.Blobs.Put(fmt.Appendf(nil, "column %d", j))
	m.must(err)
	p := &memo.Part{
		Definition: definition(i), ShardKey: blob.Sum(fmt.Appendf(nil, "shard %d", j)), Rows: 1, InputRows: 1,
		Inputs:  []memo.InputGroup{{Blob: b.Digest}},
		Results: memo.Results{Output: &dataset.Added{Group: dataset.Group{Blob: b.Digest}, Columns: []dataset.Column{{Name: "label"}}}},
	}
	m.must(m.s.Memo.Put(p))
	return p
}

// stage does what a run does with a stage: it says what it will look for, and then
// looks for it.
func (a *apply) stage(i int) {
	a.must(a.s.Hold(key(i), definition(i)))
	a.pause()
	entry, err := a.s.Actions.Get(key(i))
	a.must(err)
	if entry != nil {
		for _, ref := range entry.Outputs {
			if _, err := artifact.Present(a.s.Blobs, ref); blob.Unavailable(err) {
				entry = nil
				break
			} else {
				a.must(err)
			}
		}
	}
	if entry != nil {
		a.reused++
	}
	a.pause()
	for part, err := range a.s.Memo.Parts(definition(i)) {
		a.must(err)
		a.relied = append(a.relied, part)
	}
	a.relied = append(a.relied, a.remember(i, a.r.IntN(8)))
	if entry == nil {
		made := &action.Entry{Key: key(i), Definition: definition(i), Address: address(i), Outputs: a.result(i), Created: time.Now().UTC()}
		old, err := a.s.Actions.Get(key(i))
		a.must(err)
		if old != nil {
			a.must(a.s.Actions.Replace(made))
			entry = made
		} else if entry, err = a.s.Actions.Put(made); err != nil {
			a.t.Fatal(err)
		}
	}
	a.pause()
	a.st.Instances[address(i)] = &state.Instance{Address: address(i), ActionKey: key(i), Definition: definition(i), Outputs: entry.Outputs}
	if a.r.IntN(2) == 0 {
		a.must(a.s.States().Save(a.st))
	}
}

// pause gives way to the collections.
func (a *apply) pause() {
	switch a.r.IntN(4) {
	case 0:
		time.Sleep(time.Duration(a.r.IntN(300)) * time.Microsecond)
	case 1:
		runtime.Gosched()
	}
}

// run changes an environment under a lease, and reports when it can be seen that it
// runs.
func (a *apply) run(began func()) {
	lease, err := a.s.States().Lock(a.t.Context(), "dev", state.Owner{User: "ann"}, time.Minute, nil)
	a.must(err)
	use, err := a.s.BeginUse(lease.Holder().ID)
	a.must(err)
	began()
	a.st, err = a.s.States().Load("dev")
	a.must(err)
	for range 3 + a.r.IntN(6) {
		a.stage(a.r.IntN(6))
	}
	a.must(a.s.States().Save(a.st))
	a.must(use.End())
	a.must(lease.Release())
}

// whole checks that everything that the apply relies on exists.
func (a *apply) whole(t *testing.T) {
	t.Helper()
	for _, inst := range a.st.Instances {
		if entry, err := a.s.Actions.Get(inst.ActionKey); entry == nil || err != nil {
			t.Errorf("the action of %s is lost: %v", inst.Address, err)
		}
		for _, ref := range inst.Outputs {
			if _, err := artifact.Present(a.s.Blobs, ref); err != nil {
				t.Errorf("the result of %s is lost: %v", inst.Address, err)
			}
		}
	}
	for _, p := range a.relied {
		for _, b := range p.Blobs() {
			if err := a.s.Blobs.Find(b); err != nil {
				t.Errorf("a part is lost: %v", err)
			}
		}
	}
}

// besideOf returns the running commands that a collection found.
func besideOf(others map[string]state.Holder) (running []gc.Running) {
	for env, h := range others {
		running = append(running, gc.Running{Environment: env, Lease: h.ID, Acquired: h.Acquired})
	}
	return running
}

// collectMeanwhile collects again and again until done is closed. It returns how many
// objects were removed while the other command ran.
func collectMeanwhile(t *testing.T, s *store.Store, done <-chan struct{}) (during, removed int) {
	for {
		select {
		case <-done:
			return during, removed
		default:
		}
		inUse := func(h state.Holder) bool { _, ok, err := s.InUse(h.ID); return ok && err == nil }
		lease, others, err := s.States().LockBeside(t.Context(), state.Owner{User: "bob"}, 0, nil, inUse)
		if locked := (*state.Locked)(nil); errors.As(err, &locked) {
			continue
		}
		if err != nil {
			t.Error(err)
			return during, removed
		}
		result, err := gc.Collect(t.Context(), s, gc.Options{Running: besideOf(others), Now: time.Now()})
		if err != nil {
			t.Error(err)
		}
		if len(others) > 0 {
			during++
			removed += result.Actions + result.Parts + result.Blobs
		}
		if err := lease.Release(); err != nil {
			t.Error(err)
		}
	}
}

func TestCollectionsBesideAnApplyLoseNothing(t *testing.T) {
	var reused, during, removed atomic.Int64
	rounds := reference.Rounds(100, 1000)
	for seed := range uint64(rounds) {
		m := newModel(t, seed)
		m.now = time.Now()
		garbage(m)
		// The apply is another process: it has the store open on its own.
		other, err := store.Open(m.s.Dir)
		m.must(err)
		a := &apply{model: &model{t: t, r: rand.New(rand.NewPCG(seed, 1)), s: other, now: m.now}}
		began, done := make(chan struct{}), make(chan struct{})
		var both sync.WaitGroup
		both.Go(func() {
			defer close(done)
			a.run(func() { close(began) })
		})
		<-began
		n, gone := collectMeanwhile(t, m.s, done)
		both.Wait()
		during.Add(int64(n))
		removed.Add(int64(gone))
		reused.Add(int64(a.reused))
		a.whole(t)
		_, err = gc.Collect(t.Context(), m.s, gc.Options{Now: time.Now()})
		m.must(err)
		a.relied = nil // the memo of results in the state stays, and what it replaced goes
		a.whole(t)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d applies reused %d results, while %d collections removed %d objects", rounds, reused.Load(), during.Load(), removed.Load())
	if reused.Load() == 0 || removed.Load() == 0 {
		t.Error("nothing happened at the same time")
	}
}
