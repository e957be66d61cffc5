package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/quern-dev/quern/store/disk"
)

const longestStagingName = 128

var stagingName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// Staging returns a folder for work in progress, creating it if necessary. It
// remains until it is removed: after a crash, work can continue in the folder
// with the same name. A digest is a good name; its colon is written as a dash.
func (s *Store) Staging(name string) (string, error) {
	name = strings.ReplaceAll(name, ":", "-")
	if len(name) > longestStagingName || !stagingName.MatchString(name) {
		return "", fmt.Errorf("%q is not a valid name of a staging folder", name)
	}
	dir := filepath.Join(s.path("staging"), name)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", disk.Explain(err)
	}
	return dir, nil
}

// Workplace is the name of the staging folder of an action. Two environments may
// run one action at the same time.
func Workplace(actionKey, environment string) string {
	return strings.TrimPrefix(actionKey, "sha256:")[:32] + "-" + environment
}

// SweepStaging removes the folders of work in progress in which nothing has
// been written since a time, except those that are kept, and returns their
// number and size in bytes. With dryRun, it only counts them.
func (s *Store) SweepStaging(since time.Time, keep func(name string) bool, dryRun bool) (folders int, bytes int64, err error) {
	entries, err := os.ReadDir(s.path("staging"))
	if err != nil {
		return 0, 0, err
	}
	for _, e := range entries {
		if keep(e.Name()) {
			continue
		}
		dir := filepath.Join(s.path("staging"), e.Name())
		newest, size, err := lastWritten(dir)
		if err != nil || newest.After(since) {
			continue // in use, or another process has removed it
		}
		if !dryRun {
			if err := os.RemoveAll(dir); err != nil {
				return folders, bytes, fmt.Errorf("remove abandoned work: %w", err)
			}
		}
		folders++
		bytes += size
	}
	return folders, bytes, nil
}

// waitsFile marks a staging folder whose stage waits for something outside: its
// work is not abandoned, however old it is.
const waitsFile = "waits"

// KeepStaging keeps a staging folder until gc finds that no stage needs it. It
// makes the folder's content durable.
func (s *Store) KeepStaging(name string) error {
	dir, err := s.Staging(name)
	if err != nil {
		return err
	}
	if err = os.WriteFile(filepath.Join(dir, waitsFile), nil, 0o600); err == nil {
		err = s.syncTree(dir)
	}
	if err != nil {
		return fmt.Errorf("keep the work of a stage that waits: %w", err)
	}
	return nil
}

func (s *Store) syncTree(dir string) error {
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && (e.IsDir() || e.Type().IsRegular()) {
			s.sync.Defer(path)
		}
		return err
	})
	if err != nil {
		return disk.Explain(err)
	}
	return s.sync.Flush()
}

// Waits reports whether a folder for work in progress belongs to a stage that waits
// for something outside.
func (s *Store) Waits(name string) bool {
	_, err := os.Stat(filepath.Join(s.path("staging"), name, waitsFile))
	return err == nil
}

// lastWritten returns when something in a folder was last written, and the
// total size of its files in bytes.
func lastWritten(dir string) (newest time.Time, bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
		if info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return newest, bytes, err
}
