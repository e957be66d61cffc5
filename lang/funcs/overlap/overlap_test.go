package overlap

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
)

// reference has the results of other implementations; see testdata/scores.py.
type reference struct {
	Text       string     `json:"text"`
	References []string   `json:"references"`
	Rouge1     [3]float64 `json:"rouge1"` // precision, recall, F1
	Rouge2     [3]float64 `json:"rouge2"`
	Rouge3     [3]float64 `json:"rouge3"`
	RougeL     [3]float64 `json:"rougeL"`
	Bleu       float64    `json:"bleu"`
	Gleu       float64    `json:"gleu"`
	Meteor     float64    `json:"meteor"`
}

func TestScoresAreThoseOfTheUsualImplementations(t *testing.T) {
	text, err := os.ReadFile("testdata/scores.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []reference }
	if err := json.Unmarshal(text, &file); err != nil || len(file.Cases) < 10 {
		t.Fatal(len(file.Cases), err)
	}
	for _, c := range file.Cases {
		rouge := func(s Score) [3]float64 { return [3]float64{s.Precision, s.Recall, s.F1()} }
		for name, pair := range map[string][2][3]float64{
			"ROUGE-1": {rouge(RougeN(c.Text, c.References, 1)), c.Rouge1},
			"ROUGE-2": {rouge(RougeN(c.Text, c.References, 2)), c.Rouge2},
			"ROUGE-3": {rouge(RougeN(c.Text, c.References, 3)), c.Rouge3},
			"ROUGE-L": {rouge(RougeL(c.Text, c.References)), c.RougeL},
			"BLEU":    {{Bleu(c.Text, c.References)}, {c.Bleu}},
			"GLEU":    {{Gleu(c.Text, c.References)}, {c.Gleu}},
			"METEOR":  {{Meteor(c.Text, c.References)}, {c.Meteor}},
		} {
			for i := range pair[0] {
				if math.Abs(pair[0][i]-pair[1][i]) > 1e-9 {
					t.Errorf("%s of %q and %q: %v, not %v", name, c.Text, c.References, pair[0], pair[1])
					break
				}
			}
		}
	}
}

// The examples of the papers and of NLTK's documentation, which gives its
// results to four digits.
func TestPublishedExamplesHaveTheirPublishedScores(t *testing.T) {
	const obeys = "It is a guide to action which ensures that the military always obeys the commands of the party"
	guides := []string{
		"It is a guide to action that ensures that the military will forever heed Party commands",
		"It is the guiding principle which guarantees the military forces always being under the command of the Party",
		"It is the practical guide for the army always to heed the directions of the party",
	}
	for name, pair := range map[string][2]float64{
		// Papineni et al. 2002, section 2.1: the modified unigram precision of
		// a text that repeats a word is 2/7, the unmodified one 7/7.
		"clipped precision": {float64(clipped(grams(Words("the the the the the the the"), 1), [][]string{Words("The cat is on the mat."), Words("There is a cat on the mat.")}, 1)) / 7, 2.0 / 7},
		// Lin 2004, section 3: S2 and S3 have the same ROUGE-2 against S1, and
		// ROUGE-L distinguishes them.
		"ROUGE-2 of S2": {RougeN("police kill the gunman", []string{"police killed the gunman"}, 2).F1(), 1.0 / 3},
		"ROUGE-2 of S3": {RougeN("the gunman kill police", []string{"police killed the gunman"}, 2).F1(), 1.0 / 3},
		"ROUGE-L of S2": {RougeL("police kill the gunman", []string{"police killed the gunman"}).F1(), 3.0 / 4},
		"ROUGE-L of S3": {RougeL("the gunman kill police", []string{"police killed the gunman"}).F1(), 2.0 / 4},
		// nltk.translate.bleu_score.sentence_bleu.
		"BLEU": {Bleu(obeys, guides), 0.5045},
		// nltk.translate.meteor_score.meteor_score; it finds no synonyms there.
		"METEOR": {Meteor(obeys, guides[:1]), 0.6944},
	} {
		if math.Abs(pair[0]-pair[1]) > 1e-4 {
			t.Errorf("%s is %.5f, not %.5f", name, pair[0], pair[1])
		}
	}
}

func TestTextsWithoutWordsHaveNothingInCommon(t *testing.T) {
	for _, pair := range [][2]string{{"", "a b"}, {"a b", ""}, {"", ""}, {"?!", "?!"}, {"\x00", "a"}} {
		refs := []string{pair[1]}
		got := fmt.Sprint(RougeN(pair[0], refs, 1), RougeL(pair[0], refs), Gleu(pair[0], refs), Meteor(pair[0], refs))
		if got != "{0 0} {0 0} 0 0" {
			t.Errorf("%q against %q: %s", pair[0], pair[1], got)
		}
	}
	if Bleu("", []string{"a"}) != 0 || Bleu("a", []string{""}) != 0 || Bleu("a", nil) != 0 || RougeL("a", nil) != (Score{}) {
		t.Error("BLEU of empty texts is not 0")
	}
}

func FuzzScoresAreSharesOfOne(f *testing.F) {
	f.Add("a b c", "a b\x00c|d")
	f.Add("The the", "the|The")
	f.Fuzz(func(t *testing.T, text, refs string) {
		references := strings.Split(refs, "|")
		for name, x := range map[string]float64{
			"ROUGE-2": RougeN(text, references, 2).F1(), "ROUGE-L": RougeL(text, references).F1(),
			"BLEU": Bleu(text, references), "GLEU": Gleu(text, references), "METEOR": Meteor(text, references),
		} {
			if !(x >= 0 && x <= 1+1e-9) {
				t.Errorf("%s is %g", name, x)
			}
		}
		if len(Words(text)) > 0 {
			if x := RougeL(text, append(references, text)).F1(); x != 1 {
				t.Errorf("ROUGE-L of a text against itself is %g", x)
			}
			if x := Gleu(text, append(references, text)); x != 1 {
				t.Errorf("GLEU of a text against itself is %g", x)
			}
		}
	})
}
