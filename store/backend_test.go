package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/backend/backendtest"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/gc"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/store/state"
)

// machine opens the store in b from a machine whose cache is empty.
func machine(t testing.TB, b backend.Backend) *store.Store {
	t.Helper()
	for {
		s, err := store.OpenOn(context.Background(), t.TempDir(), b)
		if err == nil {
			return s
		}
		if !backendtest.IsFault(err) {
			t.Fatal(err)
		}
	}
}

// again calls f until no injected fault stops it.
func again(t testing.TB, f func() error) {
	t.Helper()
	for {
		err := f()
		if err == nil {
			return
		}
		if !backendtest.IsFault(err) {
			t.Error(err)
			return
		}
	}
}

func TestOneMachineReadsWhatAnotherCommits(t *testing.T) {
	b := backendtest.NewMemory()
	first, second := machine(t, b), machine(t, b)
	e, err := commitStage(first, "a")
	if err != nil {
		t.Fatal(err)
	}
	got, err := second.Actions.Get(e.Key)
	if err != nil || got == nil {
		t.Fatal(got, err)
	}
	if _, err := artifact.Present(second.Blobs, got.Outputs[""]); err != nil {
		t.Error(err)
	}
	if errs := artifact.Verify(context.Background(), second.Blobs, got.Outputs[""]); len(errs) > 0 {
		t.Error(errs)
	}
	one, err := first.Seal([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if two, err := second.Seal([]byte("secret")); err != nil || one != two {
		t.Errorf("a secret has two digests: %v", err)
	}
	missing := blob.Sum([]byte("missing"))
	for _, err := range []error{second.Blobs.Find(missing), second.Blobs.Verify(context.Background(), missing)} {
		if !errors.As(err, new(*blob.Missing)) {
			t.Error(err)
		}
	}
}

func TestALeaseIsValidOnAllMachines(t *testing.T) {
	b := backendtest.NewMemory()
	first, second := machine(t, b), machine(t, b)
	lease, err := first.States().Lock(context.Background(), "dev", state.Owner{User: "ann"}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.States().Lock(context.Background(), "dev", state.Owner{User: "bob"}, 0, nil); !errors.As(err, new(*state.Locked)) {
		t.Errorf("two have the lease: %v", err)
	}
	if err := lease.Release(); err != nil {
		t.Fatal(err)
	}
	lease, err = second.States().Lock(context.Background(), "dev", state.Owner{User: "bob"}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	lease.Release()
}

func damageFile(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("c0ntent"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestADamagedCacheIsFetchedAgain(t *testing.T) {
	b := backendtest.NewMemory()
	s := machine(t, b)
	ref, err := s.Blobs.Put([]byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	path, err := s.Blobs.Path(ref.Digest)
	if err != nil {
		t.Fatal(err)
	}
	damageFile(t, path)
	if text, err := s.Blobs.Get(ref.Digest); err != nil || string(text) != "content" {
		t.Errorf("%q, %v", text, err)
	}
	damageFile(t, path)
	if _, err := s.Blobs.Path(ref.Digest); err != nil {
		t.Error(err)
	}
}

func TestABlobDamagedInTheBackendIsRecomputed(t *testing.T) {
	b := backendtest.NewMemory()
	ref, err := machine(t, b).Blobs.Put([]byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	hex, _ := blob.Hex(ref.Digest)
	key := "blobs/sha256/" + hex[:1] + "/" + hex
	if err := b.Put(context.Background(), key, backend.Bytes("c0ntent")); err != nil {
		t.Fatal(err)
	}
	s := machine(t, b)
	if _, err := s.Blobs.Get(ref.Digest); !errors.As(err, new(*blob.Damaged)) {
		t.Fatal(err)
	}
	if _, err := s.Blobs.Get(ref.Digest); !errors.As(err, new(*blob.Missing)) {
		t.Fatal(err)
	}
	if _, err := s.Blobs.Put([]byte("content")); err != nil {
		t.Fatal(err)
	}
	if text, err := machine(t, b).Blobs.Get(ref.Digest); err != nil || string(text) != "content" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestManyMachinesAndAFailingNetworkLoseNothingThatWasReported lets machines commit
// stages, states, and runs at the same time, while calls fail, answers get lost, and lists
// end early; in the end a new machine finds all that was reported done, whole.
func TestManyMachinesAndAFailingNetworkLoseNothingThatWasReported(t *testing.T) {
	memory := backendtest.NewMemory()
	const machines, stages = 3, 12
	var wg sync.WaitGroup
	for i := range machines {
		faulty := backendtest.NewFaulty(memory, 0.1, uint64(i))
		faulty.Delay = time.Millisecond / 5
		s := machine(t, faulty)
		wg.Go(func() {
			for k := range stages {
				name := fmt.Sprint("stage", k) // the same on all machines
				again(t, func() error { _, err := commitStage(s, name); return err })
				saveInstance(t, s, fmt.Sprint("transform.", i, "-", k), name)
				run := &history.Run{ID: fmt.Sprintf("20260101-%06d-00000000", i*100+k), Status: history.Done}
				again(t, func() error { return s.Runs().Put(run) })
			}
		})
	}
	wg.Wait()
	s := machine(t, memory)
	st, err := s.States().Load("dev")
	if err != nil || len(st.Instances) != machines*stages {
		t.Fatalf("%d instances: %v", len(st.Instances), err)
	}
	for k := range stages {
		e, err := s.Actions.Get(blob.Sum([]byte(fmt.Sprint("key stage", k))))
		if err != nil || e == nil {
			t.Fatal(e, err)
		}
		if errs := artifact.Verify(context.Background(), s.Blobs, e.Outputs[""]); len(errs) > 0 {
			t.Error(errs)
		}
	}
	if runs, err := s.Runs().List(); err != nil || len(runs) != machines*stages {
		t.Errorf("%d runs: %v", len(runs), err)
	}
}

// saveInstance adds an instance to a state that others change, too.
func saveInstance(t testing.TB, s *store.Store, address, stage string) {
	for {
		st, err := s.States().Load("dev")
		if err == nil {
			st.Instances[address] = &state.Instance{Address: address, ActionKey: blob.Sum([]byte("key " + stage))}
			err = s.States().Save(st)
		}
		switch {
		case err == nil:
			return
		case !backendtest.IsFault(err) && !errors.As(err, new(*state.Conflict)):
			t.Error(err)
			return
		}
	}
}

func TestACollectionThatSeesHalfAListRemovesNothingInUse(t *testing.T) {
	memory := backendtest.NewMemory()
	s := machine(t, memory)
	for k := range 8 {
		name := fmt.Sprint("stage", k)
		if _, err := commitStage(s, name); err != nil {
			t.Fatal(err)
		}
		if k%2 == 0 {
			saveInstance(t, s, "transform."+name, name)
		}
	}
	wanted := referredTo(t, s)
	stopped, dir := 0, t.TempDir()
	for seed := range uint64(200) {
		faulty := backendtest.NewFaulty(memory, 0.02, seed)
		collector, err := store.OpenOn(context.Background(), dir, faulty)
		if err == nil {
			_, err = gc.Collect(context.Background(), collector, gc.Options{Now: time.Now().Add(time.Hour)})
		}
		if err != nil && !backendtest.IsFault(err) {
			t.Fatal(err)
		}
		if err != nil {
			stopped++
		}
		for _, key := range wanted {
			if _, _, err := memory.Get(context.Background(), key); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	}
	if stopped < 20 {
		t.Errorf("only %d collections were stopped", stopped)
	}
	var entries []*action.Entry
	for e, err := range s.Actions.All() {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	if len(entries) != 4 {
		t.Errorf("%d entries are left", len(entries))
	}
}

// referredTo are the keys of all objects that the state needs.
func referredTo(t testing.TB, s *store.Store) (keys []string) {
	t.Helper()
	st, err := s.States().Load("dev")
	if err != nil {
		t.Fatal(err)
	}
	for _, inst := range st.Instances {
		e, err := s.Actions.Get(inst.ActionKey)
		if err != nil || e == nil {
			t.Fatal(e, err)
		}
		a, err := artifact.Get(s.Blobs, e.Outputs[""])
		if err != nil {
			t.Fatal(err)
		}
		hex, _ := blob.Hex(e.Key)
		keys = append(keys, "actions/"+hex+".json")
		for _, digest := range append(a.Blobs(), e.Outputs[""].Manifest) {
			hex, _ := blob.Hex(digest)
			keys = append(keys, "blobs/sha256/"+hex[:1]+"/"+hex)
		}
	}
	return keys
}
