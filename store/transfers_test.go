package store_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/disk"
)

func TestOnlyUnusedTransfersAreRemoved(t *testing.T) {
	s, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	if n, _, err := s.SweepTransfers(time.Now(), false); n != 0 || err != nil {
		t.Errorf("a store without transfers: %d, %v", n, err)
	}
	old, now := time.Now().Add(-time.Hour), time.Now()
	add := func(name string, written time.Time) string {
		path := filepath.Join(s.Dir, store.TransferFolder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("text"), 0o644); err != nil {
			t.Fatal(err)
		}
		for p := path; filepath.Base(p) != store.TransferFolder; p = filepath.Dir(p) {
			if err := os.Chtimes(p, written, written); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	unused, edge := add("http/unused/data-1", old), add("edges/unused", old)
	young := add("http/young/partial", now)
	used := add("git/used/repository/config", old)
	unlock, err := disk.TryLock(filepath.Join(s.Dir, store.TransferFolder, "git", "used", "lock"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"git/used/lock", "git/used"} {
		if err := os.Chtimes(filepath.Join(s.Dir, store.TransferFolder, p), old, old); err != nil {
			t.Fatal(err)
		}
	}
	since := now.Add(-time.Minute)
	if n, bytes, err := s.SweepTransfers(since, true); n != 3 || bytes != 12 || err != nil {
		t.Errorf("dry run: %d, %d bytes, %v", n, bytes, err)
	}
	if n, bytes, err := s.SweepTransfers(since, false); n != 2 || bytes != 8 || err != nil {
		t.Errorf("%d, %d bytes, %v", n, bytes, err)
	}
	for path, want := range map[string]bool{unused: false, edge: false, young: true, used: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	unlock()
	if n, _, err := s.SweepTransfers(time.Now(), false); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
