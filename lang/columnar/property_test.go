package columnar

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/expr/exprtest"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
)

// writer generates row expressions of a given type.
type writer struct {
	*rand.Rand
	// late allows the late names of exprtest.LateScope.
	late bool
}

func (w writer) pick(choices ...func() string) string { return choices[w.IntN(len(choices))]() }

// orLate returns one of the late names in a third of cases, if they are allowed,
// and leaf otherwise.
func (w writer) orLate(names []string, leaf string) string {
	if w.late && w.IntN(3) == 0 {
		return names[w.IntN(len(names))]
	}
	return leaf
}

func (w writer) text(depth int) string {
	leaf := func() string {
		return w.pick(
			func() string { return "row.text" },
			func() string { return "row.intent" },
			func() string { return `row["my col"]` },
			func() string { return "row.meta.lang" },
			func() string { return value.Format(cty.StringVal(texts[w.IntN(len(texts))])) },
		)
	}
	if depth == 0 {
		return w.orLate(lateTexts, leaf())
	}
	d := depth - 1
	return w.pick(leaf,
		func() string { return fmt.Sprintf("lower(%s)", w.text(d)) },
		func() string { return fmt.Sprintf("upper(%s)", w.any(d)) },
		func() string { return fmt.Sprintf("trimspace(%s)", w.text(d)) },
		func() string { return fmt.Sprintf(`"${%s}-${%s}"`, w.any(d), w.any(d)) },
		func() string {
			return fmt.Sprintf(`"%%{if %s}x${%s}%%{else}${%s}%%{endif}"`, w.bool(d), w.any(d), w.text(d))
		},
		func() string { return fmt.Sprintf(`replace(%s, %s, "z")`, w.text(d), w.text(0)) },
		func() string { return fmt.Sprintf(`substr(%s, %d, %d)`, w.text(d), w.IntN(4), w.IntN(5)-1) },
		func() string { return fmt.Sprintf(`coalesce(%s, %s)`, w.text(d), w.text(d)) },
		func() string { return fmt.Sprintf(`try(%s, %s)`, w.text(d), w.text(d)) },
		func() string { return fmt.Sprintf(`try(regex("[a-z]+", %s), "")`, w.text(d)) },
		func() string { return fmt.Sprintf(`(%s ? %s : %s)`, w.bool(d), w.text(d), w.text(d)) },
		func() string { return fmt.Sprintf(`(%s ? %s : null)`, w.bool(d), w.text(d)) },
		func() string { return fmt.Sprintf(`tostring(%s)`, w.any(d)) },
		func() string { return fmt.Sprintf(`trimprefix(%s, %s)`, w.text(d), w.text(d)) },
		func() string { return fmt.Sprintf(`join(%s, row.tags)`, w.text(d)) },
		func() string { return fmt.Sprintf(`try(row.tags[%d], %s)`, w.IntN(3), w.text(d)) },
		func() string { return fmt.Sprintf(`jsonencode(%s)`, w.json(d)) },
	)
}

// json returns a literal object or list, or something that it may contain.
func (w writer) json(depth int) string {
	if depth == 0 {
		return w.pick(
			func() string { return w.any(0) },
			func() string { return []string{"row.tags", "row.meta", "null", "[]", "{}", "1.50"}[w.IntN(6)] },
		)
	}
	d := depth - 1
	return w.pick(
		func() string { return w.any(d) },
		func() string { return fmt.Sprintf("[%s, %s]", w.json(d), w.json(d)) },
		func() string {
			return fmt.Sprintf(`{b = %s, "a<" = %s, (local.low) = %s}`, w.json(d), w.json(d), w.json(d))
		},
	)
}

func (w writer) integer(depth int) string {
	leaf := func() string {
		return w.pick(
			func() string { return "row.n" },
			func() string { return "row.id" },
			func() string { return "row.meta.size" },
			func() string { return fmt.Sprint(integers[w.IntN(len(integers))]) },
		)
	}
	if depth == 0 {
		return w.orLate(lateNumbers, leaf())
	}
	d := depth - 1
	return w.pick(leaf,
		func() string {
			return fmt.Sprintf("(%s %s %s)", w.integer(d), []string{"+", "-", "*", "%"}[w.IntN(4)], w.integer(d))
		},
		func() string { return fmt.Sprintf("-%s", w.integer(d)) },
		func() string { return fmt.Sprintf("length(%s)", w.text(d)) },
		func() string { return `length(row.tags)` },
		func() string { return fmt.Sprintf(`length(regexall("l", %s))`, w.text(d)) },
		func() string { return fmt.Sprintf("(%s ? %s : %s)", w.bool(d), w.integer(d), w.integer(d)) },
		func() string { return fmt.Sprintf("try(%s, %s)", w.integer(d), w.integer(d)) },
		func() string { return fmt.Sprintf("max(%s, %s)", w.integer(d), w.integer(d)) },
	)
}

func (w writer) real(depth int) string {
	return w.pick(
		func() string { return "row.score" },
		func() string { return []string{"0.85", "-2.5", "1e21", "0.1", "0.3333333333333333333333"}[w.IntN(5)] },
		func() string { return w.integer(depth) },
	)
}

