package columnar

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/expr/exprtest"
	"github.com/quern-dev/quern/sdk/go/data"
)

// Texts and numbers that are hard to handle. The closures leave some to hcl.
var (
	texts = []string{"", " ", "a", "Hello", "HELLO wörld ", "\t x \n", "é", "e\u0301", "\u0301", "straße", "İ", "a\r\nb",
		"12", "-0.5", "true", "/x/", "card 42", "日本語", "👩‍👩‍👧", "x\xffy", "$", "${}", `{"a": "x", "b": [1, {"c": null}]}`, `["a", 2.5]`, "the quick brown fox jumps over the lazy dog"}
	integers = []int64{0, 1, -1, 2, 3, 7, 10, -13, 1 << 31, 1<<53 + 1, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1}
	reals    = []float64{0, math.Copysign(0, -1), 0.1, 0.85, -2.5, 1, 3, 1e21, 1e-7, 1 << 53, math.MaxFloat64, 5e-324, math.NaN(), math.Inf(1)}
)

// randomRows returns a batch with the columns of exprtest.Row. A fifth of the
// values are null.
func randomRows(r *rand.Rand, rows int) arrow.RecordBatch { return randomRowsOf(r, exprtest.Row, rows) }

func randomRowsOf(r *rand.Rand, schema data.Schema, rows int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
	defer b.Release()
	for range rows {
		for _, f := range b.Fields() {
			appendRandom(r, f)
		}
	}
	return b.NewRecordBatch()
}

func appendRandom(r *rand.Rand, b array.Builder) {
	if r.IntN(5) == 0 {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(texts[r.IntN(len(texts))])
	case *array.Int64Builder:
		b.Append(integers[r.IntN(len(integers))])
	case *array.Float64Builder:
		b.Append(reals[r.IntN(len(reals))])
	case *array.BooleanBuilder:
		b.Append(r.IntN(2) == 0)
	case *array.BinaryBuilder:
		b.Append([]byte(texts[r.IntN(len(texts))]))
	case *array.Date32Builder:
		b.Append(arrow.Date32(r.IntN(40000) - 10000))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(r.Int64N(1 << 52)))
	case *array.ListBuilder:
		b.Append(true)
		for range r.IntN(4) {
			appendRandom(r, b.ValueBuilder())
		}
	case *array.StructBuilder:
		b.Append(true)
		for i := range b.NumField() {
			appendRandom(r, b.FieldBuilder(i))
		}
	default:
		panic(fmt.Sprintf("no random %T", b))
	}
}

