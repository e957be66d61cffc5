package linear

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Progress is called after each epoch. part is the number of the held-out part,
// starting at 1, or 0 for the model itself.
type Progress func(part, epoch int, loss float64)

// Train fits a model. After each epoch, it writes a checkpoint to dir, and an
// interrupted training continues from the last checkpoint to the same model. If
// dir is empty, it writes no checkpoints. progress may be nil.
func Train(ctx context.Context, rows Rows, o Options, dir string, progress Progress) (*Model, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	s, err := look(ctx, rows, o)
	if err != nil {
		return nil, err
	}
	if err := s.check(o); err != nil {
		return nil, err
	}
	if progress == nil {
		progress = func(int, int, float64) {}
	}
	c := &Calibration{Temperature: 1}
	if o.Calibrate {
		// This comes before the model itself, so that only one model is in
		// memory.
		if c, err = calibrate(ctx, rows, o, dir, progress); err != nil {
			return nil, err
		}
	}
	m, err := fit(ctx, rows, s, o, dir, func(epoch int, loss float64) { progress(0, epoch, loss) })
	if err != nil {
		return nil, err
	}
	m.Temperature, m.calibration = c.Temperature, c
	return m, nil
}

// check returns why no classifier can learn from the rows.
func (s *survey) check(o Options) error {
	switch len(s.classes) {
	case 0:
		return plugin.ArgumentErrorf("target", "a classifier needs at least two distinct labels\nNo row has a label.")
	case 1:
		return plugin.ArgumentErrorf("target", "a classifier needs at least two distinct labels\nOnly one was found, in %s.", english.Count(s.rows, "row"))
	}
	for class := range o.ClassWeights {
		if _, found := slices.BinarySearch(s.classes, class); !found {
			return plugin.ArgumentErrorf("class_weights", "the class %q has a weight, but no row has that label", class)
		}
	}
	return nil
}

// fit reads the rows again and again until the model is done.
func fit(ctx context.Context, rows Rows, s *survey, o Options, dir string, progress func(epoch int, loss float64)) (*Model, error) {
	f := newFitter(s, o)
	losses := f.restore(dir)
	for epoch := len(losses); epoch < o.Epochs; epoch++ {
		loss, err := f.epoch(ctx, rows, epoch)
		if err != nil {
			return nil, err
		}
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return nil, fmt.Errorf("training diverged in epoch %d: set a learning_rate lower than %g", epoch+1, o.LearningRate)
		}
		losses = append(losses, loss)
		if err := f.checkpoint(dir, losses); err != nil {
			return nil, err
		}
		progress(epoch+1, loss)
	}
	return f.model(losses), nil
}

// model returns a model with the current weights.
func (f *fitter) model(losses []float64) *Model {
	blas.Sscal(len(f.weights), float32(f.scale), f.weights, 1)
	f.scale = 1
	return &Model{
		Temperature: 1, Features: f.opts.Features, Classes: f.survey.classes,
		Training: Training{
			Rows: f.survey.rows, Epochs: f.opts.Epochs, LearningRate: f.opts.LearningRate,
			L2: f.opts.L2, Seed: f.opts.Seed, Loss: losses[len(losses)-1],
		},
		singles: f.survey.singles, vocabulary: f.survey.vocabulary, weights: f.weights, bias: f.bias,
	}
}
