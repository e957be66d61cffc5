package linear

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"

	"gonum.org/v1/gonum/blas/gonum"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Options defines how a model is fitted.
type Options struct {
	Features Features
	// Least is the minimum number of rows that an n-gram must occur in.
	Least  int
	Epochs int
	// LearningRate is the rate at the beginning. It decreases linearly to 0.
	LearningRate float64
	// L2 is the strength of the L2 penalty, applied with each row.
	L2 float64
	// ClassWeights contains factors for the loss of each class's rows. Nil
	// means that all are 1. With Balanced, all classes have the same total
	// weight instead.
	ClassWeights map[string]float64
	Balanced     bool
	Seed         int64
	// MaxMemory is the maximum memory for the weights, in MiB.
	MaxMemory int
	// Calibrate requests a temperature with which confidences are accurate on
	// held-out rows. This takes one more training on four fifths of the rows
	// or, if there are few rows, up to five.
	Calibrate bool
}

const (
	// batchRows is the number of examples that are scored with the same weights
	// and then applied one after the other. It affects the result.
	batchRows = 32
	// window is the number of examples that are held in memory to be shuffled.
	window = 1 << 16
)

var blas gonum.Implementation

// DefaultOptions returns options that suit short texts. With them, models for
// the 77 intents of Banking77 are right on 91 of 100 held-out messages.
func DefaultOptions() Options {
	return Options{
		Features: Features{Words: 2, CharsMin: 3, CharsMax: 5, Bits: 18, Lowercase: true},
		Least:    2, Epochs: 10, LearningRate: 1, L2: 1e-5, MaxMemory: 1024,
	}
}

// Check returns an error that describes an invalid option and names its
// argument.
func (o Options) Check() error {
	if err := o.Features.Check(); err != nil {
		return err
	}
	switch {
	case o.Epochs < 1:
		return plugin.ArgumentErrorf("epochs", "the number of epochs must be at least 1, not %d", o.Epochs)
	case !(o.LearningRate > 0) || math.IsInf(o.LearningRate, 0):
		return plugin.ArgumentErrorf("learning_rate", "the learning rate must be greater than 0, not %g", o.LearningRate)
	case !(o.L2 >= 0) || o.L2*o.LearningRate*batchRows >= 0.5:
		return plugin.ArgumentErrorf("regularisation", "regularisation = %g is out of range: multiplied by the learning rate, it must be at least 0 and less than %g", o.L2, 0.5/batchRows)
	}
	if o.MaxMemory < 1 || o.MaxMemory > maxMemory {
		return plugin.ArgumentErrorf("max_memory", "max_memory must be from 1 to %d MiB, not %d", maxMemory, o.MaxMemory)
	}
	for class, w := range o.ClassWeights {
		if !(w >= 0) || math.IsInf(w, 0) {
			return plugin.ArgumentErrorf("class_weights."+class, "the weight of class %q must be at least 0, not %g", class, w)
		}
	}
	return nil
}

// fitter contains the weights while they are being fitted.
type fitter struct {
	opts    Options
	survey  *survey
	class   map[string]int
	weight  []float32 // factor of the loss, by class
	k       int       // classes
	weights []float32 // place-major, times scale
	bias    []float32
	// grown contains AdaGrad's sums of squared gradients, by place.
	grown     []float32
	grownBias float32
	scale     float64 // the common factor of all weights
	workers   []*extractor
	steps     int64 // examples applied so far
	total     int64 // examples in all epochs together
}

// scored is an example in progress: its vector and the gradient of its loss.
type scored struct {
	terms    []term
	gradient []float32 // by class
	loss     float64
}

func newFitter(s *survey, o Options) *fitter {
	f := &fitter{opts: o, survey: s, k: len(s.classes), scale: 1, class: map[string]int{}}
	for i, c := range s.classes {
		f.class[c] = i
	}
	f.weight = lossWeights(s, o)
	f.weights = make([]float32, len(s.vocabulary.idf)*f.k)
	f.grown = make([]float32, len(s.vocabulary.idf))
	f.bias = make([]float32, f.k)
	f.total = s.rows * int64(o.Epochs)
	for range min(runtime.GOMAXPROCS(0), 16) {
		f.workers = append(f.workers, &extractor{Features: o.Features})
	}
	return f
}

func lossWeights(s *survey, o Options) []float32 {
	out := make([]float32, len(s.classes))
	for i, c := range s.classes {
		out[i] = 1
		if w, ok := o.ClassWeights[c]; ok {
			out[i] = float32(w)
		} else if o.Balanced {
			out[i] = float32(float64(s.rows) / float64(int64(len(s.classes))*s.counts[i]))
		}
	}
	return out
}

