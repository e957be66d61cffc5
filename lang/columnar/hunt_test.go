package columnar

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/expr/exprtest"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
)

var hostileRow = data.Schema{
	{Name: "s", Type: "string"}, {Name: "t", Type: "string"}, {Name: "n", Type: "int64"}, {Name: "f", Type: "float64"},
	{Name: "b", Type: "bool"}, {Name: "l", Type: "list<string>"}, {Name: "m", Type: "list<int64>"}, {Name: "o", Type: "struct<a:string,b:int64>"},
}

// The time limit applies to elapsed time, so on a busy machine one evaluation of
// an expression may exceed it and another not.
func TestMain(m *testing.M) {
	if err := os.Setenv(limit.SecondsVariable, "600"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// Texts and numbers that functions often handle badly.
var (
	hostileTexts = []string{
		"", " ", "a", "e\u0301", "\u0301", "日本語", "x\xffy", "\ufeffa", "a,b\n1,2\n", "\ufeffa,b\n1,2", "%s", "%1000000000d", "%[1]s%[1]s", "%z", "(abc", "[", "/(/", "/a/", "a{1000}",
		"(x?){900}", "$1$1$1", "0", "-1", "1e999999999", "99999999999999999999", "NaN", "true", "UTF-8", "UTF-16LE", "ISO-2022-JP", "none", "6Q==", "?", "2026-01-02T03:04:05Z", "24h", "YYYY",
		"f1", "recall", "NFD", "postgresql", "${x}", "${", "%{ if true }x%{ endif }", "{\"a\": 1}", "[1, [2, null]]", "{\"type\": \"object\"}", "a: &a [1]\nb: *a", "a: &a [*a]", "<a><b/></a>", "<p>x</p>", "select 1",
		"dns", "../x", "\x00", strings.Repeat("ab ", 8000), strings.Repeat("(", 3000), strings.Repeat("[", 3000), strings.Repeat("\n", 3000), strings.Repeat("<a>", 3000),
	}
	hostileNumbers = []int64{0, 1, -1, 2, 3, 10, 16, 62, 63, 99, 1000, 1_000_000, 1_000_000_000, math.MaxInt64, math.MinInt64}
	hostileFloats  = []float64{0, math.Copysign(0, -1), 0.5, -0.5, 1, 1e300, -1e300, 5e-324, math.NaN(), math.Inf(1), math.Inf(-1)}
	// hostileLiterals are arguments of calls that do not come from the row.
	hostileLiterals = []string{
		"null", "true", "0", "1", "-1", "0.5", "1e3000", "-1e3000", "1000000000", "[]", "{}", "[null]", "[1, \"a\", null]", "[[[[1]]]]", "{ a = [1], b = null }", "[{ a = 1 }, { b = 2 }]", "range(1000)",
		"toset([\"a\", \"b\"])", "[\"a\", \"b\"]", "[true, null]", "{ x = \"a\" }", "[0, -1.5]", "[range(200), range(200), range(200)]...", "local.deep", "local.secret", "row", "row.o.a", "[row.s, row.t]", "{ x = row.s }", "[row.n]",
	}
)

// hostile generates calls of functions with unusual arguments.
type hostile struct{ *rand.Rand }

func (h hostile) text() string { return hostileTexts[h.IntN(len(hostileTexts))] }

// record returns a batch with one row.
func (h hostile) record() arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, hostileRow.Arrow())
	defer b.Release()
	for _, f := range b.Fields() {
		h.fill(f)
	}
	return b.NewRecordBatch()
}

func (h hostile) fill(b array.Builder) {
	if h.IntN(8) == 0 {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(h.text())
	case *array.Int64Builder:
		b.Append(hostileNumbers[h.IntN(len(hostileNumbers))])
	case *array.Float64Builder:
		b.Append(hostileFloats[h.IntN(len(hostileFloats))])
	case *array.BooleanBuilder:
		b.Append(h.IntN(2) == 0)
	case *array.ListBuilder:
		b.Append(true)
		for range h.IntN(4) {
			h.fill(b.ValueBuilder())
		}
	case *array.StructBuilder:
		b.Append(true)
		for i := range b.NumField() {
			h.fill(b.FieldBuilder(i))
		}
	}
}

func (h hostile) argument() string {
	switch h.IntN(6) {
	case 0:
		return hostileLiterals[h.IntN(len(hostileLiterals))]
	case 1:
		return value.Format(cty.StringVal(strings.ToValidUTF8(h.text(), "")))
	default:
		return "row." + hostileRow[h.IntN(len(hostileRow))].Name
	}
}

func (h hostile) call(name string) string {
	fn := funcs.Functions(".")[name]
	n := len(fn.Params())
	if fn.VarParam() != nil {
		n += h.IntN(3)
	}
	if h.IntN(10) == 0 {
		n = max(0, n+h.IntN(3)-1)
	}
	args := make([]string, n)
	for i := range args {
		if args[i] = h.argument(); i < n-1 {
			args[i] = strings.TrimSuffix(args[i], "...")
		}
	}
	return name + "(" + strings.Join(args, ", ") + ")"
}

func hostileScope(functions *hcl.EvalContext) *expr.Scope {
	deep := cty.StringVal("x")
	for range limit.Default.Depth - 10 {
		deep = cty.TupleVal([]cty.Value{deep})
	}
	functions.Variables = map[string]cty.Value{"local": cty.ObjectVal(map[string]cty.Value{
		"deep": deep, "secret": cty.StringVal("s3cr3t"),
	})}
	return &expr.Scope{Eval: functions, Row: hostileRow}
}

