package ordering

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"os"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
)

// Sorter sorts rows. Use it from one goroutine: first Add, then Sorted, and
// finally Close.
type Sorter struct {
	schema *arrow.Schema
	folder string
	memory int64

	entries []entry
	batches []arrow.RecordBatch // retained; entries refer to them
	buffers Buffers             // of the batches
	keys    arena
	used    int64
	runs    []string // paths of sorted runs, in the order of their rows
}

// entry is a row in memory. Prefix is the beginning of the key, which decides
// most comparisons.
type entry struct {
	prefix uint64
	key    []byte
	batch  int32
	row    int32
}

// entryBytes is the memory that an entry takes in addition to its key.
const entryBytes = 40

// NewSorter returns a sorter of rows whose batches have a schema. It uses about
// memory bytes, and writes files to folder if that is not enough.
func NewSorter(schema *arrow.Schema, folder string, memory int64) *Sorter {
	return &Sorter{schema: schema, folder: folder, memory: memory, buffers: Buffers{}}
}

// Add adds a row. Rows with equal keys keep the order of their batches and, in
// a batch, their positions. The sorter copies the key and retains the batch.
func (s *Sorter) Add(key []byte, r Row) error {
	if last := len(s.batches) - 1; last < 0 || s.batches[last] != r.Batch {
		if s.used > s.memory {
			if err := s.spill(); err != nil {
				return err
			}
		}
		r.Batch.Retain()
		s.batches = append(s.batches, r.Batch)
		s.used += s.buffers.Add(r.Batch)
	}
	key = s.keys.copy(key)
	s.entries = append(s.entries, entry{prefixOf(key), key, int32(len(s.batches) - 1), int32(r.Index)})
	s.used += int64(len(key)) + entryBytes
	return nil
}

func prefixOf(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var padded [8]byte
	copy(padded[:], key)
	return binary.BigEndian.Uint64(padded[:])
}

func compareKeys(prefix, otherPrefix uint64, key, other []byte) int {
	if c := cmp.Compare(prefix, otherPrefix); c != 0 {
		return c
	}
	return bytes.Compare(key, other)
}

func (s *Sorter) sort() {
	slices.SortFunc(s.entries, func(a, b entry) int {
		if c := compareKeys(a.prefix, b.prefix, a.key, b.key); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(a.batch, b.batch), cmp.Compare(a.row, b.row))
	})
}

// spill writes the rows in memory to a file, in order.
func (s *Sorter) spill() error {
	s.sort()
	path, err := s.write(s.inMemory())
	if err != nil {
		return err
	}
	s.runs = append(s.runs, path)
	s.forget()
	return nil
}

// write writes sorted rows to a new file.
func (s *Sorter) write(rows iter.Seq2[Entry, error]) (string, error) {
	if err := os.MkdirAll(s.folder, 0o755); err != nil {
		return "", fmt.Errorf("create a folder for sorting: %w", err)
	}
	return writeRun(s.folder, s.schema, rows)
}

func (s *Sorter) inMemory() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range s.entries {
			if !yield(Entry{e.key, Row{s.batches[e.batch], int(e.row)}}, nil) {
				return
			}
		}
	}
}

// forget releases the rows in memory.
func (s *Sorter) forget() {
	for _, b := range s.batches {
		b.Release()
	}
	s.entries, s.batches, s.buffers, s.keys, s.used = s.entries[:0], nil, Buffers{}, arena{}, 0
}

// Entry is a row with its key. Both are valid until the next iteration; retain
// the batch to keep the row.
type Entry struct {
	Key []byte
	Row Row
}

// Sorted returns the rows in the order of their keys. Each call iterates from
// the start. An error ends the iteration.
func (s *Sorter) Sorted(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		s.sort()
		if err := s.reduceRuns(ctx); err != nil {
			yield(Entry{}, err)
			return
		}
		rows := s.inMemory()
		if len(s.runs) > 0 {
			rows = merge(s.runs, s.schema, rows)
		}
		n := 0
		for e, err := range rows {
			if n++; n%4096 == 0 && err == nil {
				err = ctx.Err()
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// mostRuns is the number of runs that are merged at once. Each takes memory for
// one batch, and an open file.
const mostRuns = 64

// reduceRuns merges runs into longer ones until few enough are left. It merges
// adjacent runs, so that rows with equal keys keep their order.
func (s *Sorter) reduceRuns(ctx context.Context) error {
	for len(s.runs) > mostRuns {
		var longer []string
		for part := range slices.Chunk(s.runs, mostRuns) {
			if err := ctx.Err(); err != nil {
				return err
			}
			path, err := s.write(merge(part, s.schema, nil))
			if err != nil {
				return err
			}
			longer = append(longer, path)
			for _, old := range part {
				if err := os.Remove(old); err != nil {
					return fmt.Errorf("remove a temporary file: %w", err)
				}
			}
		}
		s.runs = longer
	}
	return nil
}

// Close releases the rows and removes the files.
func (s *Sorter) Close() {
	s.forget()
	for _, path := range s.runs {
		os.Remove(path) // the folder is temporary, too
	}
	s.runs = nil
}

// arena keeps keys in large blocks.
type arena struct{ block []byte }

const arenaBlock = 1 << 20

func (a *arena) copy(key []byte) []byte {
	if cap(a.block)-len(a.block) < len(key) {
		a.block = make([]byte, 0, max(arenaBlock, len(key)))
	}
	start := len(a.block)
	a.block = append(a.block, key...)
	return a.block[start:len(a.block):len(a.block)]
}
