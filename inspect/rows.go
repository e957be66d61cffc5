package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/ui/export"
)

// Match says how certain it is that a row comes from another.
type Match string

const (
	// Exact is a row that is known to be the one.
	Exact Match = "exact"
	// ByValue is a row whose columns have the values that were passed on.
	ByValue Match = "by value"
	// AnyRow means that any row of the dataset may be the one.
	AnyRow Match = "any row"
)

// Row is a row of a dataset or file, and the rows that it came from. Rows are counted
// from 0.
type Row struct {
	Address string `json:"address,omitempty"`
	Port    string `json:"port,omitempty"`
	// File is what a source calls the file that it read. Row is then the number of
	// the row among those that the source read from the file.
	File string `json:"file,omitempty"`
	Row  int64  `json:"row"`
	// SetAside is the number of rows of the file that could not be read. Row does not
	// count them.
	SetAside int64 `json:"set_aside,omitempty"`
	Match    Match `json:"match,omitempty"`
	// Of is the number of rows that match, if they are too many to show: for AnyRow,
	// the rows of the dataset. It takes the place of Row.
	Of int64 `json:"of,omitempty"`
	// Values of the row, as JSON.
	Values json.RawMessage `json:"values,omitempty"`
	// Calls are the calls of language models that the stage made for all of its rows.
	Calls   *llm.Spend `json:"stage_calls,omitempty"`
	Models  []string   `json:"models,omitempty"`
	Prompts []string   `json:"prompts,omitempty"`
	// Requests are those that the stage made to models for the row. They are nil if
	// nobody has looked for them, and RequestsUnknown says why they were not found.
	Requests        []Request `json:"requests,omitempty"`
	RequestsUnknown string    `json:"requests_unknown,omitempty"`
	// Repeated is set if the same row appears above, Missing if the store no longer
	// has what it came from.
	Repeated bool   `json:"repeated,omitempty"`
	Missing  bool   `json:"missing,omitempty"`
	From     []*Row `json:"from,omitempty"`

	// ActionKey is that of the action that produced the row. If AsksModels is set, the
	// action has models. AskedRow is then the row of its input that it asked them
	// about, or nil if it is not row-wise. Recorded are the requests in the row itself.
	ActionKey  string     `json:"-"`
	AsksModels bool       `json:"-"`
	AskedRow   *int64     `json:"-"`
	Recorded   []Recorded `json:"-"`
}

// shownRows is the largest number of rows that are followed if several match: more
// say little about where a row came from.
const shownRows = 10

// RowLineage returns the rows that a row of a dataset came from. It reads the rows
// of the datasets on the way in batches. If the row does not exist, the error says how
// many there are.
func RowLineage(ctx context.Context, s *store.Store, a Artifact, actionKey string, row int64) (*Row, error) {
	t := &tracer{derivations{ctx: ctx, descent: descent{store: s, seen: map[string]bool{}}}}
	r, err := t.result(a.Address, actionKey)
	if err != nil {
		return nil, err
	}
	m, err := t.manifest(a.Ref)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, diag.Failed(a.Name()+" has no rows", "It is a %s, not a dataset.", a.Ref.Kind)
	}
	if row >= m.Rows {
		return nil, diag.Failed(fmt.Sprintf("%s has no row %d", a.Name(), row), "It has %d rows, counted from 0.", m.Rows)
	}
	return t.row(r, a.Port, m, row)
}

// tracer follows rows from results to their origins.
type tracer struct{ derivations }

// row returns the lineage of a row.
func (t *tracer) row(r *result, port string, m *dataset.Manifest, n int64) (*Row, error) {
	row := &Row{Address: r.address, Port: port, Row: n}
	var err error
	if row.Values, err = t.values(m, n); err != nil {
		return nil, err
	}
	row.Repeated = t.repeated(fmt.Sprintf("row %s %s %d", r.key, port, n))
	row.Missing = r.entry == nil
	switch {
	case row.Repeated || row.Missing:
		return row, nil
	case isSource(r.entry):
		return row, t.file(row, r.entry)
	}
	row.Calls, row.ActionKey, row.AsksModels = r.entry.Spend, r.key, asksModels(r.entry)
	row.Recorded = recorded(r.entry, row.Values)
	for _, in := range r.entry.Inputs {
		switch {
		case in.Role == action.RoleModel && !slices.Contains(row.Models, in.Address):
			row.Models = append(row.Models, in.Address)
		case in.Role == action.RolePrompt && !slices.Contains(row.Prompts, in.Address):
			row.Prompts = append(row.Prompts, in.Address)
		}
	}
	inputs := keyed(r.entry)
	for _, key := range slices.Sorted(maps.Keys(inputs)) {
		if err := t.input(row, r, port, m, key, inputs[key]); err != nil {
			return nil, err
		}
	}
	return row, nil
}

