// Package store is the folder in which quern keeps its results: blobs, action
// entries, the memo of row-wise stages, answers of language models, states, and
// the history of runs. docs/formats.md specifies the files.
//
// It promises to return exactly what was stored: every file is verified when it
// is read, and a damaged one is set aside and reported. What it reported as
// done survives the death of the process at any moment and, after the calls
// that say so, a power failure.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/batches"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/disk"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/store/memo"
	"github.com/quern-dev/quern/store/pending"
	"github.com/quern-dev/quern/store/pin"
	"github.com/quern-dev/quern/store/responses"
	"github.com/quern-dev/quern/store/state"
)

// Format is the version of the folder's layout.
const Format = "quern.store/v1"

// Store is an open store. Several processes may have one open.
type Store struct {
	Dir     string
	Blobs   *blob.Store
	Actions *action.Store
	Memo    *memo.Store
	Pending *pending.Store
	Batches *batches.Store
	Pins    *pin.Store

	sync    *disk.Syncer
	backend backend.Backend
	states  *state.Store
	runs    *history.Store
	key     func() ([]byte, error)
	use     atomic.Pointer[Use]
}

// abandoned is the age at which a temporary file's writer can be assumed to be
// gone.
const abandoned = 7 * 24 * time.Hour

// Open opens the store in dir and creates it if necessary. It refuses a folder
// that contains something else, and a store in a later format.
func Open(dir string) (*Store, error) {
	return open(dir, func(s *Store) error {
		b := backend.NewLocal(s.Dir, s.sync)
		s.keepIn(context.Background(), b, blob.New(s.path("blobs"), s.path("tmp"), s.path("damaged"), s.sync))
		return nil
	})
}

// OpenOn opens the store in b and creates it if necessary. dir contains what
// belongs to this machine: a cache of blobs, work in progress, cached answers
// of language models, and the logs of runs. ctx applies to all calls to b.
func OpenOn(ctx context.Context, dir string, b backend.Backend) (*Store, error) {
	return open(dir, func(s *Store) error {
		s.keepIn(ctx, b, blob.NewCache(ctx, b, s.path("blobs"), s.path("tmp"), s.path("damaged"), s.sync))
		return checkBackend(ctx, b)
	})
}

// keepIn creates the parts of the store that are in a backend.
func (s *Store) keepIn(ctx context.Context, b backend.Backend, blobs *blob.Store) {
	s.backend, s.Blobs = b, blobs
	s.Actions = action.New(ctx, b)
	s.Memo = memo.New(ctx, b)
	s.Pending = pending.New(ctx, b)
	s.Batches = batches.New(ctx, b)
	s.Pins = pin.New(ctx, b)
	s.states = state.New(ctx, b)
	s.runs = history.New(ctx, b, s.path("runs"))
	s.key = sync.OnceValues(func() ([]byte, error) { return readKey(ctx, b) })
}

// checkBackend refuses a backend that contains a store in a later format.
func checkBackend(ctx context.Context, b backend.Backend) error {
	err := b.PutIfAbsent(ctx, formatFile, backend.Bytes(Format+"\n"))
	if err == nil {
		return b.Flush(ctx)
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	format, _, err := b.Get(ctx, formatFile)
	if err != nil {
		return err
	}
	return checkFormat(format)
}

func open(dir string, use func(*Store) error) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{Dir: dir, sync: disk.NewSyncer()}
	if err := s.prepare(); err != nil {
		return nil, fmt.Errorf("open the store %s: %w", dir, disk.Explain(err))
	}
	if err := use(s); err != nil {
		return nil, fmt.Errorf("open the store %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) path(name string) string { return filepath.Join(s.Dir, name) }

func (s *Store) prepare() error {
	if err := s.sync.MakeDir(s.Dir); err != nil {
		return err
	}
	if info, err := os.Stat(s.Dir); err == nil && !info.IsDir() {
		return errors.New("it is a file, not a folder")
	}
	format, err := disk.ReadFile(s.path(formatFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s.create()
	}
	if err != nil {
		return err
	}
	if err := checkFormat(format); err != nil {
		return err
	}
	if err := s.folders(); err != nil {
		return err
	}
	return s.sweep()
}

func checkFormat(format []byte) error {
	if got := strings.TrimSpace(string(format)); got != Format {
		return fmt.Errorf("it has the format %q, but this version of quern supports %q: update quern, or use another folder", got, Format)
	}
	return nil
}

func (s *Store) create() error {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		// Another process may be creating the store at the same time.
		if !known[e.Name()] && !strings.HasPrefix(e.Name(), disk.TempPrefix) {
			return fmt.Errorf("the folder is not empty, and it is not a store: it contains %s", e.Name())
		}
	}
	// Only the owner may read a store: it contains people's data, and answers
	// of language models.
	if err := os.Chmod(s.Dir, 0o700); err != nil {
		return disk.Explain(err)
	}
	if err := s.folders(); err != nil {
		return err
	}
	// A store must not be committed to a repository.
	if err := s.sync.Publish(s.path(".gitignore"), strings.NewReader("*\n"), 0o644); err != nil {
		return err
	}
	if err := s.sync.Publish(s.path(formatFile), strings.NewReader(Format+"\n"), 0o444); err != nil {
		return err
	}
	return s.sync.Flush()
}

// formatFile contains the format, keyFile the key for digests of secrets.
const formatFile, keyFile = "format", "key"

var folders = []string{"blobs", "actions", "memo", "pending", "envs", "runs", "staging", "damaged", "cache", "responses", "tmp", "pins", useFolder}

var known = func() map[string]bool {
	names := map[string]bool{formatFile: true, keyFile: true, "plugins": true, "modules": true, VenvFolder: true, TransferFolder: true, ".gitignore": true}
	for _, name := range folders {
		names[name] = true
	}
	return names
}()

func (s *Store) folders() error {
	for _, name := range folders {
		if err := s.sync.MakeDir(s.path(name)); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes temporary files and work in progress whose writer can be
// assumed to be gone.
func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.path("tmp"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && time.Since(info.ModTime()) > abandoned {
			os.Remove(filepath.Join(s.path("tmp"), e.Name()))
		}
	}
	_, _, err = s.SweepStaging(time.Now().Add(-abandoned), s.Waits, false)
	return err
}

// States returns the states of the environments.
func (s *Store) States() *state.Store { return s.states }

// Runs returns the records of runs.
func (s *Store) Runs() *history.Store { return s.runs }

// Responses opens the cache of language models' answers. The caller closes it.
// report receives the damage that was found.
func (s *Store) Responses(report func(error)) (*responses.Cache, error) {
	return responses.Open(s.path("responses"), responses.Options{Aside: s.path("damaged"), Report: report})
}

// TakeAnswers gives a store without cached answers those of another one.
func (s *Store) TakeAnswers(from *responses.Cache) error { return from.Export(s.path("responses")) }

// HasResponses reports whether any answers of language models were ever cached.
func (s *Store) HasResponses() bool {
	entries, err := os.ReadDir(s.path("responses"))
	return err == nil && len(entries) > 0
}

// Flush makes everything that was committed durable.
func (s *Store) Flush() error {
	return errors.Join(s.sync.Flush(), s.backend.Flush(context.Background()))
}

// Cache returns a folder for data that can be recreated at any time.
func (s *Store) Cache() string { return s.path("cache") }
