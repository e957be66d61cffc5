package mock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/columnar"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Prepare implements the protocol. The real plugin prepares the instances, and the mock
// changes what it takes the place of.
func (s *server) Prepare(ctx context.Context, req *pluginv1.PrepareRequest) (*pluginv1.PrepareResponse, error) {
	out := &pluginv1.PrepareResponse{}
	for _, in := range req.Instances {
		prepared, err := s.prepare(ctx, in)
		if err != nil {
			return nil, err
		}
		out.Prepared = append(out.Prepared, prepared)
	}
	return out, nil
}

func (s *server) prepare(ctx context.Context, in *pluginv1.Instance) (*pluginv1.Prepared, error) {
	if in.Kind == kind.Source {
		return s.prepareSource(ctx, in)
	}
	p, err := s.ask(ctx, in)
	if err != nil || hasError(p.Diagnostics) {
		return p, err
	}
	p.Pins, p.ChecksSample, p.OpenaiApi = nil, false, false
	if in.Kind == kind.Model {
		s.prepareModel(p)
		return p, nil
	}
	p.Calls = nil
	for _, o := range p.Outputs {
		if t := s.tables[o.Name]; t != nil {
			if d, err := s.takeTable(ctx, o, t, in); err != nil || d != nil {
				return &pluginv1.Prepared{Diagnostics: d}, err
			}
		}
	}
	s.check(p, in)
	return p, nil
}

// ask asks the real plugin, with the pins of the lock file.
func (s *server) ask(ctx context.Context, in *pluginv1.Instance) (*pluginv1.Prepared, error) {
	service, err := s.service(ctx)
	if err != nil {
		return nil, err
	}
	in.Pins = s.set.Plugins.Pins()[s.real()]
	resp, err := service.Prepare(ctx, &pluginv1.PrepareRequest{Instances: []*pluginv1.Instance{in}})
	if err != nil {
		return nil, err
	}
	if len(resp.Prepared) != 1 {
		return nil, fmt.Errorf("the plugin %q was asked about one instance and answered for %d", s.real(), len(resp.Prepared))
	}
	return resp.Prepared[0], nil
}

func hasError(diags []*pluginv1.Diagnostic) bool {
	return slices.ContainsFunc(diags, func(d *pluginv1.Diagnostic) bool {
		return d.Severity != pluginv1.Diagnostic_SEVERITY_WARNING
	})
}

// takeTable gives an output the columns of its table.
func (s *server) takeTable(ctx context.Context, o *pluginv1.Output, t *table, in *pluginv1.Instance) ([]*pluginv1.Diagnostic, error) {
	read, err := t.prepare(ctx, in.Address)
	if err != nil || hasError(read.Diagnostics) {
		return read.GetDiagnostics(), err
	}
	o.Columns, o.RowsOf, o.Selections = read.Outputs[0].Columns, "", nil
	return nil, nil
}

// check adds what the mock reads to what was prepared, and reports parts of the mock that
// its stage does not have.
func (s *server) check(p *pluginv1.Prepared, in *pluginv1.Instance) {
	for name := range s.tables {
		if !slices.ContainsFunc(p.Outputs, func(o *pluginv1.Output) bool {
			return o.Name == name && o.Kind == pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET
		}) {
			p.Diagnostics = append(p.Diagnostics, s.problem("the stage produces no dataset %q", name))
		}
	}
	if _, err := s.value(p.ValueType, in); err != nil {
		p.Diagnostics = append(p.Diagnostics, s.problem("%s", err))
	}
	switch {
	case in.Kind == kind.Train:
		s.checkModel(p)
	case s.rowwise():
		s.checkRows(p, in)
	case len(s.mock.Columns) > 0:
		p.Diagnostics = append(p.Diagnostics, s.problem("the stage does not work row by row, so columns cannot say what it computes; use rows"))
	case len(s.tables) == 0 && len(s.mock.Values) == 0 && in.Kind != kind.Deploy:
		p.Diagnostics = append(p.Diagnostics, s.problem("the mock is empty: give it rows or values"))
	}
}

