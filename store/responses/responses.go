// Package responses keeps the answers of language models by the key of the
// request, so that nothing is paid for twice.
//
// An answer that Put has returned for survives the death of the process and a
// power cut; syncing is done in one go for all who wait at the time. What Get
// hands out is what was put in: an answer that was damaged counts as absent
// and is reported. A cache that cannot be opened any more is set aside, what
// can still be read of it is taken over.
//
// It is a Pebble database. One process at a time has it open. A process that
// finds it in use keeps its answers in its own database next to it, which
// the next process that has the first one takes over: two runs at the same
// time may ask the same, but no answer is lost and none waits for the other.
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

// Key is the SHA-256 of what was asked.
type Key [32]byte

// Cache is an open cache. It may be used by several goroutines.
type Cache struct {
	path    string // of the database
	aside   string
	lock    *pebble.Lock
	report  func(error)
	damaged atomic.Bool
	written atomic.Bool           // since it was opened
	broken  atomic.Pointer[error] // no more can be written, and why

	db *pebble.DB

	// Guarded by open.mu:
	users int
}

// Options are what Open needs in addition to the folder.
type Options struct {
	// Aside is the folder that damaged databases are moved to.
	Aside string
	// Report gets the damage that was found; nil: nobody listens.
	Report func(error)
}

// open are the caches that this process has open, by folder: a database can
// be opened but once.
var open = struct {
	mu    sync.Mutex
	byDir map[string]*Cache
}{byDir: map[string]*Cache{}}

// Open opens the cache in dir, which is made if need be. Within a process all
// who open a folder share one cache; each calls Close.
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

// Close ends the use by one who opened it.
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

// close closes the database. What was put is durable already: in the log, where
// it is only in memory beside that.
func (c *Cache) close() (err error) {
	defer func() { err = errors.Join(err, fatal(recover())) }()
	if c.written.Load() && c.broken.Load() == nil {
		c.settle()
	}
	return c.db.Close()
}

// settleTime is how long closing waits for what is written then.
const settleTime = 5 * time.Second

// settle writes what is in memory into a table. Damage to a table is found when
// it is read, and costs the answers of a block; damage near the end of a log
// looks like a log that was cut off by a crash, and costs all that is behind it
// without a word. The next one to open the cache would have to do it, too. Where
// it can't be done the log will do.
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

// Get returns what was put under the key; ok is false where there is nothing
// that can be read.
func (c *Cache) Get(key Key) (answer []byte, ok bool) {
	value, closer, err := c.db.Get(key[:])
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false
	}
	if err != nil {
		c.damage(fmt.Errorf("read a cached answer: %w", err))
		return nil, false
	}
	defer closer.Close()
	e, err := decode(key, value)
	if err != nil {
		c.damage(err)
		return nil, false
	}
	return e.answer, true
}

// Put keeps an answer, in place of any former one, and returns when it is
// durable.
func (c *Cache) Put(key Key, answer []byte) error {
	return c.write(func() error {
		return c.db.Set(key[:], encode(key, time.Now(), answer), pebble.Sync)
	})
}

// Delete forgets the answer under the key.
func (c *Cache) Delete(key Key) error {
	return c.write(func() error { return c.db.Delete(key[:], pebble.Sync) })
}

// write does what changes the database, and nothing more after that has failed
// once: what a database that could not be written holds is known again when it
// is opened the next time.
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

// damage notes damage, and tells of the first: where a block cannot be read, many
// answers can't.
func (c *Cache) damage(err error) {
	if !c.damaged.Swap(true) {
		c.report(fmt.Errorf("cached answers in %s are damaged and are requested again when needed: %w", c.path, err))
	}
}

// fatalError is what the database panics with where it would end the process.
type fatalError struct{ error }

// fatal makes an error of such a panic, and goes on with any other.
func fatal(recovered any) error {
	switch e := recovered.(type) {
	case nil:
		return nil
	case fatalError:
		return e.error
	}
	panic(recovered)
}

// quiet is a logger that says nothing: the database logs what it does all the
// time.
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

// Sizes are chosen for some thousand answers a second of a few kilobytes, in
// little memory.
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
		// By itself the database ends the process when it meets damage; whoever
		// reads gets it as an error, too.
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// formatVersion is the database's own format. It is raised by hand, when
// readers of the former one need not be served any more.
const formatVersion = pebble.FormatWALSyncChunks
