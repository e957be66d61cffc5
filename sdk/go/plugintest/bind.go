package plugintest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// bound is a case in terms of the protocol.
type bound struct {
	typ      *pluginv1.Type
	instance *pluginv1.Instance
	datasets map[string]*table
	models   map[string]Model
	reports  map[string]Report
	// rows are the row expressions by key.
	rows map[string]boundRow
	// doubles are language models and late are late expressions, by key.
	doubles map[string]FakeModel
	late    map[string]LateColumn
	workDir string
	kept    string
	// shardRows is that of the case.
	shardRows int
}

// boundRow is a row expression: a column, a computed value, or a prompt.
type boundRow struct {
	of, column string
	computed   *Computed
	prompt     Prompt
	// drawing is JSON that says how a prompt's examples are selected; nil if it
	// has none.
	drawing []byte
}

// bind creates an instance of a case.
func (s *session) bind(c Case) *bound {
	s.t.Helper()
	typ := s.typeOf(c)
	name := c.Name
	if name == "" {
		name = "test"
	}
	b := &binder{
		t: s.t, main: c, datasets: map[string]*table{}, models: map[string]Model{}, reports: map[string]Report{}, rows: map[string]boundRow{},
		doubles: map[string]FakeModel{}, late: map[string]LateColumn{}, rowsOf: wire.DefaultRowsOf(typ.Body),
	}
	config, err := client.EncodeValue(b.body(typ.Body, c.Args, ""))
	if err != nil {
		s.t.Fatal(err)
	}
	in := &pluginv1.Instance{
		Kind: typ.Kind, Type: typ.Name, Address: typ.Kind + "." + name, Config: config,
		Inputs: map[string]*pluginv1.Input{}, RowArguments: map[string]*pluginv1.RowArgument{},
	}
	for key, d := range b.datasets {
		rows := d.rec.NumRows()
		in.Inputs[key] = &pluginv1.Input{
			Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET, Columns: d.schema.Proto(), Rows: &rows,
		}
	}
	for key, m := range b.models {
		in.Inputs[key] = &pluginv1.Input{
			Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL, Format: m.Format, Signature: signatureProto(m),
			Capabilities: m.capabilities(),
		}
	}
	for key := range b.reports {
		in.Inputs[key] = &pluginv1.Input{Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_REPORT}
	}
	for key, m := range b.doubles {
		in.Inputs[key] = &pluginv1.Input{Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL, Capabilities: m.capabilities()}
	}
	for key, r := range b.rows {
		d := b.datasets[r.of]
		if d == nil {
			s.t.Fatalf("row expression %q belongs to dataset %q, which is not set", key, r.of)
		}
		if r.prompt != nil {
			in.RowArguments[key] = &pluginv1.RowArgument{Type: "string", RowsOf: r.of}
			continue
		}
		if r.computed != nil {
			in.RowArguments[key] = &pluginv1.RowArgument{Type: r.computed.Type, RowsOf: r.of}
			continue
		}
		column, _, ok := d.schema.Lookup(r.column)
		if !ok {
			s.t.Fatalf("row expression %q: dataset %q has no column %q", key, r.of, r.column)
		}
		in.RowArguments[key] = &pluginv1.RowArgument{Type: column.Type, RowsOf: r.of, Column: r.column}
	}
	return &bound{typ: typ, instance: in, datasets: b.datasets, models: b.models, reports: b.reports, rows: b.rows, doubles: b.doubles, late: b.late, workDir: c.WorkDir, kept: c.Kept, shardRows: c.ShardRows}
}

func signatureProto(m Model) *pluginv1.Signature {
	return &pluginv1.Signature{Inputs: m.Signature.Inputs.Proto(), Outputs: m.Signature.Outputs.Proto()}
}

func isDataset(a *pluginv1.Argument) bool {
	return slices.Contains(a.Accepts, pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET)
}

// binder converts Go values to a configuration.
type binder struct {
	t        testing.TB
	main     Case
	rowsOf   string
	datasets map[string]*table
	models   map[string]Model
	reports  map[string]Report
	rows     map[string]boundRow
	doubles  map[string]FakeModel
	late     map[string]LateColumn
}

func join(key, step string) string {
	if key == "" {
		return step
	}
	return key + "." + step
}

