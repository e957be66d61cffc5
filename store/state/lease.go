package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/process"
)

// LeaseFormat is the version of a lease.
const LeaseFormat = "quern.lease/v1"

const (
	leaseTerm = 60 * time.Second // a lease expires if it was not renewed for this long
	heartbeat = 10 * time.Second // how often it is renewed
	retry     = 100 * time.Millisecond
)

// Owner identifies to people who wants a lease. An empty Host or PID is filled
// in.
type Owner struct {
	User    string `json:"user"`
	Host    string `json:"host"`
	PID     int    `json:"pid"`
	Command string `json:"command"`
	// OutOfMemoryKills is how many processes the kernel has killed so far
	// because memory ran out.
	OutOfMemoryKills int64 `json:"out_of_memory_kills,omitempty"`
}

// Holder is the present or former holder of a lease. Without an ID, it is not known
// yet: the holder has locked the environment, but has not written its record.
type Holder struct {
	Owner
	ID       string    `json:"id"`
	Acquired time.Time `json:"acquired"`
	Renewed  time.Time `json:"renewed"`
	Expires  time.Time `json:"expires"`
}

func (h Holder) String() string {
	if h.ID == "" {
		return "a command that has just started"
	}
	return fmt.Sprintf("%s@%s (process %d, %s, since %s)", h.User, h.Host, h.PID, h.Command, h.Acquired.Local().Format("2006-01-02 15:04:05"))
}

// Locked is the error for a lease that somebody else has.
type Locked struct {
	Environment string // or AllEnvironments
	Holder      Holder
}

func (e *Locked) Error() string {
	changed, unlock := named(e.Environment)+" is", "-env="+e.Environment+" "
	if e.Environment == AllEnvironments {
		changed, unlock = "the store is", ""
	}
	if e.Holder.ID == "" {
		return fmt.Sprintf("%s being changed by %s; wait for it with -lock-timeout", changed, e.Holder)
	}
	return fmt.Sprintf("%s being changed by %s; wait for it with -lock-timeout or, if you are sure that the process is gone, end its lease with \"quern state unlock %s%s\"", changed, e.Holder, unlock, e.Holder.ID)
}

// leaseDoc is the stored form of a lease.
type leaseDoc struct {
	Format string `json:"format"`
	Holder
	Process process.Identity `json:"process"`
}

// holds reports whether a record keeps others out.
func (d *leaseDoc) holds() bool {
	return d != nil && time.Now().Before(d.Expires) && !d.Process.Gone()
}

// Lease is the right to change an environment. It is renewed until it is
// released.
type Lease struct {
	// TookOver is the previous holder if its process is gone or it let the
	// lease expire without releasing it, and nil otherwise.
	TookOver *Holder

	store   *Store
	env     string
	doc     leaseDoc
	unlock  func() // the system's lock
	stop    chan struct{}
	stopped chan struct{}
	lost    chan struct{}
	once    sync.Once
	err     error
	// others are the leases on single environments that a lease on all of them
	// includes.
	others []*Lease
}

// AllEnvironments, in place of an environment, means a lease on all
// environments, including those that do not exist yet. While it is held, nobody
// else may use anything in the store, except for the commands that LockBeside
// returns.
const AllEnvironments = "*"

// named names an environment, or all of them, in messages.
func named(env string) string {
	if env == AllEnvironments {
		return "all environments"
	}
	return fmt.Sprintf("environment %q", env)
}

// Holder returns the holder of this lease.
func (l *Lease) Holder() Holder { return l.doc.Holder }

// Lock takes the lease on an environment. While somebody else has it, Lock
// waits for at most wait and then fails with *Locked. onWait, which may be nil,
// is called once with the holder.
//
// Two things keep a second holder out: a lock of the operating system, which
// ends with the process however that ends, and the lease's record, which works
// where such locks do not, until it expires. A record of a process that is
// known to be gone keeps nobody out.
func (s *Store) Lock(ctx context.Context, env string, owner Owner, wait time.Duration, onWait func(Holder)) (*Lease, error) {
	if env == AllEnvironments {
		lease, _, err := s.LockBeside(ctx, owner, wait, onWait, func(Holder) bool { return false })
		return lease, err
	}
	if err := CheckName(env); err != nil {
		return nil, err
	}
	return lock(ctx, env, wait, onWait, func() (*Lease, Holder, error) { return s.tryOne(ctx, env, owner) })
}

