package disk

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// TempPrefix is the prefix of files that are being written. Those that a crash
// left can be ignored.
const TempPrefix = ".tmp-"

// Temp is a file that is invisible until it is published. If the system
// supports it, the file has no name until then. That is also the fastest way to
// create a file, and leaves nothing after a crash.
type Temp struct {
	file *os.File
	dir  string
	name string // its path, or "" if it has none
}

// NewTemp creates a file that will be published on the file system of the
// folder dir.
func NewTemp(dir string, mode fs.FileMode) (*Temp, error) {
	if f := openUnnamed(dir, mode); f != nil {
		return &Temp{file: f, dir: dir}, nil
	}
	name, err := tempName(dir)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if at := (*fs.PathError)(nil); errors.As(err, &at) { // the name says nothing to anyone
		err = &fs.PathError{Op: "create a file in", Path: dir, Err: at.Err}
	}
	if err != nil {
		return nil, Explain(err)
	}
	return &Temp{file: f, dir: dir, name: name}, nil
}

func tempName(dir string) (string, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	return filepath.Join(dir, TempPrefix+hex.EncodeToString(b[:])), nil
}

// Write adds bytes.
func (t *Temp) Write(b []byte) (int, error) {
	n, err := t.file.Write(b)
	return n, Explain(err)
}

// Sync makes the content durable, which publishing alone does not.
func (t *Temp) Sync() error { return Explain(t.file.Sync()) }

// PublishNew gives the file its name. If a file exists at path, it remains and
// the error is fs.ErrExist; the new file can still be published elsewhere.
func (t *Temp) PublishNew(path string) error {
	if t.name == "" {
		return Explain(linkUnnamed(t.file, path))
	}
	return Explain(os.Link(t.name, path))
}

// Publish gives the file its name and replaces an existing file.
func (t *Temp) Publish(path string) error {
	if t.name == "" {
		err := t.PublishNew(path)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		name, err := tempName(filepath.Dir(path))
		if err != nil {
			return err
		}
		if err := t.PublishNew(name); err != nil {
			return err
		}
		t.name = name
	}
	if err := os.Rename(t.name, path); err != nil {
		return Explain(err)
	}
	t.name = ""
	return nil
}

// Close closes the file, which is lost if it was not published.
func (t *Temp) Close() {
	t.file.Close()
	if t.name != "" {
		os.Remove(t.name)
		t.name = ""
	}
}

// writeTemp creates a file with this content. The caller closes it.
func writeTemp(dir string, content io.Reader, mode fs.FileMode) (*Temp, error) {
	t, err := NewTemp(dir, mode)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(t, content); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// Publish writes a file so that it appears at path completely or not at all,
// and replaces an existing file. It is durable after the next Flush.
func (s *Syncer) Publish(path string, content io.Reader, mode fs.FileMode) error {
	return s.publish(path, content, mode, (*Temp).Publish)
}

// PublishNew is Publish for a path where no file exists. Of several callers,
// one wins; the others get an error that is fs.ErrExist.
func (s *Syncer) PublishNew(path string, content io.Reader, mode fs.FileMode) error {
	return s.publish(path, content, mode, (*Temp).PublishNew)
}

func (s *Syncer) publish(path string, content io.Reader, mode fs.FileMode, how func(*Temp, string) error) error {
	t, err := writeTemp(filepath.Dir(path), content, mode)
	if err == nil {
		defer t.Close()
		err = how(t, path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	s.Defer(path)
	return nil
}

// Replace is Publish for a file that must be durable on return, by itself.
func Replace(path string, content io.Reader, mode fs.FileMode) error {
	t, err := writeTemp(filepath.Dir(path), content, mode)
	if err == nil {
		defer t.Close()
		err = t.Sync()
	}
	if err == nil {
		err = t.Publish(path)
	}
	if err == nil {
		err = syncPath(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
