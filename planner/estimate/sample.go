package estimate

import (
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/lang/columnar"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/dataset"
)

// sample contains some of the rows of a dataset, with the columns that can be computed.
type sample struct {
	rows arrow.RecordBatch
	// weights are the numbers of rows that each represents, and isFresh tells which
	// of them are new.
	weights []float64
	isFresh []bool
	// madeBy is the stage that produces a column that cannot be computed in advance.
	madeBy map[string]string
}

// changed returns the sample with a change, which is made when the sample is first
// needed.
func (f *forecast) changed(change func(sample) sample) func() sample {
	before := f.sample
	return sync.OnceValue(func() sample { return change(before()) })
}

// sampleOf takes the first rows of some shards and marks none of them as new. If they
// cannot be read, only the stage that makes the columns is known: an estimate does not
// report errors.
func (e *forecaster) sampleOf(address string, m *dataset.Manifest, columns data.Schema) sample {
	rows, err := e.firstOfShards(m, columns)
	if err != nil {
		return unread(address, columns)
	}
	s := sample{rows: rows, madeBy: map[string]string{}}
	s.weights = make([]float64, s.rows.NumRows())
	for i := range s.weights {
		s.weights[i] = float64(m.Rows) / float64(len(s.weights))
	}
	s.isFresh = make([]bool, len(s.weights))
	return s
}

// unread is a sample without rows, because they are not known until a stage has run.
func unread(until string, columns data.Schema) sample {
	s := sample{rows: array.NewRecordBatch(arrow.NewSchema(nil, nil), nil, 0), madeBy: map[string]string{}}
	for _, c := range columns {
		s.madeBy[c.Name] = until
	}
	return s
}

func (e *forecaster) firstOfShards(m *dataset.Manifest, columns data.Schema) (arrow.RecordBatch, error) {
	var some []arrow.RecordBatch
	for _, s := range someShards(m) {
		shard, err := s.Files(e.Store.Blobs, columns.Names())
		if err != nil {
			return nil, err
		}
		for rec, err := range data.Read(e.Context, []data.Shard{shard}, columns.Names(), sampledRows) {
			if err != nil {
				return nil, err
			}
			rec.Retain() // it is released with the reader
			some = append(some, rec)
			break
		}
	}
	return data.Concat(columns.Arrow(), some)
}

// allFresh marks all rows as new.
func (s sample) allFresh() sample {
	s.isFresh = slices.Repeat([]bool{true}, len(s.weights))
	return s
}

// pick returns some of the rows.
func (s sample) pick(rows []int) (sample, error) {
	out := sample{weights: make([]float64, len(rows)), isFresh: make([]bool, len(rows)), madeBy: s.madeBy}
	for i, row := range rows {
		out.weights[i], out.isFresh[i] = s.weights[row], s.isFresh[row]
	}
	var err error
	out.rows, err = pickRows(s.rows, rows)
	return out, err
}

// scaled lets each row represent a multiple of its rows.
func (s sample) scaled(by float64) sample {
	s.weights = slices.Clone(s.weights)
	for i := range s.weights {
		s.weights[i] *= by
	}
	return s
}

// standIn lets the rows also represent a share of new rows.
func (s sample) standIn(share float64) sample {
	rows := len(s.weights)
	twice := make([]int, 2*rows)
	for i := range twice {
		twice[i] = i % max(rows, 1)
	}
	out, err := s.pick(twice)
	if err != nil {
		return s
	}
	for i := range rows {
		out.weights[i], out.weights[rows+i] = s.weights[i]*(1-share), s.weights[i]*share
		out.isFresh[rows+i] = true
	}
	return out
}

// columnOf returns a column of a row-wise stage, by its origin. If it cannot be
// computed, until is the stage that produces it.
func (s sample) columnOf(e *forecaster, n *module.Instance, bound *plan.Bound, origin string) (values arrow.Array, until string) {
	if name, ok := strings.CutPrefix(origin, "input:"); ok {
		if at := s.rows.Schema().FieldIndices(name); len(at) == 1 {
			return s.rows.Column(at[0]), ""
		}
		return nil, s.madeBy[name]
	}
	if key, ok := strings.CutPrefix(origin, "argument:"); ok && bound != nil {
		return s.eval(e, n.Address, bound.Rows[key])
	}
	return nil, n.Address
}

