package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// edge is how much of an object is requested at first, and at least at any
	// other place, in bytes. Headers are at the start of an object, and the
	// footers of Parquet files at its end. The first and the last edge are cached.
	edge = 64 << 10
	// secondRange is how much is requested after that, which samples need, and
	// nextRange how much at a time from then on, in rangesAhead requests at the
	// same time.
	secondRange = 1 << 20
	nextRange   = 8 << 20
	rangesAhead = 3
	// fetchAttempts is how often a range is requested if its transfer breaks off.
	fetchAttempts = 4
)

// Ranged returns the content of an object that is read by requests for ranges.
// Reading from the start has some ranges transferred in advance. A range whose
// transfer breaks off is requested again. The first and the last bytes are
// cached on disk under identity, which names the object and its version.
// Everything ends when ctx does.
func Ranged(ctx context.Context, identity string, size int64, fetch Fetch) Content {
	ctx, cancel := context.WithCancel(ctx)
	return &ranged{ctx: ctx, cancel: cancel, identity: identity, size: size, fetch: fetch}
}

type ranged struct {
	ctx      context.Context
	cancel   context.CancelFunc
	identity string
	size     int64
	fetch    Fetch
	wait     sync.WaitGroup

	// Read reads current, and then the ranges ahead, the last of which ends at
	// next.
	current []byte
	ahead   []chan transferred
	next    int64

	// The last range that ReadAt requested. Small reads are often neighbors.
	mu     sync.Mutex
	last   []byte
	lastAt int64
}

// transferred is a range, or why it could not be transferred.
type transferred struct {
	data []byte
	err  error
}

// Read reads the next bytes from the start of the object.
func (r *ranged) Read(b []byte) (int, error) {
	for len(r.current) == 0 {
		if len(r.ahead) == 0 && r.next >= r.size {
			return 0, io.EOF
		}
		r.request()
		arrived := <-r.ahead[0]
		r.ahead = r.ahead[1:]
		if arrived.err != nil {
			return 0, arrived.err
		}
		r.current = arrived.data
	}
	n := copy(b, r.current)
	r.current = r.current[n:]
	return n, nil
}

// request starts transfers: one at first, and some at the same time once more
// than the first range is needed.
func (r *ranged) request() {
	length, most := int64(nextRange), rangesAhead
	switch r.next {
	case 0:
		length, most = edge, 1
	case edge:
		length, most = secondRange, 1
	}
	for len(r.ahead) < most && r.next < r.size {
		offset, n := r.next, min(length, r.size-r.next)
		out := make(chan transferred, 1)
		r.wait.Go(func() {
			data, err := r.transfer(offset, n)
			out <- transferred{data, err}
		})
		r.ahead = append(r.ahead, out)
		r.next += n
	}
}

// ReadAt reads from any place.
func (r *ranged) ReadAt(b []byte, offset int64) (int, error) {
	if offset >= r.size {
		return 0, io.EOF
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	want := min(int64(len(b)), r.size-offset)
	if offset < r.lastAt || offset+want > r.lastAt+int64(len(r.last)) {
		start, length := offset, max(want, edge)
		switch {
		case r.size <= edge:
			start, length = 0, r.size
		case start+length > r.size: // the footer, which other small reads surround
			start = min(offset, r.size-edge)
			length = r.size - start
		}
		data, err := r.transfer(start, length)
		if err != nil {
			return 0, err
		}
		r.last, r.lastAt = data, start
	}
	n := copy(b, r.last[offset-r.lastAt:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// transfer returns a range: from the cache if it is the first or the last one, and
// by a request otherwise.
func (r *ranged) transfer(offset, length int64) ([]byte, error) {
	if length > edge || offset > 0 && offset+length < r.size {
		return r.transferNow(offset, length)
	}
	key := fmt.Sprintf("%s %d+%d", r.identity, offset, length)
	if data := edges.get(key, length); data != nil {
		return data, nil
	}
	data, err := r.transferNow(offset, length)
	if err == nil {
		edges.put(key, data)
	}
	return data, err
}

// transferNow requests a range, and what is left of it when a transfer breaks off.
func (r *ranged) transferNow(offset, length int64) ([]byte, error) {
	data := make([]byte, length)
	at := int64(0)
	for attempt := 1; ; attempt++ {
		n, err := r.once(data[at:], offset+at)
		at += n
		if err == nil {
			return data, nil
		}
		if r.ctx.Err() != nil {
			return nil, r.ctx.Err()
		}
		if permanent := (*permanentError)(nil); errors.As(err, &permanent) {
			return nil, permanent.err
		}
		if n > 0 {
			attempt = 1
		}
		if attempt == fetchAttempts {
			return nil, fmt.Errorf("transfer bytes %d to %d: %w", offset+at, offset+length-1, err)
		}
		select {
		case <-r.ctx.Done():
			return nil, r.ctx.Err()
		case <-time.After(time.Duration(attempt) * 200 * time.Millisecond):
		}
	}
}

// once fills data with one request.
func (r *ranged) once(data []byte, offset int64) (int64, error) {
	body, err := r.fetch(r.ctx, offset, int64(len(data)))
	if err != nil {
		return 0, err
	}
	defer body.Close()
	n, err := io.ReadFull(body, data)
	return int64(n), err
}

// Close ends all transfers.
func (r *ranged) Close() error {
	r.cancel()
	r.wait.Wait()
	return nil
}

// Permanent marks an error of a Fetch that another attempt would not change,
// such as a missing permission, or a client that has already tried again.
func Permanent(err error) error { return &permanentError{err} }

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }
