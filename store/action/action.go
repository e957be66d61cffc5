// Package action stores the results of actions by action key: whoever computes
// the same key finds the outputs and computes nothing.
//
// A key has one entry. The first commit wins, so that a stage that is not
// deterministic gives everything downstream the same result.
package action

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"time"

	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/document"
)

// Format is the version of an entry.
const Format = "quern.action/v1"

// Entry is the result of an action.
type Entry struct {
	Format     string `json:"format"`
	Key        string `json:"key"`
	Definition string `json:"definition"`
	// RowsKey is the key of the memo's parts if it differs from the definition
	// key: for a row-wise stage with inputs other than its rows.
	RowsKey string `json:"rows_key,omitempty"`
	// Address is the instance that produced it first, for people.
	Address string `json:"address"`
	// Origin is what a source that consists of one part calls it, such as the name
	// of a file.
	Origin string `json:"origin,omitempty"`
	// OnlyPart is the fingerprint of that part, if all of its rows could be read.
	OnlyPart string `json:"only_part,omitempty"`
	// Derivations say what its datasets came from, by port. One that is missing is
	// unknown.
	Derivations map[string]*Derivation `json:"derivations,omitempty"`
	// RowArguments are the columns that its row expressions read, by argument.
	RowArguments map[string]*Sources `json:"row_arguments,omitempty"`
	// Preimage is what the key was computed from.
	Preimage Preimage `json:"preimage,omitzero"`
	// Outputs are the artifacts by port name, or under "" if the stage itself
	// is the artifact.
	Outputs map[string]artifact.Ref `json:"outputs,omitempty"`
	Value   *value.Stored           `json:"value,omitempty"`
	Inputs  []InputRef              `json:"inputs,omitempty"`
	// Errors is the number of rows that failed.
	Errors  int64     `json:"errors,omitempty"`
	Created time.Time `json:"created"`
	Seconds float64   `json:"seconds"`
	Run     string    `json:"run,omitempty"`
	Plugin  PluginRef `json:"plugin"`
	// Earlier are the other programs that produced reused rows.
	Earlier []PluginRef `json:"earlier_plugins,omitempty"`
	// Spend is the total of the language model calls in the run that committed
	// the entry, or nil if there were none.
	Spend *llm.Spend `json:"spend,omitempty"`
}

// InputRef is an input of an action.
type InputRef struct {
	// Key is the argument that it was passed as. It is empty for prompts and values,
	// and in entries of earlier builds.
	Key     string `json:"key,omitempty"`
	Address string `json:"address"`
	Port    string `json:"port,omitempty"`
	// Digest of an artifact (logical, of all of it), of a model's definition,
	// or of a prompt's text. It is empty for values.
	Digest string `json:"digest,omitempty"`
	Role   Role   `json:"role,omitempty"`
	// Action is the key of the entry that produced it, or empty if no action
	// did.
	Action string `json:"action,omitempty"`
	// Plugin serves a model block.
	Plugin *PluginRef `json:"plugin,omitempty"`
}

// Role is the role of an input in an action.
type Role string

// The roles. An artifact has none.
const (
	RoleModel  Role = "model"  // a model block
	RolePrompt Role = "prompt" // a prompt block, or a stage that produced a prompt
	RoleValues Role = "values" // values of a stage
)

// PluginRef identifies the program that executed an action.
type PluginRef struct {
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
	Digest  string `json:"digest,omitempty"`
}

// Store contains the entries in a backend. It is safe for concurrent use and,
// if the backend is, for use by several processes.
type Store struct {
	ctx     context.Context
	backend backend.Backend
}

// New returns a store that keeps entries in b. ctx applies to all its calls.
func New(ctx context.Context, b backend.Backend) *Store { return &Store{ctx: ctx, backend: b} }

const prefix, suffix = "actions/", ".json"

// object returns the key of the object that contains an action key's entry.
func object(key string) (string, error) {
	h, err := blob.Hex(key)
	if err != nil {
		return "", fmt.Errorf("action key: %w", err)
	}
	return prefix + h + suffix, nil
}

// Get returns the entry of a key, or nil, nil if there is none. It sets a
// damaged entry aside and returns *document.Damaged; the entry then no longer
// exists.
func (s *Store) Get(key string) (*Entry, error) {
	at, err := object(key)
	if err != nil {
		return nil, err
	}
	e := &Entry{}
	err = document.Read(s.ctx, s.backend, at, Format, e)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && e.Key != key {
		err = &document.Damaged{Path: s.backend.Place(at), Reason: "it is the entry of another key, " + e.Key}
	}
	if err != nil {
		return nil, document.SetAside(s.ctx, s.backend, at, err)
	}
	return e, nil
}

// Decode reads an entry's text. name is for messages.
func Decode(name string, text []byte) (*Entry, error) {
	e := &Entry{}
	if err := document.Decode(name, Format, text, e); err != nil {
		return nil, err
	}
	return e, nil
}

// Put commits an entry unless its key already has one, and returns the entry
// that counts from now on. That entry is durable, with all blobs that were
// committed before.
func (s *Store) Put(e *Entry) (winner *Entry, err error) {
	at, text, err := encode(e)
	if err != nil {
		return nil, err
	}
	for range attempts {
		err := s.backend.PutIfAbsent(s.ctx, at, text)
		if err == nil {
			return e, s.backend.Flush(s.ctx)
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("commit action %s: %w", e.Key, err)
		}
		winner, err := s.Get(e.Key)
		var damaged *document.Damaged
		if err != nil && !errors.As(err, &damaged) {
			return nil, err
		}
		if winner != nil {
			return winner, s.backend.Flush(s.ctx)
		}
		// The existing entry was damaged or removed in the meantime: try again.
	}
	return nil, fmt.Errorf("commit action %s: a damaged entry is in its place and cannot be set aside", e.Key)
}

// attempts is how often Put tries. It needs more than one only if an entry is
// damaged, or removed at the same time.
const attempts = 10

// Replace commits an entry and replaces the existing one.
func (s *Store) Replace(e *Entry) error {
	at, text, err := encode(e)
	if err != nil {
		return err
	}
	if err := s.backend.Put(s.ctx, at, text); err != nil {
		return fmt.Errorf("commit action %s: %w", e.Key, err)
	}
	return s.backend.Flush(s.ctx)
}

// encode returns the object of an entry, and its text.
func encode(e *Entry) (at string, text backend.Bytes, err error) {
	if e.Format == "" {
		e.Format = Format
	}
	at, err = object(e.Key)
	if err != nil {
		return "", nil, err
	}
	text, err = document.Encode(e)
	if err != nil {
		return "", nil, fmt.Errorf("commit action %s: %w", e.Key, err)
	}
	return at, text, nil
}

// Remove deletes the entry of a key. It returns no error if there is none.
func (s *Store) Remove(key string) error {
	at, err := object(key)
	if err != nil {
		return err
	}
	if err := s.backend.Delete(s.ctx, at, backend.Any); err != nil {
		return fmt.Errorf("remove action %s: %w", key, err)
	}
	return nil
}

// All lists the entries in no particular order. For a damaged entry, it yields
// *document.Damaged and continues.
func (s *Store) All() iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		for object, err := range s.backend.List(s.ctx, prefix) {
			if err != nil {
				yield(nil, err)
				return
			}
			h, ok := strings.CutSuffix(strings.TrimPrefix(object.Key, prefix), suffix)
			if !ok {
				continue
			}
			e, err := s.Get("sha256:" + h)
			if e == nil && err == nil {
				continue // removed in the meantime
			}
			if !yield(e, err) {
				return
			}
		}
	}
}