// rowwise reports whether the mock computes columns row by row.
func (s *server) rowwise() bool {
	return s.stageType().GetMode() == pluginv1.Mode_MODE_MAP && len(s.tables) == 0
}

// checkRows checks the columns of a row-wise stage, and requests those that they are
// computed from.
func (s *server) checkRows(p *pluginv1.Prepared, in *pluginv1.Instance) {
	if len(p.Outputs) == 0 {
		return
	}
	o := p.Outputs[0]
	computed, diags := s.compile(own(o.Columns), rowsOf(in, o), o.RowsOf)
	p.Diagnostics = append(p.Diagnostics, diags...)
	reads := &pluginv1.Reads{All: p.Reads[o.RowsOf].GetAll(), Columns: slices.Clone(p.Reads[o.RowsOf].GetColumns())}
	for _, c := range computed {
		if c != nil {
			reads.Columns = append(reads.Columns, c.Columns...)
		}
	}
	slices.Sort(reads.Columns)
	reads.Columns = slices.Compact(reads.Columns)
	if p.Reads == nil {
		p.Reads = map[string]*pluginv1.Reads{}
	}
	p.Reads[o.RowsOf] = reads
}

// own are the columns that a row-wise stage computes itself.
func own(columns []*pluginv1.Column) []*pluginv1.Column {
	return slices.DeleteFunc(slices.Clone(columns), func(c *pluginv1.Column) bool {
		return c.Origin != pluginv1.ColumnOrigin_COLUMN_ORIGIN_UNSPECIFIED
	})
}

// rowsOf are the columns of the input whose rows an output has.
func rowsOf(in *pluginv1.Instance, o *pluginv1.Output) data.Schema {
	return data.FromProto(in.Inputs[o.RowsOf].GetColumns())
}

// checkModel checks the columns that a mocked model predicts.
func (s *server) checkModel(p *pluginv1.Prepared) {
	for _, o := range p.Outputs {
		if o.Signature != nil && o.Kind == pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL {
			_, diags := s.compile(o.Signature.Outputs, data.FromProto(o.Signature.Inputs), "the model")
			p.Diagnostics = append(p.Diagnostics, diags...)
			return
		}
	}
	if len(s.mock.Columns) > 0 {
		p.Diagnostics = append(p.Diagnostics, s.problem("the stage trains no model that predicts columns"))
	}
}

// compile compiles the mock's columns over rows, in the order of the columns to compute. A
// column that the mock does not compute is nil.
func (s *server) compile(columns []*pluginv1.Column, rows data.Schema, of string) ([]*expr.Compiled, []*pluginv1.Diagnostic) {
	var diags []*pluginv1.Diagnostic
	for _, name := range slices.Sorted(maps.Keys(s.mock.Columns)) {
		if !slices.ContainsFunc(columns, func(c *pluginv1.Column) bool { return c.Name == name }) {
			names := sortedNames(columns)
			diags = append(diags, s.problem("it does not compute a column %q.%s Its columns are %s", name, diag.Suggest(name, names), english.And(names)))
		}
	}
	scope := &expr.Scope{Eval: s.set.scope, Row: rows, RowOf: of}
	if scope.Row == nil {
		scope.Row = data.Schema{}
	}
	out := make([]*expr.Compiled, len(columns))
	for i, c := range columns {
		e := s.mock.Columns[c.Name]
		if e == nil {
			continue
		}
		t, err := data.ArrowType(c.Type)
		if err != nil {
			diags = append(diags, s.problem("column %q: %s", c.Name, err))
			continue
		}
		compiled, found := expr.Compile(e, scope, expr.ValueType(t))
		for _, d := range found {
			diags = append(diags, s.problemAt(d))
		}
		out[i] = compiled
	}
	return out, diags
}

// problemAt is a diagnostic about an expression of the mock.
func (s *server) problemAt(d *hcl.Diagnostic) *pluginv1.Diagnostic {
	at := s.mock.Range
	if d.Subject != nil {
		at = *d.Subject
	}
	return &pluginv1.Diagnostic{
		Severity: pluginv1.Diagnostic_SEVERITY_ERROR, Summary: "the mock cannot be used: " + d.Summary,
		Detail: located(d.Detail, at),
	}
}

