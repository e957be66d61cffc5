package rows

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apparentlymart/go-textseg/v15/textseg"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/internal/tokens"
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

func TestChunksEndWhereParagraphsSentencesAndWordsEnd(t *testing.T) {
	for _, c := range []struct {
		text          string
		size, overlap int
		want          string
	}{
		{"", 5, 0, ""},
		{"short", 5, 0, "short"},
		{"One two.\n\nThree four five", 14, 0, "One two.\n\n|Three four |five"},
		{"One. Two. Three four", 12, 0, "One. Two. |Three four"},
		{"alpha beta gamma", 7, 0, "alpha |beta |gamma"},
		{"abcdefghij", 4, 0, "abcd|efgh|ij"},
		{"one two three four", 9, 4, "one two |three |four"},
		{"一二三。四五六。七", 6, 0, "一二三。|四五六。七"},
		{"「一二。」三四五", 6, 0, "「一二。」|三四五"},
		{"e\u0301e\u0301e\u0301", 2, 0, "e\u0301e\u0301|e\u0301"},
		{"a\r\nb\r\nc", 3, 0, "a\r\n|b\r\nc"},
	} {
		if got := strings.Join(cutText(c.text, c.size, c.overlap, nil), "|"); got != c.want {
			t.Errorf("%q by %d, overlapping by %d: got %q, want %q", c.text, c.size, c.overlap, got, c.want)
		}
	}
}

var snippets = []string{
	"word", "another ", "Sentence. ", "Ende! ", "\n", "\n\n", "\r\n", " ", "é", "e\u0301", "👩‍👩‍👧‍👦", "🇩🇪", "漢字。", "「引用。」", "ก็", "a-very-long-word-without-any-space", "\u00a0", "\x00", "…", "\t",
}

func randomText(rng *rand.Rand) string {
	var b strings.Builder
	for range rng.IntN(120) {
		b.WriteString(snippets[rng.IntN(len(snippets))])
	}
	return b.String()
}

func TestChunksKeepEveryByteAndTheirSize(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range reference.Rounds(400, 20_000) {
		text := randomText(rng)
		size := 1 + rng.IntN(60)
		overlap := rng.IntN(size)
		var count *tokens.Counter
		if rng.IntN(4) == 0 {
			count = tokens.For("o200k_base")
		}
		if got := strings.Join(cutText(text, size, 0, count), ""); got != text {
			t.Fatalf("%q by %d came out as %q", text, size, got)
		}
		checkChunks(t, text, cutText(text, size, overlap, count), size, overlap, count)
	}
}

// checkChunks checks that chunks cover a text in order, are of the size, overlap by
// no more than they may, and split no character.
func checkChunks(t *testing.T, text string, chunks []string, size, overlap int, count *tokens.Counter) {
	t.Helper()
	edges := characterEdges(text)
	long := func(s string) int {
		if count != nil {
			return int(count.Text(s))
		}
		return len(characterEdges(s)) - 1
	}
	end := 0 // byte of the text where the last chunk ended
	for i, chunk := range chunks {
		if !utf8.ValidString(chunk) {
			t.Fatalf("chunk %d of %q is not UTF-8: %q", i, text, chunk)
		}
		from := -1
		for at := end; at >= 0; at-- {
			if edges[at] && strings.HasPrefix(text[at:], chunk) && long(text[at:end]) <= overlap && at+len(chunk) > end {
				from = at
				break
			}
		}
		if from < 0 || !edges[from+len(chunk)] {
			t.Fatalf("chunk %d of %q by %d, overlapping by %d, does not follow byte %d: %q", i, text, size, overlap, end, chunk)
		}
		if n := long(chunk); n > size && len(characterEdges(chunk)) > 2 {
			t.Fatalf("chunk %d of %q has the size %d, not %d: %q", i, text, n, size, chunk)
		}
		end = from + len(chunk)
	}
	if end != len(text) {
		t.Fatalf("the chunks of %q end at byte %d of %d", text, end, len(text))
	}
}

// characterEdges are the bytes at which characters begin or end.
func characterEdges(text string) map[int]bool {
	edges, at := map[int]bool{0: true}, 0
	for rest := []byte(text); len(rest) > 0; {
		n, _, _ := textseg.ScanGraphemeClusters(rest, true)
		rest, at = rest[n:], at+n
		edges[at] = true
	}
	return edges
}

func TestChunkMakesRowsOfATextAndDropsIt(t *testing.T) {
	rows := []map[string]any{{"id": 1, "text": "One two. Three four."}, {"id": 2, "text": nil}, {"id": 3, "text": "x"}}
	got, err := expand(t, "chunk", map[string]any{"text": plugintest.Row("text"), "size": 10}, data.Schema{{Name: "id", Type: "int64"}, {Name: "text", Type: "string"}}, rows)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range got.Rows {
		all = append(all, fmt.Sprintf("%v %v %q", r["id"], r["chunk_index"], r["chunk"]))
	}
	if want := []string{`1 0 "One two. "`, `1 1 "Three "`, `1 2 "four."`, `3 0 "x"`}; !slices.Equal(all, want) {
		t.Errorf("got %v", all)
	}
	if names := got.Columns.Names(); !slices.Equal(names, []string{"id", "chunk", "chunk_index"}) {
		t.Errorf("the columns are %v", names)
	}
	for _, args := range []map[string]any{{"size": 0}, {"size": 5, "overlap": 5}, {"size": 5, "overlap": -1}} {
		args["text"] = plugintest.Row("text")
		if _, err := expand(t, "chunk", args, nil, rows); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}
