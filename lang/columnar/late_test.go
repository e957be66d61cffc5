package columnar

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/text/unicode/norm"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/expr/exprtest"
	"github.com/quern-dev/quern/sdk/go/data"
)

// answerColumn is the column type of such answers. It has more fields than
// exprtest.Answer, and integers for some of its numbers.
const answerColumn = "struct<cost:float64,finish_reason:string,id:string,json:string,refused:bool,text:string," +
	"tokens:struct<input:int64,output:int64,total:int64>,tool_calls:list<struct<arguments:string,name:string>>,words:list<string>>"

var lateSchema = data.Schema{{Name: "output", Type: answerColumn}}

// lateRows returns a batch in which the columns from index at on are late values.
func lateRows(rec arrow.RecordBatch, at int) arrow.RecordBatch {
	fields := slices.Clone(rec.Schema().Fields())
	for i := at; i < len(fields); i++ {
		fields[i] = data.LateNames.Field(fields[i].Name, fields[i].Type)
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), rec.Columns(), rec.NumRows())
}

var (
	lateTexts   = []string{"output.text", "output.finish_reason", `tostring(output.json.a)`, "output.words[0]"}
	lateNumbers = []string{"output.tokens.input", "output.cost", "length(output.tool_calls)", "length(output.words)"}
	lateBools   = []string{"output.refused", `output.json == null`, `can(output.json.b)`, `contains(output.words, row.text)`}
)

var lateExpressions = []string{
	`output.text == row.text`, `lower(trimspace(output.text)) == lower(row.intent)`, `output.tokens.input + output.tokens.output`,
	`output.cost < 0.01`, `output.finish_reason != "stop" || output.refused`, `"${output.text} ${row.id}"`, `contains(output.words, row.text)`,
	`output.json.a == row.text`, `try(tostring(output.json.a), "")`, `can(output.json.b[1].c)`, `output.json == null`,
	`output.tool_calls[*].name`, `[for c in output.tool_calls : c.arguments.x]`, `length(output.tool_calls)`, `length(output.words)`,
	`contains(output.json.b, row.text)`, `icontains(output.text, row.intent) || is_json(output.text)`, `rouge_l(output.text, [row.text, row.intent])`,
	`jsonencode(output)`, `output`, `{ a = output.json.x.y, b = 1 }.b`, `output.words`, `output.tokens`,
}

func TestLateExpressionsHaveTheSameResultInBothEvaluators(t *testing.T) {
	rec := lateRows(randomRowsOf(rand.New(rand.NewPCG(21, 22)), slices.Concat(exprtest.Row, lateSchema), 200), len(exprtest.Row))
	defer rec.Release()
	for i, src := range lateExpressions {
		c, diags := expr.Compile(exprtest.Parse(src), exprtest.LateScope(), cty.DynamicPseudoType)
		if diags.HasErrors() {
			if src != `output` && !strings.HasPrefix(src, "[for") {
				t.Errorf("%s: %v", src, diags)
			}
			continue
		}
		p, err := NewLate(c, exprtest.Row, lateSchema, exprtest.Values())
		if err != nil {
			t.Fatal(err)
		}
		if i < 7 && p.root == nil {
			t.Errorf("%s has no closures", src)
		}
		sameAnswers(t, p, rec)
	}
}

