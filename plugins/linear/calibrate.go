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
	// folds is how many parts rows are cut into, by their texts. A model that
	// has learned from all parts but one is asked about that one.
	folds = 5
	// enoughRows is how many rows decide a temperature well enough: no further
	// part is held out once there are as many.
	enoughRows = 1000
	// leastRows is how few rows can't decide a temperature.
	leastRows = 50
	// maxScores bounds the scores that are held in memory: 64 MiB.
	maxScores = 16 << 20
	// foldSeed keeps the parts independent of other hashes of the same texts,
	// such as those by which a dataset was split.
	foldSeed = 0x63616c6962726174
)

// Calibration is what rows that were held out say of a model's confidence.
type Calibration struct {
	// Temperature is what the model's scores are to be divided by; 1 if the
	// model is not calibrated.
	Temperature float64
	// Rows is how many rows were held out and scored.
	Rows int64
	// Before and After are the confidences of these rows without and with the
	// temperature. They are empty if the model is not calibrated.
	Before, After stats.Reliability
}

// Done reports whether there were enough rows to find a temperature.
func (c *Calibration) Done() bool { return c.Rows >= leastRows }

// figures are what the trainer reports; nil: the model is not calibrated.
func (c *Calibration) figures() *figures.Calibration {
	if !c.Done() {
		return nil
	}
	return &figures.Calibration{Temperature: &c.Temperature, Before: c.Before, After: c.After}
}

// calibrate finds the temperature of the model that fit makes of the same rows
// (Guo et al. 2017). It fits other models for that, with the same options, each
// on a part of the rows, and compares what they say of the rows that they have
// not seen with the labels of these. A row whose label occurs among held-out
// rows alone says nothing and is passed over.
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

// heldOut are rows with the scores of a model that has not seen them.
type heldOut struct {
	scores [][]float32
	right  []int
}

// foldOf returns the part that a text belongs to, and a number below 1 that
// says whether it is among those that are scored.
func foldOf(text string) (fold int, chance float64) {
	h := xxh3.HashStringSeed(text, foldSeed)
	return int(h % folds), float64(h>>11) / (1 << 53)
}

// only hands out the rows that are wanted.
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

// fitWithout makes a model of all rows but those of a part. It is nil if these
// have fewer than two labels.
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

// score asks a model about the rows of the part that it has not seen: all of
// them, or as many as fit into memory, chosen by their texts.
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
	// So that a model's file does not depend on the last bits of sums.
	c.Temperature = math.Round(c.Temperature*1e6) / 1e6
	c.Before, c.After = h.reliability(1), h.reliability(c.Temperature)
	if c.After.Brier() > c.Before.Brier() {
		// Wrong labels weigh more in the likelihood than all others.
		c.Temperature, c.After = 1, c.Before
	}
	return c, nil
}

// reliability is how often the rows' confidences of a temperature are right.
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
