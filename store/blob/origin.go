package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"sync"
	"time"

	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/disk"
)

// origin is the backend that contains the blobs which a folder caches.
type origin struct {
	ctx     context.Context
	backend backend.Backend
	known   sync.Map // digests of blobs known to exist
}

// NewCache returns a store that keeps blobs in b and caches those that were
// used in the folder root. A blob is in b when Commit returns, so that whatever
// refers to it can be written there. If a file in the folder is damaged, it is
// fetched again. ctx applies to all calls to b.
func NewCache(ctx context.Context, b backend.Backend, root, temp, aside string, sync *disk.Syncer) *Store {
	s := New(root, temp, aside, sync)
	s.origin = &origin{ctx: ctx, backend: b}
	return s
}

const prefix = "blobs/sha256/"

func object(digest string) (string, error) {
	h, err := Hex(digest)
	if err != nil {
		return "", err
	}
	return prefix + h[:1] + "/" + h, nil
}

// uploaded reports whether a blob is known to be in the backend, if there is
// one.
func (s *Store) uploaded(digest string) bool {
	if s.origin == nil {
		return true
	}
	_, known := s.origin.known.Load(digest)
	return known
}

// isElsewhere reports whether err is about a damaged file whose blob can be
// fetched again.
func (s *Store) isElsewhere(err error) bool {
	var damaged *Damaged
	return s.origin != nil && errors.As(err, &damaged) && !damaged.origin
}

// upload copies a blob from the folder to the backend, unless it exists there.
func (s *Store) upload(digest string) error {
	if s.uploaded(digest) {
		return nil
	}
	at, err := object(digest)
	if err != nil {
		return err
	}
	file, err := s.file(digest)
	if err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return s.readError(digest, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return s.readError(digest, err)
	}
	err = s.origin.backend.PutIfAbsent(s.origin.ctx, at, io.NewSectionReader(f, 0, info.Size()))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("upload blob %s: %w", digest, err)
	}
	s.origin.known.Store(digest, true)
	return nil
}

// fetch copies a blob from the backend to the folder. If it is damaged there,
// it is set aside in the backend, so that it is computed again.
func (s *Store) fetch(digest string) error {
	at, err := object(digest)
	if err != nil {
		return err
	}
	r, err := s.origin.backend.Read(s.origin.ctx, at, 0, -1)
	if err != nil {
		return s.readError(digest, err)
	}
	defer r.Close()
	w, err := s.Create()
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := io.Copy(onlyWriter{w}, r); err != nil {
		return fmt.Errorf("fetch blob %s: %w", digest, err)
	}
	if w.digest() != digest {
		return s.origin.setAside(digest, at)
	}
	if _, err := w.commit(); err != nil {
		return err
	}
	s.origin.known.Store(digest, true)
	return nil
}

func (o *origin) setAside(digest, at string) error {
	to := "damaged/" + time.Now().UTC().Format(asideTime) + "-" + path.Base(at)
	damaged := &Damaged{Digest: digest, Aside: o.backend.Place(to), origin: true}
	err := o.backend.Copy(o.ctx, at, backend.Any, to)
	if err == nil {
		err = o.backend.Delete(o.ctx, at, backend.Any)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w (it could not be moved: %w)", damaged, err)
	}
	o.known.Delete(digest)
	return damaged
}

func (s *Store) findElsewhere(digest string) error {
	at, err := object(digest)
	if err != nil {
		return err
	}
	for _, err := range s.origin.backend.List(s.origin.ctx, at) {
		if err != nil {
			return fmt.Errorf("look for blob %s: %w", digest, err)
		}
		return nil
	}
	return &Missing{Digest: digest}
}

func (s *Store) removeElsewhere(digest string) error {
	at, err := object(digest)
	if err != nil {
		return err
	}
	s.origin.known.Delete(digest)
	if err := s.origin.backend.Delete(s.origin.ctx, at, backend.Any); err != nil {
		return fmt.Errorf("remove blob %s: %w", digest, err)
	}
	return nil
}

func (s *Store) allElsewhere() iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		for o, err := range s.origin.backend.List(s.origin.ctx, prefix) {
			if err != nil {
				yield(Stored{}, err)
				return
			}
			digest := scheme + path.Base(o.Key)
			if _, err := Hex(digest); err != nil {
				continue
			}
			if !yield(Stored{Ref{Digest: digest, Size: o.Size}, o.Written}, nil) {
				return
			}
		}
	}
}