func TestPartsOfAnyTypeArriveAsJSON(t *testing.T) {
	type row struct{ json, want string }
	eval := func(src string, rows []row) {
		t.Helper()
		c, diags := expr.Compile(exprtest.Parse(src), &expr.Scope{Eval: exprtest.Scope().Eval, Late: map[string]cty.Type{"output": exprtest.Answer}}, cty.DynamicPseudoType)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		schema := data.Schema{{Name: "output", Type: "struct<json:string,tool_calls:list<struct<name:string,arguments:string>>>"}}
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
		defer b.Release()
		for _, r := range rows {
			out := b.Field(0).(*array.StructBuilder)
			out.Append(true)
			out.FieldBuilder(0).(*array.StringBuilder).Append(r.json)
			calls := out.FieldBuilder(1).(*array.ListBuilder)
			calls.Append(true)
			for k := range 2 {
				call := calls.ValueBuilder().(*array.StructBuilder)
				call.Append(true)
				call.FieldBuilder(0).(*array.StringBuilder).Append(fmt.Sprint("f", k))
				call.FieldBuilder(1).(*array.StringBuilder).Append([]string{`{"x": 1}`, r.json}[k])
			}
		}
		rec := lateRows(b.NewRecordBatch(), 0)
		defer rec.Release()
		p, err := NewLate(c, nil, schema, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, failed, err := p.Eval(context.Background(), rec)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Release()
		for i, r := range rows {
			value := got.ValueStr(i)
			for _, f := range failed {
				if f.Row == i {
					value = "error"
				}
			}
			if value != r.want {
				t.Errorf("%s of %s is %s, not %s: %v", src, r.json, value, r.want, failed)
			}
		}
	}
	eval(`output.json.label == "a"`, []row{
		{`{"label": "a"}`, "true"}, {`{"label": 1}`, "false"}, {`{}`, "error"}, {`no JSON`, "error"}, {`null`, "error"}, {`{"label": "a"} x`, "error"},
	})
	eval(`output.json == null`, []row{{`{"label": "a"}`, "false"}, {`no`, "true"}, {`null`, "true"}, {``, "true"}, {strings.Repeat("[", 1<<20), "true"}})
	eval(`try(tonumber(output.json[1]), -1)`, []row{{`["a", 2.5]`, "2.5"}, {`[1]`, "-1"}, {`{}`, "-1"}})
	eval(`output.tool_calls[1].arguments == { x = 1 }`, []row{{`{"x": 1}`, "true"}, {`{"x": 1, "y": 2}`, "false"}, {`{`, "false"}})
	eval(`length([for c in output.tool_calls : c if can(c.arguments.y)])`, []row{{`{"y": 1}`, "1"}, {`7`, "0"}})
}

func TestALateColumnOfTheWrongTypeIsRefused(t *testing.T) {
	c, diags := expr.Compile(exprtest.Parse(`output.tokens.input > 1 && output.json == null && length(output.words) > 0`), exprtest.LateScope(), cty.Bool)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for column, want := range map[string]string{
		"":                                       `the rows have no "output"`,
		"string":                                 "is not object",
		"struct<json:string,words:list<string>>": `field "tokens" does not exist`,
		"struct<json:int64,tokens:struct<input:int64,output:int64>,words:list<string>>":             `field "json"`,
		"struct<json:string,tokens:struct<input:string,output:int64>,words:list<string>>":           `field "tokens": field "input"`,
		"struct<json:string,tokens:struct<input:int64,output:int64>,words:list<struct<a:string>>>":  `field "words"`,
		"struct<json:string,tokens:struct<input:float64,output:int64>,words:list<string>,x:string>": "",
	} {
		var late data.Schema
		if column != "" {
			late = data.Schema{{Name: "output", Type: column}}
		}
		_, err := NewLate(c, exprtest.Row, late, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", column, err)
		}
	}
}

func TestColumnsAndLateNamesWithTheSameNameAreDistinct(t *testing.T) {
	row := data.Schema{{Name: "output", Type: "string"}, {Name: "(output)", Type: "string"}, {Name: "", Type: "string"}}
	s := &expr.Scope{Row: row, Eval: exprtest.Scope().Eval, Late: map[string]cty.Type{"output": cty.String}}
	late := data.Schema{{Name: "output", Type: "string"}}
	rec := lateRows(randomRowsOf(rand.New(rand.NewPCG(1, 2)), slices.Concat(row, late), 50), len(row))
	for src, want := range map[string]int{`row.output`: 0, `row["(output)"]`: 1, `row[""]`: 2, `output`: 3} {
		for _, form := range []string{"%s", "%s == null ? null : tostring(%[1]s)", `[for x in [1] : %s][0]`} {
			c, diags := expr.Compile(exprtest.Parse(fmt.Sprintf(form, src)), s, cty.String)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			p, err := NewLate(c, row, late, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, failed, err := p.Eval(context.Background(), rec)
			if err != nil || len(failed) > 0 {
				t.Fatal(err, failed)
			}
			for i := range got.Len() {
				// Values that the evaluator touches are normalized.
				if have, want := got.ValueStr(i), norm.NFC.String(rec.Column(want).ValueStr(i)); norm.NFC.String(have) != want {
					t.Errorf("row %d: %s is %q, not %q", i, c.Text, have, want)
				}
			}
		}
	}
}
