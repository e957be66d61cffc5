package text

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"

	"github.com/quern-dev/quern/internal/spacy"
)

// readExpected reads a file that a script in testdata has made.
func readExpected(t *testing.T, name string, into any) {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// chunksExpected is what testdata/chunks.py has written.
type chunksExpected struct {
	Documents []struct {
		Text     string
		Headings [][3]any // line, level, text
	}
	Texts []struct {
		Text   string
		Starts map[string][]int // by language, in characters
	}
}

func TestHeadingsAreThoseOfMarkdownIt(t *testing.T) {
	var want chunksExpected
	readExpected(t, "chunks.json.gz", &want)
	for _, d := range want.Documents {
		var got [][3]any
		for _, n := range topLevel(d.Text) {
			if h, ok := n.Node.(*ast.Heading); ok {
				got = append(got, [3]any{float64(strings.Count(d.Text[:n.start], "\n")), float64(h.Level), strings.Join(strings.Fields(title(h, d.Text)), " ")})
			}
		}
		for i := range d.Headings {
			d.Headings[i][2] = strings.Join(strings.Fields(d.Headings[i][2].(string)), " ")
		}
		if !slices.Equal(got, d.Headings) {
			t.Errorf("%q has the headings\n %v, want\n %v", d.Text, got, d.Headings)
		}
	}
}

func TestSentencesAreThoseOfSpaCy(t *testing.T) {
	var want chunksExpected
	readExpected(t, "chunks.json.gz", &want)
	for language, words := range map[string]*spacy.Tokenizer{"en": spacy.English(), "xx": spacy.Multilingual()} {
		for _, text := range want.Texts {
			var got []int
			for start := range words.SentenceStarts(text.Text) {
				got = append(got, utf8.RuneCountInString(text.Text[:start]))
			}
			if !slices.Equal(got, text.Starts[language]) {
				t.Errorf("%s: %q has sentences that begin at %v, want %v", language, text.Text, got, text.Starts[language])
			}
		}
	}
}
