// Package overlap measures how much of a text also occurs in reference texts:
// ROUGE, BLEU, GLEU, and METEOR, each as its usual implementation computes it
// for one sentence, from 0 (nothing) to 1 (everything).
//
// Each measure combines several references as its definition says: BLEU uses
// all of them together, and the others the one that is most similar. A text
// without words has the score 0, whatever the references.
//
// The package knows no synonyms, and stems of English words only: METEOR
// matches equal words and equal English stems.
package overlap

import (
	"math"
	"strings"
	"unicode"
)

// Words returns a text's runs of letters, marks, and digits in lower case,
// which ROUGE, GLEU, and METEOR compare. For ASCII, they are the tokens of
// Google's rouge-score, which ignores all other letters.
func Words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
}

// grams counts the runs of n words. Words contain no zero byte.
func grams(words []string, n int) map[string]int {
	counts := map[string]int{}
	for i := 0; i+n <= len(words); i++ {
		counts[strings.Join(words[i:i+n], "\x00")]++
	}
	return counts
}

// shared counts the runs that two texts have in common, each as often as it
// occurs in both.
func shared(a, b map[string]int) int {
	n := 0
	for gram, count := range a {
		n += min(count, b[gram])
	}
	return n
}

func total(counts map[string]int) int {
	n := 0
	for _, count := range counts {
		n += count
	}
	return n
}

// Score is how much of a text is in a reference, and of the reference in the
// text.
type Score struct {
	Precision float64 // share of the text that is in the reference
	Recall    float64 // share of the reference that is in the text
}

// F1 is the harmonic mean of both.
func (s Score) F1() float64 {
	if s.Precision+s.Recall == 0 {
		return 0
	}
	return 2 * s.Precision * s.Recall / (s.Precision + s.Recall)
}

func ratio(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// best returns the score with the highest F1.
func best(references []string, score func([]string) Score) Score {
	var top Score
	for _, r := range references {
		if s := score(Words(r)); s.F1() > top.F1() {
			top = s
		}
	}
	return top
}

// RougeN compares runs of n words; n is 1 or more.
func RougeN(text string, references []string, n int) Score {
	have := grams(Words(text), n)
	return best(references, func(reference []string) Score {
		want := grams(reference, n)
		both := shared(have, want)
		return Score{Precision: ratio(both, total(have)), Recall: ratio(both, total(want))}
	})
}

// RougeL compares by the longest sequence of words that both texts have in the
// same order, whatever is between them.
func RougeL(text string, references []string) Score {
	have := Words(text)
	return best(references, func(reference []string) Score {
		n := commonSequence(have, reference)
		return Score{Precision: ratio(n, len(have)), Recall: ratio(n, len(reference))}
	})
}

// commonSequence returns the length of the longest common subsequence.
func commonSequence(a, b []string) int {
	before, now := make([]int, len(b)+1), make([]int, len(b)+1)
	for _, x := range a {
		for j, y := range b {
			if x == y {
				now[j+1] = before[j] + 1
			} else {
				now[j+1] = max(before[j+1], now[j])
			}
		}
		before, now = now, before
	}
	return before[len(b)]
}

// longest is the longest run of words that BLEU and GLEU consider.
const longest = 4

// Gleu is Google's BLEU for sentences: the lower one of precision and recall
// over all runs of 1 to 4 words.
func Gleu(text string, references []string) float64 {
	have := upTo(Words(text), longest)
	all := total(have)
	top := 0.0
	for _, r := range references {
		want := upTo(Words(r), longest)
		top = max(top, ratio(shared(have, want), max(all, total(want))))
	}
	return top
}

// upTo counts the runs of 1 to n words.
func upTo(words []string, n int) map[string]int {
	counts := map[string]int{}
	for k := 1; k <= n; k++ {
		for gram, count := range grams(words, k) {
			counts[gram] = count
		}
	}
	return counts
}

// Bleu is BLEU for one sentence: the geometric mean of the precisions of runs
// of 1 to 4 words, reduced for a text that is shorter than its reference. It
// follows sacrebleu. Tokens are those of mteval-v13a, which is case-sensitive
// and includes punctuation. If no run of a length matches, half a match is
// assumed, a quarter for the next length, and so on (exponential smoothing).
// Lengths that the text does not have are left out.
func Bleu(text string, references []string) float64 {
	have := tokens13a(text)
	wants := make([][]string, len(references))
	for i, r := range references {
		wants[i] = tokens13a(r)
	}
	sum, orders, smooth, any := 0.0, 0, 1.0, false
	for n := 1; n <= longest && n <= len(have); n++ {
		correct := clipped(grams(have, n), wants, n)
		all := float64(len(have) - n + 1)
		if correct == 0 {
			smooth *= 2
			sum += math.Log(1 / (smooth * all))
		} else {
			sum += math.Log(float64(correct) / all)
			any = true
		}
		orders++
	}
	if !any {
		return 0
	}
	return brevity(len(have), wants) * math.Exp(sum/float64(orders))
}

// clipped counts the runs of a text that are in the references, each at most as
// often as in the reference that contains it most often.
func clipped(have map[string]int, wants [][]string, n int) int {
	most := map[string]int{}
	for _, w := range wants {
		for gram, count := range grams(w, n) {
			most[gram] = max(most[gram], count)
		}
	}
	return shared(have, most)
}

// brevity is the penalty for a text that is shorter than the reference with the
// closest length, or the shorter one of two.
func brevity(length int, wants [][]string) float64 {
	nearest := -1
	for _, w := range wants {
		d, least := abs(len(w)-length), abs(nearest-length)
		if nearest < 0 || d < least || d == least && len(w) < nearest {
			nearest = len(w)
		}
	}
	if length >= nearest {
		return 1
	}
	return math.Exp(1 - float64(nearest)/float64(length))
}

func abs(n int) int { return max(n, -n) }
