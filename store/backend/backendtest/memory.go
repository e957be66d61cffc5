// Package backendtest contains the tests that every backend of a store must
// pass, and a backend in memory that can fail in every way that a network can.
package backendtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quern-dev/quern/store/backend"
)

// Memory is a backend in memory.
type Memory struct {
	mu      sync.Mutex
	objects map[string]object
	writes  int
}

type object struct {
	content []byte
	version backend.Version
	written time.Time
}

// NewMemory returns a backend without objects.
func NewMemory() *Memory { return &Memory{objects: map[string]object{}} }

// Place returns a made-up address.
func (m *Memory) Place(key string) string { return "memory:" + key }

func (m *Memory) begin(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return backend.CheckKey(key)
}

// Get implements backend.Backend.
func (m *Memory) Get(ctx context.Context, key string) ([]byte, backend.Version, error) {
	if err := m.begin(ctx, key); err != nil {
		return nil, "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	if !ok {
		return nil, "", &backend.NotFound{Key: key}
	}
	return bytes.Clone(o.content), o.version, nil
}

// Read implements backend.Backend.
func (m *Memory) Read(ctx context.Context, key string, offset, n int64) (io.ReadCloser, error) {
	b, _, err := m.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	b = b[min(offset, int64(len(b))):]
	if n >= 0 {
		b = b[:min(n, int64(len(b)))]
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// Put implements backend.Backend.
func (m *Memory) Put(ctx context.Context, key string, content backend.Content) error {
	_, err := m.write(ctx, key, content, func(object, bool) error { return nil })
	return err
}

// PutIfAbsent implements backend.Backend.
func (m *Memory) PutIfAbsent(ctx context.Context, key string, content backend.Content) error {
	_, err := m.write(ctx, key, content, func(_ object, exists bool) error {
		if exists {
			return &backend.Exists{Key: key}
		}
		return nil
	})
	return err
}

// Swap implements backend.Backend.
func (m *Memory) Swap(ctx context.Context, key string, was backend.Version, content backend.Content) (backend.Version, error) {
	return m.write(ctx, key, content, func(o object, _ bool) error {
		if o.version != was {
			return &backend.Conflict{Key: key, Was: was, Found: o.version}
		}
		return nil
	})
}

// write writes an object unless check, which receives the present one, refuses.
func (m *Memory) write(ctx context.Context, key string, content backend.Content, check func(object, bool) error) (backend.Version, error) {
	if err := m.begin(ctx, key); err != nil {
		return "", err
	}
	b, err := io.ReadAll(backend.Reader(content))
	if err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, exists := m.objects[key]
	if err := check(o, exists); err != nil {
		return "", err
	}
	return m.put(key, b), nil
}

func (m *Memory) put(key string, content []byte) backend.Version {
	m.writes++
	v := backend.Version(fmt.Sprint("v", m.writes))
	m.objects[key] = object{content: content, version: v, written: time.Now()}
	return v
}

// Copy implements backend.Backend.
func (m *Memory) Copy(ctx context.Context, from string, was backend.Version, to string) error {
	if err := m.begin(ctx, to); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[from]
	switch {
	case !ok && (was == backend.Any || was == ""):
		return &backend.NotFound{Key: from}
	case was != backend.Any && o.version != was:
		return &backend.Conflict{Key: from, Was: was, Found: o.version}
	}
	m.put(to, o.content)
	return nil
}

// Delete implements backend.Backend.
func (m *Memory) Delete(ctx context.Context, key string, was backend.Version) error {
	if err := m.begin(ctx, key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if o, ok := m.objects[key]; ok && was != backend.Any && o.version != was {
		return &backend.Conflict{Key: key, Was: was, Found: o.version}
	}
	delete(m.objects, key)
	return nil
}

// List implements backend.Backend.
func (m *Memory) List(ctx context.Context, prefix string) iter.Seq2[backend.Object, error] {
	return func(yield func(backend.Object, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(backend.Object{}, err)
			return
		}
		m.mu.Lock()
		objects := maps.Clone(m.objects)
		m.mu.Unlock()
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			if !strings.HasPrefix(key, prefix) {
				continue
			}
			if !yield(backend.Object{Key: key, Size: int64(len(objects[key].content)), Written: objects[key].written}, nil) {
				return
			}
		}
	}
}

// Flush implements backend.Backend. There is nothing to do.
func (m *Memory) Flush(ctx context.Context) error { return ctx.Err() }

// Age makes an object older, for tests of what is kept for some time.
func (m *Memory) Age(key string, by time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o, ok := m.objects[key]; ok {
		o.written = o.written.Add(-by)
		m.objects[key] = o
	}
}
