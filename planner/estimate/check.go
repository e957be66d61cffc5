package estimate

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/columnar"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/planner/decide"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/dataset"
)

// checkedRows and checkedBytes bound a sample that a plugin checks.
const (
	checkedRows  = 1000
	checkedBytes = 1 << 20
)

// checkSample has the plugin of a stage that will run check some rows of its
// datasets, and takes over its estimate. Rows that are not known yet, or whose row
// expressions contain secrets, are not checked.
func (e *Estimator) checkSample(n *decide.Instance) {
	if !n.ChecksSample || e.Store == nil {
		return
	}
	req := &pluginv1.CheckSampleRequest{Samples: map[string]*pluginv1.SampleRows{}}
	var about []string
	for _, key := range ordered.Keys(n.Inputs) {
		if sample := e.sampleRows(n, key); sample != nil {
			req.Samples[key] = sample.rows
			if text := sample.String(); !slices.Contains(about, text) { // one dataset can be several inputs
				about = append(about, text)
			}
		}
	}
	if len(about) == 0 {
		return
	}
	var err error
	if req.Instance, err = n.Proto(); err != nil {
		e.Processes.Faulty(n.Node, err)
		return
	}
	answer, err := e.askSample(n, req)
	if err != nil {
		e.Processes.Failed(n.Node, "check rows of "+n.Address, err)
		return
	}
	for _, d := range answer.Diagnostics {
		d.Detail = strings.TrimSpace(fmt.Sprintf("%s\nquern has checked %s.", d.Detail, english.And(about)))
	}
	e.Processes.Heard(n.Node, answer.Diagnostics)
	takeEstimate(&n.Estimate, answer.Estimate)
}

// askSample returns the plugin's answer, or the cached one. An answer about a
// configuration with secrets may contain them, so it is not cached.
func (e *Estimator) askSample(n *decide.Instance, req *pluginv1.CheckSampleRequest) (*pluginv1.CheckSampleResponse, error) {
	key, answer := e.Cache.Sample(e.Processes.Program(n.Plugin), req)
	if answer != nil {
		return answer, nil
	}
	service, err := e.Processes.Service(n.Plugin)
	if err != nil {
		return nil, err
	}
	if answer, err = service.CheckSample(e.Context, req); err != nil {
		return nil, err
	}
	if len(n.Bound.Secrets) == 0 {
		e.Cache.RememberSample(key, answer)
	}
	return answer, nil
}

// takeEstimate replaces the fields that a plugin estimated from a sample.
func takeEstimate(e *plan.Estimate, from *pluginv1.Estimate) {
	if from == nil {
		return
	}
	if from.Rows != nil {
		e.Rows = from.Rows
	}
	if from.Seconds != nil {
		e.Seconds = from.Seconds
	}
	if from.InputTokens != nil {
		e.InputTokens, e.InputEstimated = from.InputTokens, true
	}
	if from.OutputTokens != nil {
		e.OutputTokens = from.OutputTokens
	}
	if from.Money != nil {
		e.Money = from.Money
	}
}

// checkedSample is what a plugin gets of a dataset.
type checkedSample struct {
	of   *module.Handle
	n    int64
	rows *pluginv1.SampleRows
	// exists is set if the dataset exists.
	exists bool
}

func (s *checkedSample) String() string {
	switch total := s.rows.Total; {
	case s.rows.Complete:
		return fmt.Sprintf("all %s of %s", english.Count(s.n, "row"), s.of)
	case s.exists:
		return fmt.Sprintf("%s of %s of %s", english.Number(s.n), english.Count(*total, "row"), s.of)
	}
	return fmt.Sprintf("%s that %s may have", english.Count(s.n, "row"), s.of)
}

// sampleRows returns some rows of a dataset as the plugin would get them, or nil if
// they are not known.
func (e *Estimator) sampleRows(n *decide.Instance, key string) *checkedSample {
	h := n.Inputs[key]
	if !h.IsDataset() || h.Among != nil {
		return nil
	}
	rows, total, exact := e.firstRows(h, columnsRead(n, key))
	if rows == nil {
		return nil
	}
	all := rows.NumRows()
	batch := e.asGiven(n, key, rows.NewSlice(0, min(all, checkedRows)))
	if batch == nil {
		return nil
	}
	if size := batchBytes(batch); size > checkedBytes {
		batch = batch.NewSlice(0, max(1, batch.NumRows()*checkedBytes/size))
	}
	encoded, err := data.EncodeBatch(batch)
	if err != nil {
		return nil
	}
	return &checkedSample{of: h, n: batch.NumRows(), exists: h.Manifest() != nil, rows: &pluginv1.SampleRows{
		Rows: encoded, Total: &total, Complete: exact && batch.NumRows() == total,
	}}
}

