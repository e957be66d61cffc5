package store

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/quern-dev/quern/store/disk"
)

// useFolder contains a file for each running command that writes to the store,
// named after its lease. Its lines are the keys of what the command relies on.
const useFolder = "inuse"

// Use is a running command's list of what it relies on, so that gc can run beside
// it. It is safe for concurrent use.
//
// Two rules make this safe. A command adds a key to its list before it looks the key
// up, and gc reads the lists before it removes anything; a lock keeps the two apart.
// So a lookup either finds what gc then keeps, or no longer finds what gc has
// removed. And gc keeps everything that was written since the command started, so
// only what the command found needs to be in the list.
type Use struct {
	store *Store
	path  string
	mu    sync.Mutex
	file  *os.File
	known map[string]bool
}

// BeginUse starts the list of the command with a lease. From now on, the store's
// blobs that the command writes again count as new.
func (s *Store) BeginUse(lease string) (*Use, error) {
	if !stagingName.MatchString(lease) {
		return nil, fmt.Errorf("%q is not the ID of a lease", lease)
	}
	dir := s.path(useFolder)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, disk.Explain(err)
	}
	path := filepath.Join(dir, lease)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, disk.Explain(err)
	}
	u := &Use{store: s, path: path, file: file, known: map[string]bool{}}
	s.Blobs.Freshen(time.Now().Add(-useMargin/2), s.shared)
	s.use.Store(u)
	return u, nil
}

// useMargin is how long before the lease of a command began something may have been
// written for it.
const useMargin = 2 * time.Minute

// UsedSince returns the time since which everything that was written is kept for a
// command whose lease began at a time.
func UsedSince(acquired time.Time) time.Time { return acquired.Add(-useMargin) }

// End ends the list. Everything that the command produced must be in a state.
func (u *Use) End() error {
	u.store.use.CompareAndSwap(u, nil)
	return errors.Join(u.file.Close(), os.Remove(u.path))
}

// Hold keeps gc from removing the action entries, and the memo of the definitions,
// with these keys while this process uses the store. Call it before you look
// for them. Without a Use, it does nothing.
func (s *Store) Hold(keys ...string) error {
	u := s.use.Load()
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	var lines strings.Builder
	for _, key := range keys {
		if key != "" && !u.known[key] {
			u.known[key] = true
			lines.WriteString(key + "\n")
		}
	}
	if lines.Len() == 0 {
		return nil
	}
	unlock, err := s.shared()
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := u.file.WriteString(lines.String()); err != nil {
		return disk.Explain(err)
	}
	return nil
}

// InUse returns the keys that the command with a lease relies on. ok is false if it
// does not say, or has ended.
func (s *Store) InUse(lease string) (keys []string, ok bool, err error) {
	f, err := os.Open(filepath.Join(s.path(useFolder), lease))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		keys = append(keys, lines.Text())
	}
	return keys, true, lines.Err()
}

// SweepUses removes the lists of commands that were killed: all except those of
// leases that are kept.
func (s *Store) SweepUses(kept map[string]bool) error {
	entries, err := os.ReadDir(s.path(useFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if err == nil && !kept[e.Name()] && !strings.HasPrefix(e.Name(), ".") {
			err = os.Remove(filepath.Join(s.path(useFolder), e.Name()))
		}
	}
	return err
}

// Two locks keep lookups and removals apart: whoever removes first takes the gate, so
// that a stream of lookups, which share the lock, cannot keep it waiting.
const useGate, useLock = ".gate", ".lock"

// shared keeps SweepLock from being taken.
func (s *Store) shared() (unlock func(), err error) {
	gate, err := disk.LockShared(filepath.Join(s.path(useFolder), useGate))
	if err != nil {
		return nil, err
	}
	defer gate()
	return disk.LockShared(filepath.Join(s.path(useFolder), useLock))
}

// SweepLock waits until no process adds to its list, and keeps all from it.
func (s *Store) SweepLock() (unlock func(), err error) {
	if err := os.MkdirAll(s.path(useFolder), 0o777); err != nil {
		return nil, disk.Explain(err)
	}
	gate, err := disk.Lock(filepath.Join(s.path(useFolder), useGate))
	if err != nil {
		return nil, err
	}
	lock, err := disk.Lock(filepath.Join(s.path(useFolder), useLock))
	if err != nil {
		gate()
		return nil, err
	}
	return func() { lock(); gate() }, nil
}
