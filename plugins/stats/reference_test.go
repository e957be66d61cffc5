package stats_test

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/quern-dev/quern/plugins/stats"
)

// The reference values in these tests that are not published come from
// testdata/reference.py, with scipy 1.17.1, statsmodels 0.15.0, scikit-learn
// 1.9.1, krippendorff 0.9.0, and crowd-kit 1.4.2.

// numbers is the linear congruential generator of testdata/reference.py.
type numbers int

func (r *numbers) below(n int) int {
	*r = (1103515245**r + 12345) % (1 << 31)
	return int(*r>>8) % n
}

func skewed(seed, n int) []float64 {
	r := numbers(seed)
	values := make([]float64, n)
	for i := range values {
		values[i] = -math.Log(float64(r.below(1000)+1) / 1001)
	}
	return values
}

// pair returns two lists of labels below k that agree in about same percent of
// cases.
func pair(seed, n, k, same int) (a, b []int) {
	r := numbers(seed)
	for range n {
		x := r.below(k)
		a = append(a, x)
		if r.below(100) < same {
			b = append(b, x)
		} else {
			b = append(b, r.below(k))
		}
	}
	return a, b
}

func groups(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i * i % 11
	}
	return out
}

func near(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance }

func within(t *testing.T, name string, got, want, tolerance float64) {
	t.Helper()
	if !near(got, want, tolerance) {
		t.Errorf("%s is %.8f, want %.8f", name, got, want)
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// interval checks the value and the ends of an estimate.
func interval(t *testing.T, e stats.Estimate, value, low, high, tolerance float64) {
	t.Helper()
	within(t, "the value", e.Value, value, tolerance)
	within(t, "the low end", e.Low, low, tolerance)
	within(t, "the high end", e.High, high, tolerance)
}

// crowd is a file of votes, with the sorted names of everything that is
// numbered.
type crowd struct {
	votes                     []stats.Vote
	items, annotators, labels []string
}

func readCrowd(t *testing.T, name string) crowd {
	t.Helper()
	var c crowd
	rows := readCSV(t, name)
	for _, row := range rows {
		c.items, c.annotators, c.labels = append(c.items, row[0]), append(c.annotators, row[1]), append(c.labels, row[2])
	}
	for _, names := range []*[]string{&c.items, &c.annotators, &c.labels} {
		slices.Sort(*names)
		*names = slices.Compact(*names)
	}
	for _, row := range rows {
		item, _ := slices.BinarySearch(c.items, row[0])
		annotator, _ := slices.BinarySearch(c.annotators, row[1])
		label, _ := slices.BinarySearch(c.labels, row[2])
		c.votes = append(c.votes, stats.Vote{Item: item, Annotator: annotator, Label: label})
	}
	return c
}

func readCSV(t *testing.T, name string) [][]string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

// right counts the choices that are equal to the gold label.
func (c crowd) right(t *testing.T, gold string, choices []stats.Choice) (n int) {
	t.Helper()
	for _, row := range readCSV(t, gold) {
		item, known := slices.BinarySearch(c.items, row[0])
		if known && c.labels[choices[item].Label] == row[1] {
			n++
		}
	}
	return n
}
