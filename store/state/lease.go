package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/quern-dev/quern/store/disk"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/process"
)

// LeaseFormat is the version of a lease.
const LeaseFormat = "quern.lease/v1"

const (
	leaseTerm = 60 * time.Second // a lease ends when it was not renewed for so long
	heartbeat = 10 * time.Second // how often it is renewed
	retry     = 100 * time.Millisecond
)

// Owner says who wants a lease; for people. An empty Host or PID is filled in.
type Owner struct {
	User    string `json:"user"`
	Host    string `json:"host"`
	PID     int    `json:"pid"`
	Command string `json:"command"`
	// OutOfMemoryKills is how many processes the kernel had ended until now because
	// memory ran out.
	OutOfMemoryKills int64 `json:"out_of_memory_kills,omitempty"`
}

// Holder is who has, or had, a lease.
type Holder struct {
	Owner
	ID       string    `json:"id"`
	Acquired time.Time `json:"acquired"`
	Renewed  time.Time `json:"renewed"`
	Expires  time.Time `json:"expires"`
}

func (h Holder) String() string {
	return fmt.Sprintf("%s@%s (process %d, %s, since %s)", h.User, h.Host, h.PID, h.Command, h.Acquired.Local().Format("2006-01-02 15:04:05"))
}

// Locked says that somebody else has the lease.
type Locked struct {
	Environment string
	Holder      Holder
}

func (e *Locked) Error() string {
	return fmt.Sprintf("environment %q is being changed by %s; wait for it with -lock-timeout or, if you are sure that the process is gone, end its lease with \"quern state unlock %s\"", e.Environment, e.Holder, e.Holder.ID)
}

// leaseDoc is the lease as it is stored on disk.
type leaseDoc struct {
	Format string `json:"format"`
	Holder
	Process process.Identity `json:"process"`
}

// Lease is the right to change an environment. It is renewed until it is
// released.
type Lease struct {
	// TookOver is the former holder, whose process is gone or who let the
	// lease end without releasing it; nil: nobody.
	TookOver *Holder

	dir     string
	doc     leaseDoc
	lock    *os.File
	stop    chan struct{}
	stopped chan struct{}
	lost    chan struct{}
	once    sync.Once
	err     error
}

// Holder is who has this lease.
func (l *Lease) Holder() Holder { return l.doc.Holder }

// Lock takes the lease on an environment. While somebody else has it, it
// waits up to wait and then fails with *Locked; onWait, which may be nil, is
// called once with its holder.
//
// Two things keep a second holder out: a lock of the operating system, which
// ends with the process however that ends, and the lease's record, which holds
// where such locks do not reach, until it expires. A record whose process is
// surely gone holds nobody out.
func (s *Store) Lock(ctx context.Context, env string, owner Owner, wait time.Duration, onWait func(Holder)) (*Lease, error) {
	dir, err := s.dir(env)
	if err != nil {
		return nil, err
	}
	if err := s.sync.MakeDir(dir); err != nil {
		return nil, err
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	ticker := time.NewTicker(retry)
	defer ticker.Stop()
	told := false
	for {
		lease, holder, err := tryLock(dir, owner)
		if err != nil {
			return nil, fmt.Errorf("lock environment %q: %w", env, err)
		}
		if lease != nil {
			go lease.renew()
			return lease, nil
		}
		if wait <= 0 {
			return nil, &Locked{Environment: env, Holder: holder}
		}
		if !told && onWait != nil {
			onWait(holder)
		}
		told = true
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-deadline.C:
			return nil, &Locked{Environment: env, Holder: holder}
		case <-ticker.C:
		}
	}
}

// tryLock returns a lease, or who has it.
func tryLock(dir string, owner Owner) (*Lease, Holder, error) {
	lock, err := tryLockFile(filepath.Join(dir, leaseLock))
	if err != nil {
		return nil, Holder{}, err
	}
	record, err := readLease(dir)
	if err != nil {
		unlockFile(lock)
		return nil, Holder{}, err
	}
	if lock == nil {
		return nil, holderOf(record), nil
	}
	if record != nil && time.Now().Before(record.Expires) && !record.Process.Gone() {
		unlockFile(lock)
		return nil, record.Holder, nil
	}
	l := &Lease{dir: dir, lock: lock, stop: make(chan struct{}), stopped: make(chan struct{}), lost: make(chan struct{})}
	if record != nil {
		l.TookOver = &record.Holder
	}
	if err := l.begin(owner); err != nil {
		unlockFile(lock)
		return nil, Holder{}, err
	}
	return l, Holder{}, nil
}

