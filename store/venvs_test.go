package store_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/disk"
)

func TestOnlyUnusedVirtualEnvironmentsAreRemoved(t *testing.T) {
	s, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	if n, _, err := s.SweepVenvs(nil, time.Now(), false); n != 0 || err != nil {
		t.Errorf("a store without virtual environments: %d, %v", n, err)
	}
	old, now := time.Now().Add(-time.Hour), time.Now()
	add := func(name string, used time.Time) {
		dir := filepath.Join(s.Venvs(), name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"quern.used", "pyvenv.cfg"} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte("text"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(filepath.Join(dir, "quern.used"), used, used); err != nil {
			t.Fatal(err)
		}
	}
	add("pinned", old)
	add("young", now)
	add("running", old)
	add("unused", old)
	add(".tmp-abandoned", old)
	release, err := disk.LockShared(filepath.Join(s.Venvs(), "running", "quern.lock"))
	if err != nil {
		t.Fatal(err)
	}
	sweep := func(dryRun bool) int {
		n, bytes, err := s.SweepVenvs(map[string]bool{"pinned": true}, now.Add(-time.Minute), dryRun)
		if err != nil || bytes != int64(8*n) {
			t.Errorf("removed %d with %d bytes, %v", n, bytes, err)
		}
		return n
	}
	left := func() []string {
		entries, err := os.ReadDir(s.Venvs())
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	if n := sweep(true); n != 2 || len(left()) != 5 {
		t.Errorf("%d would go, and %v are left", n, left())
	}
	if n := sweep(false); n != 2 || !slices.Equal(left(), []string{"pinned", "running", "young"}) {
		t.Errorf("%d are gone, and %v are left", n, left())
	}
	release()
	if n := sweep(false); n != 1 || !slices.Equal(left(), []string{"pinned", "young"}) {
		t.Errorf("after its process has ended, %d are gone, and %v are left", n, left())
	}
}
