package rows

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

var offer = plugin.Plugin{Name: "rows", Version: "1.0.0", Types: Types()}

func run(t *testing.T, typ string, args map[string]any, rows []map[string]any) (*plugintest.RunResult, error) {
	t.Helper()
	return plugintest.Run(t, offer, plugintest.Case{Kind: plugin.KindTransform, Type: typ, Args: args, Rows: rows})
}

// messages returns n rows. id counts up, and group has three values.
func messages(n int) []map[string]any {
	rows := make([]map[string]any, n)
	for i := range rows {
		rows[i] = map[string]any{"id": i, "text": fmt.Sprintf("message %d", i), "group": string("abc"[i%3])}
	}
	return rows
}

// ids returns the values of the column id.
func ids(t *plugintest.Table) map[int64]bool {
	out := map[int64]bool{}
	for _, v := range t.Column("id") {
		out[v.(int64)] = true
	}
	return out
}

func TestMapAddsTheNamedColumnsAndKeepsOthersOnlyWithKeep(t *testing.T) {
	for keep, want := range map[bool]string{false: "n int64, words string", true: "group string, id int64, text string, n int64, words string"} {
		got, err := plugintest.Map(t, offer, plugintest.Case{
			Kind: plugin.KindTransform, Type: "map", Rows: messages(3),
			Args: map[string]any{"keep": keep, "columns": map[string]any{"words": plugintest.Row("text"), "n": plugintest.Row("id")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		var columns []string
		for _, c := range got.Columns {
			columns = append(columns, c.Name+" "+c.Type)
		}
		if strings.Join(columns, ", ") != want || got.Rows[2]["n"] != int64(2) {
			t.Errorf("keep = %v: %s", keep, columns)
		}
	}
}

func TestFilterKeepsMatchingRowsInOrder(t *testing.T) {
	var rows []map[string]any
	for i := range 1000 {
		rows = append(rows, map[string]any{"id": i, "ok": i%3 == 0, "tags": []string{fmt.Sprint(i), "x"}, "f": float64(i) / 2})
	}
	rows[0]["ok"] = nil
	rows[6]["tags"] = nil
	got, err := run(t, "filter", map[string]any{"where": plugintest.Row("ok")}, rows)
	if err != nil {
		t.Fatal(err)
	}
	kept := got.Datasets[""]
	if len(kept.Rows) != 333 {
		t.Fatalf("%d rows", len(kept.Rows))
	}
	for k, r := range kept.Rows {
		id := int64(3 * (k + 1))
		if r["id"] != id || r["f"] != float64(id)/2 {
			t.Fatalf("row %d: %v", k, r)
		}
		if id != 6 && !strings.Contains(fmt.Sprint(r["tags"]), fmt.Sprint(id)) && !strings.Contains(fmt.Sprintf("%s", r["tags"]), fmt.Sprint(id)) {
			t.Fatalf("row %d has the tags of another: %s", k, r["tags"])
		}
	}
}

func TestAFilterThatKeepsNothingGivesAnEmptyDataset(t *testing.T) {
	got, err := run(t, "filter", map[string]any{"where": plugintest.Row("ok")}, []map[string]any{{"ok": false}})
	if err != nil || len(got.Datasets[""].Rows) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func shares(train float64) map[string]any {
	return map[string]any{"train": train, "test": 1 - train}
}

func TestSplitMatchesItsSharesAndLosesNoRow(t *testing.T) {
	got, err := run(t, "split", map[string]any{"shares": shares(0.8)}, messages(5000))
	if err != nil {
		t.Fatal(err)
	}
	train, test := ids(got.Datasets["train"]), ids(got.Datasets["test"])
	if len(train)+len(test) != 5000 {
		t.Errorf("%d and %d rows", len(train), len(test))
	}
	for id := range train {
		if test[id] {
			t.Fatalf("row %d is on both sides", id)
		}
	}
	// Four standard deviations of a binomial distribution.
	if off := math.Abs(float64(len(train)) - 4000); off > 4*math.Sqrt(5000*0.8*0.2) {
		t.Errorf("%d of 5000 rows are for training", len(train))
	}
}

func TestARowStaysInItsPartWhenOthersAreAddedOrRemoved(t *testing.T) {
	args := map[string]any{"shares": shares(0.8), "by": plugintest.Row("text")}
	before, err := run(t, "split", args, messages(1000))
	if err != nil {
		t.Fatal(err)
	}
	grown := messages(1500)[200:]
	grown[0], grown[500] = grown[500], grown[0]
	after, err := run(t, "split", args, grown)
	if err != nil {
		t.Fatal(err)
	}
	was, is := ids(before.Datasets["train"]), ids(after.Datasets["train"])
	for id := int64(200); id < 1000; id++ {
		if was[id] != is[id] {
			t.Fatalf("row %d changed sides", id)
		}
	}
}

func TestRowsWithTheSameByAreInTheSamePart(t *testing.T) {
	rows := messages(900)
	for i, r := range rows {
		r["text"] = fmt.Sprintf("customer %d", i%30)
	}
	got, err := run(t, "split", map[string]any{"shares": shares(0.5), "by": plugintest.Row("text")}, rows)
	if err != nil {
		t.Fatal(err)
	}
	side := map[any]string{}
	for name, d := range got.Datasets {
		for _, customer := range d.Column("text") {
			if side[customer] != "" && side[customer] != name {
				t.Fatalf("%s is on both sides", customer)
			}
			side[customer] = name
		}
	}
}

func TestAnotherSeedGivesAnotherSplit(t *testing.T) {
	first, err := run(t, "split", map[string]any{"shares": shares(0.5)}, messages(100))
	if err != nil {
		t.Fatal(err)
	}
	second, err := run(t, "split", map[string]any{"shares": shares(0.5), "seed": 1}, messages(100))
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(ids(first.Datasets["train"])) == fmt.Sprint(ids(second.Datasets["train"])) {
		t.Error("the split is the same")
	}
}

func TestAStratifiedSplitMatchesTheSharesWithinEachValue(t *testing.T) {
	got, err := run(t, "split", map[string]any{"shares": map[string]any{"a": 0.5, "b": 0.3, "c": 0.2}, "stratify": plugintest.Row("group")}, messages(300))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"a": 50, "b": 30, "c": 20} {
		counts := map[any]int{}
		for _, g := range got.Datasets[name].Column("group") {
			counts[g]++
		}
		for _, g := range []string{"a", "b", "c"} {
			if counts[g] != want {
				t.Errorf("part %s has %d rows of group %s, not %d", name, counts[g], g, want)
			}
		}
	}
}

func TestSampleDrawsTheGivenNumberOfRowsInOrder(t *testing.T) {
	for rows, want := range map[int]int{0: 0, 1: 1, 100: 100, 5000: 1000} {
		got, err := run(t, "sample", map[string]any{"rows": rows}, messages(1000))
		if err != nil {
			t.Fatal(err)
		}
		drawn := got.Datasets[""]
		if len(drawn.Rows) != want || len(ids(drawn)) != want {
			t.Errorf("rows = %d draws %d", rows, len(drawn.Rows))
		}
		for i := 1; i < len(drawn.Rows); i++ {
			if drawn.Rows[i-1]["id"].(int64) >= drawn.Rows[i]["id"].(int64) {
				t.Fatal("the rows are out of order")
			}
		}
	}
}

func TestSampleDrawsTheGivenNumberOfEqualRows(t *testing.T) {
	same := make([]map[string]any, 50)
	for i := range same {
		same[i] = map[string]any{"text": "the same"}
	}
	got, err := run(t, "sample", map[string]any{"rows": 20}, same)
	if err != nil || len(got.Datasets[""].Rows) != 20 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestASampleKeepsItsRowsWhenTheDatasetGrows(t *testing.T) {
	args := map[string]any{"share": 0.3}
	before, err := run(t, "sample", args, messages(1000))
	if err != nil {
		t.Fatal(err)
	}
	after, err := run(t, "sample", args, messages(2000))
	if err != nil {
		t.Fatal(err)
	}
	is := ids(after.Datasets[""])
	for id := range ids(before.Datasets[""]) {
		if !is[id] {
			t.Fatalf("row %d is drawn no longer", id)
		}
	}
	if n := len(before.Datasets[""].Rows); n < 240 || n > 360 {
		t.Errorf("%d of 1000 rows are drawn", n)
	}
}

func TestHashesAreStable(t *testing.T) {
	// A change here moves rows to other parts in every pipeline, and requires a
	// new behavior version.
	got, err := run(t, "split", map[string]any{"shares": shares(0.5), "by": plugintest.Row("text")}, messages(20))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(got.Datasets["test"].Column("id")); got != "[0 1 2 4 5 6 8 11 12 14 16]" {
		t.Errorf("the test part is %s", got)
	}
}

func TestMistakesAreReported(t *testing.T) {
	cases := map[string]struct {
		typ  string
		args map[string]any
		want string
	}{
		"shares that do not add up":  {"split", map[string]any{"shares": map[string]any{"a": 0.5, "b": 0.4}}, "add up to 0.9"},
		"a negative share":           {"split", map[string]any{"shares": map[string]any{"a": 1.5, "b": -0.5}}, `share of "a", 1.5, is out of range`},
		"a sample without a size":    {"sample", map[string]any{}, "size is missing"},
		"a sample with two sizes":    {"sample", map[string]any{"rows": 1, "share": 0.5}, "cannot be combined"},
		"a map that makes no column": {"map", map[string]any{"columns": map[string]any{}}, "columns is empty"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := plugintest.Prepare(t, offer, plugintest.Case{Kind: plugin.KindTransform, Type: c.typ, Args: c.args, Rows: messages(3)})
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Errors) != 1 || !strings.Contains(got.Errors[0].Text, c.want) {
				t.Errorf("errors: %v", got.Errors)
			}
		})
	}
}