// evaluated returns the result of an evaluation, and checks that it stays within
// the limits and does not panic.
func evaluated(t *testing.T, what string, evaluate func() (cty.Value, string)) (cty.Value, string) {
	t.Helper()
	before := computed(t)
	v, failed := evaluate()
	if took := computed(t) - before; took > slowdown*limit.Default.Time {
		t.Errorf("%s takes %s", what, took)
	}
	if strings.Contains(failed, "goroutine ") || strings.Contains(failed, "bug in quern") || strings.Contains(failed, "cannot handle these arguments") {
		t.Errorf("%s panics: %s", what, failed)
	}
	if failed == "" {
		if _, err := limit.Measure(v); err != nil {
			t.Errorf("%s exceeds a limit: %v", what, err)
		}
	}
	return v, failed
}

// computed returns the CPU time of this process. Unlike elapsed time, it does not
// depend on other processes.
func computed(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano())
}

func planned(e hclsyntax.Expression, ctx *hcl.EvalContext) func() (cty.Value, string) {
	return func() (cty.Value, string) {
		v, diags := eval.Value(e, ctx)
		if diags.HasErrors() {
			return v, diags.Error()
		}
		return v, ""
	}
}

func TestHuntForCallsThatFunctionsDoNotExpect(t *testing.T) {
	h := hostile{rand.New(rand.NewPCG(uint64(reference.Rounds(31, int(time.Now().UnixNano()))), 32))}
	names := slices.Sorted(maps.Keys(funcs.Pure()))
	compared := 0
	for range reference.Rounds(4_000, 400_000) {
		name := names[h.IntN(len(names))]
		src := h.call(name)
		rec := h.record()
		if h.compare(t, src, rec) {
			compared++
		}
		if t.Failed() {
			t.Fatalf("the expression was %s\nover %s", src, rowText(rec, hostileRow, 0))
		}
		rec.Release()
	}
	if compared < 500 {
		t.Errorf("only %d calls were compared", compared)
	}
}

// compare evaluates a call as a row expression, with closures and with hcl, and as
// an expression of the plan. It returns false if the call does not compile.
func (h hostile) compare(t *testing.T, src string, rec arrow.RecordBatch) bool {
	s := hostileScope(&hcl.EvalContext{Functions: funcs.Pure()})
	attrs := map[string]cty.Value{}
	for i, c := range hostileRow {
		v, err := cell(rec.Column(i), 0)
		if err != nil {
			t.Fatal(err)
		}
		attrs[c.Name] = v
	}
	ctx := s.Eval.NewChild()
	ctx.Variables = map[string]cty.Value{expr.RowName: cty.ObjectVal(attrs)}
	want, wantErr := evaluated(t, src, planned(exprtest.Parse(src), ctx))
	marked := ctx.NewChild()
	marked.Variables = map[string]cty.Value{"local": cty.ObjectVal(map[string]cty.Value{
		"deep": s.Eval.Variables["local"].GetAttr("deep"), "secret": cty.StringVal("s3cr3t").Mark(value.Sensitive{Variable: "x"}),
	})}
	evaluated(t, src+" with a secret", planned(exprtest.Parse(src), marked))

	before := computed(t)
	c, diags := expr.Compile(exprtest.Parse(src), s, cty.DynamicPseudoType)
	if took := computed(t) - before; took > slowdown*limit.Default.Time {
		t.Errorf("compiling %s takes %s", src, took)
	}
	if diags.HasErrors() {
		return false
	}
	p, err := New(c, hostileRow, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.column != "" {
		return false
	}
	if wantErr == "" {
		if want, err = convert.Convert(want, c.Type.Type); err != nil {
			wantErr = err.Error()
		}
	}
	expected := array.NewBuilder(memory.DefaultAllocator, p.out)
	defer expected.Release()
	if wantErr == "" {
		if err := appendValue(expected, want); err != nil {
			wantErr = err.Error()
		}
	}
	if wantErr != "" {
		expected.AppendNull()
	}
	wantArray := expected.NewArray()
	defer wantArray.Release()
	for how, root := range map[string]*node{"closures": p.root, "hcl": nil} {
		arr, failed, err := p.run(context.Background(), rec, root)
		if err != nil {
			t.Fatal(err)
		}
		if (len(failed) > 0) != (wantErr != "") || !array.Equal(arr, wantArray) {
			t.Errorf("%s\ncompiled as %s\nby %s is %s %v\nin a plan %s %s", src, c.Text, how, arr.ValueStr(0), failed, wantArray.ValueStr(0), wantErr)
		}
		if len(failed) > 0 && (strings.Contains(failed[0].Message, "goroutine ") || strings.Contains(failed[0].Message, "bug in quern")) {
			t.Errorf("%s by %s panics: %s", src, how, failed[0].Message)
		}
		arr.Release()
	}
	return true
}

func TestHuntForCallsThatFileFunctionsDoNotExpect(t *testing.T) {
	h := hostile{rand.New(rand.NewPCG(41, 42))}
	all := funcs.Functions(t.TempDir())
	var names []string
	for name := range all {
		if _, pure := funcs.Pure()[name]; !pure {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	s := hostileScope(&hcl.EvalContext{Functions: all})
	for range reference.Rounds(500, 20_000) {
		src := h.call(names[h.IntN(len(names))])
		ctx := s.Eval.NewChild()
		ctx.Variables = map[string]cty.Value{expr.RowName: cty.ObjectVal(map[string]cty.Value{
			"s": cty.StringVal(h.text()), "t": cty.StringVal(h.text()), "n": cty.NumberIntVal(hostileNumbers[h.IntN(len(hostileNumbers))]), "f": cty.NullVal(cty.Number),
			"b": cty.True, "l": cty.ListValEmpty(cty.String), "m": cty.UnknownVal(cty.List(cty.Number)), "o": cty.EmptyObjectVal,
		})}
		evaluated(t, src, planned(exprtest.Parse(src), ctx))
	}
}
