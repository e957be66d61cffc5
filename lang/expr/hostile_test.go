package expr_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/expr/exprtest"
)

func TestLongExpressionsCompileInTime(t *testing.T) {
	conditional, and, try, nested := `"z"`, `row.ok`, `"z"`, `row.n`
	for i := range 200 {
		conditional = fmt.Sprintf(`row.n > %d ? "%d" : %s`, i, i, conditional)
		and += fmt.Sprintf(` && row.n > %d`, i)
		if i < 60 {
			try = fmt.Sprintf(`try(row.meta.lang, (%s))`, try)
			nested = fmt.Sprintf(`(row.ok ? [for x in row.tags : %s][0] : -(%s))`, nested, `1`)
		}
	}
	for name, src := range map[string]string{"conditional": conditional, "and": and, "try": try, "nested": nested} {
		start := time.Now()
		_, diags := expr.Compile(exprtest.Parse(src), exprtest.Scope(), cty.DynamicPseudoType)
		if diags.HasErrors() {
			t.Errorf("%s: %v", name, diags)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s takes %s", name, took)
		}
		t.Log(name, time.Since(start), len(src))
	}
}

func TestDefinitionsThatDoubleAreRefused(t *testing.T) {
	s := exprtest.Scope()
	s.Definitions = map[string]*expr.Definition{"local.l0": {Expr: exprtest.Parse(`evaluate.student.accuracy`)}}
	for i := range 39 {
		s.Definitions[fmt.Sprintf("local.l%d", i+1)] = &expr.Definition{Expr: exprtest.Parse(fmt.Sprintf(`"${local.l%d}${local.l%d}"`, i, i))}
	}
	locals := map[string]cty.Value{}
	for name := range s.Definitions {
		locals[strings.TrimPrefix(name, "local.")] = cty.UnknownVal(cty.String)
	}
	s.Eval.Variables["local"] = cty.ObjectVal(locals)
	_, diags := expr.Compile(exprtest.Parse(`local.l39`), s, cty.DynamicPseudoType)
	if len(diags) != 1 || diags[0].Summary != "Limit exceeded" {
		t.Errorf("got %v", diags)
	}
}

func TestCallsThatAlwaysFailAreReported(t *testing.T) {
	for src, want := range map[string]string{
		`can(regex("(abc", row.text))`:                               "regex",
		`!can(regex("(abc", row.text))`:                              "regex",
		`try(regex("[", row.text), "none")`:                          "regex",
		`length(regexall("[", row.text)) > 0`:                        "regex",
		`try(replace(row.text, "/(/", ""), row.text)`:                "replace",
		`replace(row.text, "/(/", "")`:                               "replace",
		`can(formatdate("YYYY-QQ", row.text))`:                       "formatdate",
		`can(parseint(row.text, 99))`:                                "parseint",
		`can(timeadd(row.text, "one day"))`:                          "timeadd",
		`can(textdecodebase64(row.text, "none"))`:                    "textdecodebase64",
		`is_sql(row.text, "oracle")`:                                 "is_sql",
		`try(rouge_l(row.text, "a", "f2"), 0)`:                       "rouge_l",
		`can(is_json(row.text, "{"))`:                                "is_json",
		`try(format("%z", row.n), "")`:                               "format",
		`can(timecmp(row.text, "today"))`:                            "timecmp",
		`try(tonumber("x"), row.n)`:                                  "cannot convert",
		`try(1 / 0, row.n)`:                                          "division by zero",
		`row.ok ? can(regex("(", row.text)) : true`:                  "regex",
		`can(regex("(?i)abc", row.text))`:                            "",
		`try(local.list[9], row.text)`:                               "",
		`true ? row.text : replace(row.text, "/(/", "")`:             "",
		`can(tonumber("x"))`:                                         "",
		`try(index(["a"], row.text), -1)`:                            "",
		`try(lookup({ a = 1 }, row.text), 0)`:                        "",
		`try(substr("abc", row.n, 1), "")`:                           "",
		`try(element(["a", "b"], row.n), "")`:                        "",
		`try(format("%d", row.text), "")`:                            "",
		`coalesce("", row.text)`:                                     "",
		`try(jsondecode(row.text).a, "")`:                            "",
		`try(tostring(var.plain.x), row.text)`:                       "",
		`templatestring("$${a} $${b}", { a = row.text, b = row.n })`: "",
	} {
		_, diags := expr.Compile(exprtest.Parse(src), exprtest.Scope(), cty.DynamicPseudoType)
		switch {
		case want == "" && diags.HasErrors() && strings.Contains(diags.Error(), "always fails"):
			t.Errorf("%s: %v", src, diags)
		case want != "" && (!diags.HasErrors() || !strings.Contains(diags.Error(), want)):
			t.Errorf("%s: %v", src, diags)
		}
	}
}
