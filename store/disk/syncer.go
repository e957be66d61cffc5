// Package disk writes files so that they survive a crash.
//
// A file is written under a temporary name and renamed, so that a reader sees
// all of it or nothing. Making a file durable means waiting for the disk, so
// that is deferred: a Syncer collects the published files and syncs them
// together when somebody needs to know that they are safe. Concurrent callers
// share one wait.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// parallelSyncs is the number of files that are synced at the same time. File
// systems combine such requests into one write to their journal.
const parallelSyncs = 16

// Syncer makes published files durable. It is safe for concurrent use.
type Syncer struct {
	mu      sync.Mutex
	pending map[string]struct{} // files and folders
	round   *round              // the next round, or nil if nobody waits
	busy    bool
	// failed is the first error. After a failed sync, the system may have
	// dropped the data, and a second sync would succeed wrongly. Nothing that
	// this process reports as durable after that can be trusted.
	failed error
}

// round is one sync that several callers wait for.
type round struct {
	done chan struct{}
	err  error
}

// NewSyncer returns a Syncer with nothing to sync.
func NewSyncer() *Syncer {
	return &Syncer{pending: map[string]struct{}{}}
}

// Defer records that a file was published at path. The next Flush makes its
// content and its name durable.
func (s *Syncer) Defer(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending[path] = struct{}{}
	if !namesAreSynced {
		s.pending[filepath.Dir(path)] = struct{}{}
	}
}

// deferDir is Defer for a folder.
func (s *Syncer) deferDir(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending[path] = struct{}{}
	s.pending[filepath.Dir(path)] = struct{}{}
}

// Flush returns when everything that was deferred before the call is durable.
// After an error, every later call fails, too.
func (s *Syncer) Flush() error {
	s.mu.Lock()
	if s.failed != nil {
		defer s.mu.Unlock()
		return s.failed
	}
	if len(s.pending) == 0 && !s.busy {
		s.mu.Unlock()
		return nil
	}
	if s.round == nil {
		s.round = &round{done: make(chan struct{})}
	}
	mine := s.round
	if s.busy {
		s.mu.Unlock()
		<-mine.done
		return mine.err
	}
	s.busy = true
	s.mu.Unlock()
	s.lead(mine)
	return mine.err
}

// lead runs rounds until nobody waits for another one. The caller waits for the
// first.
func (s *Syncer) lead(first *round) {
	s.carryOut(first)
	s.mu.Lock()
	if s.round == nil {
		s.busy = false
		s.mu.Unlock()
		return
	}
	next := s.round
	s.mu.Unlock()
	// The leader's own round is done. Callers that came later get a leader of
	// their own, so that nobody works for others forever.
	go s.lead(next)
}

func (s *Syncer) carryOut(r *round) {
	s.mu.Lock()
	paths := s.pending
	s.pending = map[string]struct{}{}
	s.round = nil
	s.mu.Unlock()

	err := syncAll(paths)

	s.mu.Lock()
	if err != nil && s.failed == nil {
		s.failed = err
	}
	r.err = s.failed
	s.mu.Unlock()
	close(r.done)
}

func syncAll(paths map[string]struct{}) error {
	group := parallel.New(parallelSyncs)
	for path := range paths {
		group.Go(func() error { return syncPath(path) })
	}
	return group.Wait()
}

// syncPath syncs a file or a folder. If the file is gone, it was removed or
// renamed by a caller that is responsible for it.
func syncPath(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return Explain(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return Explain(fmt.Errorf("sync %s: %w", path, err))
	}
	return nil
}
