package backend_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/backend/backendtest"
	"github.com/quern-dev/quern/store/disk"
)

func TestLocal(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) backend.Backend { return backend.NewLocal(t.TempDir(), disk.NewSyncer()) })
}

func TestMemory(t *testing.T) {
	backendtest.Run(t, func(*testing.T) backend.Backend { return backendtest.NewMemory() })
}

func TestMemoryWithFaults(t *testing.T) {
	var all []*backendtest.Faulty
	for seed := range uint64(5) {
		backendtest.Run(t, func(*testing.T) backend.Backend {
			f := backendtest.NewFaulty(backendtest.NewMemory(), 0.2, seed)
			all = append(all, f)
			return f
		})
	}
	injected := map[string]int{}
	for _, f := range all {
		for call, n := range f.Injected() {
			injected[call] += n
		}
	}
	t.Logf("injected: %v", injected)
	for _, call := range []string{"get", "read", "read, in the middle", "put", "put, answer lost", "put if absent", "put if absent, answer lost", "swap", "swap, answer lost", "copy", "delete", "list", "list, in the middle", "flush"} {
		if injected[call] == 0 {
			t.Errorf("no call failed: %s", call)
		}
	}
}

func TestASlowBackendEndsWithItsContext(t *testing.T) {
	f := backendtest.NewFaulty(backendtest.NewMemory(), 0, 1)
	f.Delay = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, _, err := f.Get(ctx, "a"); err == nil || backendtest.IsFault(err) {
		t.Error(err)
	}
}

func TestAFolderListsOnlyItsObjects(t *testing.T) {
	dir := t.TempDir()
	l := backend.NewLocal(dir, disk.NewSyncer())
	for _, name := range []string{"envs/dev/state.json", "envs/dev/save.lock", "envs/dev/.tmp-1"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for o, err := range l.List(t.Context(), "") {
		if err != nil || o.Key != "envs/dev/state.json" {
			t.Error(o, err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d objects", n)
	}
}

func TestTwoProcessesLockEachOtherOut(t *testing.T) {
	dir := t.TempDir()
	open := func() backend.Locker { return backend.NewLocal(dir, disk.NewSyncer()) }
	unlock, err := open().TryLock("envs/dev/lease.lock")
	if err != nil || unlock == nil {
		t.Fatal(err)
	}
	if again, err := open().TryLock("envs/dev/lease.lock"); err != nil || again != nil {
		t.Error("two have the lock", err)
	}
	unlock()
	if unlock, err = open().TryLock("envs/dev/lease.lock"); err != nil || unlock == nil {
		t.Fatal(err)
	}
	if err := open().Unlock("envs/dev/lease.lock"); err != nil {
		t.Error(err)
	}
	if again, err := open().TryLock("envs/dev/lease.lock"); err != nil || again == nil {
		t.Error("the lock was not ended", err)
	}
}
