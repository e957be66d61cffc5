package stats_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/quern-dev/quern/plugins/stats"
)

func dawidSkene(t *testing.T, c crowd, o stats.EMOptions) *stats.LabelModel {
	t.Helper()
	return must[*stats.LabelModel](t)(stats.DawidSkene(c.votes, len(c.items), len(c.annotators), len(c.labels), o))
}

// exactly runs for as many iterations as the reference, converged or not.
var exactly = stats.EMOptions{Iterations: 500, Tolerance: 1e-300}

func TestDawidSkeneMatchesThePublishedModel(t *testing.T) {
	// Table 1 in the paper, with its shares of the classes, 0.40, 0.42, 0.11,
	// and 0.07, and the first observer's errors, to two digits. More digits
	// come from crowd-kit's DawidSkene, and from testdata/reference.py with the
	// paper's formulas.
	c := readCrowd(t, "dawid-skene-1979.csv")
	m := dawidSkene(t, c, exactly)
	for k, want := range []float64{0.39955475, 0.42198339, 0.11179519, 0.06666667} {
		within(t, "the share of a class", m.Priors[k], want, 1e-8)
	}
	first := [][]float64{
		{0.88948835, 0.11051165, 0, 0},
		{0.07058545, 0.87637994, 0.05303461, 0},
		{0, 0.33882154, 0.66117846, 0},
		{0, 0, 0.55555556, 0.44444444},
	}
	for truth, row := range first {
		for given, want := range row {
			within(t, "an error of the first observer", m.Confusion(0, truth, given), want, 1e-8)
		}
	}
	within(t, "the logarithm of the likelihood", m.LogLikelihood, -192.89088122, 1e-7)
	mean, least := confidences(m.Choices)
	within(t, "the mean confidence", mean, 0.99792751, 1e-7)
	within(t, "the least confidence", least, 0.94799520, 1e-7)
	usual := dawidSkene(t, c, stats.EMOptions{})
	if !usual.Converged || usual.Iterations > 50 {
		t.Errorf("%d iterations, converged: %t", usual.Iterations, usual.Converged)
	}
	within(t, "the likelihood at the usual end", usual.LogLikelihood, m.LogLikelihood, 1e-5)
}

func confidences(choices []stats.Choice) (mean, least float64) {
	least = 1
	for _, c := range choices {
		mean += c.Confidence / float64(len(choices))
		least = min(least, c.Confidence)
	}
	return mean, least
}

func TestDawidSkeneMatchesItsFormulasOnRealVotes(t *testing.T) {
	// The values come from testdata/reference.py with the paper's formulas over
	// arrays and, for binary5, from crowd-kit's DawidSkene. right is the number
	// of labels that are equal to the gold labels.
	cases := []struct {
		file, gold         string
		priors             []float64
		mean, least        float64
		likelihood         float64
		right, rightByVote int
	}{
		{
			"site-rating.csv", "site-rating-gold.csv", []float64{0.60608432, 0.18230415, 0.07566046, 0.13595106},
			0.97714567, 0.50238138, -780.64126799, 159, 156,
		},
		{
			"binary5.csv", "binary5-gold.csv", []float64{0.73767090, 0.26232910},
			0.97792814, 0.54646892, -402.39964611, 151, 149,
		},
	}
	for _, c := range cases {
		t.Run(c.file, func(t *testing.T) {
			data := readCrowd(t, c.file)
			m := dawidSkene(t, data, exactly)
			for k, want := range c.priors {
				within(t, "the share of a label", m.Priors[k], want, 1e-7)
			}
			mean, least := confidences(m.Choices)
			within(t, "the mean confidence", mean, c.mean, 1e-7)
			within(t, "the least confidence", least, c.least, 1e-7)
			within(t, "the logarithm of the likelihood", m.LogLikelihood, c.likelihood, 1e-6)
			if got := data.right(t, c.gold, m.Choices); got != c.right {
				t.Errorf("%d labels are right, want %d", got, c.right)
			}
			votes := must[[]stats.Choice](t)(stats.MajorityVote(data.votes, len(data.items), len(data.labels)))
			if got := data.right(t, c.gold, votes); got != c.rightByVote {
				t.Errorf("%d labels are right by vote, want %d", got, c.rightByVote)
			}
		})
	}
}

func TestTheLabelModelFindsWhoIsRight(t *testing.T) {
	// Two good annotators, a random one, and one that is always wrong in the
	// same way, on 400 items with three labels.
	r := numbers(17)
	var truth []int
	var votes []stats.Vote
	for item := range 400 {
		label := r.below(3)
		truth = append(truth, label)
		for annotator := range 4 {
			given := label
			switch {
			case annotator < 2 && r.below(10) == 0, annotator == 2:
				given = r.below(3)
			case annotator == 3:
				given = (label + 1) % 3
			}
			votes = append(votes, stats.Vote{Item: item, Annotator: annotator, Label: given})
		}
	}
	m := must[*stats.LabelModel](t)(stats.DawidSkene(votes, 400, 4, 3, stats.EMOptions{}))
	right := 0
	for i, c := range m.Choices {
		if c.Label == truth[i] {
			right++
		}
	}
	if right < 395 {
		t.Errorf("%d of 400 are right", right)
	}
	for a, want := range []float64{0.93, 0.93, 0.33, 0} {
		within(t, "an annotator's accuracy", m.Accuracy(a), want, 0.06)
	}
	within(t, "the steady error", m.Confusion(3, 1, 2), 1, 0.01)
}

