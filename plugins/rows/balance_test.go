package rows

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// skewed returns 60 rows of class a, 30 of b, 10 of c, and 1 without a class.
func skewed() []map[string]any {
	var rows []map[string]any
	for i := range 101 {
		r := map[string]any{"id": i, "group": "a"}
		switch {
		case i == 100:
			r["group"] = nil
		case i >= 90:
			r["group"] = "c"
		case i >= 60:
			r["group"] = "b"
		}
		rows = append(rows, r)
	}
	rand.New(rand.NewPCG(9, 9)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return rows
}

func counts(t *plugintest.Table) string {
	n := map[any]int{}
	for _, g := range t.Column("group") {
		n[g]++
	}
	return fmt.Sprint(n)
}

func TestBalanceReachesItsShares(t *testing.T) {
	for _, c := range []struct {
		args map[string]any
		want string
	}{
		{map[string]any{}, "map[a:10 b:10 c:10]"},
		{map[string]any{"method": "up"}, "map[a:60 b:60 c:60]"},
		{map[string]any{"rows": 15}, "map[a:5 b:5 c:5]"},
		{map[string]any{"method": "up", "rows": 75}, "map[a:25 b:25 c:25]"},
		{map[string]any{"shares": map[string]any{"a": 0.5, "c": 0.5}}, "map[a:10 c:10]"},
		{map[string]any{"shares": map[string]any{"a": 0.25, "b": 0.75}}, "map[a:10 b:30]"},
		{map[string]any{"shares": map[string]any{"a": 1.0, "b": 0.0}}, "map[a:60]"},
		{map[string]any{"rows": 0}, "map[]"},
	} {
		var ids [2][]int64
		for k, memory := range []string{"256MB", "1KB"} {
			args := map[string]any{"by": plugintest.Row("group"), "memory_limit": memory}
			for name, v := range c.args {
				args[name] = v
			}
			got, err := run(t, "balance", args, skewed())
			if err != nil {
				t.Fatal(err)
			}
			if have := counts(got.Datasets[""]); have != c.want {
				t.Errorf("%v: %s, want %s", c.args, have, c.want)
			}
			ids[k] = list(got.Datasets[""])
		}
		if !slices.Equal(ids[0], ids[1]) {
			t.Errorf("%v: other rows with less memory", c.args)
		}
	}
}

func TestTheChoiceOfRowsDependsOnValuesAndSeed(t *testing.T) {
	chosen := func(rows []map[string]any, seed int) string {
		got, err := run(t, "balance", map[string]any{"by": plugintest.Row("group"), "seed": seed}, rows)
		if err != nil {
			t.Fatal(err)
		}
		all := list(got.Datasets[""])
		slices.Sort(all)
		return fmt.Sprint(all)
	}
	rows := skewed()
	first, other := chosen(rows, 0), chosen(rows, 1)
	slices.Reverse(rows)
	if reversed := chosen(rows, 0); reversed != first || other == first {
		t.Errorf("%s\nreversed %s\nwith another seed %s", first, reversed, other)
	}
}

func TestBalanceSaysWhatItTookAndWhatIsMissing(t *testing.T) {
	got, err := run(t, "balance", map[string]any{"by": plugintest.Row("group"), "shares": map[string]any{"a": 0.5, "c": 0.5}}, skewed())
	if err != nil {
		t.Fatal(err)
	}
	classes := got.Value.GetAttr("classes").AsValueMap()
	if !classes["a"].GetAttr("rows").RawEquals(cty.NumberIntVal(60)) || !classes["b"].GetAttr("taken").RawEquals(cty.NumberIntVal(0)) || !got.Value.GetAttr("left_out").RawEquals(cty.NumberIntVal(31)) {
		t.Errorf("%#v", got.Value)
	}
	for text, args := range map[string]map[string]any{
		"rows, but 40 are needed":  {"rows": 120},
		`No row has the class "d"`: {"shares": map[string]any{"d": 1.0}},
		"The shares add up to 0.5": {"shares": map[string]any{"a": 0.5}},
		"Cannot take -1 rows":      {"rows": -1},
	} {
		args["by"] = plugintest.Row("group")
		if _, err := run(t, "balance", args, skewed()); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %v", args, err)
		}
	}
	none, err := plugintest.Run(t, offer, plugintest.Case{Kind: "transform", Type: "balance", Args: map[string]any{"by": plugintest.Row("tags")}, Columns: data.Schema{{Name: "tags", Type: "string"}}, Rows: []map[string]any{}})
	if err != nil || len(none.Datasets[""].Rows) != 0 {
		t.Errorf("%v, %v", none, err)
	}
}

