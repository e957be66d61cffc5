package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/document"
)

// Conflict is the error for a state that somebody else changed after it was
// loaded.
type Conflict struct {
	Environment   string
	Loaded, Found int64 // serials
	OtherLineage  bool
}

func (e *Conflict) Error() string {
	if e.OtherLineage {
		return fmt.Sprintf("the state of environment %q has been replaced since it was read: run this command again", e.Environment)
	}
	return fmt.Sprintf("the state of environment %q has changed since it was read (serial %d, now %d): run this command again", e.Environment, e.Loaded, e.Found)
}

// Damaged is the error for a state that cannot be read.
type Damaged struct {
	Environment, Path, Backup string // Backup is empty if there is none
	Err                       error
}

func (e *Damaged) Error() string {
	summary, detail := e.Diagnostic()
	return summary + "\n" + detail
}

// Diagnostic returns what is wrong, and what to do about it.
func (e *Damaged) Diagnostic() (summary, detail string) {
	way := "It has no backup. If you delete the file, the environment starts empty. quern finds its artifacts again by their keys, but not its deployments."
	if e.Backup != "" {
		way = fmt.Sprintf("The state before the last change is in %s. To go back to it, copy it over the file. The next apply finds the artifacts that were produced since then.", e.Backup)
	}
	return fmt.Sprintf("the state of environment %q cannot be read", e.Environment), fmt.Sprintf("%v. %s", e.Err, way)
}

func (e *Damaged) Unwrap() error { return e.Err }

// Store contains the environments in a backend. It is safe for concurrent use
// and, if the backend is, for use by several processes.
type Store struct {
	ctx     context.Context
	backend backend.Backend
}

// New returns a store that keeps environments in b. ctx applies to all its
// calls, except those that take a context.
func New(ctx context.Context, b backend.Backend) *Store { return &Store{ctx: ctx, backend: b} }

const longestName = 64

var envName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// CheckName returns an error if an environment's name is invalid.
func CheckName(env string) error {
	if len(env) > longestName || !envName.MatchString(env) {
		return fmt.Errorf("%q is not a valid environment name: use up to 64 letters, digits, _, -, and ., starting with a letter or digit", env)
	}
	return nil
}

const prefix = "envs/"

// object returns the key of an object of an environment.
func object(env, name string) string {
	if env == AllEnvironments {
		env = ".all"
	}
	return prefix + env + "/" + name
}

// Load reads an environment's state. If there is none, it returns a new one
// with serial 0. If the state cannot be read, the error is *Damaged.
func (s *Store) Load(env string) (*State, error) {
	st, _, err := s.load(env)
	if st == nil && err == nil {
		return newState(env)
	}
	return st, err
}

const (
	stateFile  = "state.json"
	backupFile = "state.json.backup"
	leaseLock  = "lease.lock"
	leaseFile  = "lease.json"
)

