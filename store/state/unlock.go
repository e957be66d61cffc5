package state

import (
	"context"
	"fmt"
	"time"

	"github.com/quern-dev/quern/store/backend"
)

// watch is how long ForceUnlock waits for a heartbeat of a process that it cannot
// see. It compares clocks only if the last heartbeat was long ago, because those of
// two machines can differ.
var watch = 3 * heartbeat

const longAgo = 24 * time.Hour

// Alive is the error for a lease whose holder still runs.
type Alive struct {
	Holder Holder
	// Evidence says how that is known.
	Evidence string
}

func (e *Alive) Error() string {
	return fmt.Sprintf("its holder is alive: %s. End it, or wait for it: %s", e.Evidence, e.Holder)
}

// ForceUnlock ends the lease with this ID on an environment or on all of them, if
// its holder is gone: its process ended on this machine, or it does not renew the
// lease. Otherwise, the error is *Alive. onWatch, which may be nil, is called
// before ForceUnlock waits for a heartbeat. proof says how it is known that the
// holder is gone.
func (s *Store) ForceUnlock(ctx context.Context, env, id string, onWatch func(Holder)) (h Holder, proof string, err error) {
	env, record, version, err := s.leased(ctx, env, id)
	if err != nil {
		return Holder{}, "", err
	}
	if proof, err = s.gone(ctx, env, record, onWatch); err != nil {
		return Holder{}, "", err
	}
	err = s.backend.Delete(ctx, object(env, leaseFile), version)
	if locker, ok := s.backend.(backend.Locker); ok && err == nil {
		err = locker.Unlock(object(env, leaseLock))
	}
	if err != nil {
		return Holder{}, "", fmt.Errorf("unlock %s: %w", named(env), err)
	}
	return record.Holder, proof, nil
}

// leased returns the record of a lease with an ID, and the environment it is on.
func (s *Store) leased(ctx context.Context, env, id string) (string, *leaseDoc, backend.Version, error) {
	if err := CheckName(env); err != nil {
		return "", nil, "", err
	}
	record, version, err := s.readLease(ctx, env)
	if err != nil {
		return "", nil, "", err
	}
	if record != nil && record.ID == id {
		return env, record, version, nil
	}
	if all, version, err := s.readLease(ctx, AllEnvironments); err == nil && all != nil && all.ID == id {
		return AllEnvironments, all, version, nil
	}
	if record == nil {
		return "", nil, "", fmt.Errorf("environment %q is not locked", env)
	}
	return "", nil, "", fmt.Errorf("environment %q is locked under ID %s, not %s", env, record.ID, id)
}

// gone returns the proof that the holder of a lease is gone.
func (s *Store) gone(ctx context.Context, env string, record *leaseDoc, onWatch func(Holder)) (proof string, err error) {
	owner := record.Process
	if owner.Gone() {
		return fmt.Sprintf("process %d has ended on this machine", owner.PID), nil
	}
	if owner.Visible() {
		return "", &Alive{record.Holder, fmt.Sprintf("process %d runs on this machine", owner.PID)}
	}
	if since := time.Since(record.Renewed); since > longAgo {
		return fmt.Sprintf("it renewed the lease for the last time on %s", record.Renewed.Local().Format("January 2, 2006 at 15:04")), nil
	}
	if onWatch != nil {
		onWatch(record.Holder)
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(watch):
	}
	now, _, err := s.readLease(ctx, env)
	switch {
	case err != nil:
		return "", err
	case now == nil || now.ID != record.ID:
		return "", fmt.Errorf("the lease has just been released")
	case !now.Renewed.Equal(record.Renewed):
		return "", &Alive{now.Holder, "it has just renewed the lease"}
	}
	return fmt.Sprintf("it did not renew the lease for %s, which a process does every %s", watch, heartbeat), nil
}
