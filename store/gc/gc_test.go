package gc_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/gc"
	"github.com/quern-dev/quern/store/state"
)

// histories calls f with many random histories.
func histories(t *testing.T, f func(m *model, opts gc.Options)) {
	for seed := range uint64(reference.Rounds(20, 1000)) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			m := newModel(t, seed)
			m.history(10 + m.r.IntN(40))
			m.setDamagedAside()
			opts := gc.Options{Runs: m.r.IntN(4), Grace: grace, Now: m.now}
			if m.r.IntN(2) == 0 {
				opts.Answers = pick(m.r, time.Hour, 100*grace)
			}
			f(m, opts)
		})
	}
}

func TestReachableObjectsAreKeptAndOthersRemoved(t *testing.T) {
	histories(t, func(m *model, opts gc.Options) {
		before, want := m.found(), m.reachable(opts)
		dry := opts
		dry.DryRun = true
		would, err := gc.Collect(context.Background(), m.s, dry)
		m.must(err)
		if after := m.found(); !reflect.DeepEqual(after, before) {
			t.Fatalf("a dry run removed something:\n%+v\n%+v", before, after)
		}
		did, err := gc.Collect(context.Background(), m.s, opts)
		m.must(err)
		if !reflect.DeepEqual(did, would) {
			m.t.Errorf("the dry run said\n%+v\nand the collection did\n%+v", *would, *did)
		}
		m.checkKept(want)
		after := m.found()
		if !reflect.DeepEqual(after, want) {
			m.t.Errorf("left:\n%+v\nwant:\n%+v", after, want)
		}
		for name, counts := range map[string][2]int{
			"actions": {did.Actions, len(before.Entries) - len(want.Entries)}, "parts": {did.Parts, len(before.Parts) - len(want.Parts)},
			"blobs": {did.Blobs, len(before.Blobs) - len(want.Blobs)}, "kept blobs": {did.KeptBlobs, len(want.Blobs)},
			"logs": {did.Logs, len(before.Logs) - len(want.Logs)}, "staging": {did.Staging, len(before.Staging) - len(want.Staging)},
			"answers": {did.Answers, before.Answers - want.Answers},
		} {
			if counts[0] != counts[1] {
				m.t.Errorf("it says that %d %s were removed or kept, but it was %d", counts[0], name, counts[1])
			}
		}
		again, err := gc.Collect(context.Background(), m.s, opts)
		m.must(err)
		if again.Actions+again.Parts+again.Blobs+again.Logs+again.Staging+again.Answers > 0 {
			m.t.Errorf("a second collection finds more: %+v", *again)
		}
	})
}

// interrupted is a context that is canceled when it was asked a number of times.
type interrupted struct {
	context.Context
	left int
}

func (c *interrupted) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestAnInterruptedCollectionLeavesNoDanglingReferences(t *testing.T) {
	interruptions := 0
	histories(t, func(m *model, opts gc.Options) {
		want := m.reachable(opts)
		for steps := m.r.IntN(4); ; steps += 1 + m.r.IntN(6) {
			_, err := gc.Collect(&interrupted{context.Background(), steps}, m.s, opts)
			if err != nil && !errors.Is(err, context.Canceled) {
				m.t.Fatal(err)
			}
			m.checkKept(want)
			if err == nil {
				break
			}
			interruptions++
		}
		if after := m.found(); !reflect.DeepEqual(after, want) {
			m.t.Errorf("left:\n%+v\nwant:\n%+v", after, want)
		}
	})
	if interruptions < 20 {
		t.Errorf("only %d collections were interrupted", interruptions)
	}
}

// TestUnreadableDocumentsStopACollection: what an entry, a part, a run, or a state
// refers to is unknown if it cannot be read, so nothing may be removed. A named
// pipe in place of a file is an error of the same kind as a failing disk.
func TestUnreadableDocumentsStopACollection(t *testing.T) {
	for name, block := range map[string]func(m *model) string{
		"an action entry": func(m *model) string { return m.entryFile(m.someEntry().Key) },
		"a part": func(m *model) string {
			for _, p := range m.parts {
				return m.partFile(p)
			}
			return ""
		},
		"a run":   func(m *model) string { return filepath.Join(m.s.Dir, "runs", m.runs[0].ID+".json") },
		"a state": func(m *model) string { return filepath.Join(m.s.Dir, "envs", "dev", "state.json") },
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(t, 1)
			m.makeArtifact()
			m.commitEntry()
			m.rememberPart()
			m.recordRun()
			for m.states["dev"] == nil {
				m.saveState()
			}
			path := block(m)
			m.must(os.Remove(path))
			m.must(syscall.Mkfifo(path, 0o600))
			stopped(m)
		})
	}
	for _, name := range []string{"actions", "memo", "envs", "runs", "blobs/sha256"} {
		t.Run("the folder "+name, func(t *testing.T) {
			m := newModel(t, 1)
			m.putBlob()
			dir := filepath.Join(m.s.Dir, name)
			m.must(os.RemoveAll(dir))
			m.must(os.WriteFile(dir, nil, 0o600))
			stopped(m)
		})
	}
}

