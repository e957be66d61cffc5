// Package action keeps what carrying out an action gave, by its action key:
// whoever comes to the same key takes the outputs and computes nothing.
//
// One key has one entry. The first commit wins, so that a stage that is not
// deterministic gives all who depend on it the same answer.
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

// Entry is what an action gave.
type Entry struct {
	Format     string `json:"format"`
	Key        string `json:"key"`
	Definition string `json:"definition"`
	// RowsKey is the key of the memo's parts where that is not the definition
	// key: of a row-wise stage with more inputs than its rows.
	RowsKey string `json:"rows_key,omitempty"`
	// Address is the instance that made it first; for people.
	Address string `json:"address"`
	// Preimage is what the key was made of.
	Preimage []Field `json:"preimage,omitempty"`
	// Outputs by port name; "" where the stage itself is the artifact.
	Outputs map[string]artifact.Ref `json:"outputs,omitempty"`
	Value   *value.Stored           `json:"value,omitempty"`
	Inputs  []InputRef              `json:"inputs,omitempty"`
	// Errors is how many rows failed.
	Errors  int64     `json:"errors,omitempty"`
	Created time.Time `json:"created"`
	Seconds float64   `json:"seconds"`
	Run     string    `json:"run,omitempty"`
	Plugin  PluginRef `json:"plugin"`
	// Earlier are other programs that made rows which were reused.
	Earlier []PluginRef `json:"earlier_plugins,omitempty"`
	// Spend is what the calls of language models came to that the run made
	// which committed it; nil: none.
	Spend *llm.Spend `json:"spend,omitempty"`
}

// Field is one part of a key's preimage.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// InputRef says what an action was given.
type InputRef struct {
	Address string `json:"address"`
	Port    string `json:"port,omitempty"`
	// Digest of an artifact (logical, of the whole), of a model's definition, or
	// of a prompt's text; empty: values.
	Digest string `json:"digest,omitempty"`
	Role   Role   `json:"role,omitempty"`
	// Action is the key of the entry that made it; empty: no action did.
	Action string `json:"action,omitempty"`
	// Plugin serves a model block.
	Plugin *PluginRef `json:"plugin,omitempty"`
}

// Role is what an action was given something as.
type Role string

// The roles. An artifact has none.
const (
	RoleModel  Role = "model"  // a model block
	RolePrompt Role = "prompt" // a prompt block
	RoleValues Role = "values" // values of a stage
)

// PluginRef says which program carried an action out.
type PluginRef struct {
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
	Digest  string `json:"digest,omitempty"`
}

// Store is the entries of a backend. It may be used by several goroutines and, as
// far as the backend may, by several processes.
type Store struct {
	ctx     context.Context
	backend backend.Backend
}

// New keeps entries in b. The context ends all calls to it.
func New(ctx context.Context, b backend.Backend) *Store { return &Store{ctx: ctx, backend: b} }

const prefix, suffix = "actions/", ".json"

// object is the key of the object that has the entry of an action key.
func object(key string) (string, error) {
	h, err := blob.Hex(key)
	if err != nil {
		return "", fmt.Errorf("action key: %w", err)
	}
	return prefix + h + suffix, nil
}

// Get returns the entry of a key; nil, nil where there is none. A damaged one
// is set aside and reported as *document.Damaged: it counts as none.
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

// Decode reads an entry's text; name is for messages.
func Decode(name string, text []byte) (*Entry, error) {
	e := &Entry{}
	if err := document.Decode(name, Format, text, e); err != nil {
		return nil, err
	}
	return e, nil
}

// Put commits an entry unless its key has one already, and returns the one
// that counts from now on. What it returns is durable, with all blobs that
// were committed before.
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
		// It was damaged or removed in between: try again.
	}
	return nil, fmt.Errorf("commit action %s: a damaged entry is in its place and cannot be set aside", e.Key)
}

// attempts is how often Put tries; more than one is needed only when an entry
// is damaged, or removed at the same time.
const attempts = 10

// Replace commits an entry in place of the one that its key has.
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

// Remove deletes the entry of a key; one that is not there is no error.
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

// All lists the entries in no particular order. A damaged one is a *document.Damaged,
// after which the others follow.
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
				continue // removed in between
			}
			if !yield(e, err) {
				return
			}
		}
	}
}