// body creates the object of a body. Missing arguments have their defaults.
func (b *binder) body(body *pluginv1.Body, given map[string]any, key string) cty.Value {
	b.t.Helper()
	attrs, known := map[string]cty.Value{}, map[string]bool{}
	for _, a := range body.GetArguments() {
		known[a.Name] = true
		attrs[a.Name] = b.argument(a, given, join(key, a.Name))
	}
	for _, block := range body.GetBlocks() {
		known[block.Name] = true
		attrs[block.Name] = b.blocks(block, given[block.Name], join(key, block.Name))
	}
	for name := range given {
		if !known[name] {
			b.t.Fatalf("the type has no argument %q", join(key, name))
		}
	}
	return cty.ObjectVal(attrs)
}

func (b *binder) argument(a *pluginv1.Argument, given map[string]any, key string) cty.Value {
	b.t.Helper()
	v, ok := given[a.Name]
	switch {
	case ok:
	case isDataset(a) && a.Collection == pluginv1.Collection_COLLECTION_UNSPECIFIED && b.main.Rows != nil:
		v = Dataset{Columns: b.main.Columns, Rows: b.main.Rows}
	case a.Required:
		b.t.Fatalf("argument %q is required", key)
	case len(a.DefaultValue) > 0:
		return b.fromJSON(a)
	default:
		return cty.NullVal(cty.DynamicPseudoType)
	}
	if a.PerRow || len(a.Accepts) > 0 {
		return b.input(a, v, key)
	}
	return b.plain(a, v, key)
}

func (b *binder) fromJSON(a *pluginv1.Argument) cty.Value {
	v, err := verbatim.JSON(a.DefaultValue, b.typeOf(a))
	if err != nil {
		b.t.Fatalf("default of argument %q: %s", a.Name, err)
	}
	return v
}

func (b *binder) typeOf(a *pluginv1.Argument) cty.Type {
	var t cty.Type
	if err := json.Unmarshal(a.Type, &t); err != nil {
		b.t.Fatalf("type of argument %q: %s", a.Name, err)
	}
	return t
}

// plain converts a Go value to an argument's type.
func (b *binder) plain(a *pluginv1.Argument, v any, key string) cty.Value {
	b.t.Helper()
	want := b.typeOf(a)
	if _, ok := v.(Unknown); ok {
		return cty.UnknownVal(want)
	}
	got, err := convert.Convert(b.value(v), want)
	if err != nil {
		b.t.Fatalf("argument %q: %s", key, err)
	}
	return got
}

// value converts a Go value to a cty value.
func (b *binder) value(v any) cty.Value {
	b.t.Helper()
	switch v := v.(type) {
	case cty.Value:
		return v
	case Unknown:
		return cty.DynamicVal
	case nil:
		return cty.NullVal(cty.DynamicPseudoType)
	}
	text, err := json.Marshal(v)
	if err != nil {
		b.t.Fatalf("a %T cannot be an argument: %s", v, err)
	}
	t, err := ctyjson.ImpliedType(text)
	if err != nil {
		b.t.Fatalf("a %T cannot be an argument: %s", v, err)
	}
	out, err := verbatim.JSON(text, t)
	if err != nil {
		b.t.Fatalf("a %T cannot be an argument: %s", v, err)
	}
	return out
}

// input binds artifacts and row expressions; the configuration contains their
// keys.
func (b *binder) input(a *pluginv1.Argument, v any, key string) cty.Value {
	b.t.Helper()
	switch v := v.(type) {
	case map[string]any:
		elems := map[string]cty.Value{}
		for name, e := range v {
			elems[name] = b.input(a, e, join(key, name))
		}
		if len(elems) == 0 {
			return cty.MapValEmpty(cty.String)
		}
		return cty.ObjectVal(elems)
	case []any:
		var elems []cty.Value
		for i, e := range v {
			elems = append(elems, b.input(a, e, join(key, strconv.Itoa(i))))
		}
		if len(elems) == 0 {
			return cty.ListValEmpty(cty.String)
		}
		return cty.ListVal(elems)
	case Dataset:
		b.datasets[key] = newTable(b.t, v)
	case Model:
		b.models[key] = v
		for input, column := range v.Features {
			b.rows[join(key, input)] = boundRow{of: b.of(a, key), column: string(column)}
		}
	case Report:
		b.reports[key] = v
	case Row:
		b.rows[key] = boundRow{of: b.of(a, key), column: string(v)}
	case Computed:
		b.rows[key] = boundRow{of: b.of(a, key), computed: &v}
	case FakeModel:
		b.doubles[key] = v
	case Prompt:
		b.rows[key] = boundRow{of: b.of(a, key), prompt: v}
	case LateColumn:
		b.late[key] = v
	case PromptWithExamples:
		b.drawn(a, v, key)
	case PromptedModel:
		return cty.ObjectVal(map[string]cty.Value{
			"model": b.input(a, v.Model, join(key, "model")), "prompt": b.input(a, v.prompt(), join(key, "prompt")),
		})
	default:
		b.t.Fatalf("argument %q must be a Dataset, Model, Report, FakeModel, Row, Computed, Prompt, PromptedModel, PromptWithExamples, or LateColumn, not a %T", key, v)
	}
	return cty.StringVal(key)
}

