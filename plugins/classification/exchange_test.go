package classification

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/plugins/stats"
)

// exchanged prints scipy's p-values for the difference of macro and weighted F1
// in each sample of a file. It uses approximate randomization, which exchanges
// the two subjects' labels within rows.
const exchanged = `
import json, sys
import numpy as np
from scipy.stats import permutation_test

def f1(target, weighted):
    classes = range(3)
    columns = [np.stack([np.ones(len(target)), target == c], axis=1).astype(np.float32) for c in classes]
    support = [np.sum(target == c) for c in classes]
    def mean(given):
        total, present = 0, 0
        for c in classes:
            predicted, right = np.moveaxis((given == c).astype(np.float32) @ columns[c], -1, 0)
            there = support[c] + predicted > 0
            score = 2 * right / np.where(there, support[c] + predicted, 1)
            total = total + score * (support[c] / len(target) if weighted else 1)
            present = present + (1 if weighted else there)
        return total / (1 if weighted else present)
    return lambda a, b, axis: mean(a) - mean(b)

found = []
for i, s in enumerate(json.load(open(sys.argv[1]))):
    target, a, b = (np.array(s[k], dtype=np.int8) for k in ("target", "a", "b"))
    found.append([
        permutation_test((a, b), f1(target, weighted), permutation_type="samples", vectorized=True,
                         n_resamples=9999, rng=np.random.default_rng(i)).pvalue
        for weighted in (False, True)
    ])
print(json.dumps(found))
`

// labelsOf is a sample as the script reads it; -1 means no label.
type labelsOf struct {
	Target []int32 `json:"target"`
	A      []int32 `json:"a"`
	B      []int32 `json:"b"`
}

