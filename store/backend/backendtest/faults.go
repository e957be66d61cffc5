package backendtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/quern-dev/quern/store/backend"
)

// Fault is an injected error.
type Fault struct{ Call string }

func (f *Fault) Error() string { return f.Call + ": the connection was reset" }

// IsFault reports whether an error was injected.
func IsFault(err error) bool { return errors.As(err, new(*Fault)) }

// Faulty is a backend whose calls fail at random: before anything happened,
// after everything happened (the answer is lost), and in the middle of a list
// or of a content that is read. Calls also take some time.
type Faulty struct {
	backend.Backend
	// Share is the share of calls that fail, between 0 and 1.
	Share float64
	// Delay is the maximum duration of a call.
	Delay time.Duration

	mu       sync.Mutex
	random   *rand.Rand
	injected map[string]int
}

// NewFaulty returns a backend that calls b and lets a share of all calls fail.
func NewFaulty(b backend.Backend, share float64, seed uint64) *Faulty {
	return &Faulty{Backend: b, Share: share, random: rand.New(rand.NewPCG(seed, 0)), injected: map[string]int{}}
}

// Injected returns how often calls of each kind failed: "put" before anything
// happened, and "put, answer lost" afterwards.
func (f *Faulty) Injected() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string]int{}
	for call, n := range f.injected {
		all[call] = n
	}
	return all
}

// fails decides whether a call fails.
func (f *Faulty) fails(call string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.random.Float64() >= f.Share {
		return nil
	}
	f.injected[call]++
	return &Fault{Call: call}
}

// around makes a call that may fail before or after it takes effect.
func (f *Faulty) around(ctx context.Context, call string, do func() error) error {
	if err := f.wait(ctx); err != nil {
		return err
	}
	if err := f.fails(call); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return f.fails(call + ", answer lost")
}

func (f *Faulty) wait(ctx context.Context) error {
	if f.Delay == 0 {
		return ctx.Err()
	}
	f.mu.Lock()
	d := time.Duration(f.random.Int64N(int64(f.Delay)))
	f.mu.Unlock()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Get implements backend.Backend.
func (f *Faulty) Get(ctx context.Context, key string) (b []byte, v backend.Version, err error) {
	err = f.around(ctx, "get", func() (err error) {
		b, v, err = f.Backend.Get(ctx, key)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return b, v, nil
}

// Read implements backend.Backend. The reader may fail in the middle.
func (f *Faulty) Read(ctx context.Context, key string, offset, n int64) (r io.ReadCloser, err error) {
	err = f.around(ctx, "read", func() (err error) {
		r, err = f.Backend.Read(ctx, key, offset, n)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := f.fails("read, in the middle"); err != nil {
		return &torn{ReadCloser: r, left: 3, err: err}, nil
	}
	return r, nil
}

// torn is a content that ends with an error.
type torn struct {
	io.ReadCloser
	left int
	err  error
}

func (t *torn) Read(b []byte) (int, error) {
	if t.left == 0 {
		return 0, t.err
	}
	n, err := t.ReadCloser.Read(b[:min(len(b), t.left)])
	t.left -= n
	if errors.Is(err, io.EOF) {
		return n, t.err
	}
	return n, err
}

// Put implements backend.Backend.
func (f *Faulty) Put(ctx context.Context, key string, content backend.Content) error {
	return f.around(ctx, "put", func() error { return f.Backend.Put(ctx, key, content) })
}

// PutIfAbsent implements backend.Backend.
func (f *Faulty) PutIfAbsent(ctx context.Context, key string, content backend.Content) error {
	return f.around(ctx, "put if absent", func() error { return f.Backend.PutIfAbsent(ctx, key, content) })
}

// Swap implements backend.Backend.
func (f *Faulty) Swap(ctx context.Context, key string, was backend.Version, content backend.Content) (v backend.Version, err error) {
	err = f.around(ctx, "swap", func() (err error) {
		v, err = f.Backend.Swap(ctx, key, was, content)
		return err
	})
	if err != nil {
		return "", err
	}
	return v, nil
}

// Copy implements backend.Backend.
func (f *Faulty) Copy(ctx context.Context, from string, was backend.Version, to string) error {
	return f.around(ctx, "copy", func() error { return f.Backend.Copy(ctx, from, was, to) })
}

// Delete implements backend.Backend.
func (f *Faulty) Delete(ctx context.Context, key string, was backend.Version) error {
	return f.around(ctx, "delete", func() error { return f.Backend.Delete(ctx, key, was) })
}

// Flush implements backend.Backend.
func (f *Faulty) Flush(ctx context.Context) error {
	return f.around(ctx, "flush", func() error { return f.Backend.Flush(ctx) })
}

// List implements backend.Backend. A list may end in the middle.
func (f *Faulty) List(ctx context.Context, prefix string) iter.Seq2[backend.Object, error] {
	return func(yield func(backend.Object, error) bool) {
		if err := f.around(ctx, "list", func() error { return nil }); err != nil {
			yield(backend.Object{}, err)
			return
		}
		n, limit := 0, -1
		err := f.fails("list, in the middle")
		if err != nil {
			limit = 2
		}
		for o, listErr := range f.Backend.List(ctx, prefix) {
			if n == limit {
				yield(backend.Object{}, fmt.Errorf("list %s: %w", prefix, err))
				return
			}
			n++
			if !yield(o, listErr) || listErr != nil {
				return
			}
		}
	}
}