// LockBeside takes the lease on all environments, and then those on the existing
// environments, except for those whose holder may go on according to beside. It
// returns these holders by environment. Whoever takes one of the leases checks for
// the lease on all of them afterward, so that of two who do this at the same time,
// at least one sees the other. Therefore, nobody gets a lease after that.
func (s *Store) LockBeside(ctx context.Context, owner Owner, wait time.Duration, onWait func(Holder), beside func(Holder) bool) (*Lease, map[string]Holder, error) {
	others := map[string]Holder{}
	take := func(env string) (*Lease, error) {
		return lock(ctx, env, wait, onWait, func() (*Lease, Holder, error) {
			one, holder, err := s.tryLock(ctx, env, owner)
			if one == nil && err == nil && env != AllEnvironments && beside(holder) {
				others[env] = holder
				return &Lease{}, Holder{}, nil
			}
			return one, holder, err
		})
	}
	all, err := take(AllEnvironments)
	if err != nil {
		return nil, nil, err
	}
	environments, err := s.used()
	for _, env := range environments {
		var one *Lease
		if one, err = take(env); err != nil {
			break
		}
		if one.store != nil {
			all.others = append(all.others, one)
		}
	}
	if err != nil {
		all.Release()
		return nil, nil, err
	}
	return all, others, nil
}

// used returns the environments that have a state or a lease.
func (s *Store) used() ([]string, error) {
	environments, err := s.having(stateFile)
	if err != nil {
		return nil, err
	}
	leased, err := s.having(leaseFile)
	environments = append(environments, leased...)
	slices.Sort(environments)
	return slices.Compact(environments), err
}

// tryOne is tryLock for an environment, if nobody has the lease on all of them.
func (s *Store) tryOne(ctx context.Context, env string, owner Owner) (*Lease, Holder, error) {
	lease, holder, err := s.tryLock(ctx, env, owner)
	if lease == nil || err != nil {
		return nil, holder, err
	}
	all, _, err := s.readLease(ctx, AllEnvironments)
	if err != nil || all.holds() {
		lease.Release()
		return nil, holderOf(all), err
	}
	return lease, Holder{}, nil
}

