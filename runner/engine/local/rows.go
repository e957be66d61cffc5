package local

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/engine"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/rowwise"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/pending"
)

var errorsSchema = data.Schema{{Name: "row", Type: "int64"}, {Name: "message", Type: "string"}}

// mapRows runs a row-wise stage.
func (a *attempt) mapRows(ctx context.Context) (*product, error) {
	port, in, err := a.rowsInput()
	if err != nil {
		return nil, err
	}
	others, discard, err := a.otherInputs(ctx, port.RowsOf)
	if err != nil {
		return nil, err
	}
	m := &mapping{Stage: a.Stage, blobs: a.Store.Blobs, port: port, in: in, rows: a.rowwiseStage(port, in)}
	done, err := a.mapNew(ctx, m, others)
	if err == nil {
		err = discard()
	}
	if err != nil {
		return nil, err
	}
	a.res.Rows = m.counts(done)
	if done.Pending != nil {
		a.res.Pending = done.Pending
		return nil, nil
	}
	return m.finish(ctx, done)
}

// rowsInput returns the output of a row-wise stage that has the rows of an input, and
// the input.
func (a *attempt) rowsInput() (*plan.Port, *stage.Input, error) {
	port := a.RowsPort()
	if port == nil {
		return nil, nil, a.Faulty("a row-wise stage without an output that has the rows of an input")
	}
	in := a.Inputs[port.RowsOf]
	if in == nil || in.Artifact.Dataset == nil {
		return nil, nil, a.Faulty(fmt.Sprintf("its output has the rows of input %q, which is not a dataset", port.RowsOf))
	}
	return port, in, nil
}

// mapNew computes the rows whose results are not known. others are the inputs
// other than the rows.
func (a *attempt) mapNew(ctx context.Context, m *mapping, others map[string]*pluginv1.Artifact) (*rowwise.Result, error) {
	served := a.serve(ctx, others)
	defer served.close()
	stop := func() {}
	defer func() { stop() }()
	var halt func() <-chan struct{}
	if a.ConcurrentCalls() > 0 {
		halt = served.host.Halt
	}
	done, err := rowwise.Run(served.ctx, m.rows, rowwise.Services{
		Blobs: a.Store.Blobs, Memo: a.Store.Memo, Pending: a.Store.Pending, Stop: a.run.Stop, Halt: halt,
		Map: func(ctx context.Context) (call pluginv1.PluginService_MapClient, err error) {
			call, stop, err = a.openMap(ctx, served, others)
			return call, err
		},
		Redact: a.redactor.Text, Guard: a.guard.rows, GuardToken: a.guard.token,
		Progress: func(p rowwise.Progress) {
			served.progress(events.Progress{Done: p.Done, Total: p.Total, Unit: "rows", ReusedRows: p.Reused, FailedRows: p.Failed, PendingRows: p.Pending})
		},
	})
	if err := served.outcome(err); err != nil {
		return done, err
	}
	return done, served.submit()
}

// openMap opens a Map call of a plugin that reaches its host. stop ends the host.
func (a *attempt) openMap(ctx context.Context, served *serving, others map[string]*pluginv1.Artifact) (call pluginv1.PluginService_MapClient, stop func(), err error) {
	stop = func() {}
	p, err := a.Plugins.Client(ctx, a.Plugin)
	if err != nil {
		return nil, stop, err
	}
	if call, err = p.Service().Map(ctx); err != nil {
		return nil, stop, err
	}
	host, end, err := served.on(p)
	if err != nil {
		return nil, stop, err
	}
	return &hostedMap{PluginService_MapClient: call, host: host, chats: served.openChats(), inputs: others}, end, nil
}

// mapping is the result of a row-wise stage.
type mapping struct {
	*stage.Stage
	blobs *blob.Store
	port  *plan.Port
	in    *stage.Input // the rows
	rows  rowwise.Stage
}

func (m *mapping) counts(done *rowwise.Result) engine.Rows {
	rows := engine.Rows{New: done.New, Reused: done.Reused, Failed: done.Failed}
	if !m.rows.Makes() { // its rows are computed again wherever their shard changed
		rows.New, rows.Computed = 0, done.New
	}
	if m.rows.Expands {
		rows.In = m.in.Artifact.Dataset.Rows
	}
	return rows
}

func (m *mapping) finish(ctx context.Context, done *rowwise.Result) (*product, error) {
	p := &product{errors: done.Failed, artifacts: map[string]*artifact.Artifact{
		m.port.Name: {Kind: artifact.Dataset, Dataset: done.Manifest},
	}}
	if done.Failed > 0 {
		m.Warn(m.Range.Ptr(), "Rows failed", "%s of %s failed, which max_errors allows. %s, and the next apply retries %s. The first failure is row %d: %s",
			english.Number(done.Failed), english.Count(m.in.Artifact.Dataset.Rows, "row"), without(done.Failed, m.rows.Expands),
			english.Agree(done.Failed, "it", "them"), done.Failures[0].Row, done.Failures[0].Message)
	}
	if _, ok := m.Port(stage.PortErrors); ok {
		list, err := m.failures(ctx, done.Failures)
		if err != nil {
			return nil, err
		}
		p.artifacts[stage.PortErrors] = &artifact.Artifact{Kind: artifact.Dataset, Dataset: list}
	}
	var err error
	p.value, err = m.figures(ctx, done.Manifest)
	return p, err
}

