package dedup

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zeebo/xxh3"

	"github.com/quern-dev/quern/plugins/dedup/minhash"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

var textColumns = data.Schema{{Name: "id", Type: "string"}, {Name: "text", Type: "string"}}

func TestPassagesThatOccurSeveralTimesAreKeptOnce(t *testing.T) {
	passage := "It was the best of times, it was the worst of times"
	rows := []row{
		{"id": "1", "text": "First: " + passage + ". The end."}, {"id": "2", "text": "Nothing else is here."},
		{"id": "3", "text": strings.ToUpper(passage) + "! And more"}, {"id": "4", "text": nil}, {"id": "5", "text": ""},
		{"id": "6", "text": "Hey hey hey hey hey hey hey hey."},
	}
	got := run(t, plugintest.Case{Rows: rows, Columns: textColumns, ShardRows: 2, Args: map[string]any{
		"method": "substrings", "text": plugintest.Row("text"), "ngram": 4, "remove": true,
	}})
	rest := got.Datasets[""].Column("rest")
	if rest[1] != rows[1]["text"] || rest[3] != nil || rest[4] != "" || rest[5] != "Hey hey hey hey ." {
		t.Errorf("the rests are %q", rest)
	}
	one, three := rest[0] == "First: . The end." && rest[2] == rows[2]["text"], rest[2] == "! And more" && rest[0] == rows[0]["text"]
	if one == three {
		t.Errorf("the rests are %q", rest)
	}
	if v := got.Value.GetAttr("repeated_rows").AsBigFloat().String(); v != "2" {
		t.Errorf("%s rows have repeated passages", v)
	}
}

// plainRest is a text without its repeated passages, found by comparing all runs of words
// with all others.
func plainRest(text string, all []string, n int) string {
	var rest []byte
	covered := make([]bool, len(text))
	words, places := plainWords(text)
	for i := 0; i+n <= len(words); i++ {
		repeated := slices.ContainsFunc(all, func(other string) bool {
			w, _ := plainWords(other)
			return printOf(other).compare(printOf(text)) < 0 && indexOf(w, words[i:i+n]) >= 0
		})
		if repeated || i >= indexOf(words, words[i:i+n])+n {
			for k := places[i].From; k < places[i+n-1].To; k++ {
				covered[k] = true
			}
		}
	}
	for i := range covered {
		if !covered[i] {
			rest = append(rest, text[i])
		}
	}
	return string(rest)
}

func plainWords(text string) (words []string, places []minhash.Place) {
	at := 0
	for _, w := range strings.SplitAfter(text, " ") {
		if word := strings.Trim(w, " .,!"); word != "" {
			words, places = append(words, strings.ToLower(word)), append(places, minhash.Place{From: at, To: at + len(word)})
		}
		at += len(w)
	}
	return words, places
}

func indexOf(words, run []string) int {
	for i := 0; i+len(run) <= len(words); i++ {
		if slices.Equal(words[i:i+len(run)], run) {
			return i
		}
	}
	return -1
}

func printOf(text string) digest {
	hash := xxh3.HashString128(text)
	return digest{hash.Hi, hash.Lo | 1}
}

// TestRepeatedPassagesAreThoseOfAPlainSearch changes texts step by step. What is kept from
// run to run must not change the result.
func TestRepeatedPassagesAreThoseOfAPlainSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	var rows []row
	kept := ""
	for step := range 15 {
		for range 1 + r.IntN(5) {
			var words []string
			for range r.IntN(40) {
				words = append(words, fmt.Sprintf("%c%s", 'a'+rune(r.IntN(3)), []string{"", ",", "!", "."}[r.IntN(4)]))
			}
			rows = slices.Insert(rows, r.IntN(len(rows)+1), row{"id": fmt.Sprint(len(rows)), "text": strings.Join(words, " ")})
		}
		if n := r.IntN(3); len(rows) > 2*n {
			rows = slices.Delete(rows, n, 2*n)
		}
		var all []string
		for _, row := range rows {
			all = append(all, row["text"].(string))
		}
		got := run(t, plugintest.Case{Rows: rows, Columns: textColumns, ShardRows: 5, Kept: kept, Args: map[string]any{
			"method": "substrings", "text": plugintest.Row("text"), "ngram": 6, "remove": true,
		}})
		kept = got.Kept
		for i, rest := range got.Datasets[""].Column("rest") {
			if want := plainRest(all[i], all, 6); rest != want {
				t.Fatalf("step %d, %q: left %q, want %q", step, all[i], rest, want)
			}
		}
	}
}

func FuzzPassages(f *testing.F) {
	f.Add("a b c a b c a b c", "x a b c", 2)
	f.Add("\xff\r日本語 日本語", "", 3)
	f.Fuzz(func(t *testing.T, a, b string, n int) {
		n = 2 + (n&0xff)%10
		reader := &runReader{finder: minhash.NewRuns(n)}
		for _, text := range []string{a, b} {
			builder := array.NewStringBuilder(memory.DefaultAllocator)
			builder.Append(text)
			reader.batch(builder.NewStringArray())
		}
		known := &runs{rows: 2, content: reader.encode()}
		known.n = len(reader.found)
		known.foreign = make([]uint64, (known.n+63)/64)
		for row, text := range []string{a, b} {
			hashes, words := minhash.NewRuns(n).Of(text)
			at := 0
			for _, p := range known.passages(row, hashes, words, n) {
				if p.From < at || p.To <= p.From || p.To > len(text) {
					t.Fatalf("passage %v of a text of %d bytes, after %d", p, len(text), at)
				}
				at = p.To
			}
		}
	})
}
