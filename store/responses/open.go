package responses

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quern-dev/quern/store/disk"
)

// Names in the cache's folder.
const (
	mainName  = "main"
	extraName = "beside-"
	// mostExtra is the number of processes that may have a cache open in
	// addition to the one with the main database.
	mostExtra = 63
)

// How long a process waits for another one that is opening the cache, and may
// be merging what a third one left.
const (
	openWait = time.Minute
	openPoll = 20 * time.Millisecond
)

// openFree opens the first database that no other process has open, and merges
// the ones next to the main one. Processes do this one after the other.
func openFree(dir string, opts Options) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, disk.Explain(err)
	}
	if err := irregular(dir); err != nil {
		return nil, err
	}
	opening, err := awaitLock(filepath.Join(dir, "LOCK"))
	if err != nil {
		return nil, err
	}
	defer opening.Close()
	var taken error
	for n := range mostExtra + 1 {
		name := mainName
		if n > 0 {
			name = fmt.Sprint(extraName, n)
		}
		c, err := openDatabase(filepath.Join(dir, name), opts)
		if isTaken(err) {
			taken = err
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			c.takeOver(dir, opts)
		}
		return c, nil
	}
	return nil, fmt.Errorf("%d processes have it open: %w", mostExtra+1, taken)
}

func awaitLock(path string) (io.Closer, error) {
	for until := time.Now().Add(openWait); ; time.Sleep(openPoll) {
		lock, err := vfs.Default.Lock(path)
		switch {
		case err == nil:
			return lock, nil
		case !isHeld(path, err):
			return nil, disk.Explain(fmt.Errorf("lock %s: %w", path, err))
		case time.Now().After(until):
			return nil, fmt.Errorf("another process has been opening the cached answers for %s: lock %s: %w", openWait, path, err)
		}
	}
}

// isHeld reports whether a lock failed because another process has it. In this
// case, the system may return EACCES, as it does for a file that may not be
// opened.
func isHeld(path string, err error) bool {
	if errors.Is(err, syscall.EAGAIN) {
		return true
	}
	if !errors.Is(err, syscall.EACCES) {
		return false
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

// irregular is the error for something that is neither a file nor a folder:
// reading a named pipe would block forever.
func irregular(dir string) error {
	return filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // removed by another process
		}
		lock := err == nil && e.IsDir() && e.Name() == "LOCK"
		if err == nil && (lock || !e.IsDir() && !e.Type().IsRegular()) {
			err = disk.Irregular(path, e.Type())
		}
		return disk.Explain(err)
	})
}

// takenError is the error for a database that another process has open.
type takenError struct{ error }

func isTaken(err error) bool {
	var taken *takenError
	return errors.As(err, &taken)
}

// openDatabase opens a database. If it is too damaged to be opened, it is set
// aside and started again.
func openDatabase(path string, opts Options) (*Cache, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, disk.Explain(err)
	}
	lock, err := pebble.LockDirectory(path, vfs.Default)
	if err != nil {
		if outside(err) && !isHeld(filepath.Join(path, "LOCK"), err) {
			return nil, err
		}
		return nil, &takenError{err}
	}
	c := &Cache{path: path, aside: opts.Aside, report: opts.Report, lock: lock}
	c.db, err = openPebble(path, lock)
	if err != nil && !outside(err) {
		opts.Report(fmt.Errorf("the cached answers in %s are damaged (%w); quern recovers those that can be read, and requests the rest again", path, err))
		if err = rescue(path, opts.Aside, lock); err == nil {
			c.db, err = openPebble(path, lock)
		}
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return c, nil
}

// outside reports whether an error is not about the content of files.
func outside(err error) bool {
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func openPebble(path string, lock *pebble.Lock) (db *pebble.DB, err error) {
	defer func() { err = errors.Join(err, fatal(recover())) }()
	o := pebbleOptions()
	o.Lock = lock
	return pebble.Open(path, o)
}

// Complete reports whether the cache has all answers. Otherwise, another process
// has the others open.
func (c *Cache) Complete() bool { return filepath.Base(c.path) == mainName }

// takeOver moves exported answers, and those in the databases next to the main one,
// into it. What cannot be moved now is left for the next time.
func (c *Cache) takeOver(dir string, opts Options) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		opts.Report(fmt.Errorf("look for more cached answers: %w", err))
		return
	}
	if err := c.takeExported(dir); err != nil {
		opts.Report(fmt.Errorf("read the exported answers in %s: %w", dir, err))
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), extraName) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if err := c.takeOverOne(path, opts); err != nil && !isTaken(err) {
			opts.Report(fmt.Errorf("recover the cached answers in %s: %w", path, err))
		}
	}
}

func (c *Cache) takeOverOne(path string, opts Options) error {
	other, err := openDatabase(path, opts)
	if err != nil {
		return err
	}
	defer func() { _ = other.lock.Close() }()
	err = c.copyFrom(other)
	if err = errors.Join(err, other.close()); err != nil {
		return err
	}
	if other.damaged.Load() {
		if err := c.salvage(path); err != nil {
			return err
		}
	}
	return os.RemoveAll(path)
}

// copyFrom durably copies everything that can be read from another cache into
// c.
func (c *Cache) copyFrom(other *Cache) error {
	return c.batched(func(b *batch) error {
		return other.each(func(key Key, value []byte, _ *entry) error { return b.set(key, value) })
	})
}

// rescue moves a damaged database away, and copies what can still be read to a
// new one in its place. The caller has its lock.
func rescue(path, aside string, lock *pebble.Lock) error {
	if err := os.MkdirAll(aside, 0o777); err != nil {
		return err
	}
	name := fmt.Sprintf("%s-responses-%s", time.Now().UTC().Format("20060102T150405.000000000"), filepath.Base(path))
	to := filepath.Join(aside, name)
	if err := os.MkdirAll(to, 0o777); err != nil {
		return err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "LOCK" { // it is locked, and empty
			continue
		}
		if err := os.Rename(filepath.Join(path, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	fresh, err := openPebble(path, lock)
	if err != nil {
		return err
	}
	into := &Cache{db: fresh}
	return errors.Join(into.salvage(to), into.close())
}
