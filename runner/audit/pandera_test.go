package audit

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store"
)

// pandera finds the rows that violate the rules of everyKind, by rule, in each of several
// datasets. It fails for duplicates of null, too, but does not list them.
const pandera = `
import datetime, json, sys, warnings
warnings.filterwarnings("ignore")
import pandas as pd, pyarrow as pa, pyarrow.parquet as pq
from pandera.pandas import Check, Column, DataFrameSchema
from pandera.errors import SchemaErrors
def read(files, **columns):
    tables = [pq.read_table(f) for f in files or []] or [pa.schema(columns).empty_table()]
    return pa.concat_tables(tables).to_pandas(types_mapper=pd.ArrowDtype)
def column(name, *checks, nullable=True):
    return DataFrameSchema({name: Column(nullable=nullable, checks=list(checks))})
def failures(df, schema):
    try:
        schema.validate(df, lazy=True)
        return []
    except SchemaErrors as e:
        if set(e.failure_cases["schema_context"]) - {"Column", "DataFrameSchema"} or e.failure_cases["index"].isna().any():
            raise
        rows = set(e.failure_cases["index"])
        if schema.unique:
            nulls = df.index[df[schema.unique].isna().all(axis=1)]
            rows |= set(nulls) if len(nulls) > 1 else set()
        return sorted(int(i) for i in rows)
words = read(json.loads(sys.argv[1]))["word"].dropna().tolist()
day = datetime.date
schemas = {
    "not_null": column("id", nullable=False),
    "unique": DataFrameSchema({}, unique=["id"]),
    "together": DataFrameSchema({}, unique=["id", "text"]),
    "integers": column("id", Check.in_range(2.5, 40)),
    "floats": column("score", Check.in_range(0, 1)),
    "days": column("day", Check.in_range(day(2026, 1, 3), day(2026, 1, 20))),
    "allowed": column("text", Check.isin(["a", ""])),
    "pattern": column("text", Check.str_matches("^[a-c]*$")),
    "references": column("text", Check.isin(words)),
}
all = []
for files in sys.argv[2:]:
    df = read(json.loads(files), id=pa.int64(), text=pa.string(), score=pa.float64(), day=pa.date32())
    some = list(schemas)[:3] if len(df) > 10_000 else schemas # the lists of rows would be long
    all.append({name: failures(df, schemas[name]) for name in some})
print(json.dumps(all))
`

// violating returns the rows that violate each rule.
func violating(t *testing.T, s *store.Store, r *Result) map[string][]int64 {
	t.Helper()
	found := map[string][]int64{}
	for _, f := range r.Figures {
		found[f.Rule] = []int64{}
	}
	files, err := r.Violations.Files(s.Blobs, nil)
	if err != nil {
		t.Fatal(err)
	}
	for rec, err := range data.Read(context.Background(), files, nil, 0) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(rec.NumRows()) {
			rule := data.Columns.Find(rec, plan.ViolationRule).(*array.String).Value(i)
			found[rule] = append(found[rule], data.Columns.Find(rec, plan.ViolationRow).(*array.Int64).Value(i))
		}
	}
	return found
}

