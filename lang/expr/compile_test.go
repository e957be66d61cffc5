package expr_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/expr/exprtest"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/lang/value"
)

func TestCompiledTextIsCanonical(t *testing.T) {
	for _, c := range []struct{ src, text, columnType string }{
		{`row.text`, `row.text`, "string"},
		{`row["text"]`, `row.text`, "string"},
		{`row[each.key]`, `row.text`, "string"},
		{`(row).text`, `row.text`, "string"},
		{`"${row.text}"`, `row.text`, "string"},
		{`row["my col"]`, `row["my col"]`, "string"},
		{`row.day`, `row.day`, "date"},
		{`row.tags`, `row.tags`, "list<string>"},
		{`"Hello, ${var.name}: ${ row.text /* c */ }!"`, `"Hello, Ada: ${row.text}!"`, "string"},
		{"<<-EOT\n  a ${row.text}\n  b \"$${x}\" 50%\n  EOT\n", `"a ${row.text}\nb \"\u0024{x}\" 50%\n"`, "string"},
		{"<<-EOT\n  %{ if row.ok ~}\n  yes\n  %{ else ~}\n  no\n  %{ endif ~}\n  EOT\n", `"${row.ok ? "  yes\n" : "  no\n"}${""}"`, "string"},
		{"<<-EOT\n  %{ for t in row.tags ~}\n  ${t},\n  %{ endfor ~}\n  EOT\n", `"%{for t in row.tags}  ${t},\n%{endfor}"`, "string"},
		{`1 + 2 * row.n`, `1 + 2 * row.n`, "int64"},
		{`(1 + 2) * row.n`, `3 * row.n`, "int64"},
		{`(row.n + 2) * -row.n`, `(row.n + 2) * -row.n`, "int64"},
		{`row.n - (row.id - 3)`, `row.n - (row.id - 3)`, "int64"},
		{`row.n / 2`, `row.n / 2`, "float64"},
		{`row.score + 1`, `row.score + 1`, "float64"},
		{`row.ok ? row.n : 2`, `row.ok ? row.n : 2`, "int64"},
		{`row.ok ? row.n : 2.5`, `row.ok ? row.n : 2.5`, "float64"},
		{`row.ok ? "x" : null`, `row.ok ? "x" : null`, "string"},
		{`var.plain ? row.intent : row.text`, `row.text`, "string"},
		{`var.plain ? row.text : row.n`, `convert(row.n, string)`, "string"},
		{`var.plain && row.ok`, `false`, "bool"},
		{`contains(var.classes, row.intent)`, `contains(convert(["a", "b"], list(string)), row.intent)`, "bool"},
		{`concat(var.empty, row.tags)`, `concat(convert([], list(string)), row.tags)`, "list<string>"},
		{`coalesce(var.none, row.text)`, `coalesce(convert(null, string), row.text)`, "string"},
		{`lookup(var.names, row.text, "")`, `lookup(convert({ "a b" = "1", z = "26" }, map(string)), row.text, "")`, "string"},
		{`{ b = row.n, a = 1.5, "c d" = row.tags }`, `{ a = 1.5, b = row.n, "c d" = row.tags }`, `struct<a:float64,b:int64,"c d":list<string>>`},
		{`[row.n, 2]`, `[row.n, 2]`, "list<int64>"},
		{`[row.n, "x"]`, `[row.n, "x"]`, "list<string>"},
		{`[for t in row.tags : upper(t) if t != ""]`, `[for t in row.tags : upper(t) if t != ""]`, "list<string>"},
		{`[for i, c in row.counts : c * 2]`, `[for i, c in row.counts : c * 2]`, "list<int64>"},
		{`row.turns[*].content`, `row.turns[*].content`, "list<string>"},
		{`row.turns.*.content[0]`, `(row.turns[*].content)[0]`, "string"},
		{`row.turns[0].role`, `row.turns[0].role`, "string"},
		{`row.meta.size + 1`, `row.meta.size + 1`, "int64"},
		{`try(row.meta.lang, "en")`, `try(row.meta.lang, "en")`, "string"},
		{`try(local.nothing, row.text)`, `try(row.text)`, "string"},
		{`can(regex("^a", row.text))`, `can(regex("^a", row.text))`, "bool"},
		{`length(row)`, `length(row)`, "int64"},
		{`jsonencode(row)`, `jsonencode(row)`, "string"},
		{`max(local.limit, length(row.text))`, `max(10, length(row.text))`, "int64"},
		{`row.score > local.low`, `row.score > evaluate.student.accuracy - 0.1`, "bool"},
		{`row.score > local.both.a`, `row.score > evaluate.student.accuracy`, "bool"},
		{`row.score > local.both.b`, `row.score > 2`, "bool"},
		{`row.score > evaluate.many["a"]`, `row.score > evaluate.many.a`, "bool"},
		{`row.score > evaluate.done.accuracy`, `row.score > 0.85`, "bool"},
		{`"${local.auth} ${row.id}"`, `"Bearer ${var.token} ${row.id}"`, "string"},
		{`format([for x in ["%s", "b"] : x]...)`, `"b"`, "string"},
		{`format("%s-%s", [row.text, "b"]...)`, `format("%s-%s", [row.text, "b"]...)`, "string"},
		{`"x"`, `"x"`, "string"},
		{`-5`, `-5`, "int64"},
		{`!row.ok || row.n >= 3 && row.text != "a"`, `!row.ok || row.n >= 3 && row.text != "a"`, "bool"},
		{`[for row in row.tags : row]`, `[for row in row.tags : row]`, "list<string>"},
		{`"${row.id}${""}"`, `"${row.id}${""}"`, "string"},
	} {
		t.Run(c.src, func(t *testing.T) {
			got, diags := expr.Compile(exprtest.Parse(c.src), exprtest.Scope(), cty.DynamicPseudoType)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			if got.Text != c.text {
				t.Errorf("text is\n%s\nnot\n%s", got.Text, c.text)
			}
			if c.columnType != "" && got.ColumnType != c.columnType {
				t.Errorf("column type is %s, not %s", got.ColumnType, c.columnType)
			}
			again, diags := expr.Compile(exprtest.Parse(got.Text), exprtest.Scope(), cty.DynamicPseudoType)
			if diags.HasErrors() {
				t.Fatalf("%s: %v", got.Text, diags)
			}
			if again.Text != got.Text || again.ColumnType != got.ColumnType {
				t.Errorf("compiled again it is\n%s %s\nnot\n%s %s", again.Text, again.ColumnType, got.Text, got.ColumnType)
			}
		})
	}
}

