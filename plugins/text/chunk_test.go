package text

import (
	"fmt"
	"math/rand/v2"
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

var offer = plugin.Plugin{Name: "text", Version: "1.0.0", Types: Types(func() string { return "." })}

func expand(t *testing.T, typ string, args map[string]any, columns data.Schema, rows []map[string]any) (*plugintest.FlatMapResult, error) {
	t.Helper()
	return plugintest.FlatMap(t, offer, plugintest.Case{Kind: plugin.KindTransform, Type: typ, Args: args, Columns: columns, Rows: rows})
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
