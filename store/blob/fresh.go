package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// fresh says which blobs are touched when they are written again.
type fresh struct {
	before time.Time
	lock   func() (unlock func(), err error)
}

// Freshen makes the store update the time of blobs that are written again and were
// last written before a time, because they may be about to be removed. lock keeps
// them from being removed while that happens.
func (s *Store) Freshen(before time.Time, lock func() (unlock func(), err error)) {
	s.fresh.Store(&fresh{before, lock})
}

// keep updates the time of an existing blob, if necessary. It returns false if the
// blob has been removed.
func (s *Store) keep(digest, path string) (bool, error) {
	f := s.fresh.Load()
	if f == nil {
		return true, nil
	}
	if info, err := os.Stat(path); err == nil && info.ModTime().After(f.before) {
		return true, nil
	}
	unlock, err := f.lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	if err := os.Chtimes(path, time.Time{}, time.Now()); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("keep blob %s: %w", digest, err)
	}
	if id, err := identify(path); err == nil {
		s.verified.Store(digest, id)
	}
	return true, nil
}

// Written returns when a blob was last written. ok is false if it does not exist.
func (s *Store) Written(digest string) (at time.Time, ok bool, err error) {
	path, err := s.file(digest)
	if err != nil {
		return at, false, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return at, false, nil
	}
	if err != nil {
		return at, false, err
	}
	return info.ModTime(), true, nil
}
