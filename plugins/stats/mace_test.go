package stats_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/quern-dev/quern/plugins/stats"
)

func mace(t *testing.T, c crowd, o stats.EMOptions) *stats.LabelModel {
	t.Helper()
	return must[*stats.LabelModel](t)(stats.MACE(c.votes, len(c.items), len(c.annotators), len(c.labels), o))
}

func TestMACEMatchesCrowdKit(t *testing.T) {
	// The values come from testdata/reference.py: MACE by variational Bayes,
	// after 200 iterations from a random starting point. On site-rating.csv, it
	// has not converged by then.
	cases := []struct {
		file        string
		mean, least float64
		tolerance   float64
		first       [][]float64 // probabilities of the first items
	}{
		{"dawid-skene-1979.csv", 0.98788959, 0.73666063, 1e-7, [][]float64{
			{0.99999999, 0, 0, 0}, {0.00000030, 0.00000030, 0.99995510, 0.00004429}, {0.13510804, 0.86483988, 0.00002604, 0.00002604},
		}},
		{"binary5.csv", 0.97307387, 0.52685344, 1e-6, [][]float64{
			{0.99193019, 0.00806981}, {0.99851193, 0.00148807}, {0.99999973, 0.00000027},
		}},
		{"site-rating.csv", 0.98879123, 0.64778918, 5e-3, [][]float64{
			{1, 0, 0, 0}, {0.00000048, 0.00000006, 0.00000241, 0.99999706}, {1, 0, 0, 0},
		}},
	}
	for _, c := range cases {
		m := mace(t, readCrowd(t, c.file), stats.EMOptions{Iterations: 500, Tolerance: 1e-9})
		mean, least := confidences(m.Choices)
		within(t, c.file+": the mean confidence", mean, c.mean, c.tolerance)
		within(t, c.file+": the least confidence", least, c.least, c.tolerance)
		for item, want := range c.first {
			for k, p := range m.Posterior(item) {
				within(t, c.file+": a probability", p, want[k], 2e-8)
			}
		}
	}
}

func TestMACEFindsWhoGuesses(t *testing.T) {
	// Three annotators know nine labels in ten and guess otherwise. Two
	// annotators guess, and one of these always says the same.
	r := numbers(31)
	var truth []int
	var votes []stats.Vote
	for item := range 400 {
		truth = append(truth, r.below(3))
		for annotator := range 5 {
			given := truth[item]
			switch {
			case annotator == 3 || annotator < 3 && r.below(10) == 0:
				given = r.below(3)
			case annotator == 4:
				given = 1
			}
			votes = append(votes, stats.Vote{Item: item, Annotator: annotator, Label: given})
		}
	}
	m := must[*stats.LabelModel](t)(stats.MACE(votes, 400, 5, 3, stats.EMOptions{}))
	right := 0
	for i, c := range m.Choices {
		if c.Label == truth[i] {
			right++
		}
	}
	if right < 385 || !m.Converged {
		t.Errorf("%d of 400 are right, converged: %t", right, m.Converged)
	}
	for a, want := range []float64{0.93, 0.93, 0.93, 0.33, 0.33} {
		within(t, "an annotator's accuracy", m.Accuracy(a), want, 0.05)
	}
	within(t, "what one who says the same says", m.Confusion(4, 0, 1), 1, 0.1)
	within(t, "the accuracy of an annotator without votes", must[*stats.LabelModel](t)(stats.MACE(votes, 400, 6, 3, stats.EMOptions{})).Accuracy(5), 2.0/3, 1e-9)
}

func TestProbabilitiesOfMACESumToOne(t *testing.T) {
	c := readCrowd(t, "site-rating.csv")
	m := mace(t, c, stats.EMOptions{Iterations: 30})
	distributions := [][]float64{m.Priors}
	for item := range c.items {
		distributions = append(distributions, m.Posterior(item))
		if choice := m.Choices[item]; m.Posterior(item)[choice.Label] != choice.Confidence {
			t.Errorf("item %d: %+v, probabilities %v", item, choice, m.Posterior(item))
		}
	}
	for annotator := range c.annotators {
		for truth := range c.labels {
			var said []float64
			for given := range c.labels {
				said = append(said, m.Confusion(annotator, truth, given))
			}
			distributions = append(distributions, said)
		}
	}
	for _, d := range distributions {
		var sum float64
		for _, p := range d {
			sum += p
		}
		within(t, "a sum of probabilities", sum, 1, 1e-9)
	}
}

