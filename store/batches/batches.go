// Package batches keeps the batches of requests to language models that were
// submitted and whose answers have not been read yet.
//
// A batch is recorded before it is submitted, and again when the provider has
// accepted it. So a process that dies in between leaves a batch without a token,
// and the next one asks the provider for the batch of that name before it
// submits anything.
package batches

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/document"
)

// Format is the version of the documents.
const Format = "quern.batch/v1"

// Key is the key of a request, under which its answer will be cached; see
// responses.Key.
type Key = [keyBytes]byte

const keyBytes = 32

// Batch is a batch that was submitted, or was about to be.
type Batch struct {
	// Name is the name that quern gave it.
	Name string
	// Definition is the definition key of the model, and Model its address when
	// the batch was submitted, for messages.
	Definition, Model string
	// Environment is the environment whose run submitted it.
	Environment string
	Begun       time.Time
	// Token is what the plugin needs to find the batch. It is nil while it is
	// not known whether the provider has the batch.
	Token []byte
	// Keys are those of its requests.
	Keys []Key
}

// NewName returns a name for a batch that no other batch has.
func NewName() string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // it does not fail
	return "quern-" + hex.EncodeToString(random[:])
}

// file is a document.
type file struct {
	Format      string    `json:"format"`
	Name        string    `json:"name"`
	Definition  string    `json:"definition"`
	Model       string    `json:"model"`
	Environment string    `json:"environment"`
	Begun       time.Time `json:"begun"`
	Token       []byte    `json:"token,omitempty"`
	// Keys are the keys of the requests, one after the other.
	Keys []byte `json:"keys"`
}

// Store contains the batches in a backend. It is safe for concurrent use and, if
// the backend is, for use by several processes.
type Store struct {
	ctx     context.Context
	backend backend.Backend
}

// New returns a store that keeps batches in b. ctx applies to all its calls.
func New(ctx context.Context, b backend.Backend) *Store { return &Store{ctx: ctx, backend: b} }

const prefix, suffix = "batches/", ".json"

// prefixOf returns the prefix of the objects of a model's definition.
func prefixOf(definition string) (string, error) {
	h, err := blob.Hex(definition)
	if err != nil {
		return "", fmt.Errorf("definition: %w", err)
	}
	return prefix + h[:1] + "/" + h + ".", nil
}

func (b *Batch) at() (string, error) {
	begin, err := prefixOf(b.Definition)
	return begin + b.Name + suffix, err
}

// Of returns the batches of a model. A damaged document is an error once: it is
// set aside, and the next run submits its requests again.
func (s *Store) Of(definition string) ([]*Batch, error) {
	begin, err := prefixOf(definition)
	if err != nil {
		return nil, err
	}
	return s.list(begin)
}

func (s *Store) list(begin string) ([]*Batch, error) {
	var out []*Batch
	for o, err := range s.backend.List(s.ctx, begin) {
		if err != nil {
			return nil, fmt.Errorf("list the batches of requests: %w", err)
		}
		b, err := s.read(o.Key)
		if err != nil {
			return nil, fmt.Errorf("read a batch of requests: %w", err)
		}
		if b != nil {
			out = append(out, b)
		}
	}
	return out, nil
}

// read returns nil for a batch that was removed in the meantime.
func (s *Store) read(at string) (*Batch, error) {
	var f file
	err := document.Read(s.ctx, s.backend, at, Format, &f)
	if notFound := (*backend.NotFound)(nil); errors.As(err, &notFound) {
		return nil, nil
	}
	b := &Batch{Name: f.Name, Definition: f.Definition, Model: f.Model, Environment: f.Environment, Begun: f.Begun, Token: f.Token}
	if err == nil {
		err = f.check(b, at, s.backend.Place(at))
	}
	if err != nil {
		return nil, document.SetAside(s.ctx, s.backend, at, err)
	}
	for keys := f.Keys; len(keys) > 0; keys = keys[keyBytes:] {
		b.Keys = append(b.Keys, Key(keys[:keyBytes]))
	}
	return b, nil
}

func (f *file) check(b *Batch, at, place string) error {
	if own, err := b.at(); err != nil || own != at {
		return &document.Damaged{Path: place, Reason: "it belongs to another model: " + f.Model}
	}
	if len(f.Keys)%keyBytes != 0 {
		return &document.Damaged{Path: place, Reason: "the keys of its requests are incomplete"}
	}
	return nil
}

// Save records a batch, in place of an earlier record of it. When it returns, the
// record is durable.
func (s *Store) Save(b *Batch) error {
	at, err := b.at()
	if err != nil {
		return err
	}
	f := &file{Format: Format, Name: b.Name, Definition: b.Definition, Model: b.Model, Environment: b.Environment, Begun: b.Begun, Token: b.Token}
	for _, key := range b.Keys {
		f.Keys = append(f.Keys, key[:]...)
	}
	text, err := document.Encode(f)
	if err == nil {
		err = s.backend.Put(s.ctx, at, backend.Bytes(text))
	}
	if err == nil {
		err = s.backend.Flush(s.ctx)
	}
	if err != nil {
		return fmt.Errorf("record a batch of requests: %w", err)
	}
	return nil
}

// Remove forgets a batch. It succeeds if there is no record of it.
func (s *Store) Remove(b *Batch) error {
	at, err := b.at()
	if err != nil {
		return err
	}
	if err := s.backend.Delete(s.ctx, at, backend.Any); err != nil {
		return fmt.Errorf("forget a batch of requests: %w", err)
	}
	return nil
}

// Sweep forgets the batches that were begun before a time, and returns their
// number. With dryRun, it only counts.
func (s *Store) Sweep(before time.Time, dryRun bool) (n int, err error) {
	all, err := s.list(prefix)
	for damaged := (*document.Damaged)(nil); errors.As(err, &damaged); {
		all, err = s.list(prefix) // the damaged one was set aside
	}
	if err != nil {
		return 0, err
	}
	for _, b := range all {
		if !b.Begun.Before(before) {
			continue
		}
		n++
		if dryRun {
			continue
		}
		if err := s.Remove(b); err != nil {
			return n, err
		}
	}
	return n, nil
}
