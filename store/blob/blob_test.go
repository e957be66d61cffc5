package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/disk"
)

func newStore(t testing.TB) (s *blob.Store, dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"blobs", "tmp", "aside"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return blob.New(filepath.Join(dir, "blobs"), filepath.Join(dir, "tmp"), filepath.Join(dir, "aside"), disk.NewSyncer()), dir
}

func put(t testing.TB, s *blob.Store, text string) blob.Ref {
	t.Helper()
	ref, err := s.Put([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func damage(t *testing.T, s *blob.Store, digest string) {
	t.Helper()
	path, err := s.Path(digest)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	// In place and with the former time, as a failing disk would do it.
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
}

func TestABlobIsFoundByItsDigest(t *testing.T) {
	s, dir := newStore(t)
	ref := put(t, s, "hello")
	if ref.Digest != "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" || ref.Size != 5 {
		t.Fatal(ref)
	}
	got, err := s.Get(ref.Digest)
	if err != nil || string(got) != "hello" {
		t.Fatal(string(got), err)
	}
	r, err := s.Open(ref.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err = io.ReadAll(r)
	if err != nil || string(got) != "hello" {
		t.Fatal(string(got), err)
	}
	path, err := s.Path(ref.Digest)
	if err != nil || !s.Has(ref.Digest) {
		t.Fatal(err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm()&0o222 != 0 {
		t.Error("a blob can be written to")
	}
	left, _ := os.ReadDir(filepath.Join(dir, "tmp"))
	if len(left) > 0 {
		t.Error("a temporary file is left")
	}
}

func TestAnAbortedBlobLeavesNothing(t *testing.T) {
	s, dir := newStore(t)
	w, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	w.Abort()
	left, _ := os.ReadDir(filepath.Join(dir, "tmp"))
	if len(left) > 0 {
		t.Error("a temporary file is left")
	}
}

func TestADamagedBlobIsSetAsideHoweverItIsRead(t *testing.T) {
	ways := map[string]func(s *blob.Store, digest string) error{
		"get":    func(s *blob.Store, d string) error { _, err := s.Get(d); return err },
		"path":   func(s *blob.Store, d string) error { _, err := s.Path(d); return err },
		"verify": func(s *blob.Store, d string) error { return s.Verify(context.Background(), d) },
		"open": func(s *blob.Store, d string) error {
			r, err := s.Open(d)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.ReadAll(r)
			return err
		},
		"copy": func(s *blob.Store, d string) error {
			return s.Copy(d, filepath.Join(t.TempDir(), "copy"), 0o666)
		},
	}
	for name, read := range ways {
		t.Run(name, func(t *testing.T) {
			s, _ := newStore(t)
			ref := put(t, s, "some longer text")
			damage(t, s, ref.Digest)
			var damaged *blob.Damaged
			err := read(s, ref.Digest)
			if !errors.As(err, &damaged) || damaged.Digest != ref.Digest || !blob.Unavailable(err) {
				t.Fatal(err)
			}
			if _, err := os.Stat(damaged.Aside); err != nil {
				t.Error(err)
			}
			var missing *blob.Missing
			if err := read(s, ref.Digest); !errors.As(err, &missing) {
				t.Error(err)
			}
			put(t, s, "some longer text")
			if err := read(s, ref.Digest); err != nil {
				t.Errorf("made again, it is %v", err)
			}
		})
	}
}

func TestCommittingABlobAgainHealsIt(t *testing.T) {
	s, _ := newStore(t)
	ref := put(t, s, "some longer text")
	damage(t, s, ref.Digest)
	put(t, s, "some longer text")
	if err := s.Verify(context.Background(), ref.Digest); err != nil {
		t.Error(err)
	}
}

func TestInvalidDigestsNameNoFile(t *testing.T) {
	s, _ := newStore(t)
	for _, d := range []string{"", "sha256:", "sha256:../../../../etc/passwd", "md5:abc", "sha256:" + string(bytes.Repeat([]byte("A"), 64))} {
		if _, err := s.Get(d); err == nil || blob.Unavailable(err) {
			t.Errorf("%q: %v", d, err)
		}
		if s.Has(d) {
			t.Errorf("%q is there", d)
		}
	}
}

func TestManyMayCommitTheSameBlobAtOnce(t *testing.T) {
	s, _ := newStore(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for k := range 20 {
				ref, err := s.Put(fmt.Appendf(nil, "text %d", (i+k)%5))
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := s.Path(ref.Digest); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	n := 0
	for _, err := range s.All() {
		if err != nil {
			t.Error(err)
		}
		n++
	}
	if n != 5 {
		t.Errorf("there are %d blobs", n)
	}
}

func TestARemovedBlobIsMissing(t *testing.T) {
	s, _ := newStore(t)
	ref := put(t, s, "text")
	for range 2 {
		if err := s.Remove(ref.Digest); err != nil {
			t.Fatal(err)
		}
	}
	var missing *blob.Missing
	if _, err := s.Path(ref.Digest); !errors.As(err, &missing) {
		t.Error(err)
	}
}