// epoch passes over all rows once and returns their mean loss.
func (f *fitter) epoch(ctx context.Context, rows Rows, number int) (float64, error) {
	order := rand.NewPCG(uint64(f.opts.Seed), uint64(number))
	batch := make([]scored, batchRows)
	for i := range batch {
		batch[i].gradient = make([]float32, f.k)
	}
	var loss float64
	var held []Example
	flush := func() {
		shuffle(held, order)
		for start := 0; start < len(held); start += batchRows {
			part := held[start:min(start+batchRows, len(held))]
			loss += f.step(part, batch[:len(part)])
		}
		held = held[:0]
	}
	for e, err := range rows(ctx, order) {
		if err != nil {
			return 0, err
		}
		if held = append(held, e); len(held) == window {
			flush()
		}
	}
	flush()
	return loss / float64(f.survey.rows), nil
}

// shuffle is the Fisher-Yates shuffle. It is implemented here so that no
// release of Go changes the effect of a seed.
func shuffle(list []Example, order *rand.PCG) {
	for i := len(list) - 1; i > 0; i-- {
		j := order.Uint64() % uint64(i+1)
		list[i], list[j] = list[j], list[i]
	}
}

// step scores a few examples and then applies them. Both halves are distributed
// over workers so that the number and timing of the workers do not matter: one
// worker scores each example, and one worker owns each place and adds to it in
// the order of the examples.
func (f *fitter) step(examples []Example, batch []scored) float64 {
	f.spread(func(w int) {
		for i := w; i < len(examples); i += len(f.workers) {
			f.score(f.workers[w], examples[i], &batch[i])
		}
	})
	rate := f.opts.LearningRate * (1 - float64(f.steps)/float64(f.total))
	f.shrink(rate, len(examples))
	f.spread(func(w int) { f.apply(w, batch, float32(rate)) })
	f.steps += int64(len(examples))
	var loss float64
	for i := range batch {
		loss += batch[i].loss
	}
	return loss
}

func (f *fitter) spread(work func(w int)) {
	parallel.For(len(f.workers), len(f.workers), work)
}

// score computes an example's vector, loss, and gradient.
func (f *fitter) score(x *extractor, e Example, s *scored) {
	terms := f.survey.vocabulary.weigh(x.counts(e.Text))
	s.terms = append(s.terms[:0], terms...)
	for c := range s.gradient {
		s.gradient[c] = 0
	}
	for _, t := range s.terms {
		at := int(t.at) * f.k
		blas.Saxpy(f.k, t.value*float32(f.scale), f.weights[at:at+f.k], 1, s.gradient, 1)
	}
	for c, b := range f.bias {
		s.gradient[c] += b
	}
	target := f.class[e.Label]
	softmax(s.gradient, 1)
	s.loss = -math.Log(math.Max(float64(s.gradient[target]), 1e-30)) * float64(f.weight[target])
	s.gradient[target]--
	if weight := f.weight[target]; weight != 1 {
		blas.Sscal(f.k, weight, s.gradient, 1)
	}
}

// softmax multiplies scores by a factor and converts them to probabilities, in
// place.
func softmax(scores []float32, factor float64) {
	top := scores[0]
	for _, s := range scores {
		top = max(top, s)
	}
	var sum float64
	for i, s := range scores {
		e := math.Exp(factor * float64(s-top))
		scores[i] = float32(e)
		sum += e
	}
	for i := range scores {
		scores[i] = float32(float64(scores[i]) / sum)
	}
}

// shrink pulls all weights toward zero by changing their common scale.
func (f *fitter) shrink(rate float64, rows int) {
	f.scale *= 1 - rate*f.opts.L2*float64(rows)
	if f.scale > 1e-4 {
		return
	}
	blas.Sscal(len(f.weights), float32(f.scale), f.weights, 1)
	f.scale = 1
}

// apply adds the gradients of the batch to the places of one worker.
func (f *fitter) apply(w int, batch []scored, rate float32) {
	n := uint32(len(f.workers))
	for i := range batch {
		s := &batch[i]
		norm := squared(s.gradient)
		if w == 0 {
			f.grownBias += norm
			blas.Saxpy(f.k, -rate/root(f.grownBias), s.gradient, 1, f.bias, 1)
		}
		for _, t := range s.terms {
			if t.at%n != uint32(w) {
				continue
			}
			f.grown[t.at] += t.value * t.value * norm
			at := int(t.at) * f.k
			blas.Saxpy(f.k, -rate*t.value/(root(f.grown[t.at])*float32(f.scale)), s.gradient, 1, f.weights[at:at+f.k], 1)
		}
	}
}

// squared returns the squared length of a vector. It does not call Sdot, whose
// result depends on the address of the vector.
func squared(v []float32) (sum float32) {
	for _, x := range v {
		sum += x * x
	}
	return sum
}

func root(x float32) float32 { return float32(math.Sqrt(float64(x) + 1e-8)) }