// lock tries until it has a lease or has waited long enough.
func lock(ctx context.Context, env string, wait time.Duration, onWait func(Holder), try func() (*Lease, Holder, error)) (*Lease, error) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	ticker := time.NewTicker(retry)
	defer ticker.Stop()
	told := false
	for {
		lease, holder, err := try()
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", named(env), err)
		}
		if lease != nil {
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

// tryLock returns a lease, or its holder.
func (s *Store) tryLock(ctx context.Context, env string, owner Owner) (*Lease, Holder, error) {
	unlock, err := s.systemLock(env)
	if err != nil {
		return nil, Holder{}, err
	}
	lease, holder, err := s.tryRecord(ctx, env, owner, unlock)
	if lease == nil && unlock != nil {
		unlock()
	}
	return lease, holder, err
}

// systemLock takes the lock of the operating system, if the backend supports
// such locks. It returns nil if somebody else has it.
func (s *Store) systemLock(env string) (unlock func(), err error) {
	if locker, ok := s.backend.(backend.Locker); ok {
		return locker.TryLock(object(env, leaseLock))
	}
	return func() {}, nil
}

func (s *Store) tryRecord(ctx context.Context, env string, owner Owner, unlock func()) (*Lease, Holder, error) {
	record, version, err := s.readLease(ctx, env)
	if err != nil {
		return nil, Holder{}, err
	}
	if unlock == nil {
		return nil, holderOf(record), nil
	}
	if record.holds() {
		return nil, record.Holder, nil
	}
	l := &Lease{store: s, env: env, unlock: unlock, stop: make(chan struct{}), stopped: make(chan struct{}), lost: make(chan struct{})}
	if record != nil {
		l.TookOver = &record.Holder
	}
	err = l.begin(ctx, owner, version)
	if err == nil {
		go l.renew()
		return l, Holder{}, nil
	}
	now, _, readErr := s.readLease(ctx, env)
	if readErr == nil && now != nil && now.ID == l.doc.ID {
		l.doc = *now // only the answer was lost
		go l.renew()
		return l, Holder{}, nil
	}
	var faster *backend.Conflict
	if errors.As(err, &faster) {
		return nil, holderOf(now), readErr
	}
	return nil, Holder{}, err
}

// holderOf returns the holder in a record. Between locking and writing the record, the
// holder is unknown.
func holderOf(record *leaseDoc) Holder {
	if record == nil {
		return Holder{}
	}
	return record.Holder
}

func (l *Lease) begin(ctx context.Context, owner Owner, was backend.Version) error {
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
	return l.write(ctx, now, was)
}

// write replaces the version was of the record. An empty version means that
// there is none.
func (l *Lease) write(ctx context.Context, now time.Time, was backend.Version) error {
	doc := l.doc
	doc.Renewed, doc.Expires = now, now.Add(leaseTerm)
	text, err := document.Encode(doc)
	if err != nil {
		return err
	}
	if _, err := l.store.backend.Swap(ctx, object(l.env, leaseFile), was, backend.Bytes(text)); err != nil {
		return err
	}
	l.doc = doc
	return nil
}

// readLease reads the record, or returns nil if there is none. A damaged record
// is ignored, so that only the lock counts.
func (s *Store) readLease(ctx context.Context, env string) (*leaseDoc, backend.Version, error) {
	at := object(env, leaseFile)
	text, version, err := s.backend.Get(ctx, at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	doc := &leaseDoc{}
	err = document.Decode(s.backend.Place(at), LeaseFormat, text, doc)
	if damaged := (*document.Damaged)(nil); errors.As(err, &damaged) {
		return nil, version, nil
	}
	return doc, version, err
}

// renew keeps the lease alive. The lease is lost if the record belongs to
// somebody else, or could not be renewed before it expired.
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
	ctx, cancel := context.WithTimeout(context.Background(), leaseTerm)
	defer cancel()
	record, version, err := l.store.readLease(ctx, l.env)
	if err == nil && (record == nil || record.ID != l.doc.ID) {
		return false
	}
	if err == nil {
		err = l.write(ctx, now, version)
	}
	return err == nil || now.Before(l.doc.Expires)
}

// Lost is closed when somebody has taken the lease away: work in progress must
// stop. A nil lease is never lost.
func (l *Lease) Lost() <-chan struct{} {
	if l == nil {
		return nil
	}
	return l.lost
}

// Release releases the lease. It may be called more than once, and on a nil
// lease.
func (l *Lease) Release() error {
	if l == nil {
		return nil
	}
	l.once.Do(func() {
		close(l.stop)
		<-l.stopped
		for _, other := range l.others {
			other.Release()
		}
		ctx, cancel := context.WithTimeout(context.Background(), leaseTerm)
		defer cancel()
		record, version, err := l.store.readLease(ctx, l.env)
		if err == nil && record != nil && record.ID == l.doc.ID {
			err = l.store.backend.Delete(ctx, object(l.env, leaseFile), version)
		}
		l.unlock()
		if err != nil {
			l.err = fmt.Errorf("release the lock: %w", err)
		}
	})
	return l.err
}

// Holder returns the holder of the lease on an environment, or nil if there is
// none.
func (s *Store) Holder(env string) (*Holder, error) {
	if err := CheckName(env); err != nil {
		return nil, err
	}
	record, _, err := s.readLease(s.ctx, env)
	if err != nil || record == nil || record.Process.Gone() {
		return nil, err
	}
	return &record.Holder, nil
}
