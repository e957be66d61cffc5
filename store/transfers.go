package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/quern-dev/quern/store/disk"
)

// TransferFolder is the name of the folder in which sources keep what they
// transferred from elsewhere, such as downloads. Everything in it can be
// transferred again.
const TransferFolder = "transfers"

// transferLock is the file that a source locks while it writes to a folder.
const transferLock = "lock"

// SweepTransfers removes what sources have transferred and not used since a time, and
// returns the number of downloads and their size in bytes. With dryRun, it only counts
// them.
func (s *Store) SweepTransfers(since time.Time, dryRun bool) (transfers int, bytes int64, err error) {
	paths, err := filepath.Glob(filepath.Join(s.Dir, TransferFolder, "*", "*"))
	if err != nil {
		return 0, 0, err
	}
	for _, path := range paths {
		removed, size, err := sweepTransfer(path, since, dryRun)
		if err != nil {
			return transfers, bytes, fmt.Errorf("remove a download: %w", disk.Explain(err))
		}
		if removed {
			transfers++
			bytes += size
		}
	}
	return transfers, bytes, nil
}

// sweepTransfer removes a folder, which sources lock, or a single file.
func sweepTransfer(path string, since time.Time, dryRun bool) (removed bool, size int64, err error) {
	newest, size, err := lastWritten(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && newest.After(since) {
		return false, 0, nil
	}
	if err != nil || dryRun {
		return err == nil, size, err
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		unlock, err := disk.TryLock(filepath.Join(path, transferLock))
		if err != nil || unlock == nil {
			return false, 0, nil // in use
		}
		defer unlock()
	}
	return true, size, os.RemoveAll(path)
}