// holderOf returns who holds the lock; between locking and writing its record
// nobody knows yet.
func holderOf(record *leaseDoc) Holder {
	if record == nil {
		return Holder{Owner: Owner{User: "somebody", Host: "this host", Command: "just started"}, Acquired: time.Now()}
	}
	return record.Holder
}

func (l *Lease) begin(owner Owner) error {
	id, err := randomHex(8)
	if err != nil {
		return err
	}
	self := process.Self()
	if owner.Host == "" {
		owner.Host = self.Host
	}
	if owner.PID == 0 {
		owner.PID = self.PID
	}
	now := time.Now().UTC()
	l.doc = leaseDoc{Format: LeaseFormat, Process: self, Holder: Holder{Owner: owner, ID: id, Acquired: now}}
	return l.write(now)
}

func (l *Lease) write(now time.Time) error {
	doc := l.doc
	doc.Renewed, doc.Expires = now, now.Add(leaseTerm)
	text, err := document.Encode(doc)
	if err != nil {
		return err
	}
	if err := disk.Replace(filepath.Join(l.dir, leaseFile), text, 0o600); err != nil {
		return err
	}
	l.doc = doc
	return nil
}

// readLease reads the record; nil: there is none. A damaged record tells
// nothing, and the lock next to it decides alone.
func readLease(dir string) (*leaseDoc, error) {
	doc := &leaseDoc{}
	err := document.Read(filepath.Join(dir, leaseFile), LeaseFormat, doc)
	var damaged *document.Damaged
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, &damaged) {
		return nil, nil
	}
	return doc, err
}

// renew keeps the lease alive. It is lost when the record is somebody else's,
// or could not be renewed before it expired.
func (l *Lease) renew() {
	defer close(l.stopped)
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case now := <-ticker.C:
			if !l.beat(now.UTC()) {
				close(l.lost)
				return
			}
		}
	}
}

func (l *Lease) beat(now time.Time) bool {
	record, err := readLease(l.dir)
	if err == nil && (record == nil || record.ID != l.doc.ID) {
		return false
	}
	if err == nil {
		err = l.write(now)
	}
	return err == nil || now.Before(l.doc.Expires)
}

// Lost is closed when somebody took the lease away: what is going on must
// stop. A nil lease is never lost.
func (l *Lease) Lost() <-chan struct{} {
	if l == nil {
		return nil
	}
	return l.lost
}

// Release gives the lease back. It may be called more than once, and of a nil
// lease.
func (l *Lease) Release() error {
	if l == nil {
		return nil
	}
	l.once.Do(func() {
		close(l.stop)
		<-l.stopped
		record, err := readLease(l.dir)
		if err == nil && record != nil && record.ID == l.doc.ID {
			err = os.Remove(filepath.Join(l.dir, leaseFile))
		}
		unlockFile(l.lock)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.err = fmt.Errorf("release the lock: %w", err)
		}
	})
	return l.err
}

// Holder returns who has the lease on an environment; nil: nobody.
func (s *Store) Holder(env string) (*Holder, error) {
	dir, err := s.dir(env)
	if err != nil {
		return nil, err
	}
	record, err := readLease(dir)
	if err != nil || record == nil || record.Process.Gone() {
		return nil, err
	}
	return &record.Holder, nil
}

// ForceUnlock ends the lease with this ID, whoever has it. A process that
// still uses it loses it at its next heartbeat; until then both could write,
// and the state's serial decides who wins.
func (s *Store) ForceUnlock(env, id string) (Holder, error) {
	dir, err := s.dir(env)
	if err != nil {
		return Holder{}, err
	}
	record, err := readLease(dir)
	if err != nil {
		return Holder{}, err
	}
	if record == nil {
		return Holder{}, fmt.Errorf("environment %q is not locked", env)
	}
	if record.ID != id {
		return Holder{}, fmt.Errorf("environment %q is locked under ID %s, not %s", env, record.ID, id)
	}
	// The system's lock is on the file, not on its name: with the names gone,
	// the next one locks another file.
	for _, name := range []string{leaseFile, leaseLock} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Holder{}, fmt.Errorf("unlock environment %q: %w", env, err)
		}
	}
	return record.Holder, nil
}
