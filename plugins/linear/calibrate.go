package linear

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/stats"
)

const (
	// folds is the number of parts into which rows are split, by their texts. A
	// model that has learned from all parts but one predicts that one.
	folds = 5
	// enoughRows is the number of rows that determine a temperature well
	// enough. Once that many rows are scored, no other part is held out.
	enoughRows = 1000
	// leastRows is the minimum number of rows from which a temperature is
	// fitted.
	leastRows = 50
	// maxScores limits the scores that are held in memory: 64 MiB.
	maxScores = 16 << 20
	// foldSeed makes the parts independent of other hashes of the same texts,
	// such as those by which a dataset was split.
	foldSeed = 0x63616c6962726174
)

// Calibration describes how accurate a model's confidence is on held-out rows.
type Calibration struct {
	// Temperature is the divisor of the model's scores. It is 1 if the model is
	// not calibrated.
	Temperature float64
	// Rows is the number of rows that were held out and scored.
	Rows int64
	// Before and After are the reliability of the confidences of these rows
	// without and with the temperature. They are empty if the model is not
	// calibrated.
	Before, After stats.Reliability
}

// Done reports whether there were enough rows to find a temperature.
func (c *Calibration) Done() bool { return c.Rows >= leastRows }

// figures returns what the trainer reports, or nil if the model is not
// calibrated.
func (c *Calibration) figures() *figures.Calibration {
	if !c.Done() {
		return nil
	}
	return &figures.Calibration{Temperature: &c.Temperature, Before: c.Before, After: c.After}
}

// calibrate finds the temperature for the model that fit trains on the same
// rows (Guo et al. 2017). It trains other models with the same options, each
// without one part of the rows, and compares their predictions for that part
// with its labels. A row is ignored if its label occurs only among the held-out
// rows.
func calibrate(ctx context.Context, rows Rows, o Options, dir string, progress Progress) (*Calibration, error) {
	var h heldOut
	for fold := 0; fold < folds && len(h.right) < enoughRows; fold++ {
		m, err := fitWithout(ctx, rows, o, dir, fold, progress)
		if err != nil {
			return nil, err
		}
		if m == nil {
			continue
		}
		if err := h.score(ctx, rows, m, fold); err != nil {
			return nil, err
		}
	}
	return h.calibration()
}

// heldOut contains rows with the scores of a model that has not seen them.
type heldOut struct {
	scores [][]float32
	right  []int
}

// foldOf returns the part that a text belongs to, and a number below 1 that
// decides whether the text is scored.
func foldOf(text string) (fold int, chance float64) {
	h := xxh3.HashStringSeed(text, foldSeed)
	return int(h % folds), float64(h>>11) / (1 << 53)
}

// only returns the rows that wanted selects.
func (r Rows) only(wanted func(Example) bool) Rows {
	return func(ctx context.Context, order *rand.PCG) iter.Seq2[Example, error] {
		return func(yield func(Example, error) bool) {
			for e, err := range r(ctx, order) {
				if (err != nil || wanted(e)) && !yield(e, err) {
					return
				}
			}
		}
	}
}

// fitWithout trains a model on all rows except those of one part. It returns
// nil if the rows have fewer than two labels.
func fitWithout(ctx context.Context, rows Rows, o Options, dir string, fold int, progress Progress) (*Model, error) {
	learned := rows.only(func(e Example) bool { f, _ := foldOf(e.Text); return f != fold })
	s, err := look(ctx, learned, o)
	if err != nil || len(s.classes) < 2 {
		return nil, err
	}
	if dir != "" {
		dir = filepath.Join(dir, fmt.Sprintf("part-%d", fold))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("write a checkpoint: %w", err)
		}
	}
	return fit(ctx, learned, s, o, dir, func(epoch int, loss float64) { progress(fold+1, epoch, loss) })
}

// score predicts the rows of the part that the model has not seen: all of them,
// or as many as fit into memory, chosen by their texts.
func (h *heldOut) score(ctx context.Context, rows Rows, m *Model, fold int) error {
	expected := float64(m.Training.Rows) / (folds - 1)
	share := maxScores / (expected * float64(len(m.Classes)))
	asked := rows.only(func(e Example) bool { f, chance := foldOf(e.Text); return f == fold && chance < share })
	p := m.Predictor()
	for e, err := range asked(ctx, nil) {
		if err != nil {
			return err
		}
		if right, known := slices.BinarySearch(m.Classes, e.Label); known {
			h.scores = append(h.scores, slices.Clone(p.score(e.Text)))
			h.right = append(h.right, right)
		}
	}
	return nil
}

func (h *heldOut) calibration() (*Calibration, error) {
	c := &Calibration{Temperature: 1, Rows: int64(len(h.right))}
	if !c.Done() {
		return c, nil
	}
	var err error
	if c.Temperature, err = stats.FitTemperature(h.scores, h.right); err != nil {
		return nil, fmt.Errorf("calibrate: %w", err)
	}
	// Rounding makes the model's file independent of the last bits of sums.
	c.Temperature = math.Round(c.Temperature*1e6) / 1e6
	c.Before, c.After = h.reliability(1), h.reliability(c.Temperature)
	if c.After.Brier() > c.Before.Brier() {
		// In the likelihood, wrong labels outweigh all others.
		c.Temperature, c.After = 1, c.Before
	}
	return c, nil
}

// reliability computes how often the rows' confidences at a temperature are
// right.
func (h *heldOut) reliability(temperature float64) (r stats.Reliability) {
	var probabilities []float32
	for i, scores := range h.scores {
		probabilities = append(probabilities[:0], scores...)
		softmax(probabilities, 1/temperature)
		best := top(probabilities)
		r.Add(float64(probabilities[best]), best == h.right[i])
	}
	return r
}
