package stats_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/plugins/stats"
)

// reliability computes the figures from their definitions. The bins are those
// of scikit-learn's calibration_curve(y, p, n_bins=15).
const reliability = `
import json, sys
import numpy as np
c, r = (np.array(x, float) for x in json.load(open(sys.argv[1])))
edges = np.linspace(0, 1, 16)
at = np.searchsorted(edges[1:-1], c)
bins = [[c[at == b].mean(), r[at == b].mean(), float((at == b).sum())] for b in range(15) if (at == b).any()]
ece = sum(n * abs(conf - acc) for conf, acc, n in bins) / len(c)
print(json.dumps({"ece": ece, "brier": ((c - r) ** 2).mean(), "confidence": c.mean(), "accuracy": r.mean(), "bins": bins}))
`

func TestReliabilityMatchesItsDefinition(t *testing.T) {
	r := numbers(21)
	var got stats.Reliability
	var confidences, right []float64
	for i := range 3000 {
		c := float64(r.below(1001)) / 1000
		if i < 16 {
			c = float64(i) / 15 // the bin edges
		}
		hit := r.below(1000) < int(700*c)+100
		got.Add(c, hit)
		confidences = append(confidences, c)
		right = append(right, map[bool]float64{true: 1}[hit])
	}
	var want struct {
		ECE, Brier, Confidence, Accuracy float64
		Bins                             [][3]float64
	}
	if err := json.Unmarshal(reference.Python(t, reliability, written(t, []any{confidences, right})), &want); err != nil {
		t.Fatal(err)
	}
	within(t, "the ECE", got.ECE(), want.ECE, 1e-12)
	within(t, "the Brier score", got.Brier(), want.Brier, 1e-12)
	within(t, "the mean confidence", got.Confidence(), want.Confidence, 1e-12)
	within(t, "the accuracy", got.Accuracy(), want.Accuracy, 1e-12)
	if len(got.Bins()) != len(want.Bins) || got.N() != 3000 {
		t.Fatalf("%d bins, want %d", len(got.Bins()), len(want.Bins))
	}
	for i, b := range got.Bins() {
		within(t, "the confidence of a bin", b.Confidence, want.Bins[i][0], 1e-12)
		within(t, "the accuracy of a bin", b.Accuracy, want.Bins[i][1], 1e-12)
		within(t, "the size of a bin", float64(b.N), want.Bins[i][2], 0)
	}
}

func written(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "given.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReliabilityWithoutLabelsIsUndefined(t *testing.T) {
	var r stats.Reliability
	if r.N() != 0 || !math.IsNaN(r.ECE()) || !math.IsNaN(r.Brier()) || r.Bins() != nil {
		t.Errorf("%+v", r)
	}
}

func TestTheTemperatureUndoesTheScalingOfScores(t *testing.T) {
	// Labels are drawn from the softmax of scores, which are then scaled.
	r := numbers(22)
	var scores [][]float64
	var right []int
	for range 20_000 {
		row, sum := make([]float64, 4), 0.0
		for k := range row {
			row[k] = float64(r.below(4000)) / 1000
			sum += math.Exp(row[k])
		}
		u, label := float64(r.below(1_000_000))/1_000_000*sum, 0
		for u -= math.Exp(row[0]); u > 0 && label < 3; u -= math.Exp(row[label]) {
			label++
		}
		scores, right = append(scores, row), append(right, label)
	}
	for _, factor := range []float64{0.2, 1, 7} {
		var scaled [][]float64
		for _, row := range scores {
			var s []float64
			for _, z := range row {
				s = append(s, z*factor)
			}
			scaled = append(scaled, s)
		}
		temperature := must[float64](t)(stats.FitTemperature(scaled, right))
		within(t, "the temperature", temperature/factor, 1, 0.03)
	}
}

func TestATemperatureIsFiniteForAllExamples(t *testing.T) {
	never, always := [][]float64{{9, 0}, {8, 1}}, [][]float64{{0, 900}, {1, 800}}
	within(t, "the temperature of what is never right", must[float64](t)(stats.FitTemperature(never, []int{1, 1})), 20, 1e-6)
	if got := must[float64](t)(stats.FitTemperature(always, []int{1, 1})); got < 1 || got > 20 {
		t.Errorf("the temperature of two that are right is %g", got)
	}
	flat := must[float64](t)(stats.FitTemperature([][]float32{{1, 1, 1}}, []int{0}))
	if math.IsNaN(flat) || flat < 0.05 || flat > 20 {
		t.Errorf("the temperature of equal scores is %g", flat)
	}
	if _, err := stats.FitTemperature([][]float64{}, nil); !errors.Is(err, stats.ErrNoObservations) {
		t.Errorf("%v", err)
	}
	if _, err := stats.FitTemperature([][]float64{{1, 2}}, []int{2}); err == nil {
		t.Error("a class that is not there")
	}
}