func TestProbabilitiesOfALabelModelSumToOne(t *testing.T) {
	c := readCrowd(t, "site-rating.csv")
	for _, smoothing := range []float64{0, 1} {
		m := dawidSkene(t, c, stats.EMOptions{Smoothing: smoothing})
		distributions := [][]float64{m.Priors}
		for item := range c.items {
			distributions = append(distributions, m.Posterior(item))
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
}

func TestTheLikelihoodNeverFalls(t *testing.T) {
	c := readCrowd(t, "binary5.csv")
	before := math.Inf(-1)
	for iterations := 1; iterations < 30; iterations++ {
		m := dawidSkene(t, c, stats.EMOptions{Iterations: iterations})
		if m.LogLikelihood < before-1e-9 {
			t.Fatalf("%g after %d iterations, %g before", m.LogLikelihood, iterations, before)
		}
		before = m.LogLikelihood
	}
}

func TestTheOrderOfVotesDoesNotMatter(t *testing.T) {
	c := readCrowd(t, "binary5.csv")
	want := dawidSkene(t, c, stats.EMOptions{})
	slices.Reverse(c.votes)
	got := dawidSkene(t, c, stats.EMOptions{})
	for i := range want.Choices {
		within(t, "a confidence", got.Choices[i].Confidence, want.Choices[i].Confidence, 1e-5)
	}
}

func TestItemsWithoutVotesHaveNoLabel(t *testing.T) {
	votes := []stats.Vote{{Item: 0, Annotator: 0, Label: 1}, {Item: 0, Annotator: 1, Label: 1}, {Item: 2, Annotator: 0, Label: 0}}
	none := stats.Choice{Label: stats.NoLabel}
	m := must[*stats.LabelModel](t)(stats.DawidSkene(votes, 3, 2, 2, stats.EMOptions{}))
	byVote := must[[]stats.Choice](t)(stats.MajorityVote(votes, 3, 2))
	if m.Choices[1] != none || byVote[1] != none {
		t.Errorf("%+v, by vote %+v", m.Choices[1], byVote[1])
	}
	if !slices.Equal(m.Posterior(1), m.Priors) || m.Choices[0].Label != 1 || m.Choices[2].Label != 0 {
		t.Errorf("%+v", m)
	}
}

func TestTheMajorityHasAConfidence(t *testing.T) {
	var votes []stats.Vote
	for item, labels := range [][]int{{2, 1, 2, 2}, {2, 0}, {1}, {2, 2, 0, 0, 1}} {
		for annotator, label := range labels {
			votes = append(votes, stats.Vote{Item: item, Annotator: annotator, Label: label})
		}
	}
	got := must[[]stats.Choice](t)(stats.MajorityVote(votes, 4, 3))
	want := []stats.Choice{
		{Label: 2, Confidence: 0.75, Votes: 4}, {Label: 0, Confidence: 0.5, Tied: true, Votes: 2},
		{Label: 1, Confidence: 1, Votes: 1}, {Label: 0, Confidence: 0.4, Tied: true, Votes: 5},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestVotesOutOfRangeAreRefused(t *testing.T) {
	for _, v := range []stats.Vote{{Item: 2}, {Item: -1}, {Label: 2}, {Label: -1}, {Annotator: 2}, {Annotator: -1}} {
		if _, err := stats.DawidSkene([]stats.Vote{v}, 2, 2, 2, stats.EMOptions{}); err == nil {
			t.Errorf("%+v is a vote of a label model", v)
		}
		if _, err := stats.MajorityVote([]stats.Vote{v}, 2, 2); err == nil && v.Annotator != 2 {
			t.Errorf("%+v is a vote", v)
		}
	}
	if _, err := stats.DawidSkene(nil, 0, 0, 0, stats.EMOptions{}); !errors.Is(err, stats.ErrNoObservations) {
		t.Errorf("%v", err)
	}
	if _, err := stats.DawidSkene([]stats.Vote{{}}, 1, 1, 1, stats.EMOptions{Smoothing: math.NaN()}); err == nil {
		t.Error("any smoothing will do")
	}
}

func TestALabelModelThatIsTooLargeIsRefused(t *testing.T) {
	var votes []stats.Vote
	for i := range 20_000 {
		votes = append(votes, stats.Vote{Item: i, Label: i})
	}
	if _, err := stats.DawidSkene(votes, 20_000, 1, 20_000, stats.EMOptions{}); err == nil || !strings.Contains(err.Error(), "9 GiB of memory") {
		t.Errorf("error: %v", err)
	}
	if c, err := stats.MajorityVote(votes, 20_000, 20_000); err != nil || c[19_999].Label != 19_999 {
		t.Errorf("by majority: %v", err)
	}
}

func TestConfidencesDoNotDependOnTheOrderOfVotes(t *testing.T) {
	c := readCrowd(t, "site-rating.csv")
	want := dawidSkene(t, c, stats.EMOptions{Smoothing: 0.5})
	slices.Reverse(c.votes)
	if got := dawidSkene(t, c, stats.EMOptions{Smoothing: 0.5}); !slices.Equal(got.Choices, want.Choices) {
		t.Error("votes in another order make other confidences")
	}
}

// million returns 1,000,000 votes by 500 annotators, with five labels.
func million() (votes []stats.Vote) {
	r := numbers(5)
	for i := range 1_000_000 {
		label := i / 5 % 5
		if r.below(4) == 0 {
			label = r.below(5)
		}
		votes = append(votes, stats.Vote{Item: i / 5, Annotator: r.below(500), Label: label})
	}
	return votes
}

// BenchmarkDawidSkene uses 1,000,000 votes by 500 annotators, with five labels.
func BenchmarkDawidSkene(b *testing.B) {
	votes := million()
	for b.Loop() {
		if _, err := stats.DawidSkene(votes, 200_000, 500, 5, stats.EMOptions{Smoothing: 5}); err != nil {
			b.Fatal(err)
		}
	}
}
