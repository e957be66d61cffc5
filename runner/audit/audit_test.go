package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/dataset"
)

var schema = data.Schema{{Name: "id", Type: "int64"}, {Name: "text", Type: "string"}, {Name: "score", Type: "float64"}, {Name: "day", Type: "date"}}

// write writes rows that a function appends.
func write(t testing.TB, s *store.Store, schema data.Schema, rows int, add func(b *array.RecordBuilder, i int)) *dataset.Manifest {
	t.Helper()
	w := dataset.NewWriter(s.Blobs, schema)
	defer w.Abort()
	const batch = 10_000
	for from := 0; from < rows; from += batch {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
		for i := from; i < min(from+batch, rows); i++ {
			add(b, i)
		}
		if err := w.Write(t.Context(), b.NewRecordBatch()); err != nil {
			t.Fatal(err)
		}
	}
	m, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// everyKind has a rule of each kind. Only the figures matter.
func everyKind() *plan.Contract {
	number := func(f float64) *value.Value { return &value.Value{Value: cty.NumberFloatVal(f)} }
	text := func(s string) *value.Value { return &value.Value{Value: cty.StringVal(s)} }
	return &plan.Contract{Rules: []plan.Rule{
		{Name: "not_null", Kind: plan.RuleNotNull, Columns: []string{"id"}},
		{Name: "unique", Kind: plan.RuleUnique, Columns: []string{"id"}},
		{Name: "together", Kind: plan.RuleUnique, Columns: []string{"id", "text"}},
		{Name: "integers", Kind: plan.RuleRange, Columns: []string{"id"}, Min: number(2.5), Max: number(40)},
		{Name: "floats", Kind: plan.RuleRange, Columns: []string{"score"}, Min: number(0), Max: number(1)},
		{Name: "days", Kind: plan.RuleRange, Columns: []string{"day"}, Min: text("2026-01-03"), Max: text("2026-01-20")},
		{Name: "allowed", Kind: plan.RuleAllowed, Columns: []string{"text"}, Allowed: &value.Value{Value: cty.ListVal([]cty.Value{cty.StringVal("a"), cty.StringVal("")})}},
		{Name: "pattern", Kind: plan.RulePattern, Columns: []string{"text"}, Pattern: "^[a-c]*$"},
		{Name: "references", Kind: plan.RuleReferences, Columns: []string{"text"}, Of: &plan.Input{Address: "source.words"}, OfColumn: "word"},
		{Name: "condition", Kind: plan.RuleCondition, Columns: []string{"score"}, Condition: &expr.Compiled{
			Text: "row.score < 0.5", Type: value.Type{Type: cty.Bool}, ColumnType: "bool", Columns: []string{"score"},
		}},
		{Name: "freshness", Kind: plan.RuleFreshness, Columns: []string{"day"}},
	}}
}

func words(t testing.TB, s *store.Store) *dataset.Manifest {
	return write(t, s, data.Schema{{Name: "word", Type: "string"}}, 3, func(b *array.RecordBuilder, i int) {
		b.Field(0).(*array.StringBuilder).AppendStringValues([]string{[]string{"a", "b", ""}[i]}, nil)
	})
}

func run(t testing.TB, s *store.Store, c *plan.Contract, m, referenced *dataset.Manifest) *Result {
	t.Helper()
	r, err := (&Audit{
		Blobs: s.Blobs, Contract: c, Dataset: m, Temp: t.TempDir(),
		Referenced: func(*plan.Input) (*dataset.Manifest, error) { return referenced, nil },
	}).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// counts are the rows that rules apply to and that violate them, by rule.
func counts(r *Result) map[string][2]int64 {
	all := map[string][2]int64{}
	for _, f := range r.Figures {
		all[f.Rule] = [2]int64{f.Rows, f.Violations}
	}
	return all
}

// duck counts what the rules of everyKind count, in SQL.
const duck = `
import duckdb, json, sys
files, words = json.loads(sys.argv[1]), json.loads(sys.argv[2])
db = duckdb.connect()
db.execute("create table t as select * from read_parquet(?)", [files])
db.execute("create table words as select * from read_parquet(?)", [words])
applies, violations = {}, {}
def rule(name, applies, violated):
    out[name] = [db.execute(f"select count(*) from t where {applies}").fetchone()[0],
                 db.execute(f"select count(*) from t where ({applies}) and not coalesce({violated}, false)").fetchone()[0]]
def unique(name, columns):
    n = db.execute("select count(*) from t").fetchone()[0]
    out[name] = [n, db.execute(f"select count(*) from (select count(*) over (partition by {columns}) as n from t) where n > 1").fetchone()[0]]
out = {}
rule("not_null", "true", "id is not null")
unique("unique", "id")
unique("together", "id, text")
rule("integers", "id is not null", "id >= 2.5 and id <= 40")
rule("floats", "score is not null", "score >= 0 and score <= 1")
rule("days", "day is not null", "day >= date '2026-01-03' and day <= date '2026-01-20'")
rule("allowed", "text is not null", "text in ('a', '')")
rule("pattern", "text is not null", "regexp_full_match(text, '[a-c]*')")
rule("references", "text is not null", "text in (select word from words where word is not null)")
# Expressions see NaN and the infinities as null.
rule("condition", "true", "score < 0.5 and isfinite(score)")
rule("freshness", "day is not null", "true")
latest = db.execute("select max(day) from t").fetchone()[0]
print(json.dumps({"counts": out, "latest": str(latest) if latest else ""}))
`

func paths(t *testing.T, s *store.Store, m *dataset.Manifest) string {
	files, err := m.Files(s.Blobs, nil)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range files {
		all = append(all, f.Groups[0].Path)
	}
	text, _ := json.Marshal(all)
	return string(text)
}

func TestCountsAreThoseOfDuckDB(t *testing.T) {
	random := func(seed uint64, nulls float64, distinct int) func(*array.RecordBuilder, int) {
		r := rand.New(rand.NewPCG(seed, 1))
		texts := []string{"a", "b", "c", "", "d", "é", "ab", "http://x"}
		scores := []float64{0, 1, 0.5, -0.1, 1.5, math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1)}
		return func(b *array.RecordBuilder, _ int) {
			if r.Float64() < nulls {
				for i := range schema {
					b.Field(i).AppendNull()
				}
				return
			}
			b.Field(0).(*array.Int64Builder).Append(r.Int64N(int64(distinct)))
			b.Field(1).(*array.StringBuilder).Append(texts[r.IntN(len(texts))])
			b.Field(2).(*array.Float64Builder).Append(scores[r.IntN(len(scores))])
			b.Field(3).(*array.Date32Builder).Append(arrow.Date32(20450 + r.IntN(40)))
		}
	}
	for _, c := range []struct {
		name     string
		rows     int
		nulls    float64
		distinct int
	}{
		{"one row", 1, 0, 5}, {"one row of nulls", 1, 1, 5}, {"all null", 1000, 1, 5}, {"few keys", 5000, 0.1, 50},
		{"many shards", 150_000, 0.01, 1_000_000}, {"nearly unique", 20_000, 0, math.MaxInt32},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := store.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			m, w := write(t, s, schema, c.rows, random(uint64(c.rows), c.nulls, c.distinct)), words(t, s)
			got := run(t, s, everyKind(), m, w)
			var want struct {
				Counts map[string][2]int64
				Latest string
			}
			if err := json.Unmarshal(reference.Python(t, duck, paths(t, s, m), paths(t, s, w)), &want); err != nil {
				t.Fatal(err)
			}
			total := int64(0)
			for rule, n := range counts(got) {
				if n != want.Counts[rule] {
					t.Errorf("%s: %d of %d rows violate it; DuckDB says %v", rule, n[1], n[0], want.Counts[rule])
				}
				total += n[1]
			}
			if got.Violations.Rows != total {
				t.Errorf("there are %d violations, but the figures say %d", got.Violations.Rows, total)
			}
			if f := got.Figures[len(got.Figures)-1]; f.Latest != "" && f.Latest[:10] != want.Latest || f.Latest == "" && want.Latest != "" {
				t.Errorf("the latest day is %q; DuckDB says %q", f.Latest, want.Latest)
			}
		})
	}
}

