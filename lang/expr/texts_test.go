package expr_test

import (
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/expr/exprtest"
)

func TestTextsAreNotReadAsNumbersOrBools(t *testing.T) {
	for src, want := range map[string]string{
		`row.text + 1`:                                "row.text has type string, but type number is needed. If each of its texts is a number, write tonumber(row.text).",
		`2 * (row.n - row.text)`:                      "tonumber(row.text)",
		`-row.text`:                                   "tonumber(row.text)",
		`row.text >= row.score`:                       "tonumber(row.text)",
		`!row.text`:                                   "tobool(row.text)",
		`row.ok && row.text`:                          "tobool(row.text)",
		`row.text || row.ok`:                          "tobool(row.text)",
		`row.text ? 1 : 2`:                            "row.text has type string, but type bool is needed. If each of its texts is a bool, write tobool(row.text).",
		`"%{ if row.text }a%{ endif }"`:               "tobool(row.text)",
		`[for x in row.tags : x if x]`:                "tobool(x)",
		`[for x in row.tags : x * 2]`:                 "tonumber(x)",
		`abs(row.text)`:                               "tonumber(row.text)",
		`max(row.n, row.text)`:                        "tonumber(row.text)",
		`max(row.tags...)`:                            "row.tags has type list<string>, but type list of number is needed. If each of its texts is a number, write [for x in row.tags : tonumber(x)].",
		`substr(row.text, row.intent, 1)`:             "tonumber(row.intent)",
		`row.counts[row.text]`:                        "tonumber(row.text)",
		`element(row.tags, row.text)`:                 "tonumber(row.text)",
		`sum(row.tags)`:                               "write [for x in row.tags : tonumber(x)].",
		`format("%d", row.text)`:                      "tonumber(row.text)",
		`format("%s %05.1f%%", row.text, row.intent)`: "tonumber(row.intent)",
		`format("%[2]d of %s", row.text, row.intent)`: "tonumber(row.intent)",
		`format("%t", row.text)`:                      "tobool(row.text)",
		`formatlist("%d", row.tags)`:                  "[for x in row.tags : tonumber(x)]",
		`trimspace(row.text) + 1`:                     "tonumber(trimspace(row.text))",
		`"${row.n}0" / 2`:                             `tonumber("${row.n}0")`,
		`row.meta.lang + 1`:                           "tonumber(row.meta.lang)",
		`row.n > 1 ? row.text + 1 : 0`:                "tonumber(row.text)",
		`can(tonumber(row.text)) ? row.text * 2 : 0`:  "tonumber(row.text)",
		`row.day > row.text`:                          `row.day has type date, but type number is needed. To compare dates, write timecmp("${row.day}T00:00:00Z", …) < 0.`,
		`row.at - 1`:                                  "row.at has type timestamp, but type number is needed. To compare times, write timecmp(row.at, …) < 0.",
		`row.raw ? 1 : 2`:                             "row.raw has type binary, but type bool is needed.",
		`trimspace("${row.text}, ${row.intent}, ${row.text}, ${row.intent}") + 1`: "This expression has type string, but type number is needed. If each of its texts is a number, write tonumber(…).",
	} {
		_, diags := expr.Compile(exprtest.Parse(src), exprtest.Scope(), cty.DynamicPseudoType)
		found := ""
		for _, d := range diags {
			if d.Summary == "Wrong type of value" {
				found += d.Detail
			}
		}
		if !strings.Contains(found, want) {
			t.Errorf("%s: %v", src, diags)
		}
	}
}

func TestTextsAreConvertedWhereNothingElseIsPossible(t *testing.T) {
	for _, src := range []string{
		`tonumber(row.text) + 1`, `tobool(row.text) ? 1 : 2`, `row.n + "1"`, `row.ok && "true"`, `"${row.n}" + 1`,
		`upper(row.n)`, `"${row.n}"`, `max([for x in row.tags : tonumber(x)]...)`, `sum(row.counts)`, `sum([for x in row.tags : tonumber(x)])`, `parseint(row.text, 16)`, `jsondecode(row.text) + 1`,
		`format("%s %v %q", row.text, row.n, row.text)`, `format("%d %f", row.n, row.score)`, `format("%[1]s %[1]q", row.text)`, `format(row.text, row.text)`, `format("%d", "7")`, `formatlist("%s", row.tags)`,
		// try says what to do with texts that are not numbers.
		`try(row.text + 1, 0)`, `try(row.text ? 1 : 2, 3)`, `can(row.text + 1)`, `try([for x in row.tags : x * 2], [])`, `try(max(row.tags...), 0)`,
		`local.low + "1"`, `var.names.z + row.n`,
	} {
		if _, diags := expr.Compile(exprtest.Parse(src), exprtest.Scope(), cty.DynamicPseudoType); diags.HasErrors() {
			t.Errorf("%s: %v", src, diags)
		}
	}
}

func TestTextsOfOtherExpressionsAreConverted(t *testing.T) {
	s := exprtest.Scope()
	s.Row = nil
	s.Eval.Variables["source"] = cty.ObjectVal(map[string]cty.Value{"a": cty.ObjectVal(map[string]cty.Value{"note": cty.UnknownVal(cty.String)})})
	if _, diags := expr.Compile(exprtest.Parse(`source.a.note + 1`), s, cty.Number); diags.HasErrors() {
		t.Errorf("%v", diags)
	}
}

func TestAnAnswerIsNotReadAsANumber(t *testing.T) {
	s := exprtest.Scope()
	s.Late = map[string]cty.Type{"output": cty.Object(map[string]cty.Type{"text": cty.String, "json": cty.DynamicPseudoType})}
	_, diags := expr.Compile(exprtest.Parse(`output.text > 0.5`), s, cty.DynamicPseudoType)
	if len(diags) != 1 || !strings.Contains(diags[0].Detail, "write tonumber(output.text)") {
		t.Errorf("%v", diags)
	}
	if _, diags := expr.Compile(exprtest.Parse(`output.json > 0.5`), s, cty.DynamicPseudoType); diags.HasErrors() {
		t.Errorf("%v", diags)
	}
}
