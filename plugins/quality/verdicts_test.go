package quality

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/quern-dev/quern/internal/spacy"
)

// datatrove's names of the rules.
var datatrove = map[string]string{
	"dup_para_frac": "max_duplicate_paragraphs", "dup_para_char_frac": "max_duplicate_paragraph_chars",
	"dup_line_frac": "max_duplicate_lines", "dup_line_char_frac": "max_duplicate_line_chars",
	"top_2_gram": "max_top_2gram", "top_3_gram": "max_top_3gram", "top_4_gram": "max_top_4gram",
	"duplicated_5_n_grams": "max_duplicate_5grams", "duplicated_6_n_grams": "max_duplicate_6grams", "duplicated_7_n_grams": "max_duplicate_7grams",
	"duplicated_8_n_grams": "max_duplicate_8grams", "duplicated_9_n_grams": "max_duplicate_9grams", "duplicated_10_n_grams": "max_duplicate_10grams",
	"gopher_short_doc": "min_words", "gopher_long_doc": "max_words",
	"gopher_below_avg_threshold": "min_word_length", "gopher_above_avg_threshold": "max_word_length",
	"gopher_too_many_hashes": "max_hashes", "gopher_too_many_ellipsis": "max_ellipses",
	"gopher_too_many_bullets": "max_bullet_lines", "gopher_too_many_end_ellipsis": "max_ellipsis_lines",
	"gopher_below_alpha_threshold": "min_alphabetic_words", "gopher_enough_stop_words": "min_stop_words",
	"lorem_ipsum": "max_lorem_ipsum", "curly_bracket": "max_curly_brackets", "too_few_sentences": "min_sentences",
	"line_punct_ratio": "min_line_punctuation", "short_line_ratio": "max_short_lines",
	"char_dup_ratio": "max_duplicate_line_chars", "list_ratio": "max_line_feeds",
	"": "", "empty": "empty",
}

// defaults are the sets of rules with the limits of their papers.
func defaults() []set {
	return []set{
		&gopherRepetition{.3, .2, .3, .2, .2, .18, .16, .15, .14, .13, .12, .11, .1, nil},
		&gopherQuality{50, 100_000, 3, 10, .1, .1, .9, .3, .8, 2, strings.Fields("the be to of and that have with"), nil},
		&c4{5, 0, 0, true, 3, 1000, true, true, true, nil},
		&fineWeb{.12, .67, 30, .01, .3, nil},
	}
}

func zipped(t testing.TB, name string, each func(line []byte)) {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(unzipped)
	for in.Scan() {
		each(in.Bytes())
	}
	if in.Err() != nil {
		t.Fatal(in.Err())
	}
}

type verdict struct {
	text    string
	reasons []string
	left    string
}

// parts are what the texts consist of.
func parts(t testing.TB) (out []string) {
	t.Helper()
	zipped(t, "parts.jsonl.gz", func(line []byte) {
		var part string
		if err := json.Unmarshal(line, &part); err != nil {
			t.Fatal(err)
		}
		out = append(out, part)
	})
	return out
}

// verdicts are datatrove's.
func verdicts(t testing.TB) []verdict {
	t.Helper()
	parts := parts(t)
	var out []verdict
	zipped(t, "verdicts.jsonl.gz", func(line []byte) {
		var v verdict
		var numbers []int
		var separator string
		if err := json.Unmarshal(line, &[]any{&numbers, &separator, &v.reasons, &v.left}); err != nil {
			t.Fatal(err)
		}
		chosen := make([]string, len(numbers))
		for i, n := range numbers {
			chosen[i] = parts[n]
		}
		v.text = strings.Join(chosen, separator)
		out = append(out, v)
	})
	return out
}

// firstFailed returns the first rule of a set that a text fails.
func firstFailed(d *document, s set) string {
	rules := s.rules()
	measures := make([]float64, len(rules))
	if !s.measure(d, measures) {
		return "empty"
	}
	for i, r := range rules {
		if r.failed(measures[i]) {
			return r.name
		}
	}
	return ""
}

func TestVerdictsAreThoseOfDatatrove(t *testing.T) {
	all := verdicts(t)
	different := map[string]int{}
	d := &document{tokenizer: spacy.English()}
	for i, s := range defaults() {
		seen := map[string]bool{}
		for _, v := range all {
			d.reset(v.text)
			want, known := datatrove[v.reasons[i]]
			if !known {
				t.Fatalf("unknown reason %q", v.reasons[i])
			}
			seen[want] = true
			if got := firstFailed(d, s); got != want && !(want == "min_words" && got == "empty") {
				different[s.name()]++
				if different[s.name()] < 5 {
					t.Logf("%s: %q, want %q: %.200q", s.name(), got, want, v.text)
				}
			} else if e, ok := s.(editor); ok && want == "" {
				if sum := sha256.Sum256([]byte(e.edit(d))); hex.EncodeToString(sum[:8]) != v.left {
					t.Errorf("c4 leaves another text of %.200q", v.text)
				}
			}
		}
		t.Logf("%s: %d of %d verdicts differ; %d kinds of verdicts", s.name(), different[s.name()], len(all), len(seen))
		if different[s.name()]*1000 > len(all) {
			t.Errorf("%s: more than 0.1%% of the verdicts differ", s.name())
		}
	}
}

func BenchmarkAllSets(b *testing.B) {
	all := verdicts(b)
	d := &document{tokenizer: spacy.English()}
	sets := defaults()
	size := 0
	for _, v := range all {
		size += len(v.text)
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		for _, v := range all {
			d.reset(v.text)
			for _, s := range sets {
				firstFailed(d, s)
			}
		}
	}
}

func TestCorrectionsOfRefinedWebAreThoseOfDCLM(t *testing.T) {
	parts := parts(t)
	r, d := &refinedWeb{.05, .5, true, true, 2, 10, nil}, &document{tokenizer: spacy.English()}
	n, different := 0, 0
	zipped(t, "refinedweb.jsonl.gz", func(line []byte) {
		var items []any
		var separator, left string
		var keeps bool
		if err := json.Unmarshal(line, &[]any{&items, &separator, &keeps, &left}); err != nil {
			t.Fatal(err)
		}
		chosen := make([]string, len(items))
		for i, item := range items {
			if number, ok := item.(float64); ok {
				chosen[i] = parts[int(number)]
			} else {
				chosen[i] = item.(string)
			}
		}
		d.reset(strings.Join(chosen, separator))
		out := []float64{0}
		kept := r.measure(d, out) && !r.rules()[0].failed(out[0])
		n++
		sum := sha256.Sum256([]byte(r.edit(d)))
		if kept != keeps || kept && hex.EncodeToString(sum[:8]) != left {
			if different++; different < 9 {
				t.Logf("kept %v, want %v, %q becomes %q", kept, keeps, d.text, r.edit(d))
			}
		}
	})
	t.Logf("%d of %d texts differ", different, n)
	if n != 4000 || different*1000 > n {
		t.Errorf("%d of %d texts differ", different, n)
	}
}
