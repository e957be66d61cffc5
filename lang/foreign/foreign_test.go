package foreign

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/columnar"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// plugins has one plugin, whose local name is acme and whose namespace is text.
type plugins struct {
	client    *client.Plugin
	functions []*pluginv1.Function
	// clients counts the calls: each asks for the process.
	clients atomic.Int64
	build   string
}

func (p *plugins) Namespaces() map[string]string { return map[string]string{"acme": "text"} }
func (p *plugins) Build(string) string           { return p.build }

func (p *plugins) Functions(name string) ([]*pluginv1.Function, error) {
	if name != "acme" {
		return nil, fmt.Errorf("no plugin %q", name)
	}
	return p.functions, nil
}

func (p *plugins) Client(context.Context, string) (*client.Plugin, error) {
	p.clients.Add(1)
	return p.client, nil
}

type textArgs struct {
	Text string `quern:"text"`
}

type sumArgs struct {
	Of []*int64 `quern:"of,variadic"`
}

func serve(t *testing.T, behavior int64) *plugins {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	address, done, err := plugintest.Serve(ctx, plugin.Plugin{Name: "acme", Version: "1.0.0", Functions: []plugin.Function{
		plugin.NewFunction(plugin.FunctionInfo{Name: "lower", BehaviorVersion: behavior}, func(_ context.Context, a *textArgs) (string, error) {
			if a.Text == "bad" {
				return "", plugin.ArgumentErrorf("text", "it is bad")
			}
			return strings.ToLower(a.Text), nil
		}),
		plugin.NewFunction(plugin.FunctionInfo{Name: "sum", Deprecated: "Write +.", BehaviorVersion: 1}, func(_ context.Context, a *sumArgs) (int64, error) {
			sum := int64(0)
			for _, n := range a.Of {
				if n != nil {
					sum += *n
				}
			}
			return sum, nil
		}),
	}})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	c, err := client.Attach(client.Command{Name: "acme"}, address)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); <-done; cancel() })
	schema, err := c.Service().GetSchema(ctx, &pluginv1.GetSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return &plugins{client: c, functions: schema.Functions}
}

func same(name string) string { return name }

var rowColumns = data.Schema{{Name: "id", Type: "string"}, {Name: "n", Type: "int64"}}

// compile compiles an expression over rows with the columns id and n.
func compile(t *testing.T, p *plugins, text string) (*expr.Compiled, hcl.Diagnostics) {
	t.Helper()
	e, diags := hclsyntax.ParseExpression([]byte(text), "x.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	foreign := New(t.Context(), p).Scope([]string{"acme::lower", "acme::sum", "acme::lowr", "other::f"}, same)
	scope := &expr.Scope{
		Eval: &hcl.EvalContext{Functions: funcs.Pure(), Variables: map[string]cty.Value{"source": cty.ObjectVal(map[string]cty.Value{"a": cty.UnknownVal(cty.Object(map[string]cty.Type{"rows": cty.Number}))})}},
		Row:  rowColumns, Foreign: foreign,
	}
	return expr.Compile(e, scope, cty.DynamicPseudoType)
}

func mustCompile(t *testing.T, p *plugins, text string) *expr.Compiled {
	t.Helper()
	c, diags := compile(t, p, text)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return c
}

func TestACompiledCallHasTheNamespaceOfThePlugin(t *testing.T) {
	p := serve(t, 3)
	for _, c := range []struct{ text, want, column string }{
		{`acme::lower(row.id)`, `text::lower(row.id)`, "string"},
		{`acme::sum(row.n, acme::sum(1, 2), null)`, `text::sum(row.n, 3, null)`, "int64"},
		{`"${acme::lower("A")}${row.id}"`, `"a${row.id}"`, "string"},
		{`acme::sum([1, 2]...) + row.n`, `3 + row.n`, "int64"},
		{`[for c in [row.id] : acme::lower(c)]`, `[for c in [row.id] : text::lower(c)]`, "list<string>"},
	} {
		got := mustCompile(t, p, c.text)
		if got.Text != c.want || got.ColumnType != c.column {
			t.Errorf("%s became %s (%s), want %s (%s)", c.text, got.Text, got.ColumnType, c.want, c.column)
		}
		if calls := strings.Contains(got.Text, "::"); calls != (len(got.Functions) == 1) {
			t.Errorf("%s calls %v", got.Text, got.Functions)
		}
	}
	if got := mustCompile(t, p, `acme::lower(row.id)`).Functions; !slices.Equal(got, []expr.ForeignName{{Name: "text::lower", Behavior: "3"}}) {
		t.Errorf("got %v", got)
	}
}

func TestErrorsAreAtTheCallOrItsArgument(t *testing.T) {
	p := serve(t, 1)
	for _, c := range []struct{ text, at, detail string }{
		{`acme::lowr(row.id)`, "acme::lowr", `The plugin "acme" has no function "lowr". Did you mean "lower"?`},
		{`other::f(row.id)`, "other::f", `a function of a plugin "other", which this configuration does not require`},
		{`acme::lower([row.id])`, "[", "string required"},
		{`acme::sum(row.n, "x")`, `"x"`, "a number is required"},
		{`acme::sum(1.5)`, "1.5", "1.5 does not fit in an int64"},
		{`acme::lower("bad")`, `bad`, "it is bad"},
		{`acme::lower(null)`, "null", "argument must not be null"},
		{`acme::lower()`, ")", "expects 1 argument"},
	} {
		_, diags := compile(t, p, c.text)
		found := slices.IndexFunc(diags, func(d *hcl.Diagnostic) bool { return d.Severity == hcl.DiagError })
		if found < 0 {
			t.Errorf("%s has no error", c.text)
			continue
		}
		d := diags[found]
		if at := string(d.Subject.SliceBytes([]byte(c.text))); at != c.at || !strings.Contains(d.Detail, c.detail) {
			t.Errorf("%s: at %q: %s", c.text, at, d.Detail)
		}
	}
	if _, diags := compile(t, p, `acme::sum(row.n)`); len(diags) != 1 || diags[0].Severity != hcl.DiagWarning || !strings.Contains(diags[0].Detail, "Write +.") {
		t.Errorf("a deprecated function gives %v", diags)
	}
}

// batch returns rows with the given ids, of which an empty one is null, and their
// indexes.
func batch(ids ...string) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, rowColumns.Arrow())
	defer b.Release()
	for i, id := range ids {
		if id == "" {
			b.Field(0).AppendNull()
		} else {
			b.Field(0).(*array.StringBuilder).Append(id)
		}
		b.Field(1).(*array.Int64Builder).Append(int64(i))
	}
	return b.NewRecordBatch()
}