// stopped fails unless a collection fails and has removed no blob.
func stopped(m *model) {
	m.t.Helper()
	before := blobs(m)
	_, err := gc.Collect(context.Background(), m.s, gc.Options{Now: m.now.Add(100 * grace)})
	if err == nil {
		m.t.Error("the collection goes on")
	}
	if after := blobs(m); after != before {
		m.t.Errorf("%d of %d blobs are left", after, before)
	}
}

func blobs(m *model) int {
	n := 0
	for _, err := range m.s.Blobs.All() {
		if err == nil {
			n++
		}
	}
	return n
}

func TestDamagedEntriesAndPartsStopNothing(t *testing.T) {
	m := newModel(t, 3)
	m.r = rand.New(rand.NewPCG(3, 3))
	m.makeArtifact()
	m.commitEntry()
	m.rememberPart()
	m.damageEntry()
	m.damagePart()
	opts := gc.Options{Now: m.now.Add(100 * grace)}
	if _, err := gc.Collect(context.Background(), m.s, opts); err != nil {
		t.Fatal(err)
	}
	if left := m.found(); len(left.Entries)+len(left.Parts)+len(left.Blobs) > 0 {
		t.Errorf("left: %+v", left)
	}
}

// TestACollectionAndRunsDoNotDisturbEachOther lets runs commit stages in environments that
// come and go, while collections that give no grace remove what they can.
func TestACollectionAndRunsDoNotDisturbEachOther(t *testing.T) {
	m := newModel(t, 1)
	dir := m.s.Dir
	open := func() *store.Store {
		s, err := store.Open(dir)
		m.must(err)
		return s
	}
	ctx, owner := context.Background(), state.Owner{User: "ann"}
	done := make(chan struct{})
	collections := 0
	var collector, runs sync.WaitGroup
	collector.Go(func() {
		for s := open(); ; collections++ {
			select {
			case <-done:
				return
			default:
			}
			lease, err := s.States().Lock(ctx, state.AllEnvironments, owner, time.Minute, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := gc.Collect(ctx, s, gc.Options{Now: time.Now().Add(time.Hour)}); err != nil {
				t.Error(err)
			}
			lease.Release()
		}
	})
	for i := range 3 {
		runs.Go(func() {
			s := open()
			for k := range 4 {
				env := fmt.Sprintf("env%d-%d", i, k)
				lease, err := s.States().Lock(ctx, env, owner, time.Minute, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if err := runOnce(s, env, fmt.Sprint(i, k%2)); err != nil {
					t.Errorf("a run in %s: %v", env, err)
				}
				lease.Release()
			}
		})
	}
	runs.Wait()
	close(done)
	collector.Wait()
	if collections < 2 {
		t.Errorf("only %d collections", collections)
	}
}

// runOnce does what a run does, in its order, and then deletes the environment, so that
// the next collection may take all of it.
func runOnce(s *store.Store, env, content string) error {
	file, err := s.Blobs.Put([]byte(content))
	if err != nil {
		return err
	}
	ref, err := artifact.Put(s.Blobs, &artifact.Artifact{Kind: artifact.Model, Files: []artifact.File{{Name: "a", Digest: file.Digest, Size: file.Size}}})
	if err != nil {
		return err
	}
	key := blob.Sum([]byte("key " + content))
	entry := &action.Entry{Key: key, Definition: key, Address: "train.a", Outputs: map[string]artifact.Ref{"": ref}, Created: time.Now()}
	if _, err := s.Actions.Put(entry); err != nil {
		return err
	}
	st, err := s.States().Load(env)
	if err != nil {
		return err
	}
	st.Instances["train.a"] = &state.Instance{Address: "train.a", ActionKey: key, Outputs: entry.Outputs}
	if err := s.States().Save(st); err != nil {
		return err
	}
	if _, err := artifact.Present(s.Blobs, ref); err != nil {
		return err
	}
	return s.States().Delete(st)
}
