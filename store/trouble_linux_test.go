package store_test

import (
	"errors"
	"io"
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

func TestOnlyItsOwnerCanReadAStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), ".quern")
	// A user may have made the folder for plugins before, and quern init that for modules.
	for _, name := range []string{"plugins", "modules"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
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

func TestAMissingPermissionIsNotDamage(t *testing.T) {
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

func TestANamedPipeInAStoreDoesNotBlock(t *testing.T) {
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

func TestAFolderInPlaceOfTheResponseLockIsReported(t *testing.T) {
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

// broken is a file of which every read fails with EIO: the first page of a
// process's memory cannot be read.
const broken = "/proc/self/mem"

func TestADiskReadErrorIsNotDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), ".quern")
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	digest, key := blob.Sum([]byte("content")), blob.Sum([]byte("key"))
	in := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	hex := strings.TrimPrefix(digest, "sha256:")
	for _, folder := range []string{in("blobs", "sha256", hex[:1]), in("envs", "default")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	paths := []string{
		in("blobs", "sha256", hex[:1], hex), in("actions", strings.TrimPrefix(key, "sha256:")+".json"),
		in("envs", "default", "state.json"), in("runs", "20260101-000000-00000000.json"),
	}
	for _, path := range paths {
		if err := os.Symlink(broken, path); err != nil {
			t.Fatal(err)
		}
	}
	calls := map[string]func() error{
		"blob":   func() error { _, err := s.Blobs.Get(digest); return err },
		"path":   func() error { _, err := s.Blobs.Path(digest); return err },
		"copy":   func() error { return s.Blobs.Copy(digest, filepath.Join(t.TempDir(), "copy"), 0o600) },
		"action": func() error { _, err := s.Actions.Get(key); return err },
		"state":  func() error { _, err := s.States().Load("default"); return err },
		"runs":   func() error { _, err := s.Runs().List(); return err },
		"stream": func() error {
			r, err := s.Blobs.Open(digest)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.ReadAll(r)
			return err
		},
		"open": func() error {
			if err := errors.Join(os.Remove(in("format")), os.Symlink(broken, in("format"))); err != nil {
				return err
			}
			_, err := store.Open(dir)
			return err
		},
	}
	for name, look := range calls {
		err := look()
		var trouble *disk.Trouble
		var damaged *document.Damaged
		if !errors.As(err, &trouble) || trouble.What != "The disk reported an error" || blob.Unavailable(err) || errors.As(err, &damaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, path := range paths {
		if target, err := os.Readlink(path); err != nil || target != broken {
			t.Errorf("%s was touched: %v", path, err)
		}
	}
	if aside, _ := os.ReadDir(in("damaged")); len(aside) > 0 {
		t.Errorf("set aside: %v", aside)
	}
}

func TestADiskReadErrorRemovesNoCachedAnswers(t *testing.T) {
	s, err := store.Open(filepath.Join(t.TempDir(), ".quern"))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := s.Responses(nil)
	if err == nil {
		err = cache.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := filepath.Glob(filepath.Join(s.Dir, "responses", "main", "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatal(err)
	}
	for _, path := range manifests {
		if err := unix.Mount(broken, path, "", unix.MS_BIND, ""); err != nil {
			t.Skip("mount a broken file:", err)
		}
		defer func() { _ = unix.Unmount(path, 0) }()
	}
	_, err = s.Responses(func(err error) { t.Errorf("reported as damaged: %v", err) })
	var trouble *disk.Trouble
	if !errors.As(err, &trouble) || trouble.What != "The disk reported an error" {
		t.Errorf("got %v", err)
	}
}

func TestTooManyOpenFilesInAStoreAreReported(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	attempt := func(most uint64) error {
		dir := filepath.Join(t.TempDir(), ".quern")
		low := limit
		low.Cur = most
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
				t.Fatal(err)
			}
		}()
		s, err := store.Open(dir)
		if err != nil {
			return err
		}
		cache, err := s.Responses(func(err error) { t.Errorf("reported as damaged: %v", err) })
		if err != nil {
			return err
		}
		return cache.Close()
	}
	failed := 0
	for most := uint64(3); ; most++ {
		err := attempt(most)
		if err == nil {
			break
		}
		failed++
		var trouble *disk.Trouble
		if !errors.As(err, &trouble) || trouble.What != "Too many open files" {
			t.Errorf("with %d files: %v", most, err)
		}
	}
	if failed < 5 {
		t.Errorf("only %d limits were too low", failed)
	}
}
