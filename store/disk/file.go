package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Full is the error of a write for which there is no room.
type Full struct{ Err error }

func (e *Full) Error() string {
	return fmt.Sprintf("the disk is full (%v); free some space and run the command again: what was done so far is kept", e.Err)
}

func (e *Full) Unwrap() error { return e.Err }

// Explain makes a *Full of an error that means that there is no room, and
// returns others as they are.
func Explain(err error) error {
	var full *Full
	if errors.As(err, &full) {
		return err
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &Full{Err: err}
	}
	return err
}

// MakeDir makes a folder and those above it, and has their names synced.
func (s *Syncer) MakeDir(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := s.MakeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return Explain(err)
	}
	s.Defer(path)
	return nil
}

// Publish writes a file so that it appears at path whole or not at all, in
// place of what was there. It is durable after the next Flush.
func (s *Syncer) Publish(path string, content []byte, mode fs.FileMode) error {
	tmp, err := writeTemp(path, content, mode)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return Explain(err)
	}
	s.Defer(path)
	return nil
}

// Replace is Publish for a file that must be durable at once and on its own:
// on return it is.
func Replace(path string, content []byte, mode fs.FileMode) error {
	tmp, err := writeTemp(path, content, mode)
	if err != nil {
		return err
	}
	if err := syncPath(tmp); err != nil {
		os.Remove(tmp)
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return Explain(err)
	}
	return syncPath(filepath.Dir(path))
}

// PublishNew is Publish for a path where nothing is yet. Of several callers
// one wins; the others get an error that is fs.ErrExist.
func (s *Syncer) PublishNew(path string, content []byte, mode fs.FileMode) error {
	tmp, err := writeTemp(path, content, mode)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := os.Link(tmp, path); err != nil {
		return Explain(err)
	}
	s.Defer(path)
	return nil
}

func writeTemp(path string, content []byte, mode fs.FileMode) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), TempPrefix)
	if err != nil {
		return "", Explain(err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = Explain(fmt.Errorf("write %s: %w", path, err))
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return f.Name(), err
}

// TempPrefix begins the names of files that are being written. Those that a
// crash left behind are of no account.
const TempPrefix = ".tmp-"