// exchangeTests returns scipy's p-values for macro and weighted F1.
func exchangeTests(t *testing.T, samples []*sampled) [][2]float64 {
	t.Helper()
	all := make([]labelsOf, len(samples))
	for i, s := range samples {
		all[i] = labelsOf{s.labels.targets, s.labels.given[0], s.labels.given[1]}
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "samples.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var p [][2]float64
	if err := json.Unmarshal(reference.Python(t, exchanged, path), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// exchange computes the same p-values as the script exchanged, for macro and
// weighted F1. Only rows on which the labels differ matter. If there are at
// most 13 of these, it tries all exchanges.
func (s *sampled) exchange(r *rand.Rand) [2]float64 {
	var differ []int
	for i, a := range s.labels.given[0] {
		if a != s.labels.given[1][i] {
			differ = append(differ, i)
		}
	}
	of := func(swapped uint64) [2]float64 {
		for j, row := range differ {
			if a, b := &s.labels.given[0][row], &s.labels.given[1][row]; swapped>>j&1 == 1 {
				*a, *b = *b, *a
				defer func() { *a, *b = *b, *a }()
			}
		}
		return s.f1Differences()
	}
	draws, more, next := 9999, 1, func(int) uint64 { return r.Uint64() }
	if len(differ) <= 13 {
		draws, more, next = 1<<len(differ), 0, func(i int) uint64 { return uint64(i) }
	}
	observed, least, most := of(0), [2]int{more, more}, [2]int{more, more}
	for i := range draws {
		for k, d := range of(next(i)) {
			if d <= observed[k]+1e-12 {
				least[k]++
			}
			if d >= observed[k]-1e-12 {
				most[k]++
			}
		}
	}
	var p [2]float64
	for k := range p {
		p[k] = min(1, 2*float64(min(least[k], most[k]))/float64(draws+more))
	}
	return p
}

// f1Differences returns the first subject's macro and weighted F1 minus the
// second's.
func (s *sampled) f1Differences() (d [2]float64) {
	for k, sign := range []float64{1, -1} {
		var right, support, predicted [3]int
		for i, target := range s.labels.targets {
			given := s.labels.given[k][i]
			support[target]++
			if given >= 0 {
				predicted[given]++
			}
			if given == target {
				right[target]++
			}
		}
		var macro, weighted, present float64
		for c := range right {
			if support[c]+predicted[c] > 0 {
				f1 := quotient(2*right[c], support[c]+predicted[c])
				present++
				macro += f1
				weighted += f1 * quotient(support[c], len(s.labels.targets))
			}
		}
		d[0] += sign * macro / present
		d[1] += sign * weighted
	}
	return d
}

func (s *sampled) compareBothF1(t *testing.T) [2]float64 {
	o := stats.Options{Confidence: 0.95, Permutations: 9999}
	return [2]float64{s.compareF1(t, (*margins).equally, o).P, s.compareF1(t, (*margins).bySupport, o).P}
}

// lopsided returns 17 rows of two classes. The first subject is right except
// for the last row, which it does not label. The second subject gives the same
// label to all rows.
func lopsided() *sampled {
	s := &sampled{labels: newNumbered(2)}
	s.labels.labels = []string{"cat", "dog", "emu"}
	for i := range int32(17) {
		target, first := i%2, i%2
		if i == 16 {
			target, first = 1, -1
		}
		s.labels.targets = append(s.labels.targets, target)
		s.labels.given[0], s.labels.given[1] = append(s.labels.given[0], first), append(s.labels.given[1], 0)
	}
	return s
}

// TestHuntExchangeTestsMatchScipy checks the exchange test that the next test
// uses.
func TestHuntExchangeTestsMatchScipy(t *testing.T) {
	drawn := []*sampled{lopsided()}
	r := rand.New(rand.NewPCG(3, 1))
	for range reference.Rounds(3, 50) {
		for _, n := range []int{10, 17, 50} {
			drawn = append(drawn, population{n, 1, [2]float64{0.8, 0.6}}.draw(r))
		}
	}
	found := exchangeTests(t, drawn)
	if ours, theirs := drawn[0].compareBothF1(t)[0], found[0][0]; !(ours < theirs && theirs < 0.01) {
		t.Errorf("p of lopsided rows is %g, and %g by scipy", ours, theirs)
	} else {
		t.Logf("p of lopsided rows is %g, and %g by scipy", ours, theirs)
	}
	for i, theirs := range found {
		for k, p := range drawn[i].exchange(r) {
			tolerance := 5 * math.Sqrt(2*theirs[k]/9999) // random error, of two draws
			if len(drawn[i].labels.targets) == 10 {
				tolerance = 1e-9
			}
			if math.Abs(p-theirs[k]) > tolerance {
				t.Errorf("sample %d, figure %d: p is %g, and %g by scipy", i, k, p, theirs[k])
			}
		}
	}
}

// agreement counts how the p-values of the two tests compare.
type agreement struct{ all, smaller, larger, ours, theirs, oursAlone, theirsAlone int }

func (a *agreement) add(ours, theirs float64) {
	const level = 0.05
	count := func(to *int, yes bool) {
		if yes {
			*to++
		}
	}
	a.all++
	count(&a.smaller, ours < theirs)
	count(&a.larger, ours > theirs)
	count(&a.ours, ours < level)
	count(&a.theirs, theirs < level)
	count(&a.oursAlone, ours < level && theirs >= level)
	count(&a.theirsAlone, ours >= level && theirs < level)
}

// TestHuntF1ComparisonsAndExchangeTestsAgree compares the test of F1 figures
// with the exchange test, for equally good subjects and for different ones.
func TestHuntF1ComparisonsAndExchangeTestsAgree(t *testing.T) {
	samples := reference.Rounds(20, 500)
	for _, n := range []int{10, 17, 50} {
		for _, second := range []float64{1, 0.8} {
			var got [2]agreement
			r := rand.New(rand.NewPCG(uint64(n), uint64(10*second)))
			for _, right := range []float64{0.5, 0.8, 0.95} {
				for range samples {
					s := population{n, 1, [2]float64{right, second * right}}.draw(r)
					ours, theirs := s.compareBothF1(t), s.exchange(r)
					for k := range got {
						got[k].add(ours[k], theirs[k])
					}
				}
			}
			for k, a := range got {
				name := []string{macroF1, weightedF1}[k]
				t.Logf("%s, %d rows, second %g as right: %+v", name, n, second, a)
				if apart := a.oursAlone + a.theirsAlone; (&counted{a.all - apart, a.all}).falls(0.9) {
					t.Errorf("%s, %d rows: the tests decide differently on %d of %d samples", name, n, apart, a.all)
				}
				if second == 1 && (&counted{a.all - a.ours, a.all}).falls(0.95) {
					t.Errorf("%s, %d rows: p < 0.05 for equals in %d of %d samples", name, n, a.ours, a.all)
				}
			}
		}
	}
}
