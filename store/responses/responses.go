// Package responses caches the answers of language models by the key of the
// request, so that nothing is paid for twice.
//
// Once Put has returned, its answer survives the death of the process and a
// power failure. Concurrent callers share one sync. Get returns exactly what
// was put: a damaged answer is reported and counts as absent. A cache that can
// no longer be opened is set aside, and what can still be read is recovered.
//
// The cache is a Pebble database that one process at a time can open. A process
// that finds it in use keeps its answers in a database of its own next to it.
// The next process that opens the first database merges them: two runs at the
// same time may send the same request, but no answer is lost, and neither waits
// for the other.
package responses

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/quern-dev/quern/store/disk"
)

// Key is the SHA-256 of a request.
type Key [32]byte

// Cache is an open cache. It is safe for concurrent use.
type Cache struct {
	path    string // of the database
	aside   string
	lock    *pebble.Lock
	report  func(error)
	damaged atomic.Bool
	written atomic.Bool           // since it was opened
	broken  atomic.Pointer[error] // set to the reason if nothing more can be written

	db *pebble.DB

	// Guarded by open.mu:
	users int
}

// Options configure Open.
type Options struct {
	// Aside is the folder that damaged databases are moved to.
	Aside string
	// Report receives the damage that was found. It may be nil.
	Report func(error)
}

// open contains the caches that this process has open, by folder, because a
// database can be opened only once.
var open = struct {
	mu    sync.Mutex
	byDir map[string]*Cache
}{byDir: map[string]*Cache{}}

// Open opens the cache in dir and creates it if necessary. Within a process,
// all callers that open a folder share one cache; each calls Close.
func Open(dir string, opts Options) (*Cache, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if opts.Report == nil {
		opts.Report = func(error) {}
	}
	open.mu.Lock()
	defer open.mu.Unlock()
	if c := open.byDir[dir]; c != nil {
		c.users++
		return c, nil
	}
	c, err := openFree(dir, opts)
	if err != nil {
		return nil, fmt.Errorf("open the cached answers in %s: %w", dir, disk.Explain(err))
	}
	c.users = 1
	open.byDir[dir] = c
	return c, nil
}

// Close ends the use by one caller of Open.
func (c *Cache) Close() error {
	open.mu.Lock()
	defer open.mu.Unlock()
	if c.users--; c.users > 0 {
		return nil
	}
	for dir, other := range open.byDir {
		if other == c {
			delete(open.byDir, dir)
		}
	}
	err := c.close()
	if c.damaged.Load() {
		err = errors.Join(err, rescue(c.path, c.aside, c.lock))
	}
	return errors.Join(err, c.lock.Close())
}

// close closes the database. Everything that was put is already durable: what
// is not in a table is in the log.
func (c *Cache) close() (err error) {
	defer func() { err = errors.Join(err, fatal(recover())) }()
	if c.written.Load() && c.broken.Load() == nil {
		c.settle()
	}
	return c.db.Close()
}

// settleTime is how long closing waits for settle.
const settleTime = 5 * time.Second

// settle writes the data in memory to a table. Damage to a table is detected
// when it is read, and costs the answers in a block. Damage near the end of a
// log looks like a log that was cut off by a crash, and silently costs
// everything after it. Otherwise, the next process to open the cache would have
// to do this. If it is not possible, the log is sufficient.
func (c *Cache) settle() {
	done, err := c.db.AsyncFlush()
	if err != nil {
		return
	}
	t := time.NewTimer(settleTime)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// Get returns the value under the key. ok is false if there is none that can be
// read.
func (c *Cache) Get(key Key) (answer []byte, ok bool) {
	answer, _, ok = c.GetStored(key)
	return answer, ok
}

// GetStored is like Get, and also returns when the value was put, in seconds.
func (c *Cache) GetStored(key Key) (answer []byte, put time.Time, ok bool) {
	value, closer, err := c.db.Get(key[:])
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, put, false
	}
	if err != nil {
		c.damage(fmt.Errorf("read a cached answer: %w", err))
		return nil, put, false
	}
	defer closer.Close()
	e, err := decode(key, value)
	if err != nil {
		c.damage(err)
		return nil, put, false
	}
	return e.answer, e.put, true
}

// Put stores an answer, replacing any earlier one, and returns when it is
// durable.
func (c *Cache) Put(key Key, answer []byte) error {
	return c.write(func() error {
		return c.db.Set(key[:], encode(key, time.Now(), answer), pebble.Sync)
	})
}

// Delete removes the answer under the key.
func (c *Cache) Delete(key Key) error {
	return c.write(func() error { return c.db.Delete(key[:], pebble.Sync) })
}

// write runs a function that changes the database, unless an earlier one has
// failed: the content of a database after a failed write is known only when it
// is opened again.
func (c *Cache) write(f func() error) (err error) {
	if cause := c.broken.Load(); cause != nil {
		return *cause
	}
	defer func() {
		if err = errors.Join(err, fatal(recover())); err != nil {
			err = disk.Explain(fmt.Errorf("cache an answer: %w", err))
			c.broken.CompareAndSwap(nil, &err)
		}
	}()
	c.written.Store(true)
	return f()
}

// damage records damage and reports the first occurrence, because a block that
// cannot be read affects many answers.
func (c *Cache) damage(err error) {
	if !c.damaged.Swap(true) {
		c.report(fmt.Errorf("cached answers in %s are damaged and are requested again when needed: %w", c.path, err))
	}
}

// fatalError is the database's panic in situations where it would end the
// process.
type fatalError struct{ error }

// fatal converts such a panic to an error. It re-panics for any other.
func fatal(recovered any) error {
	switch e := recovered.(type) {
	case nil:
		return nil
	case fatalError:
		return e.error
	}
	panic(recovered)
}

// quiet is a logger that discards everything, because the database logs all its
// work.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	for _, a := range args {
		if err, ok := a.(error); ok {
			panic(fatalError{err})
		}
	}
	panic(fatalError{fmt.Errorf(format, args...)})
}

// The sizes are chosen for a few thousand answers per second of a few kilobytes
// each, in little memory.
const (
	memTableBytes = 8 << 20
	cacheBytes    = 16 << 20
)

func pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		Logger:             quiet{},
		FormatMajorVersion: formatVersion,
		MemTableSize:       memTableBytes,
		CacheSize:          cacheBytes,
		MaxOpenFiles:       256,
		DisableTableStats:  true,
		// By default, the database ends the process when it detects damage. The
		// reader gets an error as well.
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// formatVersion is the database's own format. Raise it by hand when readers of
// the former one no longer need to be supported.
const formatVersion = pebble.FormatWALSyncChunks
