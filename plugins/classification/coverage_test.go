package classification

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/stats"
)

var update = flag.Bool("update", false, "write the table of coverage into docs/statistics.md (with QUERN_HUNT=1)")

// prevalence is the share of rows of each class.
var prevalence = []float64{0.6, 0.3, 0.1}

// population describes where simulated rows come from. Both subjects predict
// each class correctly with the given probability, and otherwise predict one of
// the other classes. Rows of a cluster share half of their randomness.
type population struct {
	units, perUnit int
	// right is the probability that each subject is correct.
	right [2]float64
}

// alike is the share of rows on which both subjects use the same random draw.
const alike = 0.7

// sampled contains rows of a population: their labels, grades between 0 and 1,
// and long-tailed numbers, such as lengths.
type sampled struct {
	labels        *numbered
	grades, sizes [2][]float64
	clusters      []string // nil: rows are independent
}

func (p population) draw(r *rand.Rand) *sampled {
	s := &sampled{labels: newNumbered(2)}
	s.labels.labels = []string{"a", "b", "c"}
	for unit := range p.units {
		luck := newLuck(r, nil)
		for range p.perUnit {
			if p.perUnit == 1 {
				s.add(p, luck)
				continue
			}
			s.clusters = append(s.clusters, fmt.Sprint(unit))
			s.add(p, newLuck(r, luck))
		}
	}
	return s
}

// luck contains the uniform random numbers that determine a row.
type luck []float64

const (
	ofTarget = iota
	ofBoth
	ofEach                 // two
	ofWrong   = ofEach + 2 // two
	ofGrade   = ofWrong + 2
	ofSize    = ofGrade + 1
	ofEachOwn = ofSize + 1 // two
	lucks     = ofEachOwn + 2
)

// newLuck draws luck. Half of it is shared with the rest of the cluster.
func newLuck(r *rand.Rand, shared luck) luck {
	l := make(luck, lucks)
	for i := range l {
		if l[i] = r.Float64(); shared != nil && r.Float64() < 0.5 {
			l[i] = shared[i]
		}
	}
	return l
}

func (s *sampled) add(p population, l luck) {
	target, below := int32(len(prevalence)-1), 0.0
	for c, share := range prevalence[:len(prevalence)-1] {
		if below += share; l[ofTarget] < below {
			target = int32(c)
			break
		}
	}
	s.labels.targets = append(s.labels.targets, target)
	for k, right := range p.right {
		u := l[ofEach]
		if l[ofBoth] >= alike {
			u = l[ofEach+k]
		}
		given, grade := target, 1.0
		if u >= right {
			given, grade = (target+1+int32(2*l[ofWrong+k]))%3, l[ofGrade]
		}
		s.labels.given[k] = append(s.labels.given[k], given)
		s.grades[k] = append(s.grades[k], grade)
		s.sizes[k] = append(s.sizes[k], math.Exp(0.8*normal(l[ofSize])+0.6*normal(l[ofEachOwn+k])))
	}
}

func normal(u float64) float64 { return math.Sqrt2 * math.Erfinv(2*u-1) }

// truth returns the figures of the whole population.
func (p population) truth(subject int) map[string]float64 {
	right := p.right[subject]
	out := map[string]float64{"accuracy": right, "grade": right + (1-right)/2, "size": math.Exp(0.5)}
	for c, share := range prevalence {
		given := share*right + (1-share)*(1-right)/2
		f1 := 2 * share * right / (share + given)
		out[macroF1] += f1 / float64(len(prevalence))
		out[weightedF1] += f1 * share
		name := []string{"of the commonest class", "", "of the rarest class"}[c]
		out["precision "+name], out["recall "+name], out["F1 "+name] = share*right/given, right, f1
	}
	return out
}

