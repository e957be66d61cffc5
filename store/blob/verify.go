package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/quern-dev/quern/store/disk"
)

// identity distinguishes versions of a file without reading it.
type identity struct {
	inode    uint64
	size     int64
	modified int64 // nanoseconds
	changed  int64 // nanoseconds, of the inode; no ordinary call can set it back
}

// Path returns the path of a blob, for readers that need a file. It verifies
// the blob first, once per process unless the file's inode, size, or times
// change.
func (s *Store) Path(digest string) (string, error) {
	path, err := s.file(digest)
	if err != nil {
		return "", err
	}
	if s.known(digest) {
		return path, nil
	}
	// Concurrent readers of the same blob verify it once.
	lock := s.lock(digest)
	lock.Lock()
	defer lock.Unlock()
	if s.known(digest) {
		return path, nil
	}
	err = s.verify(digest, path)
	if s.isElsewhere(err) {
		err = s.verify(digest, path)
	}
	if err != nil {
		return "", err
	}
	return path, nil
}

// Unverified returns the path of a blob that the reader has to verify. It returns false
// if there is nothing to verify, because this process has done so, or if the blob has to
// be fetched first: then call Path.
func (s *Store) Unverified(digest string) (path string, ok bool, err error) {
	if s.known(digest) {
		return "", false, nil
	}
	path, err = s.Local(digest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false, nil // Path fetches it, or reports that it is missing
	case err != nil:
		return "", false, err
	}
	return path, true, nil
}

// Local returns the path of a blob whose file is on this machine, without
// reading it: what the file contains may be damaged. Without such a file, the
// error is fs.ErrNotExist.
func (s *Store) Local(digest string) (string, error) {
	path, err := s.file(digest)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find blob %s: %w", digest, err)
	}
	return path, nil
}

// Verify reads the whole blob, even if it was verified before.
func (s *Store) Verify(ctx context.Context, digest string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path, err := s.file(digest)
	if err != nil {
		return err
	}
	return s.verify(digest, path)
}

func (s *Store) lock(digest string) interface {
	Lock()
	Unlock()
} {
	sum := 0
	for i := range len(digest) {
		sum = sum*31 + int(digest[i])
	}
	return &s.locks[uint(sum)%uint(len(s.locks))]
}

// known reports whether this process has verified the blob and its file has not
// changed since.
func (s *Store) known(digest string) bool {
	was, ok := s.verified.Load(digest)
	if !ok {
		return false
	}
	path, err := s.file(digest)
	if err != nil {
		return false
	}
	is, err := identify(path)
	return err == nil && is == was.(identity)
}

func (s *Store) verify(digest, path string) error {
	before, err := identify(path)
	if s.origin != nil && errors.Is(err, fs.ErrNotExist) {
		if err := s.fetch(digest); err != nil {
			return err
		}
		before, err = identify(path)
	}
	if err != nil {
		return s.readError(digest, err)
	}
	f, err := disk.Open(path)
	if err != nil {
		return s.readError(digest, err)
	}
	defer f.Close()
	got, err := hashFile(f)
	if err != nil {
		return s.readError(digest, err)
	}
	if got != digest {
		return s.setAside(digest, path)
	}
	s.verified.Store(digest, before)
	return nil
}

// asideTime is the format of the time at the beginning of the names of damaged
// files.
const asideTime = "20060102T150405.000000000"

// setAside moves a damaged blob away, so that it is computed again instead of
// being found.
func (s *Store) setAside(digest, path string) error {
	s.verified.Delete(digest)
	name := fmt.Sprintf("%s-%s", time.Now().UTC().Format(asideTime), filepath.Base(path))
	aside := filepath.Join(s.aside, name)
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("%w (it could not be moved: %w)", &Damaged{Digest: digest, Aside: path}, err)
	}
	return &Damaged{Digest: digest, Aside: aside}
}
