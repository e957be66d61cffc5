package dedup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// files are those that the last run kept, and those for the next one. Their names say
// what they are about by content, so that a file that is found is right. Only open is
// safe for concurrent use, and put for different names.
type files struct {
	run    *plugin.Run[dedupArgs]
	folder string // of new files
	former map[string]plugin.File
	mu     sync.Mutex // guards again
	again  map[string]bool
}

func newFiles(r *plugin.Run[dedupArgs]) (*files, error) {
	folder, err := r.KeepFolder()
	if err != nil {
		return nil, err
	}
	return &files{run: r, folder: folder, former: r.Kept(), again: map[string]bool{}}, nil
}

// path is where a file is, if it exists: among those of the last run, or of an attempt
// that was interrupted.
func (f *files) path(name string) string {
	if former, ok := f.former[name]; ok {
		return former.Path
	}
	return filepath.Join(f.folder, name)
}

// read returns the content of a file, or nil if it does not exist.
func (f *files) read(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	content, err := os.ReadFile(f.path(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

// keep keeps a file that was read for the next run. An attempt that was interrupted may
// have left one with this name and other content in the folder, for other rows: two
// files with one name cannot be kept.
func (f *files) keep(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.former[name]; !ok || f.again[name] {
		return nil
	}
	if err := os.Remove(filepath.Join(f.folder, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f.run.KeepAgain(name)
	f.again[name] = true
	return nil
}

// put keeps a file with this content for the next run.
func (f *files) put(name string, content []byte) error {
	if name == "" {
		return nil
	}
	before, err := f.read(name)
	if err == nil && before != nil && bytes.Equal(before, content) {
		return f.keep(name)
	}
	if f.isKept(name) { // for an equal shard of which other rows were asked for
		return nil
	}
	return writeFile(f.folder, name, content)
}

func (f *files) isKept(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.again[name]
}

// writeFile writes a file that appears under its name when it is complete.
func writeFile(dir, name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(dir), "incomplete-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it has been renamed, unless something failed
	if _, err := f.Write(content); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, name))
}

// fileName returns the name of a file about some columns of a shard, or "" if they
// cannot be identified.
func fileName(kind string, shard data.Shard, columns ...data.Ref) string {
	digests := make([]string, len(columns))
	for i, c := range columns {
		if digests[i] = shard.Digest(c); digests[i] == "" {
			return ""
		}
	}
	if len(digests) == 1 {
		return kind + "-" + strings.ReplaceAll(digests[0], "sha256:", "")
	}
	hash := xxh3.HashString128(strings.Join(digests, " "))
	return fmt.Sprintf("%s-%016x%016x", kind, hash.Hi, hash.Lo)
}
