package rows

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

func expand(t *testing.T, typ string, args map[string]any, columns data.Schema, rows []map[string]any) (*plugintest.FlatMapResult, error) {
	t.Helper()
	return plugintest.FlatMap(t, offer, plugintest.Case{Kind: plugin.KindTransform, Type: typ, Args: args, Columns: columns, Rows: rows})
}

var listed = data.Schema{{Name: "id", Type: "int64"}, {Name: "tags", Type: "list<string>"}}

func TestExplodeMakesARowOfEachElement(t *testing.T) {
	rows := []map[string]any{
		{"id": 1, "tags": `["a", "b"]`}, {"id": 2, "tags": `[]`}, {"id": 3, "tags": nil}, {"id": 4, "tags": `["c", null]`},
	}
	for keep, want := range map[bool]string{
		false: "[1 a 0] [1 b 1] [4 c 0] [4 <nil> 1]",
		true:  "[1 a 0] [1 b 1] [2 <nil> <nil>] [3 <nil> <nil>] [4 c 0] [4 <nil> 1]",
	} {
		got, err := expand(t, "explode", map[string]any{"values": plugintest.Row("tags"), "as": "tag", "index": "place", "keep_empty": keep}, listed, rows)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, r := range got.Rows {
			all = append(all, fmt.Sprint([]any{r["id"], r["tag"], r["place"]}))
		}
		var columns []string
		for _, c := range got.Columns {
			columns = append(columns, c.Name+" "+c.Type)
		}
		if have := strings.Join(all, " "); have != want {
			t.Errorf("keep_empty = %v: got %s, want %s", keep, have, want)
		}
		if strings.Join(columns, ", ") != "id int64, tag string, place int64" {
			t.Errorf("the columns are %v", columns)
		}
	}
}

func TestExplodeReplacesNoColumnButTheListItself(t *testing.T) {
	rows := []map[string]any{{"id": 1, "tags": []string{"a"}}}
	got, err := expand(t, "explode", map[string]any{"values": plugintest.Row("tags"), "as": "tags"}, listed, rows)
	if err != nil || got.Rows[0]["tags"] != "a" {
		t.Errorf("got %v, %v", got, err)
	}
	for key, args := range map[string]map[string]any{
		"as":    {"values": plugintest.Row("tags"), "as": "id"},
		"index": {"values": plugintest.Row("tags"), "as": "tag", "index": "id"},
	} {
		if _, err := expand(t, "explode", args, listed, rows); err == nil || !strings.Contains(err.Error(), `already has a column named "id"`) {
			t.Errorf("%s: got %v", key, err)
		}
	}
	if _, err := expand(t, "explode", map[string]any{"values": plugintest.Row("id"), "as": "x"}, listed, rows); err == nil || !strings.Contains(err.Error(), "Only a list can be exploded") {
		t.Errorf("got %v", err)
	}
}

// exploded is what explode makes of random nested lists, with pandas and DuckDB.
const exploded = `
import json, sys
import duckdb, pandas as pd, pyarrow as pa
rows = json.load(open(sys.argv[1]))
df = pd.DataFrame({"id": [r["id"] for r in rows], "v": [r["v"] for r in rows]})
e = df.explode("v", ignore_index=True)
none = lambda x: None if not isinstance(x, dict) and x is not None and not isinstance(x, list) and x != x else x
kept = [[int(i), none(v)] for i, v in zip(e["id"], e["v"])]
rows_table = pa.table({"id": pa.array([r["id"] for r in rows], pa.int64()), "v": pa.array([r["v"] for r in rows], pa.list_(pa.struct([("n", pa.int64()), ("t", pa.list_(pa.string()))])))})
dropped = [[i, v, p - 1] for i, v, p in duckdb.sql("select id, unnest(v) as v, unnest(range(1, len(v) + 1)) as p from rows_table").fetchall()]
json.dump({"kept": kept, "dropped": dropped}, sys.stdout)
`

func TestExplodeAgreesWithPandasAndDuckDB(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 3))
	columns := data.Schema{{Name: "id", Type: "int64"}, {Name: "v", Type: "list<struct<n:int64,t:list<string>>>"}}
	for range reference.Rounds(1, 20) {
		rows := make([]map[string]any, 200)
		for i := range rows {
			rows[i] = map[string]any{"id": i, "v": randomList(rng)}
		}
		text, err := json.Marshal(rows)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows { // the harness takes lists as JSON
			if r["v"] != nil {
				list, err := json.Marshal(r["v"])
				if err != nil {
					t.Fatal(err)
				}
				r["v"] = string(list)
			}
		}
		path := filepath.Join(t.TempDir(), "rows.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		var want struct{ Kept, Dropped [][]any }
		if err := json.Unmarshal(reference.Python(t, exploded, path), &want); err != nil {
			t.Fatal(err)
		}
		kept, err := expand(t, "explode", map[string]any{"values": plugintest.Row("v"), "as": "v", "keep_empty": true}, columns, rows)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, "pandas", kept, want.Kept, "id", "v")
		dropped, err := expand(t, "explode", map[string]any{"values": plugintest.Row("v"), "as": "v", "index": "p"}, columns, rows)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, "DuckDB", dropped, want.Dropped, "id", "v", "p")
	}
}

func randomList(rng *rand.Rand) any {
	if rng.IntN(6) == 0 {
		return nil
	}
	list := make([]any, rng.IntN(5))
	for i := range list {
		if rng.IntN(5) == 0 {
			continue
		}
		element := map[string]any{"n": rng.IntN(100), "t": []string{"x", "é"}[:rng.IntN(3)]}
		if rng.IntN(4) == 0 {
			element["t"] = nil
		}
		list[i] = element
	}
	return list
}

// compare compares rows by their JSON.
func compare(t *testing.T, with string, got *plugintest.FlatMapResult, want [][]any, columns ...string) {
	t.Helper()
	var have [][]any
	for _, r := range got.Rows {
		row := make([]any, len(columns))
		for i, c := range columns {
			row[i] = r[c]
		}
		have = append(have, row)
	}
	text, err := json.Marshal(have)
	if err != nil {
		t.Fatal(err)
	}
	var plain [][]any
	if err := json.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	if len(plain) != len(want) {
		t.Fatalf("%d rows, %s makes %d", len(plain), with, len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(plain[i], want[i]) {
			t.Fatalf("row %d is %v, %s makes %v", i, plain[i], with, want[i])
		}
	}
}