// eval evaluates a row expression of an instance. If that is not possible, until is the
// stage that has to run first.
func (s sample) eval(e *forecaster, address string, row *plan.RowArg) (values arrow.Array, until string) {
	if row == nil || row.Late || len(row.Expr.Secrets) > 0 {
		return nil, address
	}
	if len(row.Expr.Refs) > 0 {
		return nil, row.Expr.Refs[0]
	}
	for _, c := range row.Expr.Columns {
		if until := s.madeBy[c]; until != "" {
			return nil, until
		}
	}
	schema, err := data.FromArrow(s.rows.Schema())
	if err != nil {
		return nil, address
	}
	program, err := columnar.New(row.Expr, schema, nil)
	if err != nil {
		return nil, address
	}
	values, _, err = program.Eval(e.Context, s.rows)
	if err != nil {
		return nil, address
	}
	return values, ""
}

// derive replaces the columns of an input by those of an output. Only columns whose
// values the stage does not change are known in advance.
func (s sample) derive(address string, port *plan.Port, input string) sample {
	rows, madeBy := &columns{}, map[string]string{}
	for _, c := range port.Columns {
		from, isInput := port.Lineage[c.Name].PassedOn(input)
		at := s.rows.Schema().FieldIndices(from)
		switch {
		case isInput && len(at) == 1:
			field := s.rows.Schema().Field(at[0])
			field.Name = c.Name
			rows.add(field, s.rows.Column(at[0]))
		case isInput && s.madeBy[from] != "":
			madeBy[c.Name] = s.madeBy[from]
		default:
			madeBy[c.Name] = address
		}
	}
	s.rows, s.madeBy = rows.batch(s.rows.NumRows()), madeBy
	return s
}

// columns are the columns of a batch.
type columns struct {
	fields []arrow.Field
	values []arrow.Array
}

func (c *columns) add(field arrow.Field, values arrow.Array) {
	c.fields, c.values = append(c.fields, field), append(c.values, values)
}

func (c *columns) batch(rows int64) arrow.RecordBatch {
	return array.NewRecordBatch(arrow.NewSchema(c.fields, nil), c.values, rows)
}

// sampleSize is the number of rows of a sample, and the number of rows that they
// represent.
type sampleSize struct {
	n      int
	weight float64
}

// sizes counts the rows and the new ones among them.
func (s sample) sizes() (all, fresh sampleSize) {
	for i, w := range s.weights {
		all.n, all.weight = all.n+1, all.weight+w
		if s.isFresh[i] {
			fresh.n, fresh.weight = fresh.n+1, fresh.weight+w
		}
	}
	return all, fresh
}

// whole reports whether each row represents only itself.
func (s sample) whole() bool {
	return !slices.ContainsFunc(s.weights, func(w float64) bool { return w != 1 })
}

// fresh returns the indices of the new rows.
func (s sample) fresh() []int {
	var rows []int
	for i, fresh := range s.isFresh {
		if fresh {
			rows = append(rows, i)
		}
	}
	return rows
}

// every returns the indices of all rows.
func (s sample) every() []int {
	rows := make([]int, len(s.weights))
	for i := range rows {
		rows[i] = i
	}
	return rows
}

// texts evaluates a row expression of an instance for some of the rows.
func (s sample) texts(e *forecaster, address string, row *plan.RowArg, rows []int) (texts []weighted, until string) {
	some, err := s.pick(evenly(rows, sampledRows))
	if err != nil {
		return nil, ""
	}
	values, until := some.eval(e, address, row)
	column, ok := values.(*array.String)
	if !ok {
		return nil, until
	}
	for i, weight := range some.weights {
		if column.IsValid(i) {
			texts = append(texts, weighted{column.Value(i), weight})
		}
	}
	return texts, ""
}
