package mock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/internal/arrowjson"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/lang/testfile"
	"github.com/quern-dev/quern/planner/schema"
	"github.com/quern-dev/quern/registry"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// table is a table of rows, which the built-in source of its format reads: a mock infers
// the same types as a pipeline that reads the file.
type table struct {
	set    *Set
	format string // csv, json, jsonl, parquet
	path   string // absolute
	name   string // for messages, in place of the path
	schema map[string]string
}

// formats are the types of sources by the extensions of files.
var formats = map[string]string{
	".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
}

// table returns the table of a test file. It writes inline rows to a file.
func (s *Set) table(t *testfile.Table) (*table, hcl.Diagnostics) {
	if t.Rows != nil {
		return s.inline(t)
	}
	name := t.File
	for _, compressed := range []string{".gz", ".zst", ".bz2", ".xz"} {
		name = strings.TrimSuffix(name, compressed)
	}
	format := formats[strings.ToLower(path.Ext(name))]
	if format == "" {
		return nil, hcl.Diagnostics{diag.Errorf(&t.FileRange, "Unknown format", "The name of the file must end in .csv, .json, .jsonl, or .parquet.")}
	}
	at := filepath.FromSlash(s.File.Path(t.File))
	if !filepath.IsAbs(at) {
		at = filepath.Join(s.Module.Dir, at)
	}
	at, err := filepath.Abs(at)
	if err == nil {
		_, err = os.Stat(at)
	}
	if err != nil {
		return nil, hcl.Diagnostics{diag.Errorf(&t.FileRange, "Cannot read file", "%s. The path is relative to the folder of the test file.", err)}
	}
	return &table{set: s, format: format, path: at, name: t.File, schema: t.Schema}, nil
}

// inline writes rows to a file of JSON lines.
func (s *Set) inline(t *testfile.Table) (*table, hcl.Diagnostics) {
	rows, diags := s.Rows(t.Rows)
	if diags.HasErrors() {
		return nil, diags
	}
	if len(rows) == 0 && len(t.Schema) == 0 {
		return nil, hcl.Diagnostics{diag.Errorf(t.Rows.Range().Ptr(), "Columns are not known", "A table without rows needs a schema: schema = { text = \"string\" }.")}
	}
	var text bytes.Buffer
	for _, row := range rows {
		line, err := ctyjson.Marshal(row, row.Type())
		if err != nil {
			return nil, hcl.Diagnostics{diag.Errorf(t.Rows.Range().Ptr(), "Invalid row", "%s.", err)}
		}
		text.Write(append(line, '\n'))
	}
	f, err := os.CreateTemp(s.Folder, "rows-*.jsonl")
	if err == nil {
		_, err = f.Write(text.Bytes())
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return nil, hcl.Diagnostics{diag.Errorf(t.Rows.Range().Ptr(), "Cannot write rows", "%s.", err)}
	}
	at := t.Rows.Range()
	return &table{set: s, format: "jsonl", path: f.Name(), name: fmt.Sprintf("the rows at %s:%d", at.Filename, at.Start.Line), schema: t.Schema}, nil
}

// rowsOfList evaluates a list of rows, which are objects.
func rowsOfList(e hcl.Expression, scope *hcl.EvalContext) ([]cty.Value, hcl.Diagnostics) {
	v, diags := eval.Value(e, scope)
	if diags.HasErrors() {
		return nil, funcs.Explain(diags)
	}
	v, _ = v.UnmarkDeep()
	invalid := func(why string) hcl.Diagnostics {
		return hcl.Diagnostics{diag.Errorf(e.Range().Ptr(), "Invalid rows", "rows is a list of objects, such as [{ text = \"a\" }]%s.", why)}
	}
	if v.IsNull() || !v.IsWhollyKnown() || !v.CanIterateElements() || v.Type().IsObjectType() || v.Type().IsMapType() {
		return nil, invalid("")
	}
	rows := v.AsValueSlice()
	for i, row := range rows {
		if row.IsNull() || !row.Type().IsObjectType() && !row.Type().IsMapType() {
			return nil, invalid(fmt.Sprintf("; element %d is %s", i, english.Or([]string{row.Type().FriendlyName()})))
		}
		if row.LengthInt() == 0 {
			return nil, invalid(fmt.Sprintf("; element %d has no columns", i))
		}
	}
	return rows, nil
}