func TestViolationsAreThoseOfPandera(t *testing.T) {
	texts := []string{"a", "b", "c", "", "d", "é", "ab", "a\nb", "http://x", "A"}
	scores := []float64{0, 1, 0.5, -0.1, math.Nextafter(1, 2), math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), math.SmallestNonzeroFloat64}
	// full is a row without nulls, whose ID is given.
	full := func(b *array.RecordBuilder, i int, id int64) {
		b.Field(0).(*array.Int64Builder).Append(id)
		b.Field(1).(*array.StringBuilder).Append(texts[i%len(texts)])
		b.Field(2).(*array.Float64Builder).Append(scores[i/3%len(scores)])
		b.Field(3).(*array.Date32Builder).Append(arrow.Date32(20450 + i%40))
	}
	nulls := func(b *array.RecordBuilder, columns ...int) {
		for _, c := range columns {
			b.Field(c).AppendNull()
		}
	}
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := words(t, s)
	var names []string
	var found []map[string][]int64
	args := []string{paths(t, s, w)}
	for _, c := range []struct {
		name string
		rows int
		add  func(b *array.RecordBuilder, i int)
	}{
		{"no rows", 0, nil},
		{"one row", 1, func(b *array.RecordBuilder, i int) { full(b, i, 3) }},
		{"all null", 100, func(b *array.RecordBuilder, _ int) { nulls(b, 0, 1, 2, 3) }},
		{"one row is null", 2, func(b *array.RecordBuilder, i int) {
			if i == 0 {
				nulls(b, 0, 1, 2, 3)
				return
			}
			full(b, i, 7)
		}},
		{"duplicates of null", 300, func(b *array.RecordBuilder, i int) {
			if i%3 > 0 {
				full(b, i, int64(i%50))
				return
			}
			b.Field(0).AppendNull()
			if i%2 == 0 {
				b.Field(1).AppendNull()
			} else {
				b.Field(1).(*array.StringBuilder).Append(texts[i%7])
			}
			nulls(b, 2, 3)
		}},
		{"every value with every other", 4000, func(b *array.RecordBuilder, i int) { full(b, i, int64(i%997)) }},
		{"extreme integers", 4, func(b *array.RecordBuilder, i int) {
			full(b, i, []int64{math.MinInt64, math.MaxInt64, 1<<53 + 1, 1 << 53}[i])
		}},
		{"a million distinct values", 1_000_000, func(b *array.RecordBuilder, i int) {
			id := int64(i)
			if i == 999_999 {
				id = 123_456
			}
			full(b, 0, id)
		}},
	} {
		m := write(t, s, schema, c.rows, c.add)
		names, found = append(names, c.name), append(found, violating(t, s, run(t, s, everyKind(), m, w)))
		args = append(args, paths(t, s, m))
	}
	var want []map[string][]int64
	if err := json.Unmarshal(reference.Python(t, pandera, args...), &want); err != nil {
		t.Fatal(err)
	}
	for i, got := range found {
		for rule, expected := range want[i] {
			if !slices.Equal(got[rule], expected) {
				t.Errorf("%s: %s: the rows %s violate it; pandera says %s", names[i], rule, some(got[rule]), some(expected))
			}
		}
	}
}

func some(rows []int64) string {
	text := ""
	for _, r := range rows[:min(len(rows), 20)] {
		text += strconv.FormatInt(r, 10) + " "
	}
	return text + "(" + strconv.Itoa(len(rows)) + ")"
}

// panderaTypes reports for each column whether its type is one that a schema requires.
const panderaTypes = `
import datetime, json, warnings
warnings.filterwarnings("ignore")
import pandas as pd, pyarrow as pa
from pandera.pandas import Column, DataFrameSchema
from pandera.errors import SchemaErrors
types = {"int64": pa.int64(), "float64": pa.float64(), "string": pa.string(), "bool": pa.bool_(), "binary": pa.binary(), "date": pa.date32(), "timestamp": pa.timestamp("us", "UTC")}
df = pa.table({n: pa.array([None], t) for n, t in types.items()}).to_pandas(types_mapper=pd.ArrowDtype)
out = {}
for name in types:
    for want, t in types.items():
        try:
            DataFrameSchema({name: Column(pd.ArrowDtype(t), nullable=True)}).validate(df, lazy=True)
            out[name + " as " + want] = True
        except SchemaErrors:
            out[name + " as " + want] = False
print(json.dumps(out))
`

func TestTypesAreThoseOfPandera(t *testing.T) {
	var want map[string]bool
	if err := json.Unmarshal(reference.Python(t, panderaTypes), &want); err != nil {
		t.Fatal(err)
	}
	names := []string{"int64", "float64", "string", "bool", "binary", "date", "timestamp"}
	for _, name := range names {
		for _, required := range names {
			if got := (&config.ColumnType{Name: "x", Type: required}).Accepts(name); got != want[name+" as "+required] {
				t.Errorf("a contract that requires %s says %v to %s, and pandera the opposite", required, got, name)
			}
		}
	}
}
