package runner

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/rowwise"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/dataset"
)

// mapRows carries out a row-wise stage.
func (r *run) mapRows(ctx context.Context, w *work, res *StageResult) (*product, error) {
	port := w.rowsPort()
	if port == nil {
		return nil, w.faulty("a row-wise stage without an output that has the rows of an input")
	}
	in := w.inputs[port.RowsOf]
	if in == nil || in.artifact.Dataset == nil {
		return nil, w.faulty(fmt.Sprintf("its output has the rows of input %q, which is not a dataset", port.RowsOf))
	}
	stage := r.rowwiseStage(w, port, in)
	beside, discard, err := r.beside(ctx, w, port.RowsOf)
	if err != nil {
		return nil, err
	}
	served := r.serve(ctx, w, res, beside)
	defer served.close()
	stop := func() {}
	defer func() { stop() }()
	var halt func() <-chan struct{}
	if concurrentCalls(w) > 0 {
		halt = served.host.Halt
	}
	done, err := rowwise.Run(served.ctx, stage, rowwise.Services{
		Blobs: r.Store.Blobs, Memo: r.Store.Memo, Stop: r.soft.Done(), Halt: halt,
		Map: func(ctx context.Context) (pluginv1.PluginService_MapClient, error) {
			p, err := r.Plugins.Client(ctx, w.Plugin)
			if err != nil {
				return nil, err
			}
			call, err := p.Service().Map(ctx)
			if err != nil {
				return nil, err
			}
			var host uint32
			host, stop = served.on(p)
			return &hostedMap{PluginService_MapClient: call, host: host, chats: served.openChats(), inputs: beside}, nil
		},
		Redact: r.redactor.Text,
		Guard: func(ctx context.Context, rec arrow.RecordBatch) (arrow.RecordBatch, error) {
			return r.guarded(ctx, w, res, rec)
		},
		Progress: func(p rowwise.Progress) {
			served.progress(events.Progress{Done: p.Done, Total: p.Total, Unit: "rows", ReusedRows: p.Reused, FailedRows: p.Failed})
		},
	})
	if err = served.outcome(err); err == nil {
		err = discard()
	}
	if err != nil {
		return nil, err
	}
	res.NewRows, res.ReusedRows, res.FailedRows = done.New, done.Reused, done.Failed
	if !stage.Makes() { // its rows are computed again wherever their shard changed
		res.NewRows, res.ComputedRows = 0, done.New
	}
	if stage.Expands {
		res.RowsIn = in.artifact.Dataset.Rows
	}
	p := &product{errors: done.Failed, artifacts: map[string]*artifact.Artifact{
		port.Name: {Kind: artifact.Dataset, Dataset: done.Manifest},
	}}
	if done.Reused > 0 {
		p.earlier = r.earlierPrograms(w)
	}
	if done.Failed > 0 {
		res.warn(w.Range.Ptr(), "Rows failed", "%s of %s failed, which max_errors allows. %s, and the next apply retries %s. The first failure is row %d: %s",
			english.Number(done.Failed), english.Count(in.artifact.Dataset.Rows, "row"), without(done.Failed, stage.Expands),
			english.Agree(done.Failed, "it", "them"), done.Failures[0].Row, done.Failures[0].Message)
	}
	if _, ok := w.Port(portErrors); ok {
		m, err := r.failures(ctx, done.Failures)
		if err != nil {
			return nil, err
		}
		p.artifacts[portErrors] = &artifact.Artifact{Kind: artifact.Dataset, Dataset: m}
	}
	p.value, err = r.figures(ctx, w, port, done.Manifest)
	return p, err
}

// without says what rows that failed lack.
func without(failed int64, expands bool) string {
	if expands {
		return english.Agree(failed, "It produces", "They produce") + " no rows"
	}
	return english.Agree(failed, "It has", "They have") + " no value"
}

// beside are the inputs of a row-wise stage that its rows are not of. Discard
// removes what was made for them.
func (r *run) beside(ctx context.Context, w *work, rowsOf string) (inputs map[string]*pluginv1.Artifact, discard func() error, err error) {
	inputs, discard = map[string]*pluginv1.Artifact{}, func() error { return nil }
	for key, in := range w.inputs {
		if key == rowsOf {
			continue
		}
		if inputs[key], err = r.inputFiles(in); err != nil {
			return nil, nil, err
		}
		if in.artifact.Dataset == nil {
			continue
		}
		place, err := r.stage(w)
		if err != nil {
			return nil, nil, err
		}
		discard = place.remove
		if err := r.datasetFiles(ctx, w, in, inputs[key], filepath.Join(place.arguments, key)); err != nil {
			return nil, nil, err
		}
	}
	return inputs, discard, nil
}

