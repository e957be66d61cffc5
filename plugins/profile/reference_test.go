package profile

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// pandasProfile describes the same rows with pandas and DuckDB.
const pandasProfile = `
import json, sys
import duckdb, pandas as pd
rows = pd.read_json(sys.argv[1], lines=True, dtype={"s": "object", "i": "Int64", "f": "float64"}, convert_dates=False, precise_float=True)
out = {"duplicates": int(rows.duplicated().sum())}
for name in ["i", "f"]:
    c = rows[name].astype("float64")
    out[name] = dict(nulls=int(c.isna().sum()), distinct=int(c.nunique()), mean=c.mean(), std=c.std(),
                     quantiles=[c.quantile(q) for q in [0, .01, .05, .25, .5, .75, .95, .99, 1]])
s = rows["s"]
length, words = s.dropna().str.len(), s.dropna().str.split().str.len()
out["s"] = dict(nulls=int(s.isna().sum()), distinct=int(s.nunique()), top=int(s.value_counts().max()),
                length=length.mean(), longest=int(length.max()), words=float(words.mean()))
out["pearson"] = rows[["i", "f"]].astype("float64").corr().iloc[0, 1]
out["spearman"] = rows[["i", "f"]].astype("float64").corr(method="spearman").iloc[0, 1]
found = duckdb.sql(f"summarize select * from read_json('{sys.argv[1]}', columns={{i: 'BIGINT', f: 'DOUBLE', s: 'VARCHAR'}})").df().set_index("column_name")
out["duckdb"] = {name: dict(mean=float(found.loc[name, "avg"]), std=float(found.loc[name, "std"]), least=float(found.loc[name, "min"]), most=float(found.loc[name, "max"])) for name in ["i", "f"]}
print(json.dumps(out))
`

type pandasNumbers struct {
	Nulls, Distinct int64
	Mean, Std       float64
	Quantiles       []float64
}

// Values are seldom, often, or never repeated: the last column has more distinct
// values than are counted exactly.
func TestAProfileIsThatOfPandasAndDuckDB(t *testing.T) {
	for _, n := range []int{50, 2000, 40_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) { compareWithPandas(t, n) })
	}
}

func compareWithPandas(t *testing.T, n int) {
	random := rand.New(rand.NewPCG(uint64(n), 1))
	words := strings.Fields("straße the a naïve 日本 of\u00a0to dog  Δ cat")
	rows := make([]map[string]any, n)
	for i := range rows {
		x := random.NormFloat64()
		text := ""
		for range random.IntN(5) {
			text += words[random.IntN(len(words))] + " "
		}
		rows[i] = map[string]any{"i": int64(math.Round(50 * x)), "f": 1e6 + math.Round(1e6*(x+random.NormFloat64()))/1e3, "s": text}
		for _, name := range []string{"i", "f", "s"} {
			if random.IntN(10) == 0 {
				rows[i][name] = nil
			}
		}
		if i > 0 && random.IntN(20) == 0 {
			rows[i] = rows[random.IntN(i)]
		}
	}
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	var lines strings.Builder
	for _, row := range rows {
		line, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	if err := os.WriteFile(path, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	var want struct {
		Duplicates int64
		I, F       pandasNumbers
		S          struct {
			Nulls, Distinct, Top, Longest int64
			Length, Words                 float64
		}
		Pearson, Spearman float64
		DuckDB            map[string]struct{ Mean, Std, Least, Most float64 }
	}
	if err := json.Unmarshal(reference.Python(t, pandasProfile, path), &want); err != nil {
		t.Fatal(err)
	}
	columns := data.Schema{{Name: "i", Type: "int64"}, {Name: "f", Type: "float64"}, {Name: "s", Type: "string"}}
	got, _ := profileOf(t, plugintest.Dataset{Columns: columns, Rows: rows}, map[string]any{"tokenizer": "none", "sample": 100_000})
	if got.DuplicateRows != want.Duplicates {
		t.Errorf("%d duplicate rows, want %d", got.DuplicateRows, want.Duplicates)
	}
	near := func(what string, got *float64, want, tolerance float64) {
		t.Helper()
		if got == nil || math.Abs(*got-want) > tolerance*max(1, math.Abs(want)) {
			t.Errorf("the %s is %v, want %v", what, numberText(got), want)
		}
	}
	for name, w := range map[string]pandasNumbers{"i": want.I, "f": want.F} {
		c := got.Column(name)
		if c.Nulls != w.Nulls || c.Distinct.Low > w.Distinct || c.Distinct.High < w.Distinct || c.Distinct.Exact() && c.Distinct.Value != w.Distinct {
			t.Errorf("%s: %d nulls and %+v distinct values, want %+v", name, c.Nulls, c.Distinct, w)
		}
		near(name+"'s mean", c.Numbers.Mean, w.Mean, 1e-13)
		near(name+"'s standard deviation", c.Numbers.Std, w.Std, 1e-9)
		near(name+"'s mean in DuckDB", c.Numbers.Mean, want.DuckDB[name].Mean, 1e-12)
		near(name+"'s standard deviation in DuckDB", c.Numbers.Std, want.DuckDB[name].Std, 1e-9)
		tolerance := 1e-12
		if !c.Distinct.Exact() {
			tolerance = 5e-6 // cells of a grid
		}
		for i, q := range quantileNames {
			near(fmt.Sprintf("%s's quantile %s", name, q.name), c.Numbers.Quantile(q.share), w.Quantiles[i], tolerance)
		}
		if *c.Numbers.Quantile(0) != want.DuckDB[name].Least || *c.Numbers.Quantile(1) != want.DuckDB[name].Most {
			t.Errorf("%s is from %g to %g", name, *c.Numbers.Quantile(0), *c.Numbers.Quantile(1))
		}
	}
	s := got.Column("s")
	if s.Nulls != want.S.Nulls || s.Distinct.Value != want.S.Distinct || s.Top[0].Count != want.S.Top || *s.Texts.Characters.Quantile(1) != float64(want.S.Longest) {
		t.Errorf("got %+v, want %+v", s, want.S)
	}
	near("mean length", s.Texts.Characters.Mean, want.S.Length, 1e-12)
	near("mean number of words", s.Texts.Words.Mean, want.S.Words, 1e-12)
	found := 0
	for _, a := range got.Associations {
		if w, ok := map[string]float64{"pearson": want.Pearson, "spearman": want.Spearman}[a.Method]; ok {
			near(a.Method, a.Value, w, 1e-9)
			found++
		}
	}
	if found != 2 {
		t.Errorf("the associations are %+v", got.Associations)
	}
}