// figures returns what evaluators would report for a sample: the figures of the
// first subject, and its differences from the second.
func (s *sampled) figures(t *testing.T) (of, differences map[string]measurement.Figure) {
	sample := &figures.Sample{Repeats: 1, Clusters: s.clusters, Options: stats.Options{Confidence: 0.95, Resamples: 400, Permutations: 999}}
	o := (&scored{clusters: s.clusters}).options(sample.Options)
	scores, err := s.labels.scores(0, o)
	fail := func(failed error) {
		if failed != nil {
			t.Fatal(failed)
		}
	}
	fail(err)
	n := len(s.labels.targets)
	of = map[string]measurement.Figure{
		"accuracy": figures.Of(scores.Accuracy, n), macroF1: figures.Of(scores.MacroF1, n), weightedF1: figures.Of(scores.WeightedF1, n),
	}
	for label, name := range map[string]string{"a": "of the commonest class", "c": "of the rarest class"} {
		if c, ok := scores.Classes[label]; ok {
			of["precision "+name], of["recall "+name], of["F1 "+name] = c.Precision.Figure, c.Recall.Figure, c.F1.Figure
		}
	}
	grade := figures.Scale{Range: [2]float64{0, 1}}
	of["grade"], err = sample.Estimate(s.grades[0], grade)
	fail(err)
	of["size"], err = sample.Estimate(s.sizes[0], figures.Unknown)
	fail(err)

	differences = map[string]measurement.Figure{}
	contrast := func(name string, c measurement.Contrast, err error) {
		fail(err)
		differences[name] = c.Figure
	}
	c, err := sample.Contrast(s.labels.right(0), s.labels.right(1), figures.Scale{Share: true})
	contrast("accuracy", c, err)
	c, err = sample.Contrast(s.grades[0], s.grades[1], grade)
	contrast("grade", c, err)
	c, err = sample.Contrast(s.sizes[0], s.sizes[1], figures.Unknown)
	contrast("size", c, err)
	contrast(macroF1, figures.ContrastOf(s.compareF1(t, (*margins).equally, o), n), nil)
	contrast(weightedF1, figures.ContrastOf(s.compareF1(t, (*margins).bySupport, o), n), nil)
	return of, differences
}

