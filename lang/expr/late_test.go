package expr

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/text/unicode/norm"

	"github.com/quern-dev/quern/sdk/go/data"
)

// answer is like what an evaluator has of a model's answer.
var answer = cty.Object(map[string]cty.Type{
	"text":          cty.String,
	"json":          cty.DynamicPseudoType,
	"finish_reason": cty.String,
	"refused":       cty.Bool,
	"cost":          cty.Number,
	"tokens":        cty.Object(map[string]cty.Type{"input": cty.Number, "output": cty.Number}),
	"words":         cty.List(cty.String),
	"tool_calls":    cty.List(cty.Object(map[string]cty.Type{"name": cty.String, "arguments": cty.DynamicPseudoType})),
})

// answerColumn is how such answers come; it has more than the type says, and
// integers where that says number.
const answerColumn = "struct<cost:float64,finish_reason:string,id:string,json:string,refused:bool,text:string," +
	"tokens:struct<input:int64,output:int64,total:int64>,tool_calls:list<struct<arguments:string,name:string>>,words:list<string>>"

func lateScope() *Scope {
	s := testScope()
	s.Late = map[string]cty.Type{"output": answer}
	return s
}

var lateSchema = data.Schema{{Name: "output", Type: answerColumn}}

// lateRows are rows of columns, of which those from at on are what late names
// stand for.
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

func TestLateNamesStayInTheTextAndAreTyped(t *testing.T) {
	for _, c := range []struct{ src, text, columnType string }{
		{`output["text"] == row.answer`, `output.text == row.answer`, "bool"},
		{`output.tokens.input`, `output.tokens.input`, "float64"},
		{`output.json.score > local.limit ? 1 : 0`, `output.json.score > 10 ? 1 : 0`, "int64"},
		{`tonumber(output.json.score)`, `tonumber(output.json.score)`, "float64"},
		{`output.text != "" && true`, `output.text != "" && true`, "bool"},
		{`output.tool_calls[*].name`, `output.tool_calls[*].name`, "list<string>"},
		{`length(output.tool_calls)`, `length(output.tool_calls)`, "int64"},
		{`{ a = output.tokens.input, b = 1 }.b`, `{ a = output.tokens.input, b = 1 }.b`, "int64"},
		{`output.words`, `output.words`, "list<string>"},
		{`output.tokens`, `output.tokens`, "struct<input:float64,output:float64>"},
		{`[for output in row.tags : output]`, `[for output in row.tags : output]`, "list<string>"},
		{`output.text == "${local.auth}"`, `output.text == "Bearer ${var.token}"`, "bool"},
	} {
		s := lateScope()
		s.Row = append(s.Row[:len(s.Row):len(s.Row)], data.Column{Name: "answer", Type: "string"})
		got, diags := Compile(parse(c.src), s, cty.DynamicPseudoType)
		if diags.HasErrors() {
			t.Errorf("%s: %v", c.src, diags)
			continue
		}
		if got.Text != c.text || got.ColumnType != c.columnType {
			t.Errorf("%s becomes\n%s %s", c.src, got.Text, got.ColumnType)
		}
	}
}

func TestALateExpressionNeedsNoDataset(t *testing.T) {
	s := &Scope{Late: map[string]cty.Type{"output": answer}, Eval: testScope().Eval}
	c, diags := Compile(parse(`length(output.text)`), s, cty.Number)
	if diags.HasErrors() || c.ColumnType != "int64" || c.Columns != nil {
		t.Fatal(c, diags)
	}
	if _, diags = Compile(parse(`row.text == output.text`), s, cty.Bool); !strings.Contains(diags.Error(), "Name is not available here") {
		t.Error(diags)
	}
}