// file adds the file that a row of a source was read from.
func (t *tracer) file(row *Row, e *action.Entry) error {
	parts, err := t.parts(e)
	if err != nil {
		return err
	}
	n := row.Row
	for _, p := range parts {
		if n >= p.rows {
			n -= p.rows
			continue
		}
		if p.name != "" {
			row.From = append(row.From, &Row{File: p.name, Row: n, Match: Exact, SetAside: p.quarantined})
		}
		return nil
	}
	return nil
}

// input adds the rows of an input that a row came from.
func (t *tracer) input(row *Row, r *result, port string, m *dataset.Manifest, key string, in action.InputRef) error {
	of, err := t.inputDataset(in)
	if err != nil {
		return err
	}
	if of == nil {
		if hasRows(r.entry, key) {
			row.From = append(row.From, &Row{Address: in.Address, Port: in.Port, Match: AnyRow, Missing: true})
		}
		return nil
	}
	origin, err := t.origin(in)
	if err != nil {
		return err
	}
	matched, err := t.match(r, port, m, key, of, row)
	if err != nil {
		return err
	}
	if d := r.entry.Derivations[port]; matched.kind == Exact && d != nil && d.Relation != action.Selected {
		row.AskedRow = &matched.rows[0]
	}
	if matched.kind == AnyRow {
		row.From = append(row.From, &Row{Address: in.Address, Port: in.Port, Match: AnyRow, Of: of.Rows})
		return nil
	}
	if matched.count > shownRows {
		row.From = append(row.From, &Row{Address: in.Address, Port: in.Port, Match: ByValue, Of: matched.count})
		return nil
	}
	for _, n := range matched.rows {
		from, err := t.row(origin, in.Port, of, n)
		if err != nil {
			return err
		}
		from.Match = matched.kind
		row.From = append(row.From, from)
	}
	return nil
}

// matched are the rows of an input that a row came from.
type matched struct {
	kind  Match
	rows  []int64 // at most shownRows
	count int64   // of all that match
}

func only(n int64) matched { return matched{kind: Exact, rows: []int64{n}, count: 1} }

// match finds the rows of an input that a row of an output came from.
func (t *tracer) match(r *result, port string, m *dataset.Manifest, key string, of *dataset.Manifest, row *Row) (matched, error) {
	if found, ok := evaluated(r.entry, key, of, row.Values); ok {
		return found, nil
	}
	n, d := row.Row, r.entry.Derivations[port]
	if d == nil {
		d = &action.Derivation{}
	}
	if d.RowsOf != "" && d.RowsOf != key {
		return matched{kind: AnyRow}, nil
	}
	switch d.Relation {
	case action.Each:
		return only(n), nil
	case action.Expanded:
		if found, ok, err := t.expanded(r.entry, key, of, m, n); ok || err != nil {
			return found, err
		}
	case action.Selected:
		return t.selected(m, of, n)
	}
	passed := passedOn(d, key, m, of)
	if len(passed) == 0 {
		return matched{kind: AnyRow}, nil
	}
	found, err := t.byValue(m, of, n, passed)
	if err == nil && found.count == 0 && !fromSeveral(d, key, passed) {
		return matched{kind: AnyRow}, nil
	}
	return found, err
}

// builtin is the name of the plugin of built-in stages.
const builtin = "builtin"

