package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"github.com/quern-dev/quern/store/disk"
	"github.com/quern-dev/quern/store/document"
)

// Conflict says that a state was changed by somebody else since it was
// loaded.
type Conflict struct {
	Environment   string
	Loaded, Found int64 // serials
	OtherLineage  bool
}

func (e *Conflict) Error() string {
	if e.OtherLineage {
		return fmt.Sprintf("the state of environment %q has been replaced since it was read: make a new plan", e.Environment)
	}
	return fmt.Sprintf("the state of environment %q has changed since it was read (serial %d, now %d): make a new plan", e.Environment, e.Loaded, e.Found)
}

// Damaged says that an environment's state cannot be read.
type Damaged struct {
	Environment, Path, Backup string // Backup: empty where there is none
	Err                       error
}

func (e *Damaged) Error() string {
	way := "It has no backup. If you delete the file, the environment starts empty. quern finds its artifacts again by their keys, but not its deployments."
	if e.Backup != "" {
		way = fmt.Sprintf("The state before the last change is in %s. To go back to it, copy it over the file. The next apply finds the artifacts that were produced since then.", e.Backup)
	}
	return fmt.Sprintf("the state of environment %q cannot be read\n%v. %s", e.Environment, e.Err, way)
}

func (e *Damaged) Unwrap() error { return e.Err }

// Store is the folder of all environments.
type Store struct {
	root string
	sync *disk.Syncer
	mu   sync.Mutex
}

// New keeps environments in root.
func New(root string, sync *disk.Syncer) *Store { return &Store{root: root, sync: sync} }

var envName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// CheckName says what is wrong with an environment's name.
func CheckName(env string) error {
	if !envName.MatchString(env) {
		return fmt.Errorf("%q is not a valid environment name: use up to 64 letters, digits, _, -, and ., starting with a letter or digit", env)
	}
	return nil
}

func (s *Store) dir(env string) (string, error) {
	if err := CheckName(env); err != nil {
		return "", err
	}
	return filepath.Join(s.root, env), nil
}

// Load reads an environment's state: a fresh one, with serial 0, where there
// is none. One that cannot be read is a *Damaged.
func (s *Store) Load(env string) (*State, error) {
	dir, err := s.dir(env)
	if err != nil {
		return nil, err
	}
	st, err := load(dir, env)
	if errors.Is(err, fs.ErrNotExist) {
		return newState(env)
	}
	return st, err
}

const (
	stateFile  = "state.json"
	backupFile = "state.json.backup"
	casFile    = "save.lock"
	leaseLock  = "lease.lock"
	leaseFile  = "lease.json"
)

func load(dir, env string) (*State, error) {
	path := filepath.Join(dir, stateFile)
	text, err := disk.ReadFile(path)
	if err != nil {
		return nil, err
	}
	st, err := Decode(path, text)
	var newer *document.Newer
	if err == nil || errors.As(err, &newer) {
		return st, err
	}
	damaged := &Damaged{Environment: env, Path: path, Err: err}
	if _, err := os.Stat(filepath.Join(dir, backupFile)); err == nil {
		damaged.Backup = filepath.Join(dir, backupFile)
	}
	return nil, damaged
}

// Decode reads a state's text; name is for messages.
func Decode(name string, text []byte) (*State, error) {
	st := &State{}
	if err := document.Decode(name, Format, text, st); err != nil {
		return nil, err
	}
	if err := st.check(); err != nil {
		return nil, &document.Damaged{Path: name, Reason: err.Error()}
	}
	return st, nil
}

// Save writes a state, raising its serial, in place of the one that it was
// loaded from; anything else in its place is a *Conflict, and nothing is
// written. The former state is kept as a backup. What is committed in the
// store before is made durable first, so that a state never refers to what a
// power cut took away. On an error st is as before.
func (s *Store) Save(st *State) error {
	dir, err := s.dir(st.Environment)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.save(dir, st); err != nil {
		var conflict *Conflict
		if errors.As(err, &conflict) {
			return err
		}
		return fmt.Errorf("save the state of environment %q: %w", st.Environment, err)
	}
	return nil
}

func (s *Store) save(dir string, st *State) (err error) {
	if err := s.sync.MakeDir(dir); err != nil {
		return err
	}
	if err := s.sync.Flush(); err != nil {
		return err
	}
	unlock, err := lockFile(filepath.Join(dir, casFile))
	if err != nil {
		return err
	}
	defer unlock()
	if err := compare(dir, st); err != nil {
		return err
	}
	st.Serial++
	defer func() {
		if err != nil {
			st.Serial--
		}
	}()
	text, err := document.Encode(st)
	if err != nil {
		return err
	}
	return s.replace(dir, text)
}

// compare makes sure that the file holds what st was loaded from.
func compare(dir string, st *State) error {
	now, err := load(dir, st.Environment)
	if errors.Is(err, fs.ErrNotExist) {
		if st.Serial == 0 {
			return nil
		}
		return &Conflict{Environment: st.Environment, Loaded: st.Serial}
	}
	if err != nil {
		return err
	}
	if now.Lineage != st.Lineage {
		return &Conflict{Environment: st.Environment, Loaded: st.Serial, Found: now.Serial, OtherLineage: true}
	}
	if now.Serial != st.Serial {
		return &Conflict{Environment: st.Environment, Loaded: st.Serial, Found: now.Serial}
	}
	return nil
}

// replace swaps the file. The former one becomes the backup by a second name
// for the same file, so that there is no moment without a state.
func (s *Store) replace(dir string, text []byte) error {
	path, backup := filepath.Join(dir, stateFile), filepath.Join(dir, backupFile)
	tmp := backup + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch err := os.Link(path, tmp); {
	case err == nil:
		if err := os.Rename(tmp, backup); err != nil {
			return disk.Explain(err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return disk.Explain(err)
	}
	return disk.Replace(path, text, 0o600)
}

// List names the environments that have a state, sorted.
func (s *Store) List() ([]string, error) {
	entries, err := os.ReadDir(s.root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	out := []string{}
	for _, e := range entries {
		if !e.IsDir() || CheckName(e.Name()) != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(s.root, e.Name(), stateFile)); err == nil {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// Create makes an environment with an empty state. One that is there already
// is an error that is fs.ErrExist.
func (s *Store) Create(env string) (*State, error) {
	st, err := s.Load(env)
	if err != nil {
		return nil, err
	}
	if st.Serial > 0 {
		return nil, fmt.Errorf("environment %q: %w", env, fs.ErrExist)
	}
	err = s.Save(st)
	var conflict *Conflict
	if errors.As(err, &conflict) {
		return nil, fmt.Errorf("environment %q: %w", env, fs.ErrExist)
	}
	return st, err
}

// Delete removes an environment, which must be as st says. Artifacts stay.
func (s *Store) Delete(st *State) error {
	dir, err := s.dir(st.Environment)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	unlock, err := lockFile(filepath.Join(dir, casFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	if err := compare(dir, st); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("delete environment %q: %w", st.Environment, err)
	}
	return nil
}
