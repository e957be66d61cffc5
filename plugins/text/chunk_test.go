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
	"github.com/quern-dev/quern/internal/spacy"
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
		if got := strings.Join(parts(c.text, limit{size: c.size, overlap: c.overlap}.prose(c.text)), "|"); got != c.want {
			t.Errorf("%q by %d, overlapping by %d: got %q, want %q", c.text, c.size, c.overlap, got, c.want)
		}
	}
}

func TestChunksOfSentencesMarkdownAndCode(t *testing.T) {
	for _, c := range []struct {
		by, text      string
		size, overlap int
		want          string
	}{
		{"sentence", "Dr. No left. He said: \"Stop!\" Why?", 0, 0, `Dr. No left. |He said: "Stop!" |Why?`},
		{"sentence", "A title\n\nOne two. Three\nfour.  Five", 0, 0, "A title\n\n|One two. |Three\nfour.  |Five"},
		{"sentence", "一二三。 四五六！「七。」八", 0, 0, "一二三。 |四五六！|「七。」|八"},
		{"sentence", "One. Two. Three four five.", 11, 0, "One. Two. |Three four |five."},
		{"sentence", "One. Two. Three. Four.", 13, 6, "One. Two. |Two. Three. |Four."},
		{"sentence", " \n", 0, 0, " \n"},
		{"markdown", "# A\n\n## B\n\ntext\n\n# C\n", 0, 0, "# A\n\n## B\n\ntext\n\n[A/B]|# C\n[C]"},
		{"markdown", "intro\n\nA *b*\n===\ntext\n### C ##\n## D\n", 0, 0, "intro\n\n[]|A *b*\n===\ntext\n[A *b*]|### C ##\n[A *b*/C]|## D\n[A *b*/D]"},
		{"markdown", "---\ntitle: x\n---\n# A\n", 0, 0, "---\ntitle: x\n---\n[]|# A\n[A]"},
		{"markdown", "---\n\n# A\n", 0, 0, "---\n\n[]|# A\n[A]"},
		{"markdown", "# A\n```\n# B\n\nx\n```\ny", 0, 0, "# A\n```\n# B\n\nx\n```\ny[A]"},
		{"markdown", "# A\none two\n```\na b\n\nc d\n```\nthree", 21, 0, "# A\none two\n[A]|```\na b\n\nc d\n```\n[A]|three[A]"},
		{"markdown", "```\naaaa bbbb\ncccc dddd\n```\n", 12, 0, "```\n[]|aaaa bbbb\n[]|cccc dddd\n[]|```\n[]"},
		{"code", "import a\n\ndef f():\n    x\n\n    y\n\n\ndef g():\n    z\n", 0, 0, "import a\n\n|def f():\n    x\n\n    y\n\n\n|def g():\n    z\n"},
		{"code", "def f():\n    if a:\n        b\n    else:\n        c\n    d\n", 36, 0, "def f():\n    if a:\n        b\n|    else:\n        c\n    d\n"},
		{"code", "f(\n  a,\n)\ng()\n", 12, 0, "f(\n  a,\n)\n|g()\n"},
		{"code", "a-very-long-line\nb\n", 4, 0, "a-very-long-line\n|b\n"},
		{"code", "a\nb\nc\nd\n", 4, 2, "a\nb\n|b\nc\n|c\nd\n"},
	} {
		l := limit{size: c.size, overlap: c.overlap}
		var all []string
		switch c.by {
		case "sentence":
			all = parts(c.text, l.sentences(c.text, spacy.English()))
		case "code":
			all = parts(c.text, l.code(c.text))
		default:
			for _, p := range l.markdown(c.text) {
				all = append(all, c.text[p.start:p.end]+"["+strings.Join(p.headings, "/")+"]")
			}
		}
		if got := strings.Join(all, "|"); got != c.want {
			t.Errorf("%q by %s and %d, overlapping by %d: got\n %q, want\n %q", c.text, c.by, c.size, c.overlap, got, c.want)
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
		l := limit{size: 1 + rng.IntN(60)}
		l.overlap = rng.IntN(l.size)
		if rng.IntN(4) == 0 {
			l.count = tokens.For("o200k_base")
		}
		checkChunks(t, text, l)
	}
}

func FuzzChunksRestoreTheText(f *testing.F) {
	f.Add("# A\n\nOne. Two.\n\n## B\n\n```\nx\n```\n\n- y\n", uint8(9), uint8(3))
	f.Add("---\na: b\n---\nTitle\n=====\n<pre>\n# no\n\n</pre>\n> # quoted\n", uint8(5), uint8(0))
	f.Add("def f():\n\treturn [\n\t\t1,\n\t]\n\n\nclass A:\n    x = 1\n\r\n\rend", uint8(20), uint8(4))
	f.Add("Dr. No said: \"Ja!\" (Quite so.) e\u0301 \u3002\u300d\u4e00\u3002", uint8(1), uint8(0))
	f.Fuzz(func(t *testing.T, text string, size, overlap uint8) {
		l := limit{size: int(size)}
		if size > 0 {
			l.overlap = int(overlap) % int(size)
		}
		checkChunks(t, text, l)
	})
}

// checkChunks checks what all ways to split a text promise.
func checkChunks(t *testing.T, text string, l limit) {
	t.Helper()
	whole := l
	whole.overlap = 0
	words := spacy.English()
	for name, split := range map[string]func(l limit) []chunk{
		"prose":    func(l limit) []chunk { return l.prose(text) },
		"sentence": func(l limit) []chunk { return l.sentences(text, words) },
		"markdown": func(l limit) []chunk { return l.markdown(text) },
		"code":     func(l limit) []chunk { return l.code(text) },
	} {
		if got := strings.Join(parts(text, split(whole)), ""); got != text {
			t.Fatalf("%q by %s and %d came out as %q", text, name, l.size, got)
		}
		if l.size > 0 && utf8.ValidString(text) { // the number of characters of other texts depends on where one begins to read
			checkLimits(t, name, text, split(l), l)
		}
	}
}

// checkLimits checks that chunks cover a text in order, are of the size, overlap by
// no more than they may, and split no character.
func checkLimits(t *testing.T, name, text string, chunks []chunk, l limit) {
	t.Helper()
	edges := characterEdges(text)
	long := func(s string) int {
		if l.count != nil {
			return int(l.count.Text(s))
		}
		return len(characterEdges(s)) - 1
	}
	end := 0 // byte of the text where the last chunk ended
	for i, c := range chunks {
		part := text[c.start:c.end]
		if c.start > end || c.end <= end || i > 0 && c.start <= chunks[i-1].start || !edges[c.start] || !edges[c.end] {
			t.Fatalf("%s: chunk %d of %q by %+v is from %d to %d, after byte %d", name, i, text, l, c.start, c.end, end)
		}
		if n := long(text[c.start:end]); n > l.overlap {
			t.Fatalf("%s: chunk %d of %q by %+v repeats %d units", name, i, text, l, n)
		}
		lines := strings.Count(strings.ReplaceAll(part[:len(part)-1], "\r\n", "\n"), "\n")
		if n := long(part); n > l.size && len(characterEdges(part)) > 2 && (name != "code" || lines > 0) {
			t.Fatalf("%s: chunk %d of %q has the size %d, not %d: %q", name, i, text, n, l.size, part)
		}
		end = c.end
	}
	if end != len(text) {
		t.Fatalf("%s: the chunks of %q end at byte %d of %d", name, text, end, len(text))
	}
}

func parts(text string, chunks []chunk) (out []string) {
	for _, c := range chunks {
		out = append(out, text[c.start:c.end])
	}
	return out
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
	for _, args := range []map[string]any{{}, {"size": 0}, {"size": 5, "overlap": 5}, {"size": 5, "overlap": -1}, {"by": "code", "overlap": 1}} {
		args["text"] = plugintest.Row("text")
		if _, err := expand(t, "chunk", args, nil, rows); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}