func TestATemplateInAFileIsReadWhenPlanning(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"user.tmpl": "Message: ${text}%{ if ok }!%{ endif }\n", "one.tmpl": "${n}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := exprtest.Scope()
	s.Eval.Functions = funcs.Functions(dir)
	c, diags := expr.Compile(exprtest.Parse(`templatefile("user.tmpl", { text = row.text, ok = row.ok })`), s, cty.DynamicPseudoType)
	if diags.HasErrors() || c.Text != `templatestring("Message: \u0024{text}\u0025{ if ok }!\u0025{ endif }\n", { ok = row.ok, text = row.text })` || c.ColumnType != "string" {
		t.Fatal(c, diags)
	}
	if c, diags := expr.Compile(exprtest.Parse(`templatefile("one.tmpl", { n = row.n })`), s, cty.String); diags.HasErrors() || c.ColumnType != "string" {
		t.Error(c, diags)
	}
	for src, want := range map[string]string{
		`templatefile("user.tmpl", { txt = row.text, ok = true })`: `uses the variable "text" on line 1, but it is not given. Did you mean "txt"?`,
		`templatefile("none.tmpl", { text = row.text })`:           "file none.tmpl does not exist",
		`templatefile(row.text, {})`:                               "known when planning",
	} {
		if _, diags := expr.Compile(exprtest.Parse(src), s, cty.String); !diags.HasErrors() || !strings.Contains(diags.Error(), want) {
			t.Errorf("%s: %v", src, diags)
		}
	}
}

func TestMistakesInRowExpressionsAreReported(t *testing.T) {
	for src, want := range map[string]string{
		`row.txt`:                               `transform.clean has no column "txt". Did you mean "text"?`,
		`"${row.txt}-${row.intnt}"`:             `no column "intnt". Did you mean "intent"?`,
		`try(row.txt, "")`:                      `no column "txt"`,
		`var.plain ? row.txt : ""`:              `no column "txt"`,
		`lowr(row.text)`:                        `Did you mean "lower"?`,
		`timestamp()`:                           `variable instead`,
		`file(row.text)`:                        `known when planning`,
		`row.tags + 1`:                          `number required`,
		`local.loop`:                            `refers to itself`,
		`nope.x`:                                `no variable named "nope"`,
		`evaluate`:                              `evaluate.NAME`,
		`1e999999999`:                           `too large or too small`,
		`row.ok ? lower(row.tags) : ""`:         `string required`,
		`[for t in row.tags : t + row.tags]`:    `number required`,
		`jsondecode(row.text)`:                  `tostring()`,
		`{ for t in row.tags : t => 1 }`:        `jsonencode()`,
		`[for t in row.text : t]`:               `cannot be used as the collection`,
		`row.meta.langg`:                        `langg`,
		`[for evaluate in [row.n] : local.low]`: `Rename the variable`,
	} {
		t.Run(src, func(t *testing.T) {
			e, diags := hclsyntax.ParseExpression([]byte(src), "main.quern.hcl", hcl.InitialPos)
			if !diags.HasErrors() {
				_, diags = expr.Compile(e, exprtest.Scope(), cty.DynamicPseudoType)
			}
			if !diags.HasErrors() {
				t.Fatal("no error")
			}
			if !strings.Contains(diags.Error(), want) && !strings.Contains(diags[len(diags)-1].Error(), want) {
				t.Errorf("%v does not say %q", diags, want)
			}
			for _, d := range diags {
				if d.Subject == nil {
					t.Errorf("%v has no range", d)
				}
			}
		})
	}
}