// computing evaluates columns over batches.
type computing struct {
	columns  data.Schema
	programs []*columnar.Program // nil for a column of nulls
}

func (s *server) computing(columns []*pluginv1.Column, rows data.Schema) (*computing, error) {
	compiled, diags := s.compile(columns, rows, "the rows")
	if len(diags) > 0 {
		return nil, errors.New(diags[0].Detail)
	}
	c := &computing{columns: data.FromProto(columns), programs: make([]*columnar.Program, len(columns))}
	for i, e := range compiled {
		if e == nil {
			continue
		}
		var err error
		if c.programs[i], err = columnar.New(e, rows, nil); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// compute returns the columns of a batch as an Arrow stream, and the rows that failed.
func (c *computing) compute(ctx context.Context, text []byte) ([]byte, []*pluginv1.RowError, error) {
	rec, err := data.DecodeBatch(text)
	if err != nil {
		return nil, nil, err
	}
	defer rec.Release()
	var failures []*pluginv1.RowError
	failed := map[int]bool{}
	arrays := make([]arrow.Array, len(c.columns))
	for i, column := range c.columns {
		values, errs, err := c.column(ctx, i, rec)
		if err != nil {
			return nil, nil, fmt.Errorf("column %q: %w", column.Name, err)
		}
		defer values.Release()
		arrays[i] = values
		for _, e := range errs {
			if !failed[e.Row] {
				failed[e.Row] = true
				failures = append(failures, &pluginv1.RowError{Row: int64(e.Row), Message: "mock: " + e.Message})
			}
		}
	}
	slices.SortFunc(failures, func(a, b *pluginv1.RowError) int { return int(a.Row - b.Row) })
	out := array.NewRecordBatch(c.columns.Arrow(), arrays, rec.NumRows())
	defer out.Release()
	encoded, err := data.EncodeBatch(out)
	return encoded, failures, err
}

func (c *computing) column(ctx context.Context, i int, rec arrow.RecordBatch) (arrow.Array, []columnar.RowError, error) {
	want := c.columns.Arrow().Field(i).Type
	if c.programs[i] == nil {
		return array.MakeArrayOfNull(memory.DefaultAllocator, want, int(rec.NumRows())), nil, nil
	}
	values, errs, err := c.programs[i].Eval(ctx, rec)
	if err != nil {
		return nil, nil, err
	}
	if arrow.TypeEqual(values.DataType(), want) {
		return values, errs, nil
	}
	defer values.Release()
	converted, err := number(values, want)
	return converted, errs, err
}

// number converts whole numbers to floats, and floats that are whole to whole numbers:
// in expressions, both are numbers.
func number(values arrow.Array, want arrow.DataType) (arrow.Array, error) {
	b := array.NewBuilder(memory.DefaultAllocator, want)
	defer b.Release()
	for i := range values.Len() {
		if values.IsNull(i) {
			b.AppendNull()
			continue
		}
		switch from := values.(type) {
		case *array.Int64:
			to, ok := b.(*array.Float64Builder)
			if !ok {
				return nil, fmt.Errorf("its values are whole numbers, not %s", want)
			}
			to.Append(float64(from.Value(i)))
		case *array.Float64:
			to, ok := b.(*array.Int64Builder)
			if !ok || float64(int64(from.Value(i))) != from.Value(i) {
				return nil, fmt.Errorf("%v is not a value of type %s", from.Value(i), want)
			}
			to.Append(int64(from.Value(i)))
		default:
			return nil, fmt.Errorf("its values are %s, not %s", values.DataType(), want)
		}
	}
	return b.NewArray(), nil
}

// Map implements the protocol: it computes the mock's columns.
func (s *server) Map(stream pluginv1.PluginService_MapServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	in := first.GetStart()
	p, err := s.prepare(stream.Context(), in)
	if err != nil {
		return err
	}
	c, err := s.computing(own(p.Outputs[0].Columns), rowsOf(in, p.Outputs[0]))
	if err != nil {
		return stream.Send(&pluginv1.MapResponse{Diagnostics: []*pluginv1.Diagnostic{s.problem("%s", err)}})
	}
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		rows, failures, err := c.compute(stream.Context(), req.GetRows())
		if err != nil {
			return stream.Send(&pluginv1.MapResponse{Diagnostics: []*pluginv1.Diagnostic{s.problem("%s", err)}})
		}
		if err := stream.Send(&pluginv1.MapResponse{Rows: rows, Errors: failures}); err != nil {
			return err
		}
	}
}

// Predict implements the protocol: the mocked model computes the mock's columns.
func (s *server) Predict(stream pluginv1.PluginService_PredictServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	signature := first.GetStart().GetSignature()
	if len(s.mock.Columns) == 0 {
		return fmt.Errorf("the mock of %s predicts nothing: give it columns = { … } (%s:%d)", s.at, s.mock.Range.Filename, s.mock.Range.Start.Line)
	}
	c, err := s.computing(signature.GetOutputs(), data.FromProto(signature.GetInputs()))
	if err != nil {
		return err
	}
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		rows, failures, err := c.compute(stream.Context(), req.GetRows())
		if err != nil {
			return err
		}
		if err := stream.Send(&pluginv1.PredictResponse{Rows: rows, Errors: failures}); err != nil {
			return err
		}
	}
}

