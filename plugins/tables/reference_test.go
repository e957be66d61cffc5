package tables

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"testing"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// relations are random tables, and what DuckDB makes of them;
// testdata/relations.py writes them.
type relations struct {
	Left, Right    [][]any
	Sort           []int64
	SortNullsFirst []int64 `json:"sort_nulls_first"`
	Group          [][]any
	Join           map[string][][2]*int64
	Semi, Anti     []int64
}

func readRelations(t *testing.T) (*relations, plugintest.Dataset, plugintest.Dataset) {
	t.Helper()
	text, err := os.ReadFile("testdata/relations.json")
	if err != nil {
		t.Fatal(err)
	}
	r := &relations{}
	if err := json.Unmarshal(text, r); err != nil {
		t.Fatal(err)
	}
	return r, relation(r.Left, ""), relation(r.Right, "r_")
}

func relation(rows [][]any, prefix string) plugintest.Dataset {
	d := plugintest.Dataset{Columns: data.Schema{{Name: prefix + "id", Type: "int64"}, {Name: prefix + "k", Type: "string"}, {Name: prefix + "n", Type: "int64"}, {Name: prefix + "f", Type: "float64"}}}
	for _, values := range rows {
		row := map[string]any{}
		for i, c := range d.Columns {
			if row[c.Name] = values[i]; c.Type == "int64" && values[i] != nil {
				row[c.Name] = int64(values[i].(float64))
			}
		}
		d.Rows = append(d.Rows, row)
	}
	return d
}

// eachMemory runs a case in memory and with spilled rows.
func eachMemory(t *testing.T, typ string, args map[string]any, check func(*plugintest.Table)) {
	t.Helper()
	for _, memory := range []string{"256MB", "0.001KB"} {
		args["memory_limit"] = memory
		got, err := run(t, typ, args)
		if err != nil {
			t.Fatal(err)
		}
		check(got)
	}
}

func sameIDs(t *testing.T, what string, got *plugintest.Table, want []int64) {
	t.Helper()
	var ids []int64
	for _, id := range got.Column("id") {
		ids = append(ids, id.(int64))
	}
	if !reflect.DeepEqual(ids, want) {
		t.Errorf("%s: %v, want %v", what, ids, want)
	}
}

func TestSortsAreThoseOfDuckDB(t *testing.T) {
	r, left, _ := readRelations(t)
	eachMemory(t, "sort", map[string]any{"input": left, "by": row("k", "f"), "order": []string{"asc", "desc"}}, func(got *plugintest.Table) {
		sameIDs(t, "nulls last", got, r.Sort)
	})
	eachMemory(t, "sort", map[string]any{"input": left, "by": row("n", "k"), "order": []string{"desc", "asc"}, "nulls": "first"}, func(got *plugintest.Table) {
		sameIDs(t, "nulls first", got, r.SortNullsFirst)
	})
}

func TestJoinsAreThoseOfDuckDB(t *testing.T) {
	r, left, right := readRelations(t)
	args := func(kind string) map[string]any {
		return map[string]any{"input": left, "with": []map[string]any{{"name": "r", "dataset": right, "kind": kind, "cardinality": "many_to_many", "left": row("k", "n"), "right": row("r_k", "r_n")}}}
	}
	for kind, want := range r.Join {
		eachMemory(t, "join", args(kind), func(got *plugintest.Table) {
			if len(got.Rows) != len(want) {
				t.Fatalf("%s: %d rows, want %d", kind, len(got.Rows), len(want))
			}
			for i, w := range want {
				if have := fmt.Sprint(got.Rows[i]["id"], got.Rows[i]["r_id"]); have != pair(w) {
					t.Fatalf("%s: row %d is %s, want %s", kind, i, have, pair(w))
				}
			}
		})
	}
	eachMemory(t, "join", args("semi"), func(got *plugintest.Table) { sameIDs(t, "semi", got, r.Semi) })
	eachMemory(t, "join", args("anti"), func(got *plugintest.Table) { sameIDs(t, "anti", got, r.Anti) })
}

func pair(ids [2]*int64) string {
	show := func(id *int64) any {
		if id == nil {
			return nil
		}
		return *id
	}
	return fmt.Sprint(show(ids[0]), show(ids[1]))
}

func TestGroupsAreThoseOfDuckDB(t *testing.T) {
	r, left, _ := readRelations(t)
	args := map[string]any{
		"input": left, "by": named("k", "k"), "rows": "rows", "order": row("n", "id"),
		"sum": named("sum", "f"), "mean": named("mean", "f"), "median": named("median", "f"), "min": named("fmin", "f", "nmin", "n"), "max": named("fmax", "f", "nmax", "n"),
		"count_distinct": named("different", "n"), "list": named("ids", "id"), "first": named("first", "id"), "last": named("last", "id"), "distinct": named("values", "n"),
	}
	check := func(got *plugintest.Table) {
		if len(got.Rows) != len(r.Group) {
			t.Fatalf("%d groups, want %d", len(got.Rows), len(r.Group))
		}
		for i, want := range r.Group {
			for c, name := range []string{"k", "rows", "sum", "mean", "median", "fmin", "fmax", "nmin", "nmax", "different", "ids", "first", "last", "values"} {
				if have, ok := got.Rows[i][name]; ok && !alike(have, want[c]) {
					t.Errorf("group %v: %s is %v, want %v", want[0], name, have, want[c])
				}
			}
		}
	}
	eachMemory(t, "group", args, check)
	for _, name := range []string{"order", "median", "count_distinct", "list", "first", "last", "distinct"} {
		delete(args, name) // the others need no sorting
	}
	eachMemory(t, "group", args, check)
}

// alike compares a value with one from JSON. Floats can differ in their last
// digits: DuckDB adds without compensation.
func alike(have, want any) bool {
	switch have := have.(type) {
	case int64:
		w, ok := want.(float64)
		return ok && float64(have) == w
	case float64:
		w, ok := want.(float64)
		return ok && math.Abs(have-w) <= 1e-9*math.Max(math.Abs(have), math.Abs(w))
	case json.RawMessage:
		var list any
		return json.Unmarshal(have, &list) == nil && reflect.DeepEqual(list, want)
	}
	return reflect.DeepEqual(have, want)
}