func TestMistakesAboutLateNamesAreReported(t *testing.T) {
	for src, want := range map[string]string{
		`output.txt == ""`:       `output has no attribute "txt". Did you mean "text"? Its attributes are: cost, finish_reason`,
		`output.tokens.inptu`:    `output.tokens has no attribute "inptu". Did you mean "input"?`,
		`try(output.txt, "")`:    `no attribute "txt"`,
		`output.json`:            `tostring()`,
		`output.cost + row.tags`: `number required`,
		`outptu.text`:            `no variable named "outptu"`,
	} {
		if _, diags := Compile(parse(src), lateScope(), cty.DynamicPseudoType); !diags.HasErrors() || !strings.Contains(diags.Error(), want) {
			t.Errorf("%s: %v", src, diags)
		}
	}
	for _, s := range []*Scope{testScope(), {Eval: testScope().Eval}} {
		if _, diags := Compile(parse(`output.text`), s, cty.DynamicPseudoType); !strings.Contains(diags.Error(), "documented as late") {
			t.Errorf("where nothing is late: %v", diags)
		}
	}
}

func TestOnlyAttributesOfALateNameThatAreReadAreRequested(t *testing.T) {
	for src, want := range map[string]string{
		`output.text == row.text && output.cost < 1`: `{"output":["object",{"cost":"number","text":"string"}]}`,
		`output.json.a.b == "x"`:                     `{"output":["object",{"json":"dynamic"}]}`,
		`row.text == "x"`:                            `null`,
	} {
		c, diags := Compile(parse(src), lateScope(), cty.DynamicPseudoType)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		got, err := json.Marshal(c.Late)
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", src, got, err)
		}
		again, diags := Compile(parse(c.Text), &Scope{Row: testRow, Eval: testScope().Eval, Late: c.LateTypes()}, c.Type.Type)
		if diags.HasErrors() || !reflect.DeepEqual(again.Late, c.Late) || again.Text != c.Text {
			t.Errorf("%s compiled again: %v %v", src, again, diags)
		}
	}
	c, _ := Compile(parse(`jsonencode(output)`), lateScope(), cty.DynamicPseudoType)
	if !c.Late["output"].Equals(answer) {
		t.Errorf("the whole answer has become %s", c.Late["output"].GoString())
	}
}

func TestLateExpressionsHaveTheSameResultInBothEvaluators(t *testing.T) {
	rec := lateRows(randomRowsOf(rand.New(rand.NewPCG(21, 22)), slices.Concat(testRow, lateSchema), 200), len(testRow))
	defer rec.Release()
	for i, src := range lateExpressions {
		c, diags := Compile(parse(src), lateScope(), cty.DynamicPseudoType)
		if diags.HasErrors() {
			if src != `output` && !strings.HasPrefix(src, "[for") {
				t.Errorf("%s: %v", src, diags)
			}
			continue
		}
		p, err := c.LateProgram(testRow, lateSchema, runtimeVars())
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
		c, diags := Compile(parse(src), &Scope{Eval: testScope().Eval, Late: map[string]cty.Type{"output": answer}}, cty.DynamicPseudoType)
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
		p, err := c.LateProgram(nil, schema, nil)
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
	c, diags := Compile(parse(`output.tokens.input > 1 && output.json == null && length(output.words) > 0`), lateScope(), cty.Bool)
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
		_, err := c.LateProgram(testRow, late, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", column, err)
		}
	}
}

func TestColumnsAndLateNamesWithTheSameNameAreDistinct(t *testing.T) {
	row := data.Schema{{Name: "output", Type: "string"}, {Name: "(output)", Type: "string"}, {Name: "", Type: "string"}}
	s := &Scope{Row: row, Eval: testScope().Eval, Late: map[string]cty.Type{"output": cty.String}}
	late := data.Schema{{Name: "output", Type: "string"}}
	rec := lateRows(randomRowsOf(rand.New(rand.NewPCG(1, 2)), slices.Concat(row, late), 50), len(row))
	for src, want := range map[string]int{`row.output`: 0, `row["(output)"]`: 1, `row[""]`: 2, `output`: 3} {
		for _, form := range []string{"%s", "%s == null ? null : tostring(%[1]s)", `[for x in [1] : %s][0]`} {
			c, diags := Compile(parse(fmt.Sprintf(form, src)), s, cty.String)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			p, err := c.LateProgram(row, late, nil)
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
