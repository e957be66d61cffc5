// Package pin keeps artifacts that nothing else refers to: gc does not remove what is
// pinned, until the pin expires.
package pin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/document"
)

// Format is the version of a pin.
const Format = "quern.pin/v1"

// Pin keeps an artifact, with the action entry that produced it.
type Pin struct {
	Format   string       `json:"format"`
	Artifact artifact.Ref `json:"artifact"`
	// Name and Environment say where it was when it was pinned.
	Name        string `json:"name"`
	Environment string `json:"environment"`
	ActionKey   string `json:"action_key,omitempty"`
	// Reason is why it was pinned, and By is who pinned it.
	Reason  string    `json:"reason"`
	By      string    `json:"by"`
	Created time.Time `json:"created"`
	// Expires is when the pin ends, or nil if it does not.
	Expires *time.Time `json:"expires,omitempty"`
}

// Expired reports whether the pin has ended at a time.
func (p *Pin) Expired(now time.Time) bool { return p.Expires != nil && !now.Before(*p.Expires) }

// Store contains the pins in a backend, at most one for each artifact. It is safe for
// concurrent use.
type Store struct {
	ctx     context.Context
	backend backend.Backend
}

// New returns a store that keeps pins in b. ctx applies to all its calls.
func New(ctx context.Context, b backend.Backend) *Store { return &Store{ctx: ctx, backend: b} }

const prefix, suffix = "pins/", ".json"

func object(digest string) (string, error) {
	h, err := blob.Hex(digest)
	return prefix + h + suffix, err
}

// Put pins an artifact, in place of an earlier pin. When it returns, the pin is
// durable.
func (s *Store) Put(p *Pin) error {
	at, err := object(p.Artifact.Digest)
	if err != nil {
		return fmt.Errorf("pin an artifact: %w", err)
	}
	p.Format = Format
	text, err := document.Encode(p)
	if err == nil {
		err = s.backend.Put(s.ctx, at, backend.Bytes(text))
	}
	if err == nil {
		err = s.backend.Flush(s.ctx)
	}
	if err != nil {
		return fmt.Errorf("pin %s: %w", p.Name, err)
	}
	return nil
}

// All returns the pins, the newest first. A damaged pin is an error, because nobody
// knows what it keeps.
func (s *Store) All() ([]*Pin, error) {
	var all []*Pin
	for o, err := range s.backend.List(s.ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("list pins: %w", err)
		}
		if !strings.HasSuffix(o.Key, suffix) {
			continue
		}
		p := &Pin{}
		err := document.Read(s.ctx, s.backend, o.Key, Format, p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read a pin: %w", err)
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *Pin) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.Artifact.Digest, b.Artifact.Digest))
	})
	return all, nil
}

// Remove unpins an artifact.
func (s *Store) Remove(p *Pin) error {
	at, err := object(p.Artifact.Digest)
	if err == nil {
		err = s.backend.Delete(s.ctx, at, backend.Any)
	}
	if err != nil {
		return fmt.Errorf("unpin %s: %w", p.Name, err)
	}
	return nil
}
