package lid176

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/quern-dev/quern/internal/reference"
)

func TestTheDigestIsThatOfTheModel(t *testing.T) {
	if sum := sha256.Sum256(file); hex.EncodeToString(sum[:]) != Digest {
		t.Errorf("the digest is %x", sum)
	}
}

type sentence struct{ Language, Text string }

// sentences are those of the Universal Declaration of Human Rights.
func sentences(t *testing.T) []sentence {
	t.Helper()
	f, err := os.Open("../testdata/sentences.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []sentence
	for in := bufio.NewScanner(unzipped); in.Scan(); {
		var s sentence
		if err := json.Unmarshal(in.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if len(out) < 1000 {
		t.Fatalf("there are only %d sentences", len(out))
	}
	return out
}

func TestSentencesOfDozensOfLanguagesAreRecognized(t *testing.T) {
	model, err := Model()
	if err != nil {
		t.Fatal(err)
	}
	p := model.NewPredictor()
	right, all := map[string]int{}, map[string]int{}
	for _, s := range sentences(t) {
		if utf8.RuneCountInString(s.Text) < 60 {
			continue
		}
		all[s.Language]++
		if best := p.Predict(s.Text, 1, nil); model.Labels()[best[0].Number] == s.Language {
			right[s.Language]++
		}
	}
	r, n, excellent := 0, 0, 0
	for language := range all {
		r, n = r+right[language], n+all[language]
		if share := float64(right[language]) / float64(all[language]); share >= 0.99 {
			excellent++
		}
	}
	t.Logf("%d of %d sentences of %d languages, %d of which have at least 99%%", r, n, len(all), excellent)
	if excellent < 30 || float64(r) < 0.99*float64(n) {
		t.Error("too many sentences are not recognized")
	}
}

const predict = `
import json, sys
import fasttext
model = fasttext.load_model(sys.argv[1])
for line in open(sys.argv[2], encoding="utf-8"):
    labels, probabilities = model.predict(json.loads(line).replace("\n", " "))
    print(json.dumps([labels[0], float(probabilities[0])]))
`

// Parts of sentences, mixed languages, noise, and unusual spaces.
func TestHuntLanguagesAreThoseOfFastText(t *testing.T) {
	model, err := Model()
	if err != nil {
		t.Fatal(err)
	}
	texts := variations(sentences(t), reference.Rounds(10_000, 200_000))
	path := filepath.Join(t.TempDir(), "texts.jsonl")
	var lines strings.Builder
	for _, text := range texts {
		b, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(b, '\n'))
	}
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	weights, err := filepath.Abs("lid.176.ftz")
	if err != nil {
		t.Fatal(err)
	}
	answers := strings.Split(strings.TrimSpace(string(reference.Python(t, predict, weights, path))), "\n")
	if len(answers) != len(texts) {
		t.Fatalf("%d answers for %d texts", len(answers), len(texts))
	}
	p, different := model.NewPredictor(), 0
	for i, text := range texts {
		var want []any
		if err := json.Unmarshal([]byte(answers[i]), &want); err != nil {
			t.Fatal(err)
		}
		got := p.Predict(text, 1, nil)[0]
		if "__label__"+model.Labels()[got.Number] != want[0] {
			different++
			t.Logf("%q: %v, want %v", text, got, want)
		} else if d := got.Probability - min(1, want[1].(float64)); d < -1e-5 || d > 1e-5 {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	if different*10_000 > len(texts) {
		t.Errorf("%d of %d labels are different", different, len(texts))
	}
}

func variations(from []sentence, n int) []string {
	r := rand.New(rand.NewPCG(3, 4))
	out := make([]string, n)
	for i := range out {
		text := []rune(from[r.IntN(len(from))].Text)
		start := r.IntN(len(text))
		text = text[start:min(len(text), start+1+r.IntN(200))]
		s := string(text)
		switch r.IntN(8) {
		case 0:
			s = strings.ToUpper(s)
		case 1:
			s += " " + from[r.IntN(len(from))].Text
		case 2:
			for j := range text {
				text[j] = []rune{' ', rune(33 + r.IntN(94)), rune(0xa0 + r.IntN(0x3000)), rune(0x4e00 + r.IntN(0x5000)), rune(0x1f300 + r.IntN(0x400))}[r.IntN(5)]
			}
			s = string(text)
		case 3:
			s = strings.ReplaceAll(s, " ", []string{"\t", "  ", "\r", "\n", "\x00", "\u00a0", " </s> "}[r.IntN(7)])
		case 4:
			slices.Reverse(text)
			s = string(text)
		}
		out[i] = s
	}
	return out
}

func BenchmarkShortTexts(b *testing.B) {
	model, err := Model()
	if err != nil {
		b.Fatal(err)
	}
	p := model.NewPredictor()
	text := "I am still waiting for my card to arrive, where is it?"
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		p.Predict(text, 1, nil)
	}
}