// evaluated returns the row of the dataset that a row of an evaluation is about. Rows of
// built-in evaluations have its number.
func evaluated(e *action.Entry, key string, of *dataset.Manifest, values json.RawMessage) (found matched, ok bool) {
	if key != "dataset" || e.Plugin.Name != builtin || !isEvaluation(e) {
		return matched{}, false
	}
	var about struct{ Row *int64 }
	if json.Unmarshal(values, &about) != nil || about.Row == nil || *about.Row < 0 || *about.Row >= of.Rows {
		return matched{}, false
	}
	return only(*about.Row), true
}

// fromSeveral reports whether a column that an input passed on has values of other
// inputs, too, as in a union. A row whose values the input does not have then came
// from another one.
func fromSeveral(d *action.Derivation, key string, passed []pass) bool {
	return slices.ContainsFunc(passed, func(p pass) bool {
		sources := d.Columns[p.output]
		return sources != nil && !sources.Inexact && slices.ContainsFunc(sources.From, func(c action.ColumnRef) bool { return c.Unchanged && c.Input != key })
	})
}

// pass is a column that was passed on under another name or the same.
type pass struct{ output, input string }

// passedOn returns the columns that were passed on unchanged. If the entry does not
// say so, those are the columns with equal values, for which there must be as many
// rows.
func passedOn(d *action.Derivation, key string, m, of *dataset.Manifest) []pass {
	var out []pass
	for _, column := range m.Schema.Names() {
		sources := d.Columns[column]
		switch {
		case sources != nil:
			if c, ok := passedFrom(sources, key); ok {
				out = append(out, pass{column, c})
			}
		case d.RowsOf == key && of.ColumnDigest(column) != "":
			out = append(out, pass{column, column})
		case d.RowsOf == "" && m.Rows == of.Rows && of.ColumnDigest(column) != "" && of.ColumnDigest(column) == m.ColumnDigest(column):
			out = append(out, pass{column, column})
		}
	}
	return out
}

// passedFrom returns the only column of an input that is passed on as a column.
func passedFrom(s *action.Sources, key string) (column string, ok bool) {
	for _, c := range s.From {
		if c.Input != key || !c.Unchanged {
			continue
		}
		if ok {
			return "", false // the value is in either of them
		}
		column, ok = c.Column, true
	}
	return column, ok
}

// byValue finds the rows of an input with the values of a row.
func (t *tracer) byValue(m, of *dataset.Manifest, n int64, passed []pass) (matched, error) {
	want, err := t.key(m, n, passed, func(p pass) string { return p.output })
	if err != nil {
		return matched{}, err
	}
	found := matched{kind: ByValue}
	err = t.keys(of, passed, func(p pass) string { return p.input }, func(row int64, key [16]byte) {
		if key != want {
			return
		}
		if found.count++; len(found.rows) < shownRows {
			found.rows = append(found.rows, row)
		}
	})
	return found, err
}

// selected finds the row of an input that was selected. If all rows that are equal
// were selected, it is the one with the same rank among them. Otherwise it is one of
// them.
func (t *tracer) selected(m, of *dataset.Manifest, n int64) (matched, error) {
	var all []pass
	for _, column := range of.Schema.Names() {
		if m.ColumnDigest(column) != "" {
			all = append(all, pass{column, column})
		}
	}
	same := func(p pass) string { return p.input }
	want, err := t.key(m, n, all, same)
	if err != nil {
		return matched{}, err
	}
	var rank, outputs int64
	err = t.keys(m, all, same, func(row int64, key [16]byte) {
		if key == want {
			outputs++
			if row < n {
				rank++
			}
		}
	})
	if err != nil {
		return matched{}, err
	}
	found, ranked := matched{kind: ByValue}, int64(-1)
	err = t.keys(of, all, same, func(row int64, key [16]byte) {
		if key != want {
			return
		}
		if found.count == rank {
			ranked = row
		}
		if found.count++; len(found.rows) < shownRows {
			found.rows = append(found.rows, row)
		}
	})
	if err != nil {
		return matched{}, err
	}
	if found.count == outputs && ranked >= 0 {
		return only(ranked), nil
	}
	if found.count == 0 {
		return matched{kind: AnyRow}, nil
	}
	return found, nil
}