// instance returns the source that reads the table.
func (t *table) instance(address string) (*pluginv1.Instance, error) {
	found, _, err := t.set.Plugins.Type(kind.Source, t.format, registry.Builtin)
	if err != nil {
		return nil, err
	}
	body, err := schema.NewBody(found.Body)
	if err != nil {
		return nil, err
	}
	values := map[string]cty.Value{}
	for name, want := range body.Object.AttributeTypes() {
		values[name] = cty.NullVal(want)
		if a := body.Args[name]; a != nil && a.Absent != nil {
			values[name] = a.Absent.Value.Value
		}
	}
	values["path"] = cty.StringVal(pattern(t.path))
	if len(t.schema) > 0 {
		types := map[string]cty.Value{}
		for name, of := range t.schema {
			types[name] = cty.StringVal(of)
		}
		values["schema"] = cty.MapVal(types)
	}
	encoded, err := client.EncodeValue(cty.ObjectVal(values))
	if err != nil {
		return nil, err
	}
	return &pluginv1.Instance{Kind: kind.Source, Type: t.format, Address: address, Config: encoded}, nil
}

// pattern escapes a path so that it matches only itself.
func pattern(path string) string {
	var b strings.Builder
	for _, r := range filepath.ToSlash(path) {
		if strings.ContainsRune(`*?[]{}\`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// source returns the plugin that reads the table, and its source.
func (t *table) source(ctx context.Context, address string) (pluginv1.PluginServiceClient, *pluginv1.Instance, error) {
	in, err := t.instance(address)
	if err != nil {
		return nil, nil, err
	}
	c, err := t.set.Plugins.Client(ctx, registry.Builtin)
	if err != nil {
		return nil, nil, err
	}
	return c.Service(), in, nil
}

// prepare returns what the source of the table prepares: its columns, or errors.
func (t *table) prepare(ctx context.Context, address string) (*pluginv1.Prepared, error) {
	service, in, err := t.source(ctx, address)
	if err != nil {
		return nil, err
	}
	resp, err := service.Prepare(ctx, &pluginv1.PrepareRequest{Instances: []*pluginv1.Instance{in}})
	if err != nil {
		return nil, err
	}
	t.rename(resp.Prepared[0].Diagnostics)
	return resp.Prepared[0], nil
}

// rename replaces the path of the table in messages: that of inline rows means nothing
// to the author of the test.
func (t *table) rename(diags []*pluginv1.Diagnostic) {
	for _, d := range diags {
		d.Summary, d.Detail = strings.ReplaceAll(d.Summary, t.path, t.name), strings.ReplaceAll(d.Detail, t.path, t.name)
	}
}

// read calls f with each message of rows, and returns the errors of the source.
func (t *table) read(ctx context.Context, address string, f func(rows []byte) error) ([]*pluginv1.Diagnostic, error) {
	service, in, err := t.source(ctx, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := service.Read(ctx, &pluginv1.ReadRequest{Instance: in})
	if err != nil {
		return nil, err
	}
	var diags []*pluginv1.Diagnostic
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return diags, nil
		}
		if err != nil {
			return nil, err
		}
		if d := resp.GetDiagnostic(); d != nil {
			diags = append(diags, d)
		}
		if rows := resp.GetRows(); rows != nil {
			if err := f(rows); err != nil {
				return nil, err
			}
		}
	}
}

// Table reads a table of a test file, and returns its columns and its rows as objects.
func (s *Set) Table(ctx context.Context, t *testfile.Table) ([]string, []cty.Value, hcl.Diagnostics) {
	from, diags := s.table(t)
	if diags.HasErrors() {
		return nil, nil, diags
	}
	at := t.FileRange
	if t.Rows != nil {
		at = t.Rows.Range()
	}
	failed := func(text string) hcl.Diagnostics {
		return hcl.Diagnostics{diag.Errorf(&at, "Cannot read rows", "%s.", strings.TrimSuffix(text, "."))}
	}
	prepared, err := from.prepare(ctx, "expect")
	if err == nil {
		err = client.Failure(registry.Builtin, prepared.Diagnostics)
	}
	if err != nil {
		return nil, nil, failed(err.Error())
	}
	columns := data.FromProto(prepared.Outputs[0].Columns).Names()
	var rows []cty.Value
	reported, err := from.read(ctx, "expect", func(text []byte) error {
		more, err := decode(text)
		rows = append(rows, more...)
		return err
	})
	if err == nil {
		err = client.Failure(registry.Builtin, reported)
	}
	if err != nil {
		return nil, nil, failed(err.Error())
	}
	return columns, rows, nil
}

// decode returns the rows of a batch as objects.
func decode(text []byte) ([]cty.Value, error) {
	rec, err := data.DecodeBatch(text)
	if err != nil {
		return nil, err
	}
	defer rec.Release()
	types := map[string]cty.Type{}
	for _, f := range rec.Schema().Fields() {
		types[f.Name] = expr.ValueType(f.Type)
	}
	rows := make([]cty.Value, rec.NumRows())
	for i := range rows {
		values := map[string]cty.Value{}
		for j, f := range rec.Schema().Fields() {
			text, err := arrowjson.Encoder{}.Append(nil, rec.Column(j), i)
			if err != nil {
				return nil, fmt.Errorf("column %q: %w", f.Name, err)
			}
			if values[f.Name], err = ctyjson.Unmarshal(text, types[f.Name]); err != nil {
				return nil, fmt.Errorf("column %q: %w", f.Name, err)
			}
		}
		rows[i] = cty.ObjectVal(values)
	}
	return rows, nil
}

// Prepare answers for a source.
func (s *server) prepareSource(ctx context.Context, in *pluginv1.Instance) (*pluginv1.Prepared, error) {
	t := s.tables[""]
	if t == nil {
		return s.fault("the mock of a source needs rows or file"), nil
	}
	return t.prepare(ctx, in.Address)
}

// Fingerprint implements the protocol.
func (s *server) Fingerprint(ctx context.Context, req *pluginv1.FingerprintRequest) (*pluginv1.FingerprintResponse, error) {
	t := s.tables[""]
	if t == nil {
		return &pluginv1.FingerprintResponse{Diagnostics: s.fault("the mock of a source needs rows or file").Diagnostics}, nil
	}
	service, in, err := t.source(ctx, req.Instance.GetAddress())
	if err != nil {
		return nil, err
	}
	return service.Fingerprint(ctx, &pluginv1.FingerprintRequest{Instance: in})
}

// Read implements the protocol.
func (s *server) Read(req *pluginv1.ReadRequest, stream pluginv1.PluginService_ReadServer) error {
	service, in, err := s.tables[""].source(stream.Context(), req.Instance.GetAddress())
	if err != nil {
		return err
	}
	from, err := service.Read(stream.Context(), &pluginv1.ReadRequest{Instance: in, KnownParts: req.KnownParts})
	if err != nil {
		return err
	}
	return relay(from.Recv, stream.Send)
}

// Preview implements the protocol.
func (s *server) Preview(req *pluginv1.PreviewRequest, stream pluginv1.PluginService_PreviewServer) error {
	service, in, err := s.tables[""].source(stream.Context(), req.Instance.GetAddress())
	if err != nil {
		return err
	}
	from, err := service.Preview(stream.Context(), &pluginv1.PreviewRequest{Instance: in, Bytes: req.Bytes})
	if err != nil {
		return err
	}
	return relay(from.Recv, stream.Send)
}

// relay passes on the messages of a stream.
func relay[M any](recv func() (M, error), send func(M) error) error {
	for {
		m, err := recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = send(m)
		}
		if err != nil {
			return err
		}
	}
}

// fault is the answer of a mock that cannot take the place of its stage.
func (s *server) fault(format string, args ...any) *pluginv1.Prepared {
	return &pluginv1.Prepared{Diagnostics: []*pluginv1.Diagnostic{s.problem(format, args...)}}
}

func (s *server) problem(format string, args ...any) *pluginv1.Diagnostic {
	return &pluginv1.Diagnostic{
		Severity: pluginv1.Diagnostic_SEVERITY_ERROR, Summary: "the mock cannot be used",
		Detail: located(fmt.Sprintf(format, args...), s.mock.Range),
	}
}

// located is a message about a place in a test file. The diagnostics of plugins have no
// places but those of arguments.
func located(text string, at hcl.Range) string {
	return fmt.Sprintf("%s.\n\nThe mock is at %s:%d.", diag.Capital(strings.TrimRight(text, ".")), at.Filename, at.Start.Line)
}

// sortedNames are the names of columns.
func sortedNames(columns []*pluginv1.Column) []string {
	names := data.FromProto(columns).Names()
	slices.Sort(names)
	return names
}