// Run implements the protocol: it sends the rows of the mock's tables, and produces models
// and reports that consist of a note.
func (s *server) Run(req *pluginv1.RunRequest, stream pluginv1.PluginService_RunServer) error {
	p, err := s.prepare(stream.Context(), req.Instance)
	if err != nil {
		return err
	}
	done, diags := &pluginv1.Done{Folders: map[string]string{}}, p.Diagnostics
	if !hasError(diags) {
		if diags, err = s.produce(req, p, done, stream); err != nil {
			return err
		}
	}
	for _, d := range diags {
		if err := stream.Send(&pluginv1.RunResponse{Event: &pluginv1.RunResponse_Diagnostic{Diagnostic: d}}); err != nil {
			return err
		}
	}
	if hasError(diags) {
		return nil
	}
	return stream.Send(&pluginv1.RunResponse{Event: &pluginv1.RunResponse_Done{Done: done}})
}

// produce produces the outputs and the value of a stage.
func (s *server) produce(req *pluginv1.RunRequest, p *pluginv1.Prepared, done *pluginv1.Done, stream pluginv1.PluginService_RunServer) (diags []*pluginv1.Diagnostic, err error) {
	for _, o := range p.Outputs {
		var more []*pluginv1.Diagnostic
		switch t := s.tables[o.Name]; {
		case o.Kind == pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL, o.Kind == pluginv1.ArtifactKind_ARTIFACT_KIND_REPORT:
			done.Folders[o.Name], err = s.note(req, o.Name)
		case t != nil:
			more, err = t.read(stream.Context(), req.Instance.Address, func(rows []byte) error {
				return stream.Send(&pluginv1.RunResponse{Event: &pluginv1.RunResponse_Rows{Rows: &pluginv1.Rows{Output: o.Name, Rows: rows}}})
			})
		}
		diags = append(diags, more...)
		if err != nil {
			return nil, err
		}
	}
	if len(p.ValueType) == 0 {
		return diags, nil
	}
	v, err := s.value(p.ValueType, req.Instance)
	if err != nil {
		return append(diags, s.problem("%s", err)), nil
	}
	done.Value, err = client.EncodeValue(v)
	return diags, err
}

// note writes the folder of a mocked model or report.
func (s *server) note(req *pluginv1.RunRequest, output string) (string, error) {
	dir := filepath.Join(req.WorkDir, "output-"+url.PathEscape(output))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "mock.txt"), fmt.Appendf(nil, "A mock of %s, %s.\n", s.at, s.digest), 0o644)
}

// value returns the mock's values in the type that the stage declares.
func (s *server) value(typeJSON []byte, in *pluginv1.Instance) (cty.Value, error) {
	given, err := s.values()
	if err != nil {
		return cty.NilVal, err
	}
	t, err := valueType(typeJSON)
	if err != nil {
		return cty.NilVal, err
	}
	if in.Kind == kind.Deploy {
		given = s.withArguments(given, t, in)
	}
	return complete(given, t, "values")
}
