package tables

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

var (
	orders    = table("id int64, customer string, price float64", []any{1, "b", 2.5}, []any{2, "a", 1.0}, []any{3, nil, 4.0}, []any{4, "z", 8.0}, []any{5, "b", 3.0})
	customers = table("name string, city string", []any{"a", "Rome"}, []any{"b", nil}, []any{"c", "Oslo"}, []any{nil, "Bern"})
)

// joinBlock returns the arguments of a join of orders and customers.
func joinBlock(block map[string]any) map[string]any {
	block["name"] = "customers"
	if block["dataset"] == nil {
		block["dataset"] = customers
	}
	if block["on"] == nil && block["left"] == nil {
		block["left"], block["right"] = row("customer"), row("name")
	}
	return map[string]any{"input": orders, "with": []map[string]any{block}}
}

func TestEachKindOfJoinKeepsItsRows(t *testing.T) {
	const all, some = "id int64, customer string, price float64, name string, city string\n", "id int64, customer string, price float64\n"
	for kind, want := range map[string]string{
		"inner": all + "1 b 2.5 b <nil>\n2 a 1 a Rome\n5 b 3 b <nil>",
		"left":  all + "1 b 2.5 b <nil>\n2 a 1 a Rome\n3 <nil> 4 <nil> <nil>\n4 z 8 <nil> <nil>\n5 b 3 b <nil>",
		"right": all + "1 b 2.5 b <nil>\n2 a 1 a Rome\n5 b 3 b <nil>\n<nil> <nil> <nil> c Oslo\n<nil> <nil> <nil> <nil> Bern",
		"full":  all + "1 b 2.5 b <nil>\n2 a 1 a Rome\n3 <nil> 4 <nil> <nil>\n4 z 8 <nil> <nil>\n5 b 3 b <nil>\n<nil> <nil> <nil> c Oslo\n<nil> <nil> <nil> <nil> Bern",
		"semi":  some + "1 b 2.5\n2 a 1\n5 b 3",
		"anti":  some + "3 <nil> 4\n4 z 8",
	} {
		for _, memory := range []string{"256MB", "0.001KB"} {
			args := joinBlock(map[string]any{"kind": kind})
			args["memory_limit"] = memory
			got, err := run(t, "join", args)
			if err != nil {
				t.Fatal(err)
			}
			if have := show(got); have != want {
				t.Errorf("%s, %s:\n%s", kind, memory, have)
			}
		}
	}
}

func TestColumnsInOnAppearOnce(t *testing.T) {
	cities := table("city string, customer string", []any{"Oslo", "b"}, []any{"Bonn", "x"})
	for _, memory := range []string{"256MB", "0.001KB"} {
		args := joinBlock(map[string]any{"dataset": cities, "on": []string{"customer"}, "kind": "full", "prefix": "their_"})
		args["memory_limit"] = memory
		got, err := run(t, "join", args)
		want := "id int64, customer string, price float64, their_city string\n1 b 2.5 Oslo\n2 a 1 <nil>\n3 <nil> 4 <nil>\n4 z 8 <nil>\n5 b 3 Oslo\n<nil> x <nil> Bonn"
		if err != nil || show(got) != want {
			t.Errorf("%v\n%s", err, show(got))
		}
	}
}

func TestDatasetsAreJoinedOneAfterTheOther(t *testing.T) {
	cities := table("id int64, note string", []any{2, "two"}, []any{5, "five"}, []any{9, "nine"})
	args := joinBlock(map[string]any{"kind": "left", "columns": []string{"city"}})
	args["with"] = append(args["with"].([]map[string]any), map[string]any{"name": "notes", "dataset": cities, "on": []string{"id"}})
	want := "id int64, customer string, price float64, city string, note string\n2 a 1 Rome two\n5 b 3 <nil> five"
	for _, memory := range []string{"256MB", "0.001KB"} {
		args["memory_limit"] = memory
		got, err := run(t, "join", args)
		if err != nil || show(got) != want {
			t.Errorf("%v\n%s", err, show(got))
		}
	}
}

func TestAJoinEnforcesItsCardinality(t *testing.T) {
	twice := table("name string, city string", []any{"b", "x"}, []any{"b", "y"}, []any{"q", "x"}, []any{"q", "y"}, []any{"q", "z"}, []any{nil, "n"}, []any{nil, "n"})
	for _, memory := range []string{"256MB", "0.001KB"} {
		with := func(block map[string]any) map[string]any {
			args := joinBlock(block)
			args["memory_limit"] = memory
			return args
		}
		refused(t, "join", with(map[string]any{"dataset": twice}), `2 keys occur more than once in the dataset of "customers"`, `"b" (2 rows) and "q" (3 rows)`, `cardinality = "many_to_many"`)
		refused(t, "join", with(map[string]any{"cardinality": "one_to_one"}), "1 key occurs more than once in input", `"b" (2 rows)`, `cardinality = "many_to_one"`)
		refused(t, "join", with(map[string]any{"dataset": twice, "cardinality": "one_to_many"}), "1 key occurs more than once in input", `cardinality = "many_to_many"`)
		got, err := run(t, "join", with(map[string]any{"dataset": twice, "cardinality": "many_to_many"}))
		if err != nil || fmt.Sprint(got.Column("city")) != "[x y x y]" {
			t.Errorf("%v, %v", got, err)
		}
		got, err = run(t, "join", with(map[string]any{"dataset": twice, "kind": "semi"}))
		if err != nil || fmt.Sprint(got.Column("id")) != "[1 5]" {
			t.Errorf("%v, %v", got, err)
		}
	}
}

