package gc_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"
	"time"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/store/gc"
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

func TestWhatIsReachableStaysAndTheRestGoes(t *testing.T) {
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
		if *did != *would {
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

func TestAnInterruptedCollectionLeavesNothingWithoutWhatItRefersTo(t *testing.T) {
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

// TestWhatCannotBeReadStopsACollection: what an entry, a part, a run, or a state
// refers to is unknown if it cannot be read, so nothing may be removed. A named
// pipe in place of a file is an error of the same kind as a failing disk.
func TestWhatCannotBeReadStopsACollection(t *testing.T) {
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