// load reads a state. It returns nil, "" if there is none.
func (s *Store) load(env string) (*State, backend.Version, error) {
	if err := CheckName(env); err != nil {
		return nil, "", err
	}
	at := object(env, stateFile)
	text, version, err := s.backend.Get(s.ctx, at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	st, err := Decode(s.backend.Place(at), text)
	var newer *document.Newer
	if errors.As(err, &newer) {
		return nil, "", err
	}
	if err == nil {
		st.version = version
		return st, version, nil
	}
	damaged := &Damaged{Environment: env, Path: s.backend.Place(at), Err: err}
	if _, _, err := s.backend.Get(s.ctx, object(env, backupFile)); err == nil {
		damaged.Backup = s.backend.Place(object(env, backupFile))
	}
	return nil, "", damaged
}

// Decode reads a state's text. name is for messages.
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

// Save raises a state's serial and replaces the state that it was loaded from.
// If the environment has any other state, Save writes nothing and returns
// *Conflict. The former state becomes the backup. Everything that was committed
// to the store before is made durable first, so that a state never refers to
// something that a power failure destroyed. After an error, st is unchanged.
func (s *Store) Save(st *State) error {
	if err := s.save(st); err != nil {
		var conflict *Conflict
		if errors.As(err, &conflict) {
			return err
		}
		return fmt.Errorf("save the state of environment %q: %w", st.Environment, err)
	}
	return nil
}

func (s *Store) save(st *State) (err error) {
	if err := s.backend.Flush(s.ctx); err != nil {
		return err
	}
	version, err := s.expected(st)
	if err != nil {
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
	st.version, err = s.replace(st, version, text)
	return err
}

// expected returns the version of the state that st was loaded from. The
// environment may have another one now, which replacing it finds out.
func (s *Store) expected(st *State) (backend.Version, error) {
	if st.version != "" {
		return st.version, nil
	}
	return s.compare(st)
}

// compare checks that the environment has the state that st was loaded from,
// and returns its version.
func (s *Store) compare(st *State) (backend.Version, error) {
	now, version, err := s.load(st.Environment)
	switch {
	case err != nil:
		return "", err
	case now == nil && st.Serial == 0:
		return "", nil
	case now == nil:
		return "", &Conflict{Environment: st.Environment, Loaded: st.Serial}
	case now.Lineage != st.Lineage:
		return "", &Conflict{Environment: st.Environment, Loaded: st.Serial, Found: now.Serial, OtherLineage: true}
	case now.Serial != st.Serial:
		return "", &Conflict{Environment: st.Environment, Loaded: st.Serial, Found: now.Serial}
	}
	return version, nil
}

// replace replaces a version of a state by the text of st and returns the new
// version, which is empty if it is not known. If was is empty, there is no state
// yet. The former state becomes the backup, and there is no moment without a
// state.
func (s *Store) replace(st *State, was backend.Version, text []byte) (backend.Version, error) {
	at := object(st.Environment, stateFile)
	is, err := backend.Version(""), error(nil)
	if was != "" {
		err = s.backend.Copy(s.ctx, at, was, object(st.Environment, backupFile))
	}
	if err == nil {
		is, err = s.backend.Swap(s.ctx, at, was, backend.Bytes(text))
	}
	var changed *backend.Conflict
	switch {
	case errors.As(err, &changed):
		return "", s.conflict(st)
	case err != nil && s.has(at, text):
		return "", nil
	}
	return is, err
}

// conflict returns the error for a state that could not be replaced because the
// environment has another one than st was loaded from. The serial of st has been
// raised.
func (s *Store) conflict(st *State) error {
	now, _, err := s.load(st.Environment)
	if damaged := (*Damaged)(nil); errors.As(err, &damaged) {
		return err
	}
	c := &Conflict{Environment: st.Environment, Loaded: st.Serial - 1}
	if err == nil && now != nil {
		c.Found, c.OtherLineage = now.Serial, now.Lineage != st.Lineage
	}
	return c
}

// has reports whether an object has this text, because a write whose answer was
// lost has succeeded.
func (s *Store) has(at string, text []byte) bool {
	is, _, err := s.backend.Get(s.ctx, at)
	return err == nil && bytes.Equal(is, text)
}

// List returns the names of the environments that have a state, sorted.
func (s *Store) List() ([]string, error) { return s.having(stateFile) }

// having returns the names of the environments that have an object with this
// name, sorted.
func (s *Store) having(name string) ([]string, error) {
	out := []string{}
	for o, err := range s.backend.List(s.ctx, prefix) {
		if err != nil {
			return nil, err
		}
		env, ok := strings.CutSuffix(strings.TrimPrefix(o.Key, prefix), "/"+name)
		if ok && CheckName(env) == nil {
			out = append(out, env)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Create creates an environment that expires at a time, unless that is nil. Its state
// refers to the results of from, or is empty if that is nil. If the environment already
// exists, the error is fs.ErrExist.
func (s *Store) Create(env string, from *State, expires *time.Time) (*State, error) {
	st, err := s.Load(env)
	if err != nil {
		return nil, err
	}
	if st.Serial > 0 {
		return nil, fmt.Errorf("environment %q: %w", env, fs.ErrExist)
	}
	if from != nil {
		st.adopt(from)
	}
	st.Expires = expires
	err = s.Save(st)
	var conflict *Conflict
	if errors.As(err, &conflict) {
		return nil, fmt.Errorf("environment %q: %w", env, fs.ErrExist)
	}
	return st, err
}

// Delete deletes an environment whose state must still be st. Artifacts remain.
func (s *Store) Delete(st *State) error {
	version, err := s.compare(st)
	if err != nil {
		return err
	}
	if version == "" {
		return nil
	}
	err = s.backend.Delete(s.ctx, object(st.Environment, stateFile), version)
	var changed *backend.Conflict
	if errors.As(err, &changed) {
		return &Conflict{Environment: st.Environment, Loaded: st.Serial}
	}
	if err == nil {
		err = errors.Join(s.backend.Delete(s.ctx, object(st.Environment, backupFile), backend.Any), s.dropAll(st.Environment))
	}
	if err != nil {
		return fmt.Errorf("delete environment %q: %w", st.Environment, err)
	}
	return nil
}
