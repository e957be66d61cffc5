package tables

import (
	"bytes"
	"context"
	"math"
	"path/filepath"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/plugins/ordering"
)

// merging joins two sides that are sorted by their keys. The numbers of the two
// rows are the key of a row of the result.
type merging struct {
	*joining
	schema *arrow.Schema
	result *ordering.Sorter
	out    *combiner
	// matches are the rows of the dataset with the key of the current row.
	matches []match
	key     []byte
	// current is the key of the last rows of input, and how many there were.
	current struct {
		key  []byte
		text string
		n    int64
	}
	mine, its duplicates // keys that occur more than once in input and the dataset
}

type match struct {
	ordering.Row
	number int64
}

// afterAll is the number of a row of input for rows of the dataset without a
// match, which come last.
const afterAll = math.MaxInt64

func (m *merging) emit(number, other int64, row joined) error {
	key := ordering.AppendOrdinal(ordering.AppendOrdinal(make([]byte, 0, 16), number), other)
	return m.out.add(key, row)
}

func (m *merging) run(ctx context.Context, rows joinedRows) error {
	left := ordering.NewSorter(arrow.NewSchema(m.left, nil), filepath.Join(m.folder, "left"), m.memory/3)
	defer left.Close()
	if err := m.sortLeft(rows, left); err != nil {
		return err
	}
	right := ordering.NewSorter(arrow.NewSchema(m.otherFields(), nil), filepath.Join(m.folder, "right"), m.memory/3)
	defer right.Close()
	if err := m.sortRight(ctx, right); err != nil {
		return err
	}
	others := newCursor(right.Sorted(ctx))
	defer others.stop()
	defer m.drop()
	for e, err := range left.Sorted(ctx) {
		if err == nil {
			err = m.join(e, others)
		}
		if err != nil {
			return err
		}
	}
	m.endKey()
	m.drop()
	if err := m.advance(others, nil); err != nil {
		return err
	}
	if err := m.its.err(m.with, false); err != nil {
		return err
	}
	if err := m.mine.err(m.with, true); err != nil {
		return err
	}
	return m.out.flush()
}

// sortLeft sorts the rows so far. Those without a key are in the result, or not,
// at once.
func (m *merging) sortLeft(rows joinedRows, left *ordering.Sorter) error {
	in := &combiner{sorter: left, builder: array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(m.left, nil))}
	defer in.builder.Release()
	number := int64(0)
	for row, err := range rows {
		if err != nil {
			return err
		}
		key, ok, err := m.leftKey(nil, row)
		switch {
		case err != nil:
		case ok:
			err = in.add(ordering.AppendOrdinal(key, number), row)
		case m.keepsInput() || m.Kind == "anti":
			err = m.emit(number, 0, m.alone(row))
		}
		if err != nil {
			return err
		}
		number++
	}
	return in.flush()
}

func (m *merging) sortRight(ctx context.Context, right *ordering.Sorter) error {
	number := int64(0)
	return m.eachOther(ctx, func(rec arrow.RecordBatch, keys []arrow.Array) error {
		for i := range int(rec.NumRows()) {
			row := ordering.Row{Batch: rec, Index: i}
			key, ok, err := appendJoinKey(m.key[:0], keys, i)
			m.key = key
			switch {
			case err != nil:
			case ok:
				m.key = ordering.AppendOrdinal(key, number)
				err = right.Add(m.key, row)
			case m.keepsOther():
				err = m.unmatched(match{row, number})
			}
			if err != nil {
				return err
			}
			number++
		}
		return nil
	})
}

// unmatched adds a row of the dataset that matches no row of input.
func (m *merging) unmatched(r match) error {
	blank := m.blank(r.Row)
	defer blank.Batch.Release()
	return m.emit(afterAll, r.number, joined{{blank, len(m.left)}, {r.Row, len(m.added)}})
}

// join adds the pairs of a row of input.
func (m *merging) join(e ordering.Entry, others *cursor) error {
	key, number := ordering.Ordinal(e.Key)
	if m.current.n == 0 || !bytes.Equal(key, m.current.key) {
		m.endKey()
		m.current.key = append(m.current.key[:0], key...)
		m.drop()
		if err := m.advance(others, m.current.key); err != nil {
			return err
		}
	}
	if m.current.n++; m.current.n == 2 {
		m.current.text = m.leftText(e.Row)
	}
	row := joined{{e.Row, len(m.left)}}
	switch {
	case m.Kind == "semi" && len(m.matches) > 0, m.Kind == "anti" && len(m.matches) == 0:
		return m.emit(number, 0, row)
	case m.filters():
		return nil
	case len(m.matches) == 0 && m.keepsInput():
		return m.emit(number, 0, m.alone(row))
	}
	for _, r := range m.matches {
		if err := m.emit(number, r.number, append(slices.Clip(row), side{r.Row, len(m.added)})); err != nil {
			return err
		}
	}
	return nil
}

// endKey notes a key of input that occurred more than once, if it must not.
func (m *merging) endKey() {
	if m.current.n > 1 && m.uniqueInput() {
		m.mine.add(m.current.key, m.current.text, m.current.n)
	}
	m.current.n = 0
}

// leftText shows the key of a row of input.
func (m *merging) leftText(r ordering.Row) string {
	columns := make([]arrow.Array, len(m.keys))
	for i, at := range m.keys {
		columns[i] = r.Batch.Column(at)
	}
	return keyText(columns, r.Index)
}

// advance moves to the rows of the dataset with a key, and reads them into
// matches. Rows with lower keys match nothing; without a key, nor do all others.
func (m *merging) advance(others *cursor, wanted []byte) error {
	for others.more {
		if others.err != nil {
			return others.err
		}
		before, _ := ordering.Ordinal(others.entry.Key)
		c := -1
		if wanted != nil {
			c = bytes.Compare(before, wanted)
		}
		if c > 0 {
			return nil
		}
		if err := m.readKey(others, slices.Clone(before), c == 0); err != nil {
			return err
		}
		if c == 0 {
			return nil
		}
	}
	return nil
}

// readKey reads the rows of the dataset with one key.
func (m *merging) readKey(others *cursor, key []byte, matches bool) error {
	n, text := int64(0), ""
	for e, err := range others.of(key) {
		if err != nil {
			return err
		}
		_, number := ordering.Ordinal(e.Key)
		if n++; n == 2 {
			text = keyText(e.Row.Batch.Columns()[len(m.added):len(m.added)+len(m.keys)], e.Row.Index)
		}
		switch r := (match{e.Row, number}); {
		case matches && (!m.filters() || n == 1):
			r.Batch.Retain()
			m.matches = append(m.matches, r)
		case !matches && m.keepsOther():
			if err := m.unmatched(r); err != nil {
				return err
			}
		}
	}
	if n > 1 && m.uniqueOther() {
		m.its.add(key, text, n)
	}
	return nil
}

// drop forgets the matches.
func (m *merging) drop() {
	for _, r := range m.matches {
		r.Batch.Release()
	}
	m.matches = m.matches[:0]
}