func evaluate(t *testing.T, c *expr.Compiled, rec arrow.RecordBatch) (values []string, failed map[int]string) {
	t.Helper()
	program, err := columnar.New(c, rowColumns, nil)
	if err != nil {
		t.Fatal(err)
	}
	column, errs, err := program.Eval(t.Context(), rec)
	if err != nil {
		t.Fatal(err)
	}
	defer column.Release()
	for i := range column.Len() {
		values = append(values, column.ValueStr(i))
	}
	failed = map[int]string{}
	for _, e := range errs {
		failed[e.Row] = e.Message
	}
	return values, failed
}

func TestABatchIsOneCall(t *testing.T) {
	p := serve(t, 1)
	ids := make([]string, 10_000)
	for i := range ids {
		ids[i] = fmt.Sprint("ID", i)
	}
	rec := batch(ids...)
	defer rec.Release()
	values, failed := evaluate(t, mustCompile(t, p, `"${acme::lower(row.id)} ${row.n}"`), rec)
	if len(failed) > 0 || values[9_999] != "id9999 9999" {
		t.Errorf("got %q, failed: %v", values[9_999], failed)
	}
	if n := p.clients.Load(); n != 1 {
		t.Errorf("%d calls for 10,000 rows", n)
	}
}

func TestOnlyRowsThatNeedAFailedCallFail(t *testing.T) {
	p := serve(t, 1)
	rec := batch("A", "bad", "", "B")
	defer rec.Release()
	null := array.NullValueStr
	for _, c := range []struct {
		text   string
		values []string
		failed map[int]string
	}{
		{`acme::lower(row.id)`, []string{"a", null, null, "b"}, map[int]string{1: "it is bad", 2: "must not be null"}},
		{`try(acme::lower(row.id), "none")`, []string{"a", "none", "none", "b"}, nil},
		{`can(acme::lower(row.id))`, []string{"true", "false", "false", "true"}, nil},
		{`row.id == null ? "?" : acme::lower(row.id)`, []string{"a", null, "?", "b"}, map[int]string{1: "it is bad"}},
		{`row.n == 1 || row.id == null ? "x" : acme::lower(row.id)`, []string{"a", "x", "x", "b"}, nil},
		{`acme::lower(upper(coalesce(row.id, "N")))`, []string{"a", "bad", "n", "b"}, nil},
		{`acme::lower(acme::lower(row.id))`, []string{"a", null, null, "b"}, map[int]string{1: "it is bad", 2: "must not be null"}},
		{`acme::sum(row.n, row.id == null ? null : 1)`, []string{"1", "2", "2", "4"}, nil},
		{`join(",", [for c in compact([row.id, "X"]) : acme::lower(c == "bad" ? "Z" : c)])`, []string{"a,x", "z,x", "x", "b,x"}, nil},
	} {
		values, failed := evaluate(t, mustCompile(t, p, c.text), rec)
		if !slices.Equal(values, c.values) || len(failed) != len(c.failed) {
			t.Errorf("%s: got %q, failed %v", c.text, values, failed)
		}
		for row, message := range c.failed {
			if !strings.Contains(failed[row], message) {
				t.Errorf("%s: row %d: %q", c.text, row, failed[row])
			}
		}
	}
}