func (r *run) rowwiseStage(w *work, port *plan.Port, in *input) rowwise.Stage {
	m := in.artifact.Dataset
	s := rowwise.Stage{
		Definition: w.rows, Fresh: forced(w.Node), Input: m,
		Reads: w.reads(port.RowsOf, m), Given: w.given(port.RowsOf, m),
		Expands: w.Mode == plan.ModeFlatMap,
		Start:   w.instance, BatchRows: w.BatchRows, OpenRows: openRows(w), MaxErrors: w.MaxErrors, Prior: r.priorRows(w, port),
	}
	if s.Expands {
		s.ShardReads = fingerprint.ReadColumns(w.Node, port.RowsOf, m.Schema.Names())
	}
	for _, a := range w.rowArguments(port.RowsOf) {
		s.Arguments = append(s.Arguments, rowwise.Argument{Key: a.key, Expr: a.expr, Vars: r.vars(nil, a.expr.Secrets)})
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

// openRows is how many rows of a stage should be under way so that the language
// models that it calls never wait for rows: not while results are synced, and
// not for a row that pauses after a refusal, behind which others that are done
// wait for their turn. More would only wait, in memory. 0: it calls none.
func openRows(w *work) int64 {
	const perCall, least = 8, 1024
	calls := concurrentCalls(w)
	if calls == 0 {
		return 0
	}
	return max(perCall*calls, least)
}

// priorRows is the stage's last result, in which most rows will be found
// again; nil: there is none that can be read.
func (r *run) priorRows(w *work, port *plan.Port) *dataset.Manifest {
	prior, ok := r.saver.instance(w.Address)
	if !ok || prior.Definition != w.definition {
		return nil
	}
	ref, ok := prior.Outputs[port.Name]
	if !ok {
		return nil
	}
	a, err := r.artifacts.get(ref)
	if err != nil {
		return nil
	}
	return a.Dataset
}

// earlierPrograms are the plugin's programs that made rows which are reused.
func (r *run) earlierPrograms(w *work) []action.PluginRef {
	prior, ok := r.saver.instance(w.Address)
	if !ok || prior.Definition != w.definition {
		return nil
	}
	entry, err := r.Store.Actions.Get(prior.ActionKey)
	if err != nil || entry == nil {
		return nil // it was collected: nobody knows
	}
	var out []action.PluginRef
	for _, p := range append(entry.Earlier, entry.Plugin) {
		if p != r.pluginRef(w.Plugin) && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// failures is the dataset of rows that failed.
func (r *run) failures(ctx context.Context, all []rowwise.Failure) (*dataset.Manifest, error) {
	w := dataset.NewWriter(r.Store.Blobs, errorsSchema)
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

// figures are the values that quern itself counts of a label stage: coverage
// and counts of the columns that it made.
func (r *run) figures(ctx context.Context, w *work, port *plan.Port, m *dataset.Manifest) (cty.Value, error) {
	t := w.ValueType.Type
	if t == cty.NilType || !t.HasAttribute("coverage") || !t.HasAttribute("counts") {
		return cty.NilVal, nil
	}
	made := labelColumns(port)
	counts, err := rowwise.Counts(ctx, r.Store.Blobs, m, made)
	if err != nil {
		return cty.NilVal, err
	}
	byColumn := map[string]cty.Value{}
	for name, values := range counts {
		byColumn[name] = numbers(values)
	}
	all := cty.MapValEmpty(cty.Map(cty.Number))
	if len(byColumn) > 0 {
		all = cty.MapVal(byColumn)
	}
	return convert.Convert(cty.ObjectVal(map[string]cty.Value{
		"coverage": numbers(rowwise.Coverage(m, made)), "counts": all,
	}), t)
}

// labelColumns are the columns that are not the input's.
func labelColumns(port *plan.Port) []string {
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
	return cty.MapVal(out)
}