func TestASeedOfMACEGivesTheSameModel(t *testing.T) {
	c := readCrowd(t, "binary5.csv")
	o := stats.EMOptions{Iterations: 3, Restarts: 4}
	want := mace(t, c, o)
	slices.Reverse(c.votes)
	if got := mace(t, c, o); !slices.Equal(got.Choices, want.Choices) {
		t.Error("votes in another order make another model")
	}
	// Another starting point is used if the votes are more likely under it.
	first := mace(t, c, stats.EMOptions{Iterations: 3, Restarts: 1})
	other := mace(t, c, stats.EMOptions{Iterations: 3, Restarts: 4, Seed: 1})
	if want.LogLikelihood < first.LogLikelihood || other.LogLikelihood < first.LogLikelihood {
		t.Errorf("%g and %g are not as likely as the first start's %g", want.LogLikelihood, other.LogLikelihood, first.LogLikelihood)
	}
	if want.LogLikelihood == first.LogLikelihood && other.LogLikelihood == first.LogLikelihood {
		t.Error("no further start is better after three iterations: they are not tried")
	}
}

func TestMACEConsidersOnlyLabelsWithVotes(t *testing.T) {
	// There are as many labels as items. A table of these would have 4e10
	// cells.
	var votes []stats.Vote
	for i := range 200_000 {
		votes = append(votes, stats.Vote{Item: i / 2, Annotator: i % 7, Label: i / 4 * 2})
	}
	m := must[*stats.LabelModel](t)(stats.MACE(votes, 100_001, 7, 200_000, stats.EMOptions{Restarts: 1, Iterations: 2}))
	if c := m.Choices[99_999]; c.Label != 99_998 || c.Votes != 2 || c.Confidence < 0.9 {
		t.Errorf("%+v", c)
	}
	if c := m.Choices[100_000]; c != (stats.Choice{Label: stats.NoLabel}) {
		t.Errorf("without votes: %+v", c)
	}
	if _, err := stats.MACE(nil, 0, 0, 0, stats.EMOptions{}); !errors.Is(err, stats.ErrNoObservations) {
		t.Errorf("%v", err)
	}
	if _, err := stats.MACE(votes, 3, 7, 200_000, stats.EMOptions{}); err == nil {
		t.Error("there are no such items")
	}
	if _, err := stats.MACE(votes, 100_001, 7, 200_000, stats.EMOptions{Restarts: -1}); err == nil {
		t.Error("fewer than no restarts")
	}
}

func TestAnnotatorsWithFewVotesCountAsAverage(t *testing.T) {
	// Nine annotators are right on 20 items. The tenth has one vote, which is
	// wrong, on an item whose label is a.
	var votes []stats.Vote
	for item := range 20 {
		for annotator := range 9 {
			votes = append(votes, stats.Vote{Item: item, Annotator: annotator, Label: item % 2})
		}
	}
	votes = append(votes, stats.Vote{Item: 0, Annotator: 9, Label: 1})
	for smoothing, want := range map[float64]float64{0: 0, 5: 0.81} {
		m := must[*stats.LabelModel](t)(stats.DawidSkene(votes, 20, 10, 2, stats.EMOptions{Smoothing: smoothing}))
		within(t, "how often the tenth is right on a", m.Confusion(9, 0, 0), want, 0.01)
	}
}

// BenchmarkMACE uses 1,000,000 votes by 500 annotators, with five labels.
func BenchmarkMACE(b *testing.B) {
	votes := million()
	for b.Loop() {
		if _, err := stats.MACE(votes, 200_000, 500, 5, stats.EMOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
