package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/disk"
	"github.com/quern-dev/quern/store/document"
)

func TestAStoreIsForItsOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), ".quern")
	// A user may have made the folder for plugins before.
	if err := os.MkdirAll(filepath.Join(dir, "plugins"), 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.States().Load("default")
	if err == nil {
		err = s.States().Save(st)
	}
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "envs/default/state.json"): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has the mode %v: %v", path, info.Mode(), err)
		}
	}
	// Who opens it to others later on wants it so.
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(dir); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o750 {
		t.Errorf("it was set back to %v", info.Mode())
	}
}

// asNobody calls f with the rights of a user who owns nothing.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, err := unix.SetfsuidRetUid(65534); err != nil {
		t.Skip(err)
	}
	defer func() { _, _ = unix.SetfsuidRetUid(0) }()
	f()
}

func TestAMissingPermissionIsNoDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), ".quern")
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := s.Blobs.Put([]byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	key := blob.Sum([]byte("key"))
	if _, err := s.Actions.Put(&action.Entry{Key: key, Definition: key, Address: "source.a"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, closed := range []string{filepath.Join(dir, "blobs/sha256"), filepath.Join(dir, "actions")} {
		if err := os.Chmod(closed, 0); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(closed, 0o700) // so that it can be removed
	}
	fresh := blob.New(filepath.Join(dir, "blobs"), filepath.Join(dir, "tmp"), filepath.Join(dir, "damaged"), disk.NewSyncer())
	asNobody(t, func() {
		for name, look := range map[string]func() error{
			"get":    func() error { _, err := fresh.Get(ref.Digest); return err },
			"find":   func() error { return fresh.Find(ref.Digest) },
			"path":   func() error { _, err := fresh.Path(ref.Digest); return err },
			"open":   func() error { _, err := fresh.Open(ref.Digest); return err },
			"action": func() error { _, err := s.Actions.Get(key); return err },
		} {
			err := look()
			var trouble *disk.Trouble
			var damaged *document.Damaged
			if !errors.As(err, &trouble) || blob.Unavailable(err) || errors.As(err, &damaged) || trouble.What != "Permission denied" {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	if aside, _ := os.ReadDir(filepath.Join(dir, "damaged")); len(aside) > 0 {
		t.Errorf("set aside: %v", aside)
	}
}

func TestANamedPipeInAStoreKeepsNobodyWaiting(t *testing.T) {
	dir := filepath.Join(t.TempDir(), ".quern")
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	digest, key := blob.Sum([]byte("content")), blob.Sum([]byte("key"))
	in := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	hex := strings.TrimPrefix(digest, "sha256:")
	for _, folder := range []string{in("blobs", "sha256", hex[:1]), in("envs", "default"), in("responses", "main")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{
		in("blobs", "sha256", hex[:1], hex), in("actions", strings.TrimPrefix(key, "sha256:")+".json"),
		in("envs", "default", "state.json"), in("responses", "main", "CURRENT"), in("runs", "20260101-000000-00000000.json"),
	} {
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, look := range map[string]func() error{
		"blob":      func() error { _, err := s.Blobs.Get(digest); return err },
		"find":      func() error { return s.Blobs.Find(digest) },
		"path":      func() error { _, err := s.Blobs.Path(digest); return err },
		"action":    func() error { _, err := s.Actions.Get(key); return err },
		"state":     func() error { _, err := s.States().Load("default"); return err },
		"responses": func() error { _, err := s.Responses(func(error) {}); return err },
		"runs":      func() error { _, err := s.Runs().List(); return err },
	} {
		if err := look(); err == nil || !strings.Contains(err.Error(), "is a named pipe, but must be a file; remove it") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Remove(in("format")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(in("format"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(dir); err == nil || !strings.Contains(err.Error(), "named pipe") {
		t.Errorf("format: %v", err)
	}
}

func TestAFolderInPlaceOfTheLockOfResponsesIsReported(t *testing.T) {
	s, err := store.Open(filepath.Join(t.TempDir(), ".quern"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(s.Dir, "responses", "LOCK"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Responses(func(error) {}); err == nil || !strings.Contains(err.Error(), "LOCK is a folder, but must be a file") {
		t.Errorf("got %v", err)
	}
}
