package tables

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/quern-dev/quern/sdk/go/plugintest"
)

func named(pairs ...string) map[string]any {
	out := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = plugintest.Row(pairs[i+1])
	}
	return out
}

func TestGroupComputesEachFunction(t *testing.T) {
	in := table("g string, i int64, f float64, s string",
		[]any{"b", 3, 0.5, "y"}, []any{"a", 1, nil, "x"}, []any{nil, 7, 2.0, nil}, []any{"b", nil, 1.5, "x"}, []any{"b", 3, 0.5, nil}, []any{"a", 2, nil, "x"})
	for _, c := range []struct {
		args map[string]any
		want string
	}{
		{map[string]any{"rows": "n"}, "g string, n int64\na 2\nb 3\n<nil> 1"},
		{map[string]any{"sum": named("i", "i", "f", "f")}, "g string, f float64, i int64\na <nil> 3\nb 2.5 6\n<nil> 2 7"},
		{map[string]any{"mean": named("i", "i", "f", "f")}, "g string, f float64, i float64\na <nil> 1.5\nb 0.8333333333333334 3\n<nil> 2 7"},
		{map[string]any{"median": named("i", "i", "f", "f")}, "g string, f float64, i float64\na <nil> 1.5\nb 0.5 3\n<nil> 2 7"},
		{map[string]any{"min": named("low", "s"), "max": named("high", "f")}, "g string, low string, high float64\na x <nil>\nb x 1.5\n<nil> <nil> 2"},
		{map[string]any{"first": named("s1", "s"), "last": named("s2", "s")}, "g string, s1 string, s2 string\na x x\nb y <nil>\n<nil> <nil> <nil>"},
		{map[string]any{"first": named("s1", "s"), "order": row("f", "s")}, "g string, s1 string\na x\nb y\n<nil> <nil>"},
		{map[string]any{"list": named("all", "s"), "order": row("s")}, "g string, all list<string>\na [\"x\",\"x\"]\nb [\"x\",\"y\",null]\n<nil> [null]"},
		{map[string]any{"distinct": named("d", "i"), "count_distinct": named("n", "s")}, "g string, d list<int64>, n int64\na [1,2] 1\nb [3] 2\n<nil> [7] 0"},
	} {
		for _, memory := range []string{"256MB", "0.001KB"} {
			c.args["input"], c.args["by"], c.args["memory_limit"] = in, named("g", "g"), memory
			got, err := run(t, "group", c.args)
			if err != nil {
				t.Fatalf("%v: %v", c.args, err)
			}
			if have := show(got); have != c.want {
				t.Errorf("%v:\n%s", c.args, have)
			}
		}
	}
}

func TestGroupsAreTheSameWithAndWithoutSorting(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	floats := []any{nil, 0.0, math.Copysign(0, -1), math.NaN(), math.Inf(1), 1e308, 1e-9, 0.1, -0.3}
	pick := func(values ...any) any { return values[r.IntN(len(values))] }
	for range 30 {
		var rows [][]any
		for range r.IntN(200) {
			rows = append(rows, []any{pick(floats...), pick(nil, "", "a", "b\x00", "ü"), pick(nil, math.MinInt64, -1, 7), pick(floats...), pick(nil, "", "long enough to be kept", "z")})
		}
		args := map[string]any{
			"input": table("f float64, s string, i int64, x float64, t string", rows...),
			"by":    pick(named("s", "s"), named("f", "f"), named("s", "s", "f", "f"), named()), "rows": "n",
			"sum": named("sum", "x"), "mean": named("mean", "x", "mean_i", "i"), "min": named("min", "x", "min_t", "t"), "max": named("max", "x", "max_t", "t"),
		}
		var want string
		for _, memory := range []string{"256MB", "0.001KB", "0.5KB", "3KB"} {
			args["memory_limit"] = memory
			got, err := run(t, "group", args)
			if err != nil {
				t.Fatal(err)
			}
			if want == "" {
				want = show(got)
			}
			if have := show(got); have != want {
				t.Fatalf("with %s, the groups are\n%s\nwithout sorting\n%s", memory, have, want)
			}
		}
	}
}

func TestWithoutByAllRowsAreOneGroup(t *testing.T) {
	args := map[string]any{"rows": "n", "sum": named("s", "x"), "list": named("l", "x"), "first": named("f", "x"), "distinct": named("d", "x"), "median": named("m", "x"), "max": named("h", "x")}
	const columns = "n int64, s int64, m float64, h int64, f int64, l list<int64>, d list<int64>\n"
	args["input"] = table("x int64")
	got, err := run(t, "group", args)
	if err != nil || show(got) != columns+"0 <nil> <nil> <nil> <nil> [] []" {
		t.Errorf("%v, %v", show(got), err)
	}
	args["input"] = table("x int64", []any{2}, []any{nil}, []any{1})
	got, err = run(t, "group", args)
	if err != nil || show(got) != columns+"3 3 1.5 2 2 [2,null,1] [1,2]" {
		t.Errorf("%v, %v", show(got), err)
	}
	got, err = run(t, "group", map[string]any{"input": table("x int64"), "by": named("x", "x"), "rows": "n"})
	if err != nil || show(got) != "x int64, n int64" {
		t.Errorf("%v, %v", show(got), err)
	}
}

func TestGroupRefusesWhatItCannotCompute(t *testing.T) {
	in := table("x int64, s string", []any{int64(1 << 62), "a"}, []any{int64(1 << 62), "a"})
	refused(t, "group", map[string]any{"input": in, "sum": named("s", "x")}, "a sum does not fit into int64")
	refused(t, "group", map[string]any{"input": in}, "Nothing to compute")
	refused(t, "group", map[string]any{"input": in, "rows": "n", "order": row("x")}, "order has no effect")
	refused(t, "group", map[string]any{"input": in, "by": named("n", "s"), "rows": "n"}, `Two columns would be named "n"`)
	got, err := run(t, "group", map[string]any{"input": in, "mean": named("m", "x")})
	if err != nil || got.Rows[0]["m"] != float64(1<<62) {
		t.Errorf("%v, %v", got, err)
	}
}