func TestAJoinRefusesWhatDoesNotFitTogether(t *testing.T) {
	same := table("id int64, customer string, n int64")
	for _, c := range []struct {
		block map[string]any
		text  string
	}{
		{map[string]any{"dataset": same, "on": []string{"customer"}}, `Two columns would be named "id"`},
		{map[string]any{"left": row("id"), "right": row("name")}, "key 1 is int64 in input, but string in the dataset"},
		{map[string]any{"left": row("id"), "right": []any{}}, "left has 1 entries, but right has 0"},
		{map[string]any{"left": []any{}}, "The keys of \"customers\" are missing"},
		{map[string]any{"on": []string{"price"}}, `The dataset has no column named "price"`},
		{map[string]any{"on": []string{"city"}}, `input has no column named "city"`},
		{map[string]any{"columns": []string{"town"}}, `The dataset has no column named "town"`},
		{map[string]any{"kind": "semi", "prefix": "x"}, "A semi join adds no columns"},
	} {
		refused(t, "join", joinBlock(c.block), c.text)
	}
	args := joinBlock(map[string]any{"kind": "right", "columns": []string{"city"}})
	args["with"] = append(args["with"].([]map[string]any), map[string]any{"name": "more", "dataset": same, "on": []string{"customer"}, "columns": []string{"n"}})
	refused(t, "join", args, "A right join must be the only one of its stage")
}

// nested joins by comparing all pairs.
func nested(left, right []map[string]any, kind string) []map[string]any {
	var out []map[string]any
	found := make([]bool, len(right))
	for _, l := range left {
		n := 0
		for i, r := range right {
			if l["k"] != nil && l["m"] != nil && l["k"] == r["k2"] && l["m"] == r["m2"] {
				n++
				found[i] = true
				if kind != "semi" && kind != "anti" {
					out = append(out, map[string]any{"k": l["k"], "m": l["m"], "x": l["x"], "k2": r["k2"], "m2": r["m2"], "y": r["y"]})
				}
			}
		}
		switch {
		case kind == "semi" && n > 0, kind == "anti" && n == 0:
			out = append(out, l)
		case n == 0 && (kind == "left" || kind == "full"):
			out = append(out, map[string]any{"k": l["k"], "m": l["m"], "x": l["x"], "k2": nil, "m2": nil, "y": nil})
		}
	}
	for i, r := range right {
		if !found[i] && (kind == "right" || kind == "full") {
			out = append(out, map[string]any{"k": nil, "m": nil, "x": nil, "k2": r["k2"], "m2": r["m2"], "y": r["y"]})
		}
	}
	return out
}

func TestJoinsOfRandomRowsAreThoseOfAllPairs(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	some := func(of ...any) any { return of[r.IntN(len(of))] }
	for range 6 {
		left, right := table("k string, m int64, x int64"), table("y int64, k2 string, m2 int64")
		for i := range 60 {
			left.Rows = append(left.Rows, map[string]any{"k": some("a", "b", "", nil), "m": some(int64(1), int64(2), nil), "x": int64(i)})
		}
		for i := range r.IntN(60) {
			right.Rows = append(right.Rows, map[string]any{"k2": some("a", "b", "c", nil), "m2": some(int64(1), int64(2), nil), "y": int64(i)})
		}
		for _, kind := range []string{"inner", "left", "right", "full", "semi", "anti"} {
			want := nested(left.Rows, right.Rows, kind)
			for _, memory := range []string{"256MB", "0.001KB"} {
				got, err := run(t, "join", map[string]any{"input": left, "memory_limit": memory, "with": []map[string]any{
					{"name": "other", "dataset": right, "kind": kind, "cardinality": "many_to_many", "left": row("k", "m"), "right": row("k2", "m2")},
				}})
				if err != nil {
					t.Fatal(err)
				}
				if len(got.Rows)+len(want) > 0 && !slices.EqualFunc(got.Rows, want, func(a, b map[string]any) bool { return reflect.DeepEqual(a, b) }) {
					t.Fatalf("%s, %s: got %d rows, want %d\n%v\n%v", kind, memory, len(got.Rows), len(want), got.Rows, want)
				}
			}
		}
	}
}
