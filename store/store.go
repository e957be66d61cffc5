// Package store is the folder in which quern keeps what it makes: blobs,
// action entries, the memo of row-wise stages, answers of language models, states
// and the history of runs.
// docs/formats.md specifies the files.
//
// It promises that what it hands out is what was put in: every file is
// verified when it is read, and a damaged one is set aside and reported. What
// it said was done survives the death of the process at any moment, and,
// after the calls that say so, a power cut.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/disk"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/store/memo"
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

	sync   *disk.Syncer
	states *state.Store
	runs   *history.Store
	key    func() ([]byte, error)
}

// abandoned is how old a file in the making is when its writer is surely
// gone.
const abandoned = 7 * 24 * time.Hour

// Open opens the store in dir, which is made if need be. A folder that holds
// something else is refused, and so is a store of a later format.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{Dir: dir, sync: disk.NewSyncer()}
	if err := s.prepare(); err != nil {
		return nil, fmt.Errorf("open the store %s: %w", dir, disk.Explain(err))
	}
	s.key = sync.OnceValues(s.readKey)
	aside := s.path("damaged")
	s.Blobs = blob.New(s.path("blobs"), s.path("tmp"), aside, s.sync)
	s.Actions = action.New(s.path("actions"), aside, s.sync)
	s.Memo = memo.New(s.path("memo"), aside, s.sync)
	s.states = state.New(s.path("envs"), s.sync)
	s.runs = history.New(s.path("runs"), aside, s.sync)
	return s, nil
}

func (s *Store) path(name string) string { return filepath.Join(s.Dir, name) }

func (s *Store) prepare() error {
	if err := s.sync.MakeDir(s.Dir); err != nil {
		return err
	}
	format, err := disk.ReadFile(s.path("format"))
	if errors.Is(err, fs.ErrNotExist) {
		return s.create()
	}
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(format)); got != Format {
		return fmt.Errorf("it has the format %q, but this version of quern supports %q: update quern, or use another folder", got, Format)
	}
	if err := s.folders(); err != nil {
		return err
	}
	return s.sweep()
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
	// What is in a store is for its owner alone: it holds people's data, and what
	// language models answered.
	if err := os.Chmod(s.Dir, 0o700); err != nil {
		return disk.Explain(err)
	}
	if err := s.folders(); err != nil {
		return err
	}
	// What is in a store belongs into no repository.
	if err := s.sync.Publish(s.path(".gitignore"), []byte("*\n"), 0o644); err != nil {
		return err
	}
	if err := s.sync.Publish(s.path("format"), []byte(Format+"\n"), 0o444); err != nil {
		return err
	}
	return s.sync.Flush()
}

// keyFile has the key for digests of secrets.
const keyFile = "key"

var folders = []string{"blobs", "actions", "memo", "envs", "runs", "staging", "damaged", "cache", "responses", "tmp"}

var known = func() map[string]bool {
	names := map[string]bool{"format": true, keyFile: true, "plugins": true, ".gitignore": true}
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

// sweep removes blobs in the making, and work in progress, whose writer is
// surely gone.
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
	_, _, err = s.SweepStaging(time.Now().Add(-abandoned), false)
	return err
}

// States are the states of the environments.
func (s *Store) States() *state.Store { return s.states }

// Runs are the records of runs.
func (s *Store) Runs() *history.Store { return s.runs }

// Responses opens the cached answers of language models; the caller closes
// them. Report gets the damage that was found.
func (s *Store) Responses(report func(error)) (*responses.Cache, error) {
	return responses.Open(s.path("responses"), responses.Options{Aside: s.path("damaged"), Report: report})
}

// HasResponses says whether any answers of language models were ever kept.
func (s *Store) HasResponses() bool {
	entries, err := os.ReadDir(s.path("responses"))
	return err == nil && len(entries) > 0
}

// Flush makes all that was committed durable.
func (s *Store) Flush() error { return s.sync.Flush() }

// Cache is a folder for what can be made again at any time.
func (s *Store) Cache() string { return s.path("cache") }