func (w writer) bool(depth int) string {
	if depth == 0 {
		return w.orLate(lateBools, []string{"row.ok", "true", "false"}[w.IntN(3)])
	}
	d := depth - 1
	return w.pick(
		func() string { return "row.ok" },
		func() string { return fmt.Sprintf("!%s", w.bool(d)) },
		func() string { return fmt.Sprintf("(%s && %s)", w.bool(d), w.bool(d)) },
		func() string { return fmt.Sprintf("(%s || %s)", w.bool(d), w.bool(d)) },
		func() string { return fmt.Sprintf("(%s == %s)", w.any(d), w.any(d)) },
		func() string { return fmt.Sprintf("(%s != null)", w.any(d)) },
		func() string { return fmt.Sprintf("(%s != %s)", w.text(d), w.text(d)) },
		func() string {
			return fmt.Sprintf("(%s %s %s)", w.real(d), []string{"<", "<=", ">", ">="}[w.IntN(4)], w.real(d))
		},
		func() string { return fmt.Sprintf("startswith(%s, %s)", w.text(d), w.text(d)) },
		func() string { return fmt.Sprintf("strcontains(%s, %s)", w.text(d), w.text(d)) },
		func() string { return fmt.Sprintf(`contains(["a", "Hello", ""], %s)`, w.text(d)) },
		func() string { return fmt.Sprintf(`can(regex("^[a-z]", %s))`, w.text(d)) },
		func() string { return fmt.Sprintf("can(%s)", w.any(d)) },
	)
}

func (w writer) any(depth int) string {
	return w.pick(
		func() string { return w.text(depth) },
		func() string { return w.integer(depth) },
		func() string { return w.real(depth) },
		func() string { return w.bool(depth) },
	)
}

// checkCompiled checks that the text of a compiled expression compiles to itself,
// and that both evaluators return the same results.
func checkCompiled(t *testing.T, c *expr.Compiled, s *expr.Scope, rec arrow.RecordBatch, late data.Schema) {
	t.Helper()
	e, diags := hclsyntax.ParseExpression([]byte(c.Text), "", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%s does not parse: %v", c.Text, diags)
	}
	again, diags := expr.Compile(e, s, cty.DynamicPseudoType)
	if diags.HasErrors() {
		t.Fatalf("%s does not compile again: %v", c.Text, diags)
	}
	if again.Text != c.Text || again.ColumnType != c.ColumnType {
		t.Fatalf("compiled again,\n%s %s becomes\n%s %s", c.Text, c.ColumnType, again.Text, again.ColumnType)
	}
	p, err := NewLate(c, exprtest.Row, late, exprtest.Values())
	if err != nil {
		t.Fatal(err)
	}
	sameAnswers(t, p, rec)
}

func TestRandomExpressionsHaveTheSameResultInBothEvaluators(t *testing.T) {
	sameAtRandom(t, writer{Rand: rand.New(rand.NewPCG(3, 4))}, exprtest.Scope(), nil)
}

func TestRandomLateExpressionsHaveTheSameResultInBothEvaluators(t *testing.T) {
	sameAtRandom(t, writer{Rand: rand.New(rand.NewPCG(13, 14)), late: true}, exprtest.LateScope(), lateSchema)
}

func sameAtRandom(t *testing.T, w writer, s *expr.Scope, late data.Schema) {
	rec := lateRows(randomRowsOf(w.Rand, slices.Concat(exprtest.Row, late), 40), len(exprtest.Row))
	defer rec.Release()
	compiled, closures := 0, 0
	const tries = 600
	for range tries {
		src := w.any(1 + w.IntN(3))
		c, diags := expr.Compile(exprtest.Parse(src), s, cty.DynamicPseudoType)
		if diags.HasErrors() {
			continue // such as an alternative that always fails
		}
		compiled++
		checkCompiled(t, c, s, rec, late)
		if p, err := NewLate(c, exprtest.Row, late, exprtest.Values()); err == nil && p.root != nil {
			closures++
		}
		if t.Failed() {
			t.Fatalf("the expression was %s", src)
		}
	}
	if compiled < tries/2 || closures < compiled/2 {
		t.Errorf("of %d expressions, %d compiled and %d have closures: too few for this test", tries, compiled, closures)
	}
}

// costly matches sources that may need gigabytes.
var costly = regexp.MustCompile(`[0-9]{5,}|[eE][+-]?[0-9]{2,}|pow|range|indent|bcrypt|setproduct`)

func FuzzCompile(f *testing.F) {
	for _, src := range append(vectorized, unvectorized...) {
		f.Add(src)
	}
	for _, src := range []string{
		`local.low + 1`, `local.loop`, `[for evaluate in row.tags : local.low]`, `row[each.key]`, `"$${${row.text}%%{"`, `row.turns.*.content[0]`,
		`row.turns[*].content[*]`, `{ (row.text) = 1, a = 2, a = 3 }`, `{ "for" = 1, null = 2 }`, `convert(row.n, list(any))`, `try(local.x, var.none, row.text)`,
		`[for k, v in row : k => v...]`, `{for k, v in row.meta : k => v...}`, `((row.tags)[*])[0]`, `-(-row.n)`, `!(!row.ok)`, `row.tags[*][0]`,
	} {
		f.Add(src)
	}
	for _, src := range lateExpressions {
		f.Add(src)
	}
	s := exprtest.LateScope()
	s.Eval.Functions = funcs.Pure()
	rec := lateRows(randomRowsOf(rand.New(rand.NewPCG(5, 6)), slices.Concat(exprtest.Row, lateSchema), 20), len(exprtest.Row))
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 300 || costly.MatchString(src) || strings.Count(src, "for") > 2 {
			t.Skip()
		}
		e, diags := hclsyntax.ParseExpression([]byte(src), "main.quern.hcl", hcl.InitialPos)
		if diags.HasErrors() {
			t.Skip()
		}
		c, diags := expr.Compile(e, s, cty.DynamicPseudoType)
		if (c == nil) != diags.HasErrors() {
			t.Fatalf("result %v with diagnostics %v", c, diags)
		}
		if c != nil {
			checkCompiled(t, c, s, rec, lateSchema)
		}
	})
}