// part returns a part of a mixture: n rows of a size.
func part(name string, weight float64, n int, size any) map[string]any {
	d := plugintest.Dataset{Columns: data.Schema{{Name: "id", Type: "int64"}, {Name: "n", Type: "int64"}}}
	for i := range n {
		d.Rows = append(d.Rows, map[string]any{"id": i, "n": size})
	}
	return map[string]any{"name": name, "input": d, "weight": weight, "size": plugintest.Row("n")}
}

func blend(t *testing.T, args map[string]any, parts ...map[string]any) (*plugintest.RunResult, error) {
	t.Helper()
	args["part"], args["origin"] = parts, "group"
	return plugintest.Run(t, offer, plugintest.Case{Kind: plugin.KindTransform, Type: "mix", Args: args})
}

func TestMixTakesPartsByWeightAndInterleavesThem(t *testing.T) {
	for _, c := range []struct {
		args map[string]any
		want string
	}{
		{map[string]any{"total": 3000}, "map[code:50 web:200]"},
		{map[string]any{}, "map[code:100 web:400]"},
		{map[string]any{"total": 9000, "max_epochs": 2.0}, "map[code:150 web:600]"},
		{map[string]any{"total": 0}, "map[]"},
		{map[string]any{"memory_limit": "1KB", "total": 3000}, "map[code:50 web:200]"},
	} {
		got, err := blend(t, c.args, part("web", 4, 400, 10), part("code", 2, 300, 20))
		if err != nil {
			t.Fatal(err)
		}
		rows := got.Datasets[""]
		if have := counts(rows); have != c.want {
			t.Errorf("%v: %s, want %s", c.args, have, c.want)
		}
		for from := 0; from+25 <= len(rows.Rows); from += 25 {
			web := 0
			for _, r := range rows.Rows[from : from+25] {
				if r["group"] == "web" {
					web++
				}
			}
			if math.Abs(float64(web)-20) > 1 {
				t.Errorf("%v: %d of 25 rows from %d on are of web", c.args, web, from)
			}
		}
	}
}

func TestMixSaysWhatItTookAndWhatIsMissing(t *testing.T) {
	got, err := blend(t, map[string]any{"total": 600, "max_epochs": 4.0}, part("web", 3, 100, 3), part("code", 1, 20, 3))
	if err != nil {
		t.Fatal(err)
	}
	code := got.Value.GetAttr("parts").AsValueMap()["code"]
	for name, want := range map[string]float64{"rows": 20, "size": 60, "taken_rows": 50, "taken_size": 150, "epochs": 2.5, "share": 0.25} {
		if have, _ := code.GetAttr(name).AsBigFloat().Float64(); have != want {
			t.Errorf("%s is %g, want %g", name, have, want)
		}
	}
	refused := func(text string, args map[string]any, parts ...map[string]any) {
		t.Helper()
		if _, err := blend(t, args, parts...); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v; want %q", err, text)
		}
	}
	refused(`The dataset "code" has nothing to take`, map[string]any{}, part("web", 3, 200, 3), part("code", 1, 0, 3))
	refused(`The dataset "code" has nothing to take`, map[string]any{"total": 60}, part("web", 3, 200, 3), part("code", 1, 0, 3))
	refused(`The dataset "code" is too small for its weight`, map[string]any{"total": 600}, part("web", 3, 200, 3), part("code", 1, 20, 3))
	refused("The weight of \"web\" is not positive", map[string]any{}, part("web", 0, 1, 1))
	refused(`A row of "web" has no valid size`, map[string]any{}, part("web", 1, 3, nil))
	refused(`A row of "web" has no valid size`, map[string]any{}, part("web", 1, 3, -1))
	unsized, other := part("code", 1, 1, 1), part("other", 1, 1, 1)
	delete(unsized, "size")
	refused("Only some parts have a size", map[string]any{}, part("web", 1, 1, 1), unsized)
	other["input"] = plugintest.Dataset{Columns: data.Schema{{Name: "id", Type: "string"}, {Name: "n", Type: "int64"}}}
	refused(`The column "id" (string) of "other" does not fit the first part`, map[string]any{}, part("web", 1, 1, 1), other)
	empty, err := blend(t, map[string]any{}, part("web", 1, 0, 1))
	if err != nil || len(empty.Datasets[""].Rows) != 0 {
		t.Errorf("%v, %v", empty, err)
	}
}