func TestTheTextOfAnExpressionInAModuleHasWholeAddresses(t *testing.T) {
	s := exprtest.Scope()
	s.Row, s.Module = nil, addr.Module{}.Child("a", cty.StringVal("k"))
	c, diags := expr.Compile(exprtest.Parse("evaluate.student.accuracy > 0.5"), s, cty.Bool)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if c.Text != `module.a["k"].evaluate.student.accuracy > 0.5` || !slices.Equal(c.Refs, []string{`module.a["k"].evaluate.student`}) {
		t.Errorf("%s refers to %q", c.Text, c.Refs)
	}
}

// Names of two modules are equal here: both have an evaluate.student.
func TestDefinitionsOfOtherModulesKeepTheirNames(t *testing.T) {
	accuracy := func(v cty.Value) map[string]cty.Value {
		return map[string]cty.Value{"evaluate": cty.ObjectVal(map[string]cty.Value{"student": cty.ObjectVal(map[string]cty.Value{"accuracy": v})})}
	}
	root := exprtest.Scope()
	root.Row = nil
	child := &expr.Scope{Module: addr.Module{}.Child("a", cty.NumberIntVal(1)), Eval: root.Eval.NewChild()}
	child.Eval.Variables = accuracy(cty.UnknownVal(cty.Number))
	child.Eval.Variables["var"] = cty.ObjectVal(map[string]cty.Value{
		"least": cty.UnknownVal(cty.Number), "text": cty.UnknownVal(cty.String), "key": cty.StringVal("s3cr3t").Mark(value.Sensitive{Variable: "token"}),
	})
	child.Definitions = map[string]*expr.Definition{
		"var.least": {Expr: exprtest.Parse("evaluate.student.accuracy - local.low"), Scope: root},
		"var.key":   {Expr: exprtest.Parse(`"key ${var.token}"`), Scope: root},
		"var.text":  {Expr: exprtest.Parse("evaluate.student.accuracy"), Scope: root, Type: cty.String},
	}
	user := exprtest.Scope()
	user.Row = nil
	user.Eval.Variables["module"] = cty.ObjectVal(map[string]cty.Value{"a": cty.DynamicVal})
	user.Definitions["module.a"] = &expr.Definition{List: []*expr.Definition{
		{Object: map[string]*expr.Definition{"best": {Expr: exprtest.Parse("1"), Scope: child}, "secret": {Expr: exprtest.Parse("var.key"), Scope: child}}},
		{Object: map[string]*expr.Definition{"best": {Expr: exprtest.Parse("evaluate.student.accuracy - var.least"), Scope: child}}},
	}}
	values := expr.Stages(map[addr.Stage]cty.Value{
		{Kind: kind.Evaluate, Name: "student"}:                       cty.ObjectVal(map[string]cty.Value{"accuracy": cty.NumberIntVal(1), "ok": cty.True}),
		{Kind: kind.Evaluate, Name: "student", Module: child.Module}: cty.ObjectVal(map[string]cty.Value{"accuracy": cty.NumberIntVal(100)}),
	})
	values["var"] = cty.ObjectVal(map[string]cty.Value{"token": cty.StringVal("s3cr3t")})
	for _, c := range []struct {
		in         *expr.Scope
		text, want string
		value      cty.Value
	}{
		{child, `evaluate.student.accuracy + var.least`, `module.a[1].evaluate.student.accuracy + (evaluate.student.accuracy - (evaluate.student.accuracy - 0.1))`, cty.MustParseNumberVal("100.1")},
		{child, `"${var.key}!"`, `"key ${var.token}!"`, cty.StringVal("key s3cr3t!")},
		{child, `var.text`, `convert(evaluate.student.accuracy, string)`, cty.StringVal("1")},
		{user, `module.a[1].best * evaluate.student.accuracy`, `(module.a[1].evaluate.student.accuracy - (evaluate.student.accuracy - (evaluate.student.accuracy - 0.1))) * evaluate.student.accuracy`, cty.MustParseNumberVal("99.9")},
		{user, `module.a[0].best`, `1`, cty.NumberIntVal(1)},
		{user, `max(module.a[*].best...)`, "", cty.MustParseNumberVal("99.9")},
		{user, `sum([for m in module.a : m.best])`, "", cty.MustParseNumberVal("100.9")},
		{user, `evaluate.student.ok && module.a[1].best > 0`, "", cty.True},
	} {
		got, diags := expr.Compile(exprtest.Parse(c.text), c.in, cty.DynamicPseudoType)
		if diags.HasErrors() {
			t.Errorf("%s: %v", c.text, diags)
			continue
		}
		if strings.Contains(got.Text, "secret") || slices.Contains(got.Secrets, "token") != strings.Contains(c.text, "key") {
			t.Errorf("%s contains outputs that it does not need: %s", c.text, got.Text)
		}
		if got.Text != c.want && c.want != "" {
			t.Errorf("%s became\n%s\nnot\n%s", c.text, got.Text, c.want)
		}
		v, diags := got.Eval(values)
		if diags.HasErrors() || v.Equals(c.value).False() {
			t.Errorf("%s: %s is %#v, not %#v: %v", c.text, got.Text, v, c.value, diags)
		}
	}
}
