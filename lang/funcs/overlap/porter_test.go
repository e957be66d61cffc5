package overlap

import (
	"os"
	"strings"
	"testing"
)

// testdata/porter.txt contains the results of PorterStemmer in nltk 3.10.4 for some words.
func TestStemsAreThoseOfNLTK(t *testing.T) {
	text, err := os.ReadFile("testdata/porter.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) < 1000 {
		t.Fatalf("only %d words", len(lines))
	}
	for _, line := range lines {
		word, want, _ := strings.Cut(line, " ")
		if got := porter(word); got != want {
			t.Errorf("%s: %s, not %s", word, got, want)
		}
	}
}
