package linear

import (
	"testing"
)

// buckets returns the buckets of a text, and how often each occurs.
func buckets(f Features, text string) map[uint32]float32 {
	x := extractor{Features: f}
	out := map[uint32]float32{}
	for _, t := range x.counts(text) {
		out[t.at] += t.value
	}
	return out
}

func TestTextsWithoutRelevantDifferencesHaveTheSameFeatures(t *testing.T) {
	f := DefaultOptions().Features
	same := [][2]string{
		{"Where is my card?", "where is my card?"},
		{"Where is my card?", "  Where   is\tmy\ncard ? "},
		{"ÄRGER", "ärger"},
	}
	for _, c := range same {
		a, b := buckets(f, c[0]), buckets(f, c[1])
		if len(a) != len(b) {
			t.Errorf("%q and %q differ", c[0], c[1])
		}
		for k, n := range a {
			if b[k] != n {
				t.Errorf("%q and %q differ", c[0], c[1])
				break
			}
		}
	}
	f.Lowercase = false
	if len(buckets(f, "Card")) == 0 || equal(buckets(f, "Card"), buckets(f, "card")) {
		t.Error("case is ignored though it should matter")
	}
}

func equal(a, b map[uint32]float32) bool {
	for k, n := range a {
		if b[k] != n {
			return false
		}
	}
	return len(a) == len(b)
}

func TestNGramsAreCounted(t *testing.T) {
	cases := map[string]struct {
		features Features
		text     string
		want     float32 // the total number of n-grams
	}{
		"single words":             {Features{Words: 1, Bits: 18}, "a b a", 3},
		"words and pairs":          {Features{Words: 2, Bits: 18}, "a b a", 5},
		"signs are words":          {Features{Words: 1, Bits: 18}, "why?!", 3},
		"characters with borders":  {Features{CharsMin: 3, CharsMax: 3, Bits: 18}, "card", 4},
		"two lengths":              {Features{CharsMin: 2, CharsMax: 3, Bits: 18}, "card", 9},
		"a word that is too short": {Features{CharsMin: 4, CharsMax: 5, Bits: 18}, "a", 0},
		"nothing":                  {Features{Words: 2, CharsMin: 3, CharsMax: 5, Bits: 18}, " \n", 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got float32
			for _, n := range buckets(c.features, c.text) {
				got += n
			}
			if got != c.want {
				t.Errorf("%g n-grams, want %g", got, c.want)
			}
		})
	}
}

func TestHashesAreStableForSavedModels(t *testing.T) {
	// A change here makes every saved model predict nonsense. It requires a new
	// format name.
	f := Features{Words: 1, Bits: 18}
	for text, want := range map[string]uint32{"card": 79023, "Straße": 218234} {
		for got := range buckets(f, text) {
			if got != want {
				t.Errorf("%q is in bucket %d, not %d", text, got, want)
			}
		}
	}
}
