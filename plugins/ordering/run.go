package ordering

import (
	"bufio"
	"container/heap"
	"fmt"
	"iter"
	"os"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// A run is an Arrow stream of sorted rows: the columns of the rows, and then
// their keys. Its batches are small, because a merge keeps one of each run in
// memory.
const (
	runRows  = 2048
	runBytes = 1 << 20
)

func runSchema(s *arrow.Schema) *arrow.Schema {
	fields := append(s.Fields()[:len(s.Fields()):len(s.Fields())], arrow.Field{Type: arrow.BinaryTypes.Binary})
	return arrow.NewSchema(fields, nil)
}

// writeRun writes rows to a new file and returns its path.
func writeRun(folder string, schema *arrow.Schema, rows iter.Seq2[Entry, error]) (path string, err error) {
	f, err := os.CreateTemp(folder, "run-*.arrow")
	if err != nil {
		return "", fmt.Errorf("create a file for sorting: %w", err)
	}
	defer func() {
		if closing := f.Close(); err == nil {
			err = closing
		}
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	buffered := bufio.NewWriterSize(f, 256<<10)
	w := &runWriter{
		columns: array.NewRecordBuilder(memory.DefaultAllocator, schema),
		keys:    array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary),
		schema:  runSchema(schema),
	}
	w.out = ipc.NewWriter(buffered, ipc.WithSchema(w.schema))
	defer w.columns.Release()
	defer w.keys.Release()
	for e, err := range rows {
		if err == nil {
			err = w.add(e)
		}
		if err != nil {
			return "", err
		}
	}
	if err := w.flush(); err != nil {
		return "", err
	}
	if err := w.out.Close(); err != nil {
		return "", fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return f.Name(), buffered.Flush()
}

type runWriter struct {
	schema  *arrow.Schema
	columns *array.RecordBuilder
	keys    *array.BinaryBuilder
	out     *ipc.Writer
	bytes   int64
}

func (w *runWriter) add(e Entry) error {
	if err := AppendRow(w.columns, e.Row); err != nil {
		return err
	}
	w.keys.Append(e.Key)
	w.bytes += int64(len(e.Key)) + e.Row.Bytes()
	if w.keys.Len() >= runRows || w.bytes >= runBytes {
		return w.flush()
	}
	return nil
}

func (w *runWriter) flush() error {
	if w.keys.Len() == 0 {
		return nil
	}
	rows := w.columns.NewRecordBatch()
	defer rows.Release()
	keys := w.keys.NewArray()
	defer keys.Release()
	columns := append(rows.Columns()[:len(rows.Columns()):len(rows.Columns())], keys)
	rec := array.NewRecordBatch(w.schema, columns, int64(keys.Len()))
	defer rec.Release()
	w.bytes = 0
	if err := w.out.Write(rec); err != nil {
		return fmt.Errorf("write rows to sort: %w", err)
	}
	return nil
}

// merge merges runs, and rows in memory that come after them.
func merge(runs []string, schema *arrow.Schema, last iter.Seq2[Entry, error]) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		sources := make([]iter.Seq2[Entry, error], 0, len(runs)+1)
		for _, path := range runs {
			sources = append(sources, readRun(path, schema))
		}
		if last != nil {
			sources = append(sources, last)
		}
		var h heads
		defer func() {
			for _, s := range h {
				s.stop()
			}
		}()
		for order, rows := range sources {
			next, stop := iter.Pull2(rows)
			s := &head{next: next, stop: stop, order: order}
			if more, err := s.advance(); err != nil {
				stop()
				yield(Entry{}, err)
				return
			} else if more {
				h = append(h, s)
			}
		}
		heap.Init(&h)
		for len(h) > 0 {
			if !yield(h[0].entry, nil) {
				return
			}
			more, err := h[0].advance()
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if more {
				heap.Fix(&h, 0)
			} else {
				heap.Pop(&h)
			}
		}
	}
}

// readRun reads the rows of a file.
func readRun(path string, schema *arrow.Schema) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(Entry{}, fmt.Errorf("read sorted rows: %w", err))
			return
		}
		defer f.Close()
		in, err := ipc.NewReader(bufio.NewReaderSize(f, 64<<10), ipc.WithSchema(runSchema(schema)))
		if err != nil {
			yield(Entry{}, fmt.Errorf("read %s: %w", path, err))
			return
		}
		defer in.Release()
		for in.Next() {
			rec := in.RecordBatch()
			keys := rec.Column(int(rec.NumCols()) - 1).(*array.Binary)
			for i := range keys.Len() {
				if !yield(Entry{keys.Value(i), Row{rec, i}}, nil) {
					return
				}
			}
		}
		if err := in.Err(); err != nil {
			yield(Entry{}, fmt.Errorf("read %s: %w", path, err))
		}
	}
}

// head is the next row of one of the sorted sequences that are merged.
type head struct {
	entry  Entry
	prefix uint64
	order  int
	next   func() (Entry, error, bool)
	stop   func()
}

// advance moves to the next row. It reports whether there is one.
func (h *head) advance() (bool, error) {
	e, err, more := h.next()
	if !more || err != nil {
		return false, err
	}
	h.entry, h.prefix = e, prefixOf(e.Key)
	return true, nil
}

// heads implements heap.Interface.
type heads []*head

func (h heads) Len() int { return len(h) }
func (h heads) Less(i, j int) bool {
	c := compareKeys(h[i].prefix, h[j].prefix, h[i].entry.Key, h[j].entry.Key)
	return c < 0 || c == 0 && h[i].order < h[j].order
}
func (h heads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)   { *h = append(*h, x.(*head)) }
func (h *heads) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
