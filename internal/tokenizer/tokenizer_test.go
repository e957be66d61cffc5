package tokenizer

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// unzip returns the content of a file in testdata.
func unzip(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// expectation is what testdata/oracle.py and testdata/unicode.py have written.
type expectation struct {
	Texts []string
	// Tokens has, by tokenizer and text, the IDs of the tokens and the characters
	// at which they begin and end.
	Tokens map[string][][3][]uint32
}

func expected(t testing.TB, name string) *expectation {
	t.Helper()
	e := &expectation{}
	if err := json.Unmarshal(unzip(t, name), e); err != nil {
		t.Fatal(err)
	}
	return e
}

// file returns the tokenizer.json of a name in the expectation.
func file(t testing.TB, name string) []byte {
	t.Helper()
	parts := strings.Split(name, "-")
	if parts[0] != "split" {
		return unzip(t, name+".json.gz")
	}
	behaviors := map[string]behavior{
		"isolated": isolated, "removed": removed, "contiguous": contiguous,
		"merged_with_previous": mergedWithPrevious, "merged_with_next": mergedWithNext,
	}
	var f map[string]any
	if err := json.Unmarshal(unzip(t, "wordlevel.json.gz"), &f); err != nil {
		t.Fatal(err)
	}
	f["normalizer"] = nil
	f["pre_tokenizer"] = map[string]any{
		"type": "Split", "pattern": map[string]string{"Regex": `\s+|\p{P}`}, "behavior": behaviors[parts[1]], "invert": parts[2] == "True",
	}
	content, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestTokensAndOffsetsAreThoseOfTokenizers(t *testing.T) {
	compareAll(t, expected(t, "expected.json.gz"))
}

// The texts have characters of all versions of Unicode, from the edges of all
// ranges with the same properties.
func TestCharactersHaveThePropertiesThatTokenizersKnows(t *testing.T) {
	compareAll(t, expected(t, "characters.json.gz"))
}

func compareAll(t *testing.T, e *expectation) {
	for name, want := range e.Tokens {
		t.Run(name, func(t *testing.T) {
			tok, err := Parse(file(t, name))
			if err != nil {
				t.Fatal(err)
			}
			for i, text := range e.Texts {
				if err := compare(tok, text, want[i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// compare returns how the tokens of a text differ from the expected ones.
func compare(tok *Tokenizer, text string, want [3][]uint32) error {
	got, err := tok.Encode(text, Options{Special: true, Offsets: true})
	if err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	if !slices.Equal(got.IDs, want[0]) {
		return fmt.Errorf("%q has the tokens %v, want %v", text, got.IDs, want[0])
	}
	plain, err := tok.Encode(text, Options{Special: true})
	if err != nil || !slices.Equal(plain.IDs, got.IDs) {
		return fmt.Errorf("%q has the tokens %v without offsets, and %v with them (%v)", text, plain.IDs, got.IDs, err)
	}
	characters := characterOf(text)
	for i, s := range got.Offsets {
		if start, end := characters[s.Start], characters[s.End]; start != want[1][i] || end != want[2][i] {
			return fmt.Errorf("token %d of %q is from %d to %d, want %d to %d", i, text, start, end, want[1][i], want[2][i])
		}
	}
	return nil
}

// characterOf returns the number of characters before each byte.
func characterOf(text string) []uint32 {
	out := make([]uint32, len(text)+1)
	n := uint32(0)
	for i := range len(text) {
		out[i] = n
		if i+1 == len(text) || utf8.RuneStart(text[i+1]) {
			n++
		}
	}
	out[len(text)] = n
	return out
}

func TestManyGoroutinesTokenizeTheSame(t *testing.T) {
	e := expected(t, "expected.json.gz")
	tok, err := Parse(file(t, "roberta"))
	if err != nil {
		t.Fatal(err)
	}
	failures := make(chan error, 4)
	for range cap(failures) {
		go func() {
			var failed error
			for i, text := range e.Texts {
				if err := compare(tok, text, e.Tokens["roberta"][i]); err != nil {
					failed = err
				}
			}
			failures <- failed
		}()
	}
	for range cap(failures) {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
}

func TestTextsThatAreNotUTF8AreRefused(t *testing.T) {
	tok, err := Parse(file(t, "gpt2"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tok.Encode("a\xff", Options{}); err == nil || err.Error() != "the text is not valid UTF-8" {
		t.Errorf("got %v", err)
	}
	if e, err := tok.Encode("", Options{Special: true, Offsets: true}); err != nil || len(e.IDs) != 0 || e.Offsets == nil {
		t.Errorf("the empty text has %v, %v", e, err)
	}
}

func TestDamagedFilesAreExplained(t *testing.T) {
	model := `"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}`
	for content, want := range map[string]string{
		``:                           "it is not a tokenizer.json: unexpected end of JSON input",
		`[]`:                         "it is not a tokenizer.json: json: cannot unmarshal array",
		`{}`:                         "it has no model",
		`{"model": {"type": "BPE"}}`: `model has no vocab`,
		`{"model": {"type": "LSTM", "vocab": {}}}`:                                                           `model has the type "LSTM", which is not supported`,
		`{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}`:                                   `model.merges[0] needs the token "b", which is not in model.vocab`,
		`{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]}}`:                                     `model.merges[0] is "a", but must be two tokens`,
		`{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a"]]}}`:                                   `model.merges[0] has 1 tokens, but must have 2`,
		`{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.1}}`:                        `model has a dropout`,
		`{"model": {"type": "BPE", "vocab": {"a": 4000000000}, "merges": []}}`:                               `model.vocab gives the token "a" the ID 4000000000, which is too large`,
		`{"model": {"type": "Unigram", "vocab": [["a", "b"]]}}`:                                              `model.vocab[0] is not a token with its score`,
		`{"model": {"type": "Unigram", "vocab": [["a", 1]], "unk_id": 3}}`:                                   `model.unk_id is 3, but the vocabulary has 1 tokens`,
		`{` + model + `, "added_tokens": [{"id": 7, "content": "b"}]}`:                                       `added_tokens gives "b" the ID 7, but after the model's vocabulary its ID is 1`,
		`{` + model + `, "normalizer": {"type": "Soundex"}}`:                                                 `normalizer has the type "Soundex", which is not supported`,
		`{` + model + `, "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {}]}}`:          `normalizer.normalizers[1] has the type "", which is not supported`,
		`{` + model + `, "normalizer": {"type": "Precompiled", "precompiled_charsmap": "/////w=="}}`:         `the table of replacements is damaged`,
		`{` + model + `, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?<=a)b"}}}`:               `pre_tokenizer: the pattern "(?<=a)b": "(?<=" is not supported`,
		`{` + model + `, "pre_tokenizer": {"type": "Split", "pattern": {}}}`:                                 `neither a String nor a Regex`,
		`{` + model + `, "pre_tokenizer": {"type": "Split", "pattern": {"String": "a"}, "behavior": "Eat"}}`: `has the behavior "Eat", which is not supported`,
		`{` + model + `, "pre_tokenizer": {"type": "Metaspace", "replacement": ""}}`:                         `the replacement "", which is not one character`,
		`{` + model + `, "post_processor": {"type": "BertProcessing"}}`:                                      `has no cls and sep with their IDs`,
		`{` + model + `, "post_processor": {"type": "TemplateProcessing", "single": []}}`:                    `a template in which the text does not occur once`,
	} {
		_, err := Parse([]byte(content))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got  %v\n want %s", content, err, want)
		}
		inVocabulary := strings.Contains(want, "model.") || strings.Contains(want, "added_tokens")
		if checked := Check([]byte(content)); inVocabulary && checked != nil || !inVocabulary && fmt.Sprint(checked) != fmt.Sprint(err) {
			t.Errorf("%s\n is checked with %v, but read with %v", content, checked, err)
		}
	}
}

func TestPatternsAreRefusedRatherThanMisread(t *testing.T) {
	for expression, want := range map[string]string{
		`a??`: "not supported", `(a`: "not closed", `a)`: "a closing parenthesis too many", `[a`: "a class is not closed", `\p{Klingon}`: "is not a category or script",
		`\b`: `\b is not supported`, `(a)\1`: `\1 is not supported`, `(?<n>a)`: "not supported", `(a*)*`: "can be empty", `a{3,1}`: "not a number of repetitions",
		`*a`: "repeats nothing", `[b-a]`: "no valid end", `[[:alpha:]]`: "not supported", `\`: "ends with a backslash", `\x{110000}`: "is not a character",
	} {
		if _, err := compile(expression); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", expression, err, want)
		}
	}
}

func TestPatternsMatchAsInOniguruma(t *testing.T) {
	for _, c := range []struct{ expression, text, want string }{
		{`a|ab`, "abab", "a|a"},
		{`ab|a`, "aba", "ab|a"},
		{`\s+(?!\S)|\s+`, "a   b ", "  | | "},
		{`(?i:'s|'t)`, "it'S 'ſ 't", "'S|'ſ|'t"},
		{`[^\r\n\p{L}\p{N}]?\p{L}+`, " ab1c", " ab|c"},
		{`\p{N}{1,3}`, "12345", "123|45"},
		{`a{2}`, "aaaaa", "aa|aa"},
		{`(?:ab)+c`, "ababc abc ab", "ababc|abc"},
		{`(?:ab)*c`, "ababc c", "ababc|c"},
		{`a++b|a`, "aab aa", "aab|a|a"},
		{`(?:a|b)?c`, "acbcc", "ac|bc|c"},
		{`[\p{L}&&[^a-c]]+`, "abcdefabc", "def"},
		{`x(?=y)`, "xyxz", "x"},
		{`^a`, "aa\na", "a|a"},
		{`\Aa|a\z`, "aaa", "a|a"},
		{`[]a]+`, "]a[", "]a"},
		{`[\x{1F600}-\x{1F64F}\u00e9]`, "é😀", "é|😀"},
		{`.`, "a\nb", "a|b"},
		{`\p{^L}`, "a1", "1"},
		{`[-a]+|[a\-z]+`, "-a z", "-a|z"},
	} {
		p, err := compile(c.expression)
		if err != nil {
			t.Error(err)
			continue
		}
		var all []string
		p.each(c.text, func(start, end int) { all = append(all, c.text[start:end]) })
		if got := strings.Join(all, "|"); got != c.want {
			t.Errorf("%s on %q: got %q, want %q", c.expression, c.text, got, c.want)
		}
	}
}

func FuzzEveryFileIsReadOrRefused(f *testing.F) {
	for _, name := range []string{"gpt2", "bert", "sentencepiece"} {
		content := file(f, name)
		f.Add(content[:min(len(content), 4000)], "a b")
	}
	f.Add([]byte(`{"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\s+|\\p{P}"}, "behavior": "Isolated"}}`), "a, b")
	f.Add([]byte(`{"model": {"type": "Unigram", "vocab": [["a", 1], ["b", -3.5e-3]], "unk_id": 0}, "normalizer": {"type": "NFKC"}, "pre_tokenizer": {"type": "UnicodeScripts"}}`), "aé")
	f.Fuzz(func(t *testing.T, content []byte, text string) {
		tok, err := Parse(content)
		if err != nil {
			return
		}
		e, err := tok.Encode(text, Options{Special: true, Offsets: true})
		if err != nil {
			return
		}
		for _, s := range e.Offsets {
			if s.Start < 0 || s.End < s.Start || int(s.End) > len(text) {
				t.Fatalf("%q has the offsets %v", text, e.Offsets)
			}
		}
	})
}

func FuzzOffsetsCoverTheText(f *testing.F) {
	var toks []*Tokenizer
	for _, name := range []string{"gpt2", "bert", "llama", "sentencepiece", "unigram-bytes"} {
		tok, err := Parse(file(f, name))
		if err != nil {
			f.Fatal(err)
		}
		toks = append(toks, tok)
	}
	for _, text := range expected(f, "expected.json.gz").Texts[:50] {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, tok := range toks {
			e, err := tok.Encode(text, Options{Offsets: true})
			if err != nil {
				if utf8.ValidString(text) {
					t.Fatal(err)
				}
				return
			}
			last := int32(0)
			for _, s := range e.Offsets {
				if s.Start < last || s.End < s.Start || int(s.End) > len(text) || !utf8.ValidString(text[s.Start:s.End]) {
					t.Fatalf("%q has the offsets %v", text, e.Offsets)
				}
				last = s.Start
			}
		}
	})
}