// compileRow compiles a row expression and returns its program.
func compileRow(t testing.TB, src string) *Program {
	c, diags := expr.Compile(exprtest.Parse(src), exprtest.Scope(), cty.DynamicPseudoType)
	if diags.HasErrors() {
		t.Fatalf("%s: %v", src, diags)
	}
	p, err := New(c, exprtest.Row, exprtest.Values())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sameAnswers runs a program with closures and with hcl alone and compares the
// results.
func sameAnswers(t *testing.T, p *Program, rec arrow.RecordBatch) {
	t.Helper()
	if p.column != "" {
		return
	}
	fast, fastErrs, err := p.run(context.Background(), rec, p.root)
	if err != nil {
		t.Fatal(err)
	}
	defer fast.Release()
	slow, slowErrs, err := p.run(context.Background(), rec, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Release()
	if !array.Equal(fast, slow) {
		for i := range fast.Len() {
			if !array.SliceEqual(fast, int64(i), int64(i+1), slow, int64(i), int64(i+1)) {
				t.Errorf("%s in row %d:\nclosures: %s\nhcl:      %s\nrow: %s", p.compiled.Text, i, fast.ValueStr(i), slow.ValueStr(i), rowText(rec, p.columns, i))
				return
			}
		}
	}
	if fmt.Sprint(fastErrs) != fmt.Sprint(slowErrs) {
		t.Errorf("%s: errors of closures\n%v\nand of hcl\n%v", p.compiled.Text, fastErrs, slowErrs)
	}
}

func rowText(rec arrow.RecordBatch, columns data.Schema, i int) string {
	out := ""
	for _, c := range columns {
		col, _ := find(rec, data.Columns, c.Name)
		out += fmt.Sprintf(" %s=%q", c.Name, col.ValueStr(i))
	}
	return out
}

// vectorized are expressions that must have closures.
var vectorized = []string{
	`"${lower(trimspace(row.text))} #${row.id}"`,
	`"${row.text}${row.intent}"`,
	`"a${row.n}b${row.score}c${row.ok}"`,
	`upper(row.text)`, `lower(row.n)`, `trimspace(row.text)`,
	`row.text == row.intent`, `row.text != "Hello"`, `row.n == row.id`, `row.score == 0.85`, `row.ok == true`,
	`row.text == null`, `null != row.n`, `row.tags == null`, `row.day != null`,
	`row.n < row.id`, `row.n >= 3`, `row.n > 2.5`, `-2.5 < row.n`, `row.n <= 1e30`, `row.score >= 0.85`, `row.score < 0.10000000000000000001`, `0 > row.score`, `row.score <= row.score`,
	`row.ok && row.n > 1`, `row.ok || row.n > 1`, `row.n > 1 && row.ok`, `row.n > 1 || row.ok`, `!row.ok`, `!(row.n > 1) && row.ok`,
	`row.ok ? row.text : row.intent`, `row.ok ? row.text : null`, `row.n > 3 ? null : row.n`, `row.text == null ? "" : row.text`, `row.ok ? row.score : row.score`, `row.ok ? row.ok : false`,
	`row.n + row.id`, `row.n - row.id`, `row.n * row.id`, `row.n % 7`, `-row.n`, `"${-row.n * 3}"`, `"${row.n % row.id}"`,
	`startswith(row.text, "H")`, `endswith(row.text, row.intent)`, `strcontains(row.text, " ")`,
	`replace(row.text, "l", "L")`, `replace(row.text, "/[aeiou]+/", "<$0>")`, `substr(row.text, 1, 3)`, `substr(row.text, 0, 0)`,
	`length(row.text)`, `length(row.tags)`, `length(regexall("[a-z]", row.text))`, `length(row.text) > 3 && length(row.text) < 20`,
	`contains(["a", "Hello", "é"], row.text)`, `contains(var.classes, row.text)`,
	`coalesce(row.text, row.intent, "none")`, `coalesce(var.none, row.text)`,
	`can(regex("(?i)^h(e)", row.text))`, `regex("[a-z]+", row.text)`, `can(row.meta.lang)`, `try(regex("[0-9]+", row.text), "none")`,
	`try(row.meta.lang, "en")`, `row.meta.lang`, `row.meta.size + 1`, `try(row.meta.lang, null)`,
	`tostring(row.n)`, `tostring(row.score)`, `tostring(row.ok)`,
	`sha256(row.text)`, `format("%s-%05d", row.text, row.n)`, `title(row.text)`, `join(", ", row.tags)`, `split(" ", row.text)`,
	`"${join(",", row.tags)}|${length(row.counts)}"`, `contains(row.tags, row.text)`, `jsonencode(row.meta)`,
	`jsonencode({ messages = [{ role = "user", content = "${row.text}" }], n = [row.n, row.score, row.ok, null], tags = row.tags, ("x<") = (row.meta.lang) })`,
	`jsonencode([])`, `jsonencode([{}, row.text, [], "<", row.day])`, `jsonencode(null)`, `jsonencode(row.text)`, `jsonencode({ a = jsonencode({ b = row.text }) })`,
	`row.score > evaluate.student.accuracy`, `row.n > evaluate.many["a"] ? "many" : "few"`, `"${var.token}${row.text}"`,
	`"x"`, `3`, `floor(row.score)`, `max(row.n, 3)`, `upper(substr(trimspace(row.text), 0, 4))`,
}

// left to hcl's evaluator altogether.
var unvectorized = []string{
	`row.n / 2`, `row.score * 2`, `[for t in row.tags : upper(t) if t != null]`, `row.turns[*].content`, `row.turns[0].role`,
	`"%{for t in row.tags}${t},%{endfor}"`, `{ a = row.n, b = [row.text, row.intent] }`, `jsonencode(row)`,
	`row.ok ? row.n : 2.5`, `[row.n, row.text]`, `tonumber(row.text) + 1`,
	`try(row.turns[1].content, row.text)`, `length(row)`, `{ for k, v in row.meta : k => "${k}" }.lang`, `row.ok ? row.n : row.text`,
	`"${row.day} ${row.at} ${row.raw}"`, `format("%s", row.tags...)`, `tonumber(row.text) < 3`, `tobool(row.text) ? 1 : 2`,
}

func TestClosuresAndHclHaveTheSameResult(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	rec := randomRows(r, 300)
	defer rec.Release()
	sliced := rec.NewSlice(37, 211)
	defer sliced.Release()
	for _, src := range vectorized {
		t.Run(src, func(t *testing.T) {
			p := compileRow(t, src)
			if p.root == nil && p.column == "" {
				t.Error("has no closures")
			}
			sameAnswers(t, p, rec)
			sameAnswers(t, p, sliced)
		})
	}
	for _, src := range unvectorized {
		t.Run(src, func(t *testing.T) {
			p := compileRow(t, src)
			sameAnswers(t, p, rec)
			sameAnswers(t, p, sliced)
		})
	}
}

func testRand() *rand.Rand { return rand.New(rand.NewPCG(7, 8)) }
