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
	"unsafe"

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
	values  int64               // bytes of the buffers
	keys    arena
	runs    []string // paths of sorted runs, in the order of their rows
}

// entry is a row in memory. Prefix is the beginning of the key, which decides
// most comparisons. Entries have no pointers, so the garbage collector does not
// look at millions of them.
type entry struct {
	prefix uint64
	key    span
	batch  int32
	row    int32
}

// entryBytes is the memory that an entry takes in addition to its key.
const entryBytes = int64(unsafe.Sizeof(entry{}))

// NewSorter returns a sorter of rows whose batches have a schema. It uses about
// memory bytes, and writes files to folder if that is not enough.
func NewSorter(schema *arrow.Schema, folder string, memory int64) *Sorter {
	return &Sorter{schema: schema, folder: folder, memory: memory, buffers: Buffers{}}
}

// Add adds a row. Rows with equal keys keep the order of their batches and, in
// a batch, their positions. The sorter copies the key and retains the batch.
func (s *Sorter) Add(key []byte, r Row) error {
	next := len(s.batches) == 0 || s.batches[len(s.batches)-1] != r.Batch
	if full := len(s.entries) == cap(s.entries); (next || full) && len(s.entries) > 0 && s.used()+s.growth() > s.memory {
		if err := s.spill(); err != nil {
			return err
		}
		next = true
	}
	if next {
		r.Batch.Retain()
		s.batches = append(s.batches, r.Batch)
		s.values += s.buffers.Add(r.Batch)
	}
	s.grow()
	s.entries = append(s.entries, entry{prefixOf(key), s.keys.copy(key), int32(len(s.batches) - 1), int32(r.Index)})
	return nil
}

// used is the memory for rows, in bytes.
func (s *Sorter) used() int64 {
	return s.values + s.keys.bytes + entryBytes*int64(cap(s.entries))
}

// growth is the memory that one more entry takes until those before it are copied.
func (s *Sorter) growth() int64 {
	if len(s.entries) < cap(s.entries) {
		return 0
	}
	return entryBytes * int64(s.larger())
}

// larger is the number of entries to make room for when there is none.
func (s *Sorter) larger() int {
	if n := cap(s.entries); n >= 1<<16 {
		return n + n/4
	}
	return max(256, 2*cap(s.entries))
}

func (s *Sorter) grow() {
	if len(s.entries) == cap(s.entries) {
		s.entries = append(make([]entry, 0, s.larger()), s.entries...)
	}
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
		if c := cmp.Compare(a.prefix, b.prefix); c != 0 {
			return c
		}
		if c := bytes.Compare(s.keys.at(a.key), s.keys.at(b.key)); c != 0 {
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
			if !yield(Entry{s.keys.at(e.key), Row{s.batches[e.batch], int(e.row)}}, nil) {
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
	s.entries, s.batches, s.buffers, s.values, s.keys = s.entries[:0], nil, Buffers{}, 0, arena{}
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
type arena struct {
	blocks [][]byte
	bytes  int64 // of the blocks
}

// span is where a key is.
type span struct{ block, from, to uint32 }

const arenaBlock = 1 << 20

func (a *arena) copy(key []byte) span {
	last := len(a.blocks) - 1
	if last < 0 || cap(a.blocks[last])-len(a.blocks[last]) < len(key) {
		a.blocks = append(a.blocks, make([]byte, 0, max(arenaBlock, len(key))))
		last++
		a.bytes += int64(cap(a.blocks[last]))
	}
	from := len(a.blocks[last])
	a.blocks[last] = append(a.blocks[last], key...)
	return span{uint32(last), uint32(from), uint32(from + len(key))}
}

func (a *arena) at(s span) []byte { return a.blocks[s.block][s.from:s.to:s.to] }
