package expr_test

import (
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/expr/exprtest"
)

func TestValuesOfDifferentTypesAreNotCompared(t *testing.T) {
	for src, want := range map[string]string{
		`row.n == row.text`:                                                "Write tostring(row.n) == row.text, or row.n == tonumber(row.text).",
		`row.text != 5`:                                                    "this is always true. Write row.text != tostring(5), or tonumber(row.text) != 5.",
		`row.ok == "true"`:                                                 `Write tostring(row.ok) == "true".`,
		`row.tags == ["a", "b"]`:                                           `Write row.tags == tolist(["a", "b"]).`,
		`row.text == row.tags`:                                             "a string and the right side is a list of string",
		`length([for x in row.tags : x if x == 1])`:                        "Write x == tostring(1)",
		`[for x in row.tags : x] == tolist(["a"])`:                         "Write tolist([for x in row.tags : x]) == ",
		`row.tags == ([for x in row.tags : x])`:                            "the right side is a tuple, so this is always false",
		`{ for x in row.tags : x => 1 } == row.tags`:                       "an object",
		`try(row.text == 1, false)`:                                        "this is always false",
		`row.ok ? row.n == "1" : false`:                                    "this is always false",
		`(row.n == row.text) == row.ok`:                                    "Write tostring(row.n) == row.text",
		`row.text == "a" || contains(row.tags, row.text) && row.text == 1`: "Write row.text == tostring(1)",
	} {
		_, diags := expr.Compile(exprtest.Parse(src), exprtest.Scope(), cty.DynamicPseudoType)
		if len(diags) != 1 || diags[0].Summary != "Values of different types are never equal" || !strings.Contains(diags[0].Detail, want) {
			t.Errorf("%s: %v", src, diags)
		}
	}
	for _, src := range []string{
		`row.text == null`, `null != row.n`, `row.n == row.score`, `row.n == tonumber(row.text)`, `row.tags == tolist(["a"])`,
		// A loop gives a tuple, or an object.
		`[for x in row.tags : x] == ["a"]`, `(row.ok ? [for x in row.tags : x] : []) == ["a"]`, `[for x in row.tags : x] == [for y in row.tags : y]`,
		`tolist([for x in row.tags : x]) == row.tags`, `{ for x in row.tags : x => 1 } == { a = 1 }`,
		`jsondecode(row.text) == 1`, `row.ok == (row.n == 1)`, `try(jsondecode(row.text).a == row.text, false)`,
	} {
		if _, diags := expr.Compile(exprtest.Parse(src), exprtest.Scope(), cty.DynamicPseudoType); diags.HasErrors() {
			t.Errorf("%s: %v", src, diags)
		}
	}
}

func TestAnAnswerIsNotComparedWithANumber(t *testing.T) {
	s := exprtest.Scope()
	s.Late = map[string]cty.Type{"output": cty.Object(map[string]cty.Type{"text": cty.String, "json": cty.DynamicPseudoType})}
	_, diags := expr.Compile(exprtest.Parse(`output.text == row.n`), s, cty.DynamicPseudoType)
	if len(diags) != 1 || !strings.Contains(diags[0].Detail, "output.text == tostring(row.n), or tonumber(output.text) == row.n") {
		t.Errorf("%v", diags)
	}
	if _, diags := expr.Compile(exprtest.Parse(`output.json.n == row.n`), s, cty.DynamicPseudoType); diags.HasErrors() {
		t.Errorf("%v", diags)
	}
}
