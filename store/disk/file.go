package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Full is the error of a write for which there is not enough space.
type Full struct{ Err error }

func (e *Full) Error() string {
	return fmt.Sprintf("the disk is full (%v); free some space and run the command again: completed work is kept", e.Err)
}

func (e *Full) Unwrap() error { return e.Err }

// Trouble is an error of the machine or its settings, as opposed to the content
// of files: nothing is damaged, and nothing may be set aside because of it.
type Trouble struct {
	// What describes the problem in a few words, and Advice what to do about
	// it.
	What, Advice string
	Err          error
}

func (e *Trouble) Error() string { return fmt.Sprintf("%v; %s", e.Err, e.Advice) }
func (e *Trouble) Unwrap() error { return e.Err }

// troubles are the system errors that Explain recognizes.
var troubles = []struct {
	errno        syscall.Errno
	what, advice string
}{
	{syscall.EACCES, "Permission denied", "quern must be able to read and write all of its store: check the owner and the permissions, and run quern as the user who created the store"},
	{syscall.EPERM, "Permission denied", "quern must be able to read and write all of its store: check the owner and the permissions, and run quern as the user who created the store"},
	{syscall.EROFS, "The file system is read-only", "mount it writable, or move the pipeline elsewhere"},
	{syscall.EMFILE, "Too many open files", "raise the limit (ulimit -n), or run fewer stages at once with -parallelism"},
	{syscall.ENFILE, "Too many open files", "the machine has reached its limit: close other programs, or raise the limit"},
	{syscall.EIO, "The disk reported an error", "check the disk; quern leaves the files that it wrote unchanged"},
}

// Explain converts an error that is about the machine, rather than about the
// content of a file, to *Full or *Trouble. It returns other errors unchanged.
func Explain(err error) error {
	var full *Full
	var trouble *Trouble
	if errors.As(err, &full) || errors.As(err, &trouble) {
		return err
	}
	for _, t := range troubles {
		if errors.Is(err, t.errno) {
			return &Trouble{What: t.what, Advice: t.advice, Err: err}
		}
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &Full{Err: err}
	}
	return err
}

// TooManyOpen converts an error about too many open files to *Trouble. It
// returns nil for other errors.
func TooManyOpen(err error) *Trouble {
	if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
		return nil
	}
	trouble, _ := errors.AsType[*Trouble](Explain(err))
	return trouble
}

// Open opens a file for reading. It refuses a file that is not regular, because
// opening or reading a named pipe could block forever.
func Open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, Explain(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = Irregular(path, info.Mode())
	}
	if err != nil {
		f.Close()
		return nil, Explain(err)
	}
	return f, nil
}

// Irregular is the error for something other than a file where a file should
// be.
func Irregular(path string, mode fs.FileMode) error {
	kind := "a special file"
	switch {
	case mode.IsDir():
		kind = "a folder"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a named pipe"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	}
	return &Trouble{
		What: "The store contains something that quern did not create", Advice: "remove it",
		Err: fmt.Errorf("%s is %s, but must be a file", path, kind),
	}
}

// ReadFile is os.ReadFile for the files of a store.
func ReadFile(path string) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := ReadAll(f)
	return b, Explain(err)
}

// ReadAll is io.ReadAll for a file. It knows how much memory that takes.
func ReadAll(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, info.Size()+1) // a last read finds the end
	for {
		n, err := f.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, err
		}
		if len(b) == cap(b) { // the file has grown
			b = slices.Grow(b, len(b))
		}
	}
}

// MakeDir creates a folder and its parents, and schedules their names to be
// synced.
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
