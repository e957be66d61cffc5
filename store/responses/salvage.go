package responses

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// salvage adds to c what can be read from the files of a database that is not
// open, reading each table and log separately: it may be impossible to open the
// database as a whole, and a block that cannot be read hides older entries with
// the same keys. Each entry has its own checksum. If a key has several entries,
// the last one that was put counts.
func (c *Cache) salvage(dir string) error {
	last := map[Key]int64{}
	return c.batched(func(batch *batch) error {
		take := func(key, value []byte) error {
			var k Key
			if copy(k[:], key) != len(k) || len(key) != len(k) {
				return nil // not an entry in this format
			}
			e, err := decode(k, value)
			if err != nil {
				return nil
			}
			if had, ok := last[k]; ok && had > e.put.Unix() {
				return nil
			}
			last[k] = e.put.Unix()
			return batch.set(k, value)
		}
		for _, files := range []struct {
			pattern string
			each    func(path string, take func(key, value []byte) error) error
		}{{"*.sst", eachOfTable}, {"*.log", eachOfLog}} {
			paths, err := filepath.Glob(filepath.Join(dir, files.pattern))
			if err != nil {
				return err
			}
			for _, path := range paths {
				if err := files.each(path, take); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// eachOfTable calls take for the entries of a table that can be read. It
// returns only the error of take.
func eachOfTable(path string, take func(key, value []byte) error) error {
	file, err := vfs.Default.Open(path)
	if err != nil {
		return nil
	}
	readable, err := sstable.NewSimpleReadable(file)
	if err != nil {
		_ = file.Close()
		return nil
	}
	r, err := sstable.NewReader(context.Background(), readable, sstable.ReaderOptions{})
	if err != nil {
		_ = readable.Close()
		return nil
	}
	defer func() { _ = r.Close() }()
	return eachBehindDamage(func(from []byte) ([]byte, error) {
		it, err := r.NewIter(sstable.NoTransforms, from, nil, sstable.AssertNoBlobHandles)
		if err != nil {
			return nil, unreadable{err}
		}
		defer func() { _ = it.Close() }()
		var at []byte
		for kv := it.First(); kv != nil; kv = it.Next() {
			at = append(at[:0], kv.K.UserKey...)
			value, _, err := kv.Value(nil)
			if err != nil {
				return at, unreadable{err}
			}
			if kv.Kind() != pebble.InternalKeyKindSet {
				continue
			}
			if err := take(kv.K.UserKey, value); err != nil {
				return at, err
			}
		}
		if err := it.Error(); err != nil {
			return at, unreadable{err}
		}
		return at, nil
	}, func(error) {})
}

// eachOfLog calls take for the entries of a log, up to the first one that
// cannot be read. It returns only the error of take.
func eachOfLog(path string, take func(key, value []byte) error) error {
	number, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(path), ".log"), 10, 64)
	if err != nil {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	log := logReader(record.NewReader, file, number)
	var buf bytes.Buffer
	for {
		r, err := log.Next()
		if err != nil {
			return nil
		}
		buf.Reset()
		if _, err := buf.ReadFrom(r); err != nil {
			return nil
		}
		for entries := batchrepr.Read(buf.Bytes()); ; {
			kind, key, value, ok, err := entries.Next()
			if !ok || err != nil {
				break
			}
			if kind != pebble.InternalKeyKindSet {
				continue
			}
			if err := take(key, value); err != nil {
				return err
			}
		}
	}
}

// logReader calls NewReader, whose second argument has a type that cannot be
// named outside the database's module.
func logReader[N ~uint64](newReader func(io.Reader, N) *record.Reader, r io.Reader, number uint64) *record.Reader {
	return newReader(r, N(number))
}

// batch writes many entries.
type batch struct {
	db  *pebble.DB
	now *pebble.Batch
}

func (b *batch) set(key Key, value []byte) error {
	if err := b.now.Set(key[:], value, nil); err != nil || b.now.Len() < memTableBytes/4 {
		return err
	}
	if err := b.now.Commit(pebble.NoSync); err != nil {
		return err
	}
	err := b.now.Close()
	b.now = b.db.NewBatch()
	return err
}

// batched lets f write many entries, and returns when they are durable.
func (c *Cache) batched(f func(*batch) error) error {
	return c.write(func() error {
		b := &batch{db: c.db, now: c.db.NewBatch()}
		defer func() { _ = b.now.Close() }()
		if err := f(b); err != nil {
			return fmt.Errorf("copy cached answers: %w", err)
		}
		if err := b.now.LogData(nil, nil); err != nil { // so that the batch is never empty
			return err
		}
		return b.now.Commit(pebble.Sync)
	})
}
