package expr_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/expr/exprtest"
	"github.com/quern-dev/quern/sdk/go/data"
)

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
		s := exprtest.LateScope()
		s.Row = append(s.Row[:len(s.Row):len(s.Row)], data.Column{Name: "answer", Type: "string"})
		got, diags := expr.Compile(exprtest.Parse(c.src), s, cty.DynamicPseudoType)
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
	s := &expr.Scope{Late: map[string]cty.Type{"output": exprtest.Answer}, Eval: exprtest.Scope().Eval}
	c, diags := expr.Compile(exprtest.Parse(`length(output.text)`), s, cty.Number)
	if diags.HasErrors() || c.ColumnType != "int64" || c.Columns != nil {
		t.Fatal(c, diags)
	}
	if _, diags = expr.Compile(exprtest.Parse(`row.text == output.text`), s, cty.Bool); !strings.Contains(diags.Error(), "Name is not available here") {
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
		if _, diags := expr.Compile(exprtest.Parse(src), exprtest.LateScope(), cty.DynamicPseudoType); !diags.HasErrors() || !strings.Contains(diags.Error(), want) {
			t.Errorf("%s: %v", src, diags)
		}
	}
	for _, s := range []*expr.Scope{exprtest.Scope(), {Eval: exprtest.Scope().Eval}} {
		if _, diags := expr.Compile(exprtest.Parse(`output.text`), s, cty.DynamicPseudoType); !strings.Contains(diags.Error(), "documented as late") {
			t.Errorf("without late names: %v", diags)
		}
	}
}

func TestOnlyAttributesOfALateNameThatAreReadAreRequested(t *testing.T) {
	for src, want := range map[string]string{
		`output.text == row.text && output.cost < 1`: `{"output":["object",{"cost":"number","text":"string"}]}`,
		`output.json.a.b == "x"`:                     `{"output":["object",{"json":"dynamic"}]}`,
		`row.text == "x"`:                            `null`,
	} {
		c, diags := expr.Compile(exprtest.Parse(src), exprtest.LateScope(), cty.DynamicPseudoType)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		got, err := json.Marshal(c.Late)
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", src, got, err)
		}
		again, diags := expr.Compile(exprtest.Parse(c.Text), &expr.Scope{Row: exprtest.Row, Eval: exprtest.Scope().Eval, Late: c.LateTypes()}, c.Type.Type)
		if diags.HasErrors() || !reflect.DeepEqual(again.Late, c.Late) || again.Text != c.Text {
			t.Errorf("%s compiled again: %v %v", src, again, diags)
		}
	}
	c, _ := expr.Compile(exprtest.Parse(`jsonencode(output)`), exprtest.LateScope(), cty.DynamicPseudoType)
	if !c.Late["output"].Equals(exprtest.Answer) {
		t.Errorf("the type of the whole answer is %s", c.Late["output"].GoString())
	}
}