func TestEqualValuesAreOneCall(t *testing.T) {
	p := serve(t, 1)
	s := New(t.Context(), p)
	offered, err := s.Offer("acme")
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if v, err := offered["lower"].Value.Call([]cty.Value{cty.StringVal("A")}); err != nil || v.AsString() != "a" {
			t.Fatal(v, err)
		}
		if _, err := offered["lower"].Value.Call([]cty.Value{cty.StringVal("bad")}); err == nil {
			t.Fatal("no error")
		}
	}
	if n := p.clients.Load(); n != 2 {
		t.Errorf("%d calls", n)
	}
	unknown, err := offered["sum"].Value.Call([]cty.Value{cty.UnknownVal(cty.Number)})
	if err != nil || unknown.IsKnown() || unknown.Type() != cty.Number {
		t.Errorf("an unknown argument gives %#v, %v", unknown, err)
	}
}

func TestPrefetchedValuesAreOneCall(t *testing.T) {
	p := serve(t, 1)
	offered, err := New(t.Context(), p).Offer("acme")
	if err != nil {
		t.Fatal(err)
	}
	var all [][]cty.Value
	for i := range 1000 {
		all = append(all, []cty.Value{cty.StringVal(fmt.Sprint("A", i%500))})
	}
	all = append(all, []cty.Value{cty.StringVal("bad")})
	if err := offered["lower"].Prefetch(all); err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		if v, err := offered["lower"].Value.Call([]cty.Value{cty.StringVal(fmt.Sprint("A", i))}); err != nil || v.AsString() != fmt.Sprint("a", i) {
			t.Fatal(v, err)
		}
	}
	if _, err := offered["lower"].Value.Call([]cty.Value{cty.StringVal("bad")}); err == nil || !strings.Contains(err.Error(), "it is bad") {
		t.Errorf("got %v", err)
	}
	if n := p.clients.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
}

func TestAnExpressionIsRefusedByAnotherBehaviorVersion(t *testing.T) {
	c := mustCompile(t, serve(t, 1), `acme::lower(row.id)`)
	read := func() *expr.Compiled {
		again := expr.Compiled{Text: c.Text, Type: c.Type, ColumnType: c.ColumnType, Columns: c.Columns, Functions: c.Functions}
		return &again
	}
	rec := batch("A")
	defer rec.Release()

	alone := read()
	if _, err := columnar.New(alone, rowColumns, nil); err == nil || !strings.Contains(err.Error(), "not available here") {
		t.Errorf("without plugins: %v", err)
	}
	fits := read()
	fits.Connect(New(t.Context(), serve(t, 1)))
	if values, _ := evaluate(t, fits, rec); values[0] != "a" {
		t.Errorf("got %v", values)
	}
	newer := read()
	newer.Connect(New(t.Context(), serve(t, 2)))
	if _, err := columnar.New(newer, rowColumns, nil); err == nil || !strings.Contains(err.Error(), "behavior version 1") {
		t.Errorf("with a newer version: %v", err)
	}
	developed := serve(t, 1)
	developed.build = "sha256:1"
	dev := read()
	dev.Connect(New(t.Context(), developed))
	if _, err := columnar.New(dev, rowColumns, nil); err == nil {
		t.Error("a build under development is taken for a release")
	}
	elsewhere := read()
	elsewhere.Functions = []expr.ForeignName{{Name: "gone::lower", Behavior: "1"}}
	elsewhere.Connect(New(t.Context(), serve(t, 1)))
	if _, err := columnar.New(elsewhere, rowColumns, nil); err == nil || !strings.Contains(err.Error(), "required_plugins") {
		t.Errorf("without the plugin: %v", err)
	}
}

func TestAnInvalidFunctionIsRefused(t *testing.T) {
	for _, f := range []*pluginv1.Function{
		{Name: "none", Result: "string"},
		{Name: "date", Result: "string", Parameters: []*pluginv1.Parameter{{Name: "d", Type: "date"}}},
		{Name: "type", Result: "text", Parameters: []*pluginv1.Parameter{{Name: "d", Type: "string"}}},
	} {
		_, err := New(t.Context(), &plugins{functions: []*pluginv1.Function{f}}).Offer("acme")
		if err == nil || !strings.Contains(err.Error(), f.Name) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

func TestACanceledCallEnds(t *testing.T) {
	p := serve(t, 1)
	c := mustCompile(t, p, `acme::lower(row.id)`)
	program, err := columnar.New(c, rowColumns, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rec := batch("A")
	defer rec.Release()
	if _, _, err := program.Eval(ctx, rec); err == nil || !errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), "cancel") {
		t.Errorf("got %v", err)
	}
}
