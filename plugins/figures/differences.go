package figures

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/stats"
)

// Differences contains contrasts by pair ("A - B" and "B - A") and by metric.
type Differences map[string]map[string]measurement.Contrast

// Pair returns the name of the difference between two subjects.
func Pair(first, second string) string { return first + " - " + second }

// Contrast compares the means of two subjects over the values that both have.
func (s *Sample) Contrast(a, b []float64, scale Scale) (measurement.Contrast, error) {
	var x, y []float64
	var at []int
	for i := range a {
		if !math.IsNaN(a[i]) && !math.IsNaN(b[i]) {
			x, y, at = append(x, a[i]), append(y, b[i]), append(at, i)
		}
	}
	if len(x) == 0 {
		return measurement.Contrast{}, nil
	}
	o := s.options(at)
	o.Range = scale.Range
	got, err := stats.Compare(x, y, o)
	if errors.Is(err, stats.ErrUndefined) {
		return measurement.Contrast{}, nil
	}
	return ContrastOf(got, s.rowsOf(at)), err
}

// Compare compares subjects by each metric, in both directions, as design says.
// It corrects p-values for the number of comparisons in their family; family
// returns the name of a metric's family.
func Compare(design Design, metrics []string, family func(metric string) string, contrast func(first, second int, metric string) (measurement.Contrast, error)) (Differences, error) {
	all := Differences{}
	families := map[string]*comparisons{}
	for first, second := range design.pairs() {
		there := design.name(first, second)
		all[there] = map[string]measurement.Contrast{}
		for _, metric := range metrics {
			c, err := contrast(first, second, metric)
			if err != nil {
				return nil, fmt.Errorf("compare %q and %q by %s: %w", design.Subjects[first], design.Subjects[second], metric, err)
			}
			all[there][metric] = c
			if c.P == nil {
				continue
			}
			of := family(metric)
			if families[of] == nil {
				families[of] = &comparisons{}
			}
			families[of].add(there, metric, *c.P)
		}
	}
	for _, f := range families {
		f.correct(all)
	}
	for first, second := range design.pairs() {
		back := design.name(second, first)
		all[back] = map[string]measurement.Contrast{}
		for metric, c := range all[design.name(first, second)] {
			all[back][metric] = reversed(c)
		}
	}
	return all, nil
}

// comparisons is a family: comparisons whose p-values are corrected together.
type comparisons struct {
	of []comparison
	p  []float64
}

type comparison struct{ there, metric string }

func (f *comparisons) add(there, metric string, p float64) {
	f.of, f.p = append(f.of, comparison{there, metric}), append(f.p, p)
}

func (f *comparisons) correct(all Differences) {
	for i, p := range stats.Holm(f.p) {
		c := all[f.of[i].there][f.of[i].metric]
		c.PAdjusted = Known(p)
		all[f.of[i].there][f.of[i].metric] = c
	}
}

// reversed returns the difference in the other direction.
func reversed(c measurement.Contrast) measurement.Contrast {
	negative := func(v *float64) *float64 {
		if v == nil {
			return nil
		}
		return Known(0 - *v)
	}
	c.Value, c.Low, c.High = negative(c.Value), negative(c.High), negative(c.Low)
	return c
}

// Page writes the differences for people, in Markdown. It writes nothing if
// there is only one subject.
func (d Differences) Page(b *strings.Builder, design Design, metrics []string) {
	if len(design.Subjects) < 2 {
		return
	}
	b.WriteString("\n## Differences\n\nIntervals are those of one comparison; they agree with its p-value. p-values are corrected for their number (Holm). A difference as large as the detectable one would have shown with a probability of 80 %.\n\n")
	b.WriteString("| subjects | metric | difference | p, corrected | detectable | rows |\n| --- | --- | --- | --- | --- | --- |\n")
	for first, second := range design.pairs() {
		pair := design.name(first, second)
		for _, metric := range metrics {
			c := d[pair][metric]
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %d |\n", Cell(pair), Cell(metric), c.String(), measurement.Text(c.PAdjusted), measurement.Text(c.Detectable), c.N)
		}
	}
}