// without describes what rows that failed lack.
func without(failed int64, expands bool) string {
	if expands {
		return english.Agree(failed, "It produces", "They produce") + " no rows"
	}
	return english.Agree(failed, "It has", "They have") + " no value"
}

// otherInputs returns the inputs of a row-wise stage other than its rows. discard
// removes the files that were written for them.
func (a *attempt) otherInputs(ctx context.Context, rowsOf string) (inputs map[string]*pluginv1.Artifact, discard func() error, err error) {
	inputs, discard = map[string]*pluginv1.Artifact{}, func() error { return nil }
	for key, in := range a.Inputs {
		if key == rowsOf {
			continue
		}
		if inputs[key], err = in.Files(a.Store.Blobs); err != nil {
			return nil, nil, err
		}
		if in.Artifact.Dataset == nil {
			continue
		}
		place, err := stage.NewPlace(a.Store, a.task.Key, a.task.Environment)
		if err != nil {
			return nil, nil, err
		}
		discard = place.Remove
		if err := a.DatasetFiles(ctx, stage.Handover{Blobs: a.Store.Blobs, Arguments: place.Arguments}, in, inputs[key]); err != nil {
			return nil, nil, err
		}
	}
	return inputs, discard, nil
}

func (a *attempt) rowwiseStage(port *plan.Port, in *stage.Input) rowwise.Stage {
	m := in.Artifact.Dataset
	s := rowwise.Stage{
		Definition: a.task.Rows, Fresh: stage.Forced(a.Node), Input: m,
		Reads: a.Read(port.RowsOf, m), Given: a.Given(port.RowsOf, m),
		Expands: a.Mode == plan.ModeFlatMap,
		Start:   a.Instance, BatchRows: a.BatchRows, OpenRows: openRows(a.ConcurrentCalls()), MaxErrors: a.MaxErrors, Prior: a.prior(port.Name),
		Owner: pending.Owner{Environment: a.task.Environment, Address: a.Address},
	}
	if s.Expands {
		s.ShardReads = fingerprint.ReadColumns(a.Node, port.RowsOf, m.Schema.Names())
	}
	for _, arg := range a.RowArguments(port.RowsOf) {
		s.Arguments = append(s.Arguments, rowwise.Argument{Key: arg.Key, Expr: arg.Expr, Vars: a.Secrets.Vars(arg.Expr.Secrets)})
	}
	for _, c := range port.Columns {
		out := rowwise.Column{Column: c}
		origin := port.Origins[c.Name]
		if from, ok := strings.CutPrefix(origin, "input:"); ok {
			out.Input = from
		} else if key, ok := strings.CutPrefix(origin, "argument:"); ok {
			out.Argument = key
		}
		s.Output = append(s.Output, out)
	}
	return s
}

// openRows is how many rows of a stage should be in flight so that the language
// models it calls never wait for rows: neither while results are synced, nor
// while a row that pauses after a refusal holds up finished rows that come
// after it. More rows would only wait in memory. It is 0 if the stage calls no
// models.
func openRows(calls int64) int64 {
	const perCall, least = 8, 1024
	if calls == 0 {
		return 0
	}
	return max(perCall*calls, least)
}

// failures returns the dataset of rows that failed.
func (m *mapping) failures(ctx context.Context, all []rowwise.Failure) (*dataset.Manifest, error) {
	w := dataset.NewWriter(m.blobs, errorsSchema)
	defer w.Abort()
	if len(all) > 0 {
		b := array.NewRecordBuilder(memory.DefaultAllocator, errorsSchema.Arrow())
		for _, f := range all {
			b.Field(0).(*array.Int64Builder).Append(f.Row)
			b.Field(1).(*array.StringBuilder).Append(f.Message)
		}
		if err := w.Write(ctx, b.NewRecordBatch()); err != nil {
			return nil, err
		}
	}
	return w.Close()
}

// figures returns the values that quern itself computes for a row-wise stage:
// coverage and counts of the columns that a labeler added, or that a transform
// says are counted.
func (m *mapping) figures(ctx context.Context, result *dataset.Manifest) (cty.Value, error) {
	t := m.ValueType.Type
	if t == cty.NilType || !t.HasAttribute("coverage") || !t.HasAttribute("counts") {
		return cty.NilVal, nil
	}
	made := countedColumns(m.port)
	counts, err := rowwise.Counts(ctx, m.blobs, result, made)
	if err != nil {
		return cty.NilVal, err
	}
	byColumn := map[string]cty.Value{}
	for name, values := range counts {
		byColumn[name] = numbers(values)
	}
	all := cty.MapValEmpty(cty.Map(cty.Number))
	if len(byColumn) > 0 {
		all = verbatim.Map(byColumn)
	}
	return convert.Convert(cty.ObjectVal(map[string]cty.Value{
		"coverage": numbers(rowwise.Coverage(result, made)), "counts": all,
	}), t)
}

// countedColumns returns the columns that a transform says are counted, or
// otherwise those that do not come from the input.
func countedColumns(port *plan.Port) []string {
	if len(port.Counted) > 0 {
		return port.Counted
	}
	var names []string
	for _, c := range port.Columns {
		if !strings.HasPrefix(port.Origins[c.Name], "input:") {
			names = append(names, c.Name)
		}
	}
	return names
}

func numbers[N int64 | float64](m map[string]N) cty.Value {
	if len(m) == 0 {
		return cty.MapValEmpty(cty.Number)
	}
	out := make(map[string]cty.Value, len(m))
	for k, n := range m {
		out[k] = cty.NumberFloatVal(float64(n))
	}
	return verbatim.Map(out)
}
