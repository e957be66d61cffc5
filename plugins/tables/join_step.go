package tables

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/plugins/ordering"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// joining joins rows with one dataset. If the dataset fits in memory, the rows
// are looked up in a table; if not, both sides are sorted. The result is the
// same.
type joining struct {
	*with
	left   []arrow.Field // the columns of a row before the join
	keys   []int         // positions of the keys among them
	other  *plugin.DatasetInput
	folder string
	memory int64

	nulls []arrow.Array // one null for each column of left
}

// otherFields returns the columns of a batch of the dataset: those that are
// added, then those in on, and then the row expressions in right. All but the
// first are the keys.
func (j *joining) otherFields() []arrow.Field {
	names := slices.Concat(j.added, j.On)
	fields := make([]arrow.Field, 0, len(names)+len(j.Right))
	schema := j.other.Schema.Arrow()
	for _, name := range names {
		_, i, _ := j.other.Schema.Lookup(name)
		fields = append(fields, schema.Field(i))
	}
	return append(fields, argumentSchema(j.other, columnKeys(j.Right)).Arrow().Fields()...)
}

// eachOther yields the batches of the dataset with their keys.
func (j *joining) eachOther(ctx context.Context, work func(rec arrow.RecordBatch, keys []arrow.Array) error) error {
	schema := arrow.NewSchema(j.otherFields(), nil)
	columns := data.Columns.Refs(slices.Concat(j.added, j.On)...)
	for rec, err := range j.other.Batches(ctx, columns, data.Arguments.Refs(columnKeys(j.Right)...)) {
		if err != nil {
			return err
		}
		plain := array.NewRecordBatch(schema, rec.Columns(), rec.NumRows())
		err = work(plain, plain.Columns()[len(j.added):])
		plain.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func (j *joining) leftKey(b []byte, row joined) (key []byte, ok bool, err error) {
	columns := make([]arrow.Array, len(j.keys))
	for i, at := range j.keys {
		columns[i] = row[0].Batch.Column(at)
	}
	return appendJoinKey(b, columns, row[0].Index)
}

// run yields the rows of the result, in order.
func (j *joining) run(ctx context.Context, rows joinedRows) joinedRows {
	return func(yield func(joined, error) bool) {
		t, fits, err := j.table(ctx)
		defer t.release()
		switch {
		case err != nil:
			yield(nil, err)
		case fits:
			j.lookUp(ctx, rows, t, yield)
		default:
			t.release()
			j.sortAndMerge(ctx, rows, yield)
		}
	}
}

// lookup is the dataset in memory. Rows with the same key are a chain.
type lookup struct {
	batches []arrow.RecordBatch
	rows    []ordering.Row
	next    []int32          // the next row of the chain, or -1
	chains  map[string]chain // by key
	found   []bool           // rows that matched, if that matters
}

type chain struct{ first, last, n int32 }

// mostRows limits the rows of a lookup, whose numbers have 31 bits.
const mostRows = 1 << 30

// rowBytes is about what a row of a lookup takes in addition to its values.
const rowBytes = 96

// table reads the dataset into memory, unless it does not fit.
func (j *joining) table(ctx context.Context) (t *lookup, fits bool, err error) {
	t = &lookup{chains: map[string]chain{}}
	var used int64
	var key []byte
	buffers := ordering.Buffers{}
	err = j.eachOther(ctx, func(rec arrow.RecordBatch, keys []arrow.Array) error {
		if used += buffers.Add(rec) + rowBytes*rec.NumRows(); used > j.memory || len(t.rows) > mostRows {
			return errTooLarge
		}
		rec.Retain()
		t.batches = append(t.batches, rec)
		for i := range int(rec.NumRows()) {
			var ok bool
			var err error
			if key, ok, err = appendJoinKey(key[:0], keys, i); err != nil {
				return err
			}
			t.add(key, ok, ordering.Row{Batch: rec, Index: i})
		}
		return nil
	})
	if errors.Is(err, errTooLarge) {
		return t, false, nil
	}
	if j.keepsOther() {
		t.found = make([]bool, len(t.rows))
	}
	return t, true, err
}

var errTooLarge = errors.New("the dataset does not fit in memory")

// add adds a row. A row without a key is in no chain.
func (t *lookup) add(key []byte, ok bool, r ordering.Row) {
	n := int32(len(t.rows))
	t.rows, t.next = append(t.rows, r), append(t.next, -1)
	if !ok {
		return
	}
	c, known := t.chains[string(key)]
	if known {
		t.next[c.last] = n
		c.last, c.n = n, c.n+1
	} else {
		c = chain{n, n, 1}
	}
	t.chains[string(key)] = c
}

func (t *lookup) release() {
	for _, b := range t.batches {
		b.Release()
	}
	t.batches = nil
}

// lookUp yields the result row by row.
func (j *joining) lookUp(ctx context.Context, rows joinedRows, t *lookup, yield func(joined, error) bool) {
	if err := j.checkTable(t); err != nil {
		yield(nil, err)
		return
	}
	repeated := newRepeated(j)
	defer repeated.close()
	var key []byte
	for row, err := range rows {
		if err != nil {
			yield(nil, err)
			return
		}
		var ok bool
		if key, ok, err = j.leftKey(key[:0], row); err == nil && ok && j.uniqueInput() {
			err = repeated.add(key, row[0].Row)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		c, matches := t.chains[string(key)]
		if !ok || !matches {
			if (j.keepsInput() || j.Kind == "anti") && !yield(j.alone(row), nil) {
				return
			}
			continue
		}
		if !j.eachMatch(row, t, c, yield) {
			return
		}
	}
	if err := repeated.check(ctx); err != nil {
		yield(nil, err)
		return
	}
	for i, found := range t.found {
		if !found {
			blank := j.blank(t.rows[i])
			goOn := yield(joined{{blank, len(j.left)}, {t.rows[i], len(j.added)}}, nil)
			blank.Batch.Release()
			if !goOn {
				return
			}
		}
	}
}

// eachMatch yields the pairs of a row and those of a chain.
func (j *joining) eachMatch(row joined, t *lookup, c chain, yield func(joined, error) bool) bool {
	if j.filters() {
		return j.Kind == "anti" || yield(row, nil)
	}
	pair := append(slices.Clip(row), side{width: len(j.added)})
	for n := c.first; n >= 0; n = t.next[n] {
		if t.found != nil {
			t.found[n] = true
		}
		pair[len(row)].Row = t.rows[n]
		if !yield(pair, nil) {
			return false
		}
	}
	return true
}

// alone returns a row without a match.
func (j *joining) alone(row joined) joined {
	if j.filters() {
		return row
	}
	return append(slices.Clip(row), side{width: len(j.added)})
}

// blank returns a row of the left side for a row of the dataset without a
// match: null, except for the columns in on. The caller releases the batch.
func (j *joining) blank(r ordering.Row) ordering.Row {
	if j.nulls == nil {
		for _, f := range j.left {
			j.nulls = append(j.nulls, array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, 1))
		}
	}
	columns := slices.Clone(j.nulls)
	for k := range j.On {
		value := array.NewSlice(r.Batch.Column(len(j.added)+k), int64(r.Index), int64(r.Index)+1)
		defer value.Release()
		columns[j.keys[k]] = value
	}
	return ordering.Row{Batch: array.NewRecordBatch(arrow.NewSchema(j.left, nil), columns, 1)}
}

// sortAndMerge sorts both sides by their keys, merges them, and sorts the
// result by the order of the rows.
func (j *joining) sortAndMerge(ctx context.Context, rows joinedRows, yield func(joined, error) bool) {
	fields := j.left
	if !j.filters() {
		fields = slices.Concat(j.left, j.otherFields()[:len(j.added)])
	}
	m := &merging{joining: j, schema: arrow.NewSchema(fields, nil)}
	m.result = ordering.NewSorter(m.schema, filepath.Join(j.folder, "result"), j.memory/3)
	defer m.result.Close()
	m.out = &combiner{sorter: m.result, builder: array.NewRecordBuilder(memory.DefaultAllocator, m.schema)}
	defer m.out.builder.Release()
	if err := m.run(ctx, rows); err != nil {
		yield(nil, err)
		return
	}
	row := make(joined, 1)
	for e, err := range m.result.Sorted(ctx) {
		if err != nil {
			yield(nil, err)
			return
		}
		row[0] = side{e.Row, len(fields)}
		if !yield(row, nil) {
			return
		}
	}
}

// duplicates are keys that occur more than once where they must not.
type duplicates struct {
	keys []duplicate
	n    int
}

type duplicate struct {
	key  []byte
	text string
	rows int64
}

// mostDuplicates is the number of keys that a message names.
const mostDuplicates = 5

// add adds a key, of which only the lowest are kept.
func (d *duplicates) add(key []byte, text string, rows int64) {
	d.n++
	d.keys = append(d.keys, duplicate{slices.Clone(key), text, rows})
	slices.SortFunc(d.keys, func(a, b duplicate) int { return bytes.Compare(a.key, b.key) })
	d.keys = d.keys[:min(len(d.keys), mostDuplicates)]
}

// keyText shows a key to a person.
func keyText(columns []arrow.Array, i int) string {
	parts := make([]string, len(columns))
	for c, column := range columns {
		text := column.ValueStr(i)
		if column.DataType().ID() == arrow.STRING {
			text = fmt.Sprintf("%.80q", text)
		}
		parts[c] = text
	}
	return strings.Join(parts, ", ")
}

// err returns the error for the keys of a side of the join, or nil if there are
// none.
func (d *duplicates) err(w *with, inInput bool) error {
	if d.n == 0 {
		return nil
	}
	where, allowed := fmt.Sprintf("the dataset of %q", w.Name), "many_to_many"
	switch {
	case inInput && w.uniqueOther():
		allowed = "many_to_one"
	case !inInput && w.uniqueInput():
		allowed = "one_to_many"
	}
	if inInput {
		where = "input"
	}
	var named []string
	for _, k := range d.keys {
		named = append(named, fmt.Sprintf("%s (%d rows)", k.text, k.rows))
	}
	if more := d.n - len(d.keys); more > 0 {
		named = append(named, fmt.Sprintf("%d more", more))
	}
	return plugin.ArgumentErrorf(w.at("cardinality"), "%s %s more than once in %s\nWith cardinality = %q, each key must occur there at most once. These do not: %s. Remove duplicates first, for example with transform \"group\" or \"dedup\", or set cardinality = %q.",
		english.Count(d.n, "key"), english.Agree(d.n, "occurs", "occur"), where, w.Cardinality, english.And(named), allowed)
}

// checkTable checks that each key occurs once, if it must.
func (j *joining) checkTable(t *lookup) error {
	if !j.uniqueOther() {
		return nil
	}
	var d duplicates
	for key, c := range t.chains {
		if c.n > 1 {
			r := t.rows[c.first]
			d.add([]byte(key), keyText(r.Batch.Columns()[len(j.added):], r.Index), int64(c.n))
		}
	}
	return d.err(j.with, false)
}

// repeated finds keys of input that occur more than once.
type repeated struct {
	*joining
	schema *arrow.Schema
	sorter *ordering.Sorter // nil if keys may occur more than once
	// keyed has the keys of the batch from.
	from, keyed arrow.RecordBatch
}

func newRepeated(j *joining) *repeated {
	if !j.uniqueInput() {
		return &repeated{}
	}
	fields := make([]arrow.Field, len(j.keys))
	for i, at := range j.keys {
		fields[i] = j.left[at]
	}
	schema := arrow.NewSchema(fields, nil)
	return &repeated{joining: j, schema: schema, sorter: ordering.NewSorter(schema, filepath.Join(j.folder, "keys"), j.memory)}
}

// add adds the key of a row.
func (r *repeated) add(key []byte, row ordering.Row) error {
	if r.from != row.Batch {
		columns := make([]arrow.Array, len(r.joining.keys))
		for i, at := range r.joining.keys {
			columns[i] = row.Batch.Column(at)
		}
		r.forget()
		row.Batch.Retain()
		r.from, r.keyed = row.Batch, array.NewRecordBatch(r.schema, columns, row.Batch.NumRows())
	}
	return r.sorter.Add(key, ordering.Row{Batch: r.keyed, Index: row.Index})
}

func (r *repeated) forget() {
	if r.from != nil {
		r.from.Release()
		r.keyed.Release()
		r.from, r.keyed = nil, nil
	}
}

// check returns an error if a key was added twice.
func (r *repeated) check(ctx context.Context) error {
	if r.sorter == nil {
		return nil
	}
	var d duplicates
	rows := newCursor(r.sorter.Sorted(ctx))
	defer rows.stop()
	for rows.more {
		if rows.err != nil {
			return rows.err
		}
		key, n, text := slices.Clone(rows.entry.Key), int64(0), ""
		for e, err := range rows.of(key) {
			if err != nil {
				return err
			}
			if n++; n == 2 {
				text = keyText(e.Row.Batch.Columns(), e.Row.Index)
			}
		}
		if n > 1 {
			d.add(key, text, n)
		}
	}
	return d.err(r.with, true)
}

func (r *repeated) close() {
	r.forget()
	if r.sorter != nil {
		r.sorter.Close()
	}
}
