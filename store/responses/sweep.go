package responses

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Counts counts the answers in a cache, and those that Sweep removed.
type Counts struct {
	Kept, Removed int
	// Total sizes of the answers in bytes, before compression.
	KeptBytes, RemovedBytes int64
}

// Sweep removes the answers that were put before a time. With dry, it only
// counts them.
func (c *Cache) Sweep(ctx context.Context, before time.Time, dry bool) (Counts, error) {
	var n Counts
	var gone []Key
	err := c.each(func(key Key, value []byte, e *entry) error {
		if e.put.Before(before) {
			n.Removed++
			n.RemovedBytes += int64(len(value))
			gone = append(gone, key)
		} else {
			n.Kept++
			n.KeptBytes += int64(len(value))
		}
		return ctx.Err()
	})
	if err != nil || dry || len(gone) == 0 {
		return n, err
	}
	return n, c.write(func() error {
		for _, key := range gone {
			if err := c.db.Delete(key[:], pebble.NoSync); err != nil {
				return err
			}
		}
		if err := c.db.LogData(nil, pebble.Sync); err != nil {
			return err
		}
		return c.db.Compact(ctx, make([]byte, 1), lastKey, false)
	})
}

var lastKey = func() []byte {
	b := make([]byte, len(Key{})+1)
	for i := range b {
		b[i] = 0xff
	}
	return b
}()

// each calls f for the entries that can be read, in the order of their keys.
// value is valid during the call.
func (c *Cache) each(f func(key Key, value []byte, e *entry) error) error {
	return eachBehindDamage(func(from []byte) ([]byte, error) { return c.eachFrom(from, f) }, c.damage)
}

// eachBehindDamage calls eachFrom, which returns the last key that it reached,
// again after blocks that cannot be read. Keys are spread evenly, so a distance
// between keys corresponds to a number of entries.
func eachBehindDamage(eachFrom func(from []byte) ([]byte, error), damaged func(error)) error {
	from := make([]byte, len(Key{}))
	for skip := len(from) - 1; ; {
		last, err := eachFrom(from)
		if last != nil {
			from, skip = last, len(from)-1
		}
		if err == nil || !isUnreadable(err) {
			return err
		}
		damaged(err)
		// Skip farther each time, by incrementing an earlier byte.
		if from = after(from, skip); from == nil {
			return nil
		}
		skip = max(skip-1, 0)
	}
}

// unreadable is an error of the database's files.
type unreadable struct{ error }

func isUnreadable(err error) bool { return errors.As(err, new(unreadable)) }

// eachFrom returns the last key that it reached, or nil if there was none.
func (c *Cache) eachFrom(from []byte, f func(Key, []byte, *entry) error) (last []byte, err error) {
	it, err := c.db.NewIter(&pebble.IterOptions{LowerBound: from})
	if err != nil {
		return nil, fmt.Errorf("read the cached answers: %w", err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		var key Key
		if copy(key[:], it.Key()) != len(key) || len(it.Key()) != len(key) {
			continue // not an entry in this format
		}
		last = append(last[:0], key[:]...)
		value, err := it.ValueAndErr()
		if err != nil {
			return last, unreadable{err}
		}
		e, err := decode(key, value)
		if err != nil {
			c.damage(err)
			continue
		}
		if err := f(key, value, e); err != nil {
			return last, err
		}
	}
	if err := it.Error(); err != nil {
		return last, unreadable{fmt.Errorf("read the cached answers: %w", err)}
	}
	return last, nil
}

// after increments the byte at a place in key and sets all later bytes to zero.
// It returns nil if there is no such key.
func after(key []byte, place int) []byte {
	next := append([]byte{}, key...)
	for i := place + 1; i < len(next); i++ {
		next[i] = 0
	}
	for i := place; i >= 0; i-- {
		if next[i]++; next[i] != 0 {
			return next
		}
	}
	return nil
}
