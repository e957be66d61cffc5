package minhash

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/zeebo/xxh3"
)

// text returns a text of n random words.
func text(r *rand.Rand, n int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf("w%d", r.IntN(5000))
	}
	return words
}

func sign(s *Signer, text string) ([]uint32, []byte) {
	bands, slots := make([]uint32, s.Bands), make([]byte, s.Slots())
	s.Sign(text, bands, slots)
	return bands, slots
}

// planted returns two texts of a random similarity.
func planted(r *rand.Rand, n int) (string, string) {
	a := text(r, n)
	b := slices.Clone(a)
	for range r.IntN(n / 6) {
		b[r.IntN(n)] = fmt.Sprintf("x%d", r.IntN(5000))
	}
	return strings.Join(a, " "), strings.Join(b, " ")
}

func TestDerivedParametersFindPairsAtTheThresholdAndEstimatesAreRight(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := Params{NGram: 5}
	p.Bands, p.Rows = Derive(0.8)
	s := NewSigner(p)
	least := p.LeastEqual(0.8)
	var similar, found, dissimilar, wrong int
	var squares float64
	for i := range 6000 {
		a, b := planted(r, []int{30, 170, 600}[i%3])
		ta := slices.Clone(s.Shingles(a))
		true := Jaccard(ta, s.Shingles(b))
		bandsA, slotsA := sign(s, a)
		bandsB, slotsB := sign(s, b)
		equal := Equal(slotsA, slotsB)
		squares += math.Pow(p.Similarity(equal)-true, 2)
		candidate := false
		for k := range bandsA {
			candidate = candidate || bandsA[k] == bandsB[k]
		}
		same := candidate && equal >= least
		switch {
		case true >= 0.8:
			similar++
			if same {
				found++
			}
		case true <= 0.5:
			dissimilar++
			if same {
				wrong++
			}
		}
	}
	t.Logf("%d×%d: found %d of %d with J ≥ 0.8, wrong %d of %d with J ≤ 0.5, error %.3f", p.Bands, p.Rows, found, similar, wrong, dissimilar, math.Sqrt(squares/6000))
	if similar < 500 || dissimilar < 500 || float64(found) < 0.95*float64(similar) || float64(wrong) > 0.02*float64(dissimilar) {
		t.Errorf("found %d of %d, wrong %d of %d", found, similar, wrong, dissimilar)
	}
	if e := math.Sqrt(squares / 6000); e > 0.05 {
		t.Errorf("the standard error of estimates is %.3f", e)
	}
}

func TestWordsIgnoreCaseAndPunctuation(t *testing.T) {
	s := NewSigner(Params{NGram: 2, Bands: 1, Rows: 16})
	for _, pair := range [][2]string{
		{"Hello, World! ", "hello world"}, {"ÉTÉ à Paris", "été, à paris"}, {"日本語", "日 本 語"}, {"a", "A."}, {"x\r\ny", "x y"}, {"a\xffb", "a b"},
	} {
		a := slices.Clone(s.Shingles(pair[0]))
		if !slices.Equal(a, s.Shingles(pair[1])) {
			t.Errorf("%q and %q differ", pair[0], pair[1])
		}
	}
	for _, empty := range []string{"", " ", "!?", "\xff"} {
		if n := len(s.Shingles(empty)); n != 0 {
			t.Errorf("%q has %d shingles", empty, n)
		}
	}
}

func TestWordsAreRunsOfLettersAndDigits(t *testing.T) {
	characters := []string{"a", "z", "Q", "7", " ", "-", "\n", "é", "Ü", "中", "の", "ก", "\u0301", "\xff", "😀", "İ", "_"}
	alone := []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Thai}
	r := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		var text strings.Builder
		for range r.IntN(30) {
			text.WriteString(characters[r.IntN(len(characters))])
		}
		var want []string
		word := ""
		for _, c := range text.String() + " " {
			switch {
			case c != utf8.RuneError && !unicode.In(c, alone...) && (unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.IsMark(c)):
				word += string(unicode.ToLower(c))
				continue
			case word != "":
				want = append(want, word)
			}
			if word = ""; unicode.In(c, alone...) {
				want = append(want, string(c))
			}
		}
		s := &shingler{n: 1, locates: true}
		s.of(text.String())
		if len(s.units) != len(want) {
			t.Fatalf("%q has %d words, want %q", text.String(), len(s.units), want)
		}
		for i, place := range s.places {
			if s.units[i] != xxh3.HashString(want[i]) || strings.ToLower(text.String()[place.From:place.To]) != want[i] && want[i] != "i̇" {
				t.Fatalf("word %d of %q is not %q, or not at %v", i, text.String(), want[i], place)
			}
		}
	}
}

func TestEqualCountsEqualBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		n := r.IntN(40)
		a, b, want := make([]byte, n), make([]byte, n), 0
		for i := range a {
			a[i], b[i] = byte(r.IntN(3)), byte(r.IntN(3))
			if r.IntN(4) == 0 {
				a[i], b[i] = byte(r.IntN(256)), byte(r.IntN(256))
			}
			if a[i] == b[i] {
				want++
			}
		}
		if got := Equal(a, b); got != want {
			t.Fatalf("%v and %v: %d, want %d", a, b, got, want)
		}
	}
}

func FuzzSign(f *testing.F) {
	f.Add("a b c", 2, false)
	f.Add("\xff\r日", 5, true)
	f.Fuzz(func(t *testing.T, text string, n int, characters bool) {
		s := NewSigner(Params{NGram: 1 + (n&63)%MaxNGram, Characters: characters, Bands: 5, Rows: 3})
		a, x := sign(s, text)
		b, y := sign(s, text)
		if !slices.Equal(a, b) || !slices.Equal(x, y) {
			t.Error("two signatures of a text differ")
		}
	})
}

func BenchmarkSign(b *testing.B) {
	p := Params{NGram: 5}
	p.Bands, p.Rows = Derive(0.8)
	s := NewSigner(p)
	doc := strings.Join(text(rand.New(rand.NewPCG(1, 2)), 170), " ")
	bands, slots := make([]uint32, s.Bands), make([]byte, s.Slots())
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		s.Sign(doc, bands, slots)
	}
}
