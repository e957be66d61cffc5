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
	s.deferDir(path)
	return nil
}