// key returns the key of one row by some columns.
func (t *tracer) key(m *dataset.Manifest, n int64, passed []pass, name func(pass) string) (key [16]byte, err error) {
	shard, at := shardOf(m, n)
	err = t.keys(&dataset.Manifest{Schema: m.Schema, Shards: []dataset.Shard{shard}}, passed, name, func(row int64, k [16]byte) {
		if row == at {
			key = k
		}
	})
	return key, err
}

// keys calls f with the key of each row by some columns, named by position.
func (t *tracer) keys(m *dataset.Manifest, passed []pass, name func(pass) string, f func(row int64, key [16]byte)) error {
	columns, positions := make([]string, len(passed)), make([]arrow.Field, len(passed))
	for i, p := range passed {
		columns[i] = name(p)
		positions[i].Name = fmt.Sprint(i)
	}
	names := make([]string, len(positions))
	for i := range positions {
		names[i] = positions[i].Name
	}
	shards, err := m.Files(t.store.Blobs, slices.Compact(slices.Sorted(slices.Values(columns))))
	if err != nil {
		return err
	}
	at := int64(0)
	for rec, err := range data.Read(t.ctx, shards, slices.Compact(slices.Sorted(slices.Values(columns))), 0) {
		if err != nil {
			return err
		}
		arrays := make([]arrow.Array, len(columns))
		fields := slices.Clone(positions)
		for i, column := range columns {
			arrays[i] = data.Columns.Find(rec, column)
			fields[i].Type = arrays[i].DataType()
		}
		named := array.NewRecordBatch(arrow.NewSchema(fields, nil), arrays, rec.NumRows())
		keys, err := dataset.RowKeys(named, names, "")
		named.Release()
		if err != nil {
			return err
		}
		for i, key := range keys {
			f(at+int64(i), key)
		}
		at += rec.NumRows()
	}
	return nil
}

// expanded finds the row that a row of a flat map came from, with the numbers of rows
// that the memo has for each row. ok is false if the memo no longer has them.
func (t *tracer) expanded(e *action.Entry, key string, of, m *dataset.Manifest, n int64) (found matched, ok bool, err error) {
	definition := e.RowsKey
	if definition == "" {
		definition = e.Definition
	}
	var columns []string
	for _, c := range reads(e) {
		if c.Input == key {
			columns = append(columns, c.Column)
		}
	}
	first, last := int64(0), int64(0) // of an input row's output rows
	before := int64(0)
	var at int64 = -1
	for _, shard := range of.Shards {
		part, err := t.store.Memo.Lookup(definition, dataset.ShardKey(definition, shard, columns))
		if err != nil || part == nil || part.Expansion == nil {
			return matched{}, false, err
		}
		counts, err := part.Counts(t.store.Blobs)
		if err != nil {
			return matched{}, false, err
		}
		row := before
		for rec, err := range data.Read(t.ctx, []data.Shard{counts}, nil, 0) {
			if err != nil {
				return matched{}, false, err
			}
			values := rec.Column(0).(*array.Int64)
			for i := range values.Len() {
				first, last = last, last+values.Value(i)
				if n >= first && n < last {
					at = row
				}
				row++
			}
		}
		before += shard.Rows
	}
	if at < 0 || last != m.Rows { // the memo is of another result
		return matched{}, false, nil
	}
	return only(at), true, nil
}

// shardOf returns the shard that contains a row, and the row's position in it.
func shardOf(m *dataset.Manifest, n int64) (dataset.Shard, int64) {
	for _, s := range m.Shards {
		if n < s.Rows {
			return s, n
		}
		n -= s.Rows
	}
	return dataset.Shard{}, n
}

// values returns a row as JSON.
func (t *tracer) values(m *dataset.Manifest, n int64) (json.RawMessage, error) {
	shard, at := shardOf(m, n)
	files, err := shard.Files(t.store.Blobs, m.Schema.Names())
	if err != nil {
		return nil, err
	}
	for rec, err := range data.Read(t.ctx, []data.Shard{files}, m.Schema.Names(), 0) {
		if err != nil {
			return nil, err
		}
		if at < rec.NumRows() {
			return export.Row(m.Schema, rec, int(at))
		}
		at -= rec.NumRows()
	}
	return nil, fmt.Errorf("row %d is missing", n)
}