// drawn binds a prompt and its examples.
func (b *binder) drawn(a *pluginv1.Argument, v PromptWithExamples, key string) {
	b.t.Helper()
	drawing, err := json.Marshal(map[string]any{"count": v.Count, "select": v.Select, "seed": v.Seed})
	if err != nil {
		b.t.Fatal(err)
	}
	b.rows[key] = boundRow{of: b.of(a, key), prompt: v.Prompt, drawing: drawing}
	key = join(key, "examples")
	b.datasets[key] = newTable(b.t, v.Examples)
	for _, name := range []string{"user", "assistant"} {
		b.rows[join(key, name)] = boundRow{of: key, column: name}
	}
	if v.By != "" {
		b.rows[join(key, "by")] = boundRow{of: b.of(a, key), column: string(v.By)}
	}
	if v.Model.Embed != nil {
		b.doubles[join(key, "model")] = v.Model
	}
}

// of returns the key of the dataset that a row expression is evaluated over.
func (b *binder) of(a *pluginv1.Argument, key string) string {
	if name, relative := strings.CutPrefix(a.RowsOf, "."); relative {
		return join(key[:max(0, strings.LastIndex(key, "."+a.Name))], name)
	}
	if a.RowsOf != "" {
		return a.RowsOf
	}
	return b.rowsOf
}

// blocks creates the tuple of a block's objects.
func (b *binder) blocks(block *pluginv1.Block, v any, key string) cty.Value {
	b.t.Helper()
	given, ok := v.([]map[string]any)
	if !ok && v != nil {
		b.t.Fatalf("block %q must be a []map[string]any, not a %T", key, v)
	}
	out := make([]cty.Value, len(given))
	for i, g := range given {
		step, labels, rest := "", map[string]cty.Value{}, map[string]any{}
		for name, value := range g {
			rest[name] = value
		}
		for _, l := range block.Labels {
			text := fmt.Sprint(g[l])
			labels[l], step = cty.StringVal(text), join(step, text)
			delete(rest, l)
		}
		if step == "" {
			step = strconv.Itoa(i)
		}
		attrs := b.body(block.Body, rest, join(key, step)).AsValueMap()
		if attrs == nil {
			attrs = map[string]cty.Value{}
		}
		for l, label := range labels {
			attrs[l] = label
		}
		out[i] = cty.ObjectVal(attrs)
	}
	return cty.TupleVal(out)
}

// rowColumns returns what the plugin gets of a dataset: the row arguments, then
// the columns that are read.
func (b *bound) rowColumns(dataset string, reads *pluginv1.Reads) arrow.RecordBatch {
	d := b.datasets[dataset]
	var fields []arrow.Field
	var columns []arrow.Array
	add := func(in data.Namespace, name string, values arrow.Array) {
		fields, columns = append(fields, in.Field(name, values.DataType())), append(columns, values)
	}
	for _, key := range sortedKeys(b.rows) {
		if r := b.rows[key]; r.of == dataset {
			add(data.Arguments, key, d.values(r))
		}
	}
	for i, c := range d.schema {
		// Late expressions may read any column.
		if reads.GetAll() || len(b.late) > 0 || slices.Contains(reads.GetColumns(), c.Name) {
			add(data.Columns, c.Name, d.rec.Column(i))
		}
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, d.rec.NumRows())
}

// modelFiles lists a model's files.
func modelFiles(t testing.TB, dir string) []*pluginv1.File {
	t.Helper()
	var out []*pluginv1.File
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		digest, err := digestOf(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		out = append(out, &pluginv1.File{Name: filepath.ToSlash(name), Path: path, Digest: digest, Size: info.Size()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}