func TestADatasetWithoutRowsViolatesNothing(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, s, everyKind(), write(t, s, schema, 0, nil), words(t, s))
	for _, f := range r.Figures {
		if f.Rows != 0 || f.Violations != 0 || f.Latest != "" {
			t.Errorf("%+v", f)
		}
	}
	if r.Violations.Rows != 0 {
		t.Errorf("there are %d violations", r.Violations.Rows)
	}
}

func TestViolationsAreTheRowsInOrder(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const rows, odd = 100_000, 99_991
	m := write(t, s, schema, rows, func(b *array.RecordBuilder, i int) {
		if i == odd {
			i = 7 // its ID is that of row 7
		}
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprint("t", i))
		b.Field(2).(*array.Float64Builder).Append(0)
		b.Field(3).AppendNull()
	})
	if len(m.Shards) < 2 {
		t.Fatal("the rows are in one shard")
	}
	r := run(t, s, &plan.Contract{Rules: []plan.Rule{{Name: "ids", Kind: plan.RuleUnique, Columns: []string{"id"}}}}, m, nil)
	files, err := r.Violations.Files(s.Blobs, nil)
	if err != nil {
		t.Fatal(err)
	}
	var positions []int64
	for rec, err := range data.Read(context.Background(), files, nil, 0) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(rec.NumRows()) {
			positions = append(positions, data.Columns.Find(rec, plan.ViolationRow).(*array.Int64).Value(i))
			if text := data.Columns.Find(rec, "text").(*array.String).Value(i); text != "t7" {
				t.Errorf("a violation has the text %q", text)
			}
		}
	}
	if !slices.Equal(positions, []int64{7, odd}) {
		t.Errorf("the rows %v violate it", positions)
	}
	if want := "id = 7"; r.Figures[0].First[1].Values != want {
		t.Errorf("the sample is %q, not %q", r.Figures[0].First[1].Values, want)
	}
}

