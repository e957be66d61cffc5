package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/quern-dev/quern/store/disk"
)

// venvLock and venvUsed are files of a virtual environment: processes that use it
// share the lock of the first, and set the time of the second.
const venvLock, venvUsed = "quern.lock", "quern.used"

// Venvs returns the folder of the virtual environments of plugins in Python.
func (s *Store) Venvs() string { return filepath.Join(s.Dir, VenvFolder) }

// VenvFolder is the name of the folder that Venvs returns.
const VenvFolder = "venvs"

// SweepVenvs removes the virtual environments that are not in keep, that nothing
// has used since a time, and that no process uses, and returns their number and
// size in bytes. With dryRun, it only counts them.
func (s *Store) SweepVenvs(keep map[string]bool, since time.Time, dryRun bool) (venvs int, bytes int64, err error) {
	entries, err := os.ReadDir(s.Venvs())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	for _, e := range entries {
		if keep[e.Name()] || !e.IsDir() {
			continue
		}
		size, err := sweepVenv(filepath.Join(s.Venvs(), e.Name()), since, dryRun)
		if err != nil {
			return venvs, bytes, fmt.Errorf("remove a virtual environment: %w", disk.Explain(err))
		}
		if size > 0 {
			venvs++
			bytes += size
		}
	}
	return venvs, bytes, nil
}

// sweepVenv returns the size of what it removed, or 0.
func sweepVenv(dir string, since time.Time, dryRun bool) (int64, error) {
	unlock, err := disk.TryLock(filepath.Join(dir, venvLock))
	if err != nil || unlock == nil {
		return 0, nil // in use, or another process has removed it
	}
	defer unlock()
	if lastUse(dir).After(since) {
		return 0, nil
	}
	_, size, err := lastWritten(dir)
	if err != nil || dryRun {
		return size, err
	}
	// A process that starts now finds none, rather than a part.
	gone := dir
	if base := filepath.Base(dir); !strings.HasPrefix(base, disk.TempPrefix) {
		gone = filepath.Join(filepath.Dir(dir), disk.TempPrefix+base)
		if err := os.Rename(dir, gone); err != nil {
			return 0, err
		}
	}
	return size, os.RemoveAll(gone)
}

// lastUse returns when a virtual environment was last used, or was created.
func lastUse(dir string) time.Time {
	info, err := os.Stat(filepath.Join(dir, venvUsed))
	if err != nil {
		info, err = os.Stat(dir)
	}
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
