package expr

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
)

func TestTheReferencesOfAnExpressionAreListed(t *testing.T) {
	for src, want := range map[string]Compiled{
		`"${row.text} ${row["my col"]} ${row.text}"`:      {Columns: []string{"my col", "text"}},
		`row.score > local.low && evaluate.many["a"] > 1`: {Columns: []string{"score"}, Refs: []string{"evaluate.many", "evaluate.student"}},
		`"${local.auth}${var.token}${var.name}"`:          {Secrets: []string{"token"}},
		`length(row)`:                                     {Columns: []string{"at", "counts", "day", "id", "intent", "meta", "my col", "n", "ok", "raw", "score", "tags", "text", "turns"}},
		`[for row in row.tags : row.x]`:                   {Columns: []string{"tags"}},
		`var.plain ? row.intent : row.text`:               {Columns: []string{"text"}},
		`{ a = row.n, b = row.id }.a`:                     {Columns: []string{"n"}},
	} {
		if src == `[for row in row.tags : row.x]` {
			src = `[for row in row.turns : row.role]`
			want.Columns = []string{"turns"}
		}
		c, diags := Compile(parse(src), testScope(), cty.DynamicPseudoType)
		if diags.HasErrors() {
			t.Errorf("%s: %v", src, diags)
			continue
		}
		if !reflect.DeepEqual(c.Columns, want.Columns) || !reflect.DeepEqual(c.Refs, want.Refs) || !reflect.DeepEqual(c.Secrets, want.Secrets) {
			t.Errorf("%s reads columns %q, refs %q, secrets %q", src, c.Columns, c.Refs, c.Secrets)
		}
	}
}

func TestResultsAreConvertedToTheWantedType(t *testing.T) {
	for _, c := range []struct {
		src        string
		want       cty.Type
		text       string
		columnType string
		err        string
	}{
		{src: `row.text`, want: cty.String, text: `row.text`, columnType: "string"},
		{src: `row.id`, want: cty.String, text: `convert(row.id, string)`, columnType: "string"},
		{src: `row.id`, want: cty.Number, text: `row.id`, columnType: "int64"},
		{src: `row.day`, want: cty.String, text: `convert(row.day, string)`, columnType: "string"},
		{src: `row.text`, want: cty.Number, text: `convert(row.text, number)`, columnType: "float64"},
		{src: `5`, want: cty.String, text: `"5"`, columnType: "string"},
		{src: `[row.n, row.id]`, want: cty.List(cty.String), text: `convert([row.n, row.id], list(string))`, columnType: "list<string>"},
		{src: `row.tags`, want: cty.List(cty.String), text: `row.tags`, columnType: "list<string>"},
		{src: `row.tags`, want: cty.String, err: "This expression has type list of string, but type string is needed"},
		{src: `"abc"`, want: cty.Number, err: "a number is required"},
		{src: `jsondecode(row.text)`, want: cty.String, text: `convert(jsondecode(row.text), string)`, columnType: "string"},
		{src: `null`, want: cty.String, text: `convert(null, string)`, columnType: "string"},
	} {
		got, diags := Compile(parse(c.src), testScope(), c.want)
		switch {
		case c.err != "":
			if !diags.HasErrors() || !strings.Contains(diags.Error(), c.err) {
				t.Errorf("%s: %v does not say %q", c.src, diags, c.err)
			}
		case diags.HasErrors():
			t.Errorf("%s: %v", c.src, diags)
		case got.Text != c.text || got.ColumnType != c.columnType:
			t.Errorf("%s becomes %s of %s, not %s of %s", c.src, got.Text, got.ColumnType, c.text, c.columnType)
		}
	}
}

func TestADeferredExpressionIsEvaluatedLater(t *testing.T) {
	s := testScope()
	s.Row = nil
	c, diags := Compile(parse(`local.low > 0.2 && evaluate.student.ok ? "ship with ${var.token}" : "no"`), s, cty.String)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	vars := runtimeVars()
	vars["var"] = cty.ObjectVal(map[string]cty.Value{"token": cty.StringVal("s3cr3t").Mark(value.Sensitive{Variable: "token"})})
	got, diags := c.Eval(vars)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if plain, _ := got.Unmark(); !value.IsSensitive(got) || plain.AsString() != "ship with s3cr3t" {
		t.Errorf("got %#v", got)
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "s3cr3t") {
		t.Errorf("the secret stands in %s", text)
	}
	var back Compiled
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if again, _ := back.Eval(vars); !again.RawEquals(got) {
		t.Errorf("read back from JSON it gives %#v", again)
	}
}

func TestAnErrorInADeferredExpressionPointsToItsSource(t *testing.T) {
	s := testScope()
	s.Row = nil
	e := parse("\n\n  evaluate.student.ok + 1")
	c, diags := Compile(e, s, cty.DynamicPseudoType)
	if c != nil || !diags.HasErrors() {
		t.Fatal("a bool was added to")
	}
	c, diags = Compile(parse("\n\n  evaluate.student.accuracy + 1"), s, cty.DynamicPseudoType)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	_, diags = c.Eval(map[string]cty.Value{"evaluate": cty.ObjectVal(map[string]cty.Value{
		"student": cty.ObjectVal(map[string]cty.Value{"accuracy": cty.NullVal(cty.Number)})})})
	if !diags.HasErrors() || diags[0].Subject.Start.Line != 3 || diags[0].Subject.Filename != "main.quern.hcl" {
		t.Errorf("got %v", diags)
	}
}