func (s *sampled) compareF1(t *testing.T, shares func(*margins) shares, o stats.Options) stats.Comparison {
	var of [2]stats.Composite
	for k := range of {
		g := s.labels.margins(k)
		of[k] = s.labels.composite(k, g, shares(g))
	}
	c, err := stats.CompareComposites(of[0], of[1], o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// counted counts the intervals that contain the true value, and all intervals.
type counted struct{ held, all int }

func (c *counted) add(f measurement.Figure, truth float64) {
	c.all++
	if (f.Low == nil || *f.Low <= truth+1e-12) && (f.High == nil || truth-1e-12 <= *f.High) {
		c.held++
	}
}

func (c *counted) share() float64 { return float64(c.held) / float64(c.all) }

// falls reports whether so few intervals contain the true value that the true
// share is below the least one, beyond chance (four standard errors).
func (c *counted) falls(least float64) bool {
	n := float64(c.all)
	return float64(c.held) < least*n-4*math.Sqrt(least*(1-least)*n)
}

// cell identifies a cell of the coverage table.
type cell struct {
	figure  string
	right   float64
	perUnit int
	units   int
}

// least returns the minimum share of intervals that must contain the true
// value. It is less than 0.95 for fewer than ten rows, and for means of
// long-tailed numbers without a known limit, because no method can know how
// long the tail is.
func (c cell) least() float64 {
	switch {
	case c.figure == "size" && c.units < 10:
		return 0.78
	case c.figure == "size":
		return 0.85
	case c.units < 10 || strings.Contains(c.figure, "rarest") && c.units < 100:
		return 0.88
	}
	return 0.92
}

var (
	simulatedUnits = []int{3, 10, 20, 100, 500}
	simulatedRight = []float64{0.02, 0.5, 0.98}
)

const difference = "difference of "

// simulate draws samples and counts the intervals that contain the true value.
func simulate(t *testing.T, samples int, units []int) map[cell]*counted {
	found := map[cell]*counted{}
	for _, n := range units {
		for _, perUnit := range []int{1, 4} {
			for _, right := range simulatedRight {
				add := func(name string, f measurement.Figure, truth float64) {
					c := cell{name, right, perUnit, n}
					if found[c] == nil {
						found[c] = &counted{}
					}
					found[c].add(f, truth)
				}
				p := population{n, perUnit, [2]float64{right, 0.8 * right}}
				first, second := p.truth(0), p.truth(1)
				r := rand.New(rand.NewPCG(uint64(n*perUnit), uint64(100*right)))
				for range samples {
					of, differences := p.draw(r).figures(t)
					for name, f := range of {
						add(name, f, first[name])
					}
					for name, f := range differences {
						add(difference+name, f, first[name]-second[name])
					}
				}
			}
		}
	}
	return found
}

func TestHuntIntervalsCoverTheTruth(t *testing.T) {
	samples, units := 40, simulatedUnits[:4]
	if reference.Hunting() {
		samples, units = 400, simulatedUnits
	}
	found := simulate(t, samples, units)
	for c, got := range found {
		if got.falls(c.least()) {
			t.Errorf("%+v: %d of %d intervals hold the truth, and %g of them should", c, got.held, got.all, c.least())
		}
	}
	if *update && reference.Hunting() {
		writeCoverage(t, found, samples)
	}
}

// writeCoverage writes the table into the documentation.
func writeCoverage(t *testing.T, found map[cell]*counted, samples int) {
	const path, begin, end = "../../docs/statistics.md", "<!-- coverage -->\n", "<!-- end of coverage -->\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table", path)
	}
	var names []string
	for c := range found {
		if !slices.Contains(names, c.figure) {
			names = append(names, c.figure)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d samples for each field, so that the Monte Carlo standard error is %.3f where coverage is 0.95.\n", samples, math.Sqrt(0.95*0.05/float64(samples)))
	for _, perUnit := range []int{1, 4} {
		fmt.Fprintf(&b, "\n%s\n\n| figure | p |", map[int]string{1: "Independent rows:", 4: "Clusters of four rows:"}[perUnit])
		for _, n := range simulatedUnits {
			fmt.Fprintf(&b, " n = %d |", n)
		}
		b.WriteString("\n" + strings.Repeat("| --- ", 2+len(simulatedUnits)) + "|\n")
		for _, name := range names {
			for _, right := range simulatedRight {
				fmt.Fprintf(&b, "| %s | %g |", name, right)
				for _, n := range simulatedUnits {
					fmt.Fprintf(&b, " %.3f |", found[cell{name, right, perUnit, n}].share())
				}
				b.WriteString("\n")
			}
		}
	}
	if err := os.WriteFile(path, []byte(head+begin+b.String()+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestHuntComparisonsOfEqualSubjectsRarelyFindADifference simulates two
// subjects that are equally good. A test must not reject more often than its
// level allows.
func TestHuntComparisonsOfEqualSubjectsRarelyFindADifference(t *testing.T) {
	samples, sizes := 200, []int{10, 17, 50}
	if reference.Hunting() {
		samples, sizes = 4000, []int{10, 17, 50, 200}
	}
	for _, n := range sizes {
		for _, right := range []float64{0.5, 0.8, 0.95} {
			p := population{n, 1, [2]float64{right, right}}
			r := rand.New(rand.NewPCG(uint64(n), uint64(100*right)))
			for name, shares := range map[string]func(*margins) shares{macroF1: (*margins).equally, weightedF1: (*margins).bySupport} {
				levels := []float64{0.05, 0.01, 0.005}
				rejected := make([]int, len(levels))
				for range samples {
					c := p.draw(r).compareF1(t, shares, stats.Options{Confidence: 0.95, Permutations: 1999})
					if (c.P < 0.05) != (c.Low > 0 || c.High < 0) && math.Abs(c.P-0.05) > 1e-9 {
						t.Fatalf("interval and p disagree: %+v", c)
					}
					for i, level := range levels {
						if c.P < level {
							rejected[i]++
						}
					}
				}
				for i, level := range levels {
					size := counted{samples - rejected[i], samples}
					t.Logf("%s of %d rows, right on %g: p < %g in %.4f", name, n, right, level, 1-size.share())
					if size.falls(1 - level) {
						t.Errorf("%s of %d rows, right on %g: p < %g in %d of %d samples", name, n, right, level, rejected[i], samples)
					}
				}
			}
		}
	}
}