func TestADamagedFileIsAnError(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := write(t, s, schema, 10, func(b *array.RecordBuilder, _ int) {
		for i := range schema {
			b.Field(i).AppendNull()
		}
	})
	if err := s.Blobs.Remove(m.Shards[0].Groups[0].Blob); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Audit{Blobs: s.Blobs, Contract: everyKind(), Dataset: m, Temp: t.TempDir()}).Run(t.Context()); err == nil {
		t.Error("the rows of a missing file met the contract")
	}
}

// BenchmarkTypicalContract checks a million rows by a typical contract; compare it with
// BenchmarkWritingTheRows.
func BenchmarkTypicalContract(b *testing.B) {
	s, err := store.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	m := million(b, s)
	c := &plan.Contract{Rules: []plan.Rule{
		{Name: "not_null", Kind: plan.RuleNotNull, Columns: []string{"text"}},
		{Name: "unique", Kind: plan.RuleUnique, Columns: []string{"id"}},
		{Name: "floats", Kind: plan.RuleRange, Columns: []string{"score"}, Min: &value.Value{Value: cty.NumberIntVal(0)}, Max: &value.Value{Value: cty.NumberIntVal(1)}},
		{Name: "pattern", Kind: plan.RulePattern, Columns: []string{"text"}, Pattern: "^text"},
	}}
	for b.Loop() {
		if r := run(b, s, c, m, nil); r.Violations.Rows != 0 {
			b.Fatal("there are violations")
		}
	}
}

func BenchmarkWritingTheRows(b *testing.B) {
	s, err := store.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		million(b, s)
	}
}

func million(b *testing.B, s *store.Store) *dataset.Manifest {
	return write(b, s, schema, 1_000_000, func(r *array.RecordBuilder, i int) {
		r.Field(0).(*array.Int64Builder).Append(int64(i))
		r.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("text of about two hundred bytes, number %d, %0150d", i, i*i))
		r.Field(2).(*array.Float64Builder).Append(float64(i%1000) / 1000)
		r.Field(3).(*array.Date32Builder).Append(arrow.Date32(i % 20000))
	})
}