func TestRowsThatFailAreReportedAndNull(t *testing.T) {
	schema := data.Schema{{Name: "a", Type: "string"}, {Name: "n", Type: "int64"}}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
	defer b.Release()
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"x", "", "z"}, []bool{true, false, true})
	b.Field(1).(*array.Int64Builder).AppendValues([]int64{1, 2, 1 << 62}, nil)
	rec := b.NewRecordBatch()
	defer rec.Release()
	c, diags := Compile(parse(`{ s = "${row.a}!", n = row.n * 2 }`), &Scope{Eval: &hcl.EvalContext{Functions: funcs.Pure()}, Row: schema}, cty.DynamicPseudoType)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	p, err := c.Program(schema, nil)
	if err != nil {
		t.Fatal(err)
	}
	arr, failed, err := p.Eval(context.Background(), rec)
	if err != nil {
		t.Fatal(err)
	}
	defer arr.Release()
	if arr.Len() != 3 || arr.IsNull(0) || !arr.IsNull(1) || !arr.IsNull(2) {
		t.Errorf("got %v", arr)
	}
	want := []RowError{
		{Row: 1, Message: "Invalid template interpolation value at row.a: The expression result is null. Cannot include a null value in a string template."},
		{Row: 2, Message: "9223372036854775808 does not fit in an int64"},
	}
	if !reflect.DeepEqual(failed, want) {
		t.Errorf("failed: %v", failed)
	}
}

func TestABareColumnIsPassedThrough(t *testing.T) {
	p := compileRow(t, `row["day"]`)
	r := randomRows(testRand(), 10)
	defer r.Release()
	arr, failed, err := p.Eval(context.Background(), r)
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	defer arr.Release()
	if col, _ := find(r, data.Columns, "day"); arr != col {
		t.Error("the column was copied")
	}
}

func TestABatchWithOtherColumnsIsRefused(t *testing.T) {
	p := compileRow(t, `upper(row.text)`)
	schema := data.Schema{{Name: "text", Type: "int64"}}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
	defer b.Release()
	rec := b.NewRecordBatch()
	defer rec.Release()
	if _, _, err := p.Eval(context.Background(), rec); err == nil || !strings.Contains(err.Error(), `"text"`) {
		t.Errorf("got %v", err)
	}
	if _, err := p.compiled.Program(data.Schema{{Name: "other", Type: "string"}}, nil); err == nil {
		t.Error("a program was made for rows without the column")
	}
}

func TestADoneContextStopsAProgram(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	rec := randomRows(testRand(), 10)
	defer rec.Release()
	if _, _, err := compileRow(t, `upper(row.text)`).Eval(ctx, rec); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestMentionsRowSeesThroughLoops(t *testing.T) {
	for src, want := range map[string]bool{
		`row.x`:                       true,
		`[for row in local.a : row]`:  false,
		`[for x in local.a : row[x]]`: true,
		`rows.x`:                      false,
	} {
		if got := MentionsRow(parse(src)); got != want {
			t.Errorf("%s: %t", src, got)
		}
	}
}

func TestColumnTypesOfTypes(t *testing.T) {
	for _, c := range []struct {
		t    cty.Type
		want string
	}{
		{cty.String, "string"}, {cty.Number, "float64"}, {cty.Bool, "bool"},
		{cty.Set(cty.Bool), "list<bool>"},
		{cty.Tuple([]cty.Type{cty.Number, cty.String}), "list<string>"},
		{cty.Object(map[string]cty.Type{"b": cty.Bool, "a é": cty.List(cty.String)}), `struct<"a é":list<string>,b:bool>`},
		{cty.Map(cty.String), ""}, {cty.DynamicPseudoType, ""}, {cty.EmptyObject, ""}, {cty.EmptyTuple, ""},
	} {
		got, err := columnType(c.t, nil)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%#v: %q, %v", c.t, got, err)
		}
		if err == nil {
			if _, err := data.ArrowType(got); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestTextsOfAllKindsAreReadBackAsTheyWere(t *testing.T) {
	for _, s := range []string{"", "$", "$$", "${", "$${", "$$${", "%{", "%%{", "%%%{x}", "a$", "\\", `"`, "\n\r\t\x00\x7f", "\ufeff\u2028", "é", "~}", "${~", "$%{", "%${"} {
		for _, src := range []string{printExpr(literal(cty.StringVal(s), hcl.Range{})), `"` + escape(s, true) + `${"x"}` + escape(s, false) + `"`} {
			want := s
			if strings.Contains(src, `${"x"}`) {
				want = s + "x" + s
			}
			v, diags := parse(src).Value(nil)
			if diags.HasErrors() || v.AsString() != want {
				t.Errorf("%q is written %s and read as %#v %v", want, src, v, diags)
			}
		}
	}
}

func TestANullOperandIsAnErrorThatSuggestsAFix(t *testing.T) {
	schema := data.Schema{{Name: "n", Type: "float64"}}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
	defer b.Release()
	b.Field(0).(*array.Float64Builder).AppendValues([]float64{math.NaN(), 1}, nil)
	rec := b.NewRecordBatch()
	defer rec.Release()
	for text, want := range map[string][]RowError{
		"row.n > 1":                         {{Row: 0, Message: "Null value at row.n > 1: operators do not accept null. Replace it with coalesce(), or test for it first: row.x == null ? … : …"}},
		"coalesce(row.n, 0) > 1":            nil,
		"row.n == null ? false : row.n > 1": nil,
	} {
		c, diags := Compile(parse(text), &Scope{Eval: &hcl.EvalContext{Functions: funcs.Pure()}, Row: schema}, cty.Bool)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		p, err := c.Program(schema, nil)
		if err != nil {
			t.Fatal(err)
		}
		arr, failed, err := p.Eval(context.Background(), rec)
		if err != nil {
			t.Fatal(err)
		}
		arr.Release()
		if !reflect.DeepEqual(failed, want) {
			t.Errorf("%s failed with %v", text, failed)
		}
	}
}
