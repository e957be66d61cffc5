package rows

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// list returns the values of the column id in order.
func list(t *plugintest.Table) []int64 {
	var out []int64
	for _, v := range t.Column("id") {
		out = append(out, v.(int64))
	}
	return out
}

func TestLimitKeepsTheFirstRowsOfAllOrOfEachGroup(t *testing.T) {
	rows := messages(40_000) // more than two batches
	rows[3]["group"], rows[5]["group"] = nil, nil
	for _, c := range []struct {
		args map[string]any
		want []int64
	}{
		{map[string]any{"rows": 0}, nil},
		{map[string]any{"rows": 3}, []int64{0, 1, 2}},
		{map[string]any{"rows": 2, "offset": 16_383}, []int64{16_383, 16_384}},
		{map[string]any{"rows": 5, "offset": 39_999}, []int64{39_999}},
		{map[string]any{"rows": 5, "offset": 50_000}, nil},
		{map[string]any{"rows": 1, "per": plugintest.Row("group")}, []int64{0, 1, 2, 3}},
		{map[string]any{"rows": 1, "offset": 1, "per": plugintest.Row("group"), "memory_limit": "1KB"}, []int64{4, 5, 6, 8}},
	} {
		got, err := run(t, "limit", c.args, rows)
		if err != nil {
			t.Fatal(err)
		}
		if have := list(got.Datasets[""]); !slices.Equal(have, c.want) {
			t.Errorf("%v: %v, want %v", c.args, have, c.want)
		}
	}
	for args, text := range map[string]map[string]any{"Cannot keep -1 rows": {"rows": -1}, "Cannot skip -1 rows": {"rows": 1, "offset": -1}} {
		if _, err := run(t, "limit", text, rows[:1]); err == nil || !strings.Contains(err.Error(), args) {
			t.Errorf("%v", err)
		}
	}
}

func TestShuffleDependsOnValuesAndSeedAlone(t *testing.T) {
	rows := messages(2000)
	order := func(args map[string]any, rows []map[string]any) []int64 {
		got, err := run(t, "shuffle", args, rows)
		if err != nil {
			t.Fatal(err)
		}
		return list(got.Datasets[""])
	}
	first := order(map[string]any{"seed": 1}, rows)
	sorted := slices.Clone(first)
	slices.Sort(sorted)
	if int64(len(slices.Compact(sorted))) != 2000 || slices.IsSorted(first) {
		t.Fatal("it is not a permutation")
	}
	if slices.Equal(first, order(map[string]any{"seed": 2}, rows)) {
		t.Error("another seed gives the same order")
	}
	mixed := slices.Clone(rows)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	if !slices.Equal(first, order(map[string]any{"seed": 1, "memory_limit": "10KB"}, mixed)) {
		t.Error("the order depends on the order of the input")
	}
	grown := order(map[string]any{"seed": 1}, messages(3000))
	old := slices.DeleteFunc(grown, func(id int64) bool { return id >= 2000 })
	if !slices.Equal(first, old) {
		t.Error("old rows changed places when rows were added")
	}
}

func TestShuffleKeepsTogetherWhatBelongsTogether(t *testing.T) {
	rows := messages(900)
	for i, r := range rows {
		r["text"] = fmt.Sprint("conversation ", i%300)
	}
	got, err := run(t, "shuffle", map[string]any{"by": plugintest.Row("text")}, rows)
	if err != nil {
		t.Fatal(err)
	}
	all := list(got.Datasets[""])
	for i := 0; i < 900; i += 3 {
		if all[i+1] != all[i]+300 || all[i+2] != all[i]+600 {
			t.Fatalf("rows %v of a conversation", all[i:i+3])
		}
	}
}

func TestOrderingStagesTakeDatasetsWithoutRowsAndWithNulls(t *testing.T) {
	for _, typ := range []string{"limit", "shuffle"} {
		for n, rows := range [][]map[string]any{{}, {{"id": nil, "text": nil}}} {
			args := map[string]any{}
			if typ == "limit" {
				args = map[string]any{"rows": 5, "per": plugintest.Row("id")}
			}
			got, err := plugintest.Run(t, offer, plugintest.Case{Kind: "transform", Type: typ, Args: args, Columns: listed, Rows: withoutText(rows)})
			if err != nil || len(got.Datasets[""].Rows) != n {
				t.Errorf("%s of %d rows: %v, %v", typ, n, got, err)
			}
		}
	}
}

func withoutText(rows []map[string]any) []map[string]any {
	for _, r := range rows {
		delete(r, "text")
	}
	return rows
}