// firstRows returns the first rows of a dataset that exists, or rows that one is
// expected to have, and the number of all rows. exact is set if that many rows are
// all rows of the dataset. It returns nil if nothing is known, or only what the
// dataset was before.
func (e *Estimator) firstRows(h *module.Handle, columns []string) (rows arrow.RecordBatch, total int64, exact bool) {
	if m := h.Manifest(); m != nil {
		rows, err := e.readFirst(m, columns)
		if err != nil {
			return nil, 0, false
		}
		return rows, m.Rows, true
	}
	f := e.forecasts.forecast(h)
	if f.until != "" || f.proxy {
		return nil, 0, false
	}
	some := f.sample()
	return some.rows, int64(math.Round(f.rows.mid)), f.exact && some.whole()
}

// columnsRead returns the columns of a dataset input that the plugin and the row
// expressions read.
func columnsRead(n *decide.Instance, key string) []string {
	names := pluginReads(n, key)
	for _, x := range rowExpressions(n, key) {
		names = append(names, x.Columns...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// pluginReads returns the columns of a dataset input that the plugin itself reads.
func pluginReads(n *decide.Instance, key string) []string {
	if n.PluginReads[key].All {
		return n.Inputs[key].Port.Columns.Names()
	}
	return slices.Clone(n.PluginReads[key].Columns)
}

// readFirst reads the first rows of a dataset.
func (e *Estimator) readFirst(m *dataset.Manifest, columns []string) (arrow.RecordBatch, error) {
	var schema data.Schema
	for _, name := range columns {
		column, _, _ := m.Schema.Lookup(name)
		schema = append(schema, column)
	}
	var some []arrow.RecordBatch
	have := int64(0)
	for i := 0; i < len(m.Shards) && have < checkedRows; i++ {
		shard, err := m.Shards[i].Files(e.Store.Blobs, columns)
		if err != nil {
			return nil, err
		}
		for rec, err := range data.Read(e.Context, []data.Shard{shard}, columns, checkedRows) {
			if err != nil {
				return nil, err
			}
			rec.Retain() // it is released with the reader
			some = append(some, rec)
			if have += rec.NumRows(); have >= checkedRows {
				break
			}
		}
	}
	return data.Concat(schema.Arrow(), some)
}

// asGiven returns the columns that the plugin reads and its row arguments. It
// returns nil if one of them is not known.
func (e *Estimator) asGiven(n *decide.Instance, key string, rows arrow.RecordBatch) arrow.RecordBatch {
	var fields []arrow.Field
	var columns []arrow.Array
	add := func(space data.Namespace, name string, values arrow.Array) {
		fields, columns = append(fields, space.Field(name, values.DataType())), append(columns, values)
	}
	for _, name := range pluginReads(n, key) {
		at := rows.Schema().FieldIndices(name)
		if len(at) != 1 {
			return nil
		}
		add(data.Columns, name, rows.Column(at[0]))
	}
	arguments := rowExpressions(n, key)
	for _, name := range ordered.Keys(arguments) {
		values := e.evaluate(arguments[name], rows)
		if values == nil {
			return nil
		}
		add(data.Arguments, name, values)
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, rows.NumRows())
}

// rowExpressions returns the row arguments of a dataset input by key, and the
// features of the models that predict over it.
func rowExpressions(n *decide.Instance, of string) map[string]*expr.Compiled {
	out := map[string]*expr.Compiled{}
	for key, row := range n.Bound.Rows {
		if row.Of == of && !row.Late {
			out[key] = row.Expr
		}
	}
	for key, in := range n.Bound.Inputs {
		if h := n.Inputs[key]; in.Of == of && h.Port != nil {
			for name, feature := range h.Port.Features {
				out[key+"."+name] = feature
			}
		}
	}
	return out
}

// evaluate returns the values of a row expression, or nil if it needs a secret, a
// result, or a column that is not known, or fails for a row.
func (e *Estimator) evaluate(x *expr.Compiled, rows arrow.RecordBatch) arrow.Array {
	if len(x.Refs) > 0 || len(x.Secrets) > 0 {
		return nil
	}
	schema, err := data.FromArrow(rows.Schema())
	if err != nil {
		return nil
	}
	program, err := columnar.New(x, schema, nil)
	if err != nil {
		return nil
	}
	values, failed, err := program.Eval(e.Context, rows)
	if err != nil || len(failed) > 0 {
		return nil
	}
	return values
}
