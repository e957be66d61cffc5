// Package fasttext reads classifiers that fastText trained, and predicts with
// them: .bin files, and .ftz files, whose matrices are quantized.
//
// It returns what fastText itself returns for the same text, without its
// library. It reads models of versions 11 and 12 of the format with any loss:
// softmax, hierarchical softmax, one-vs-all, and negative sampling. A damaged
// file is an error: it never causes a panic or an allocation much larger than
// the file.
package fasttext

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// labelPrefix begins the labels in a model's dictionary. fastText does not
// store the prefix, so models that were trained with another one cannot be
// recognized.
const labelPrefix = "__label__"

// Model is a classifier. Any number of Predictors can share it.
type Model struct {
	settings   settings
	dictionary dictionary
	// input has a row for each word and each bucket of n-grams, output one for
	// each label, except with hierarchical softmax: there, one for each inner
	// node of the tree.
	input, output matrix
	tree          *tree
}

// Open reads a model from a file.
func Open(path string) (*Model, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return Read(f, info.Size())
}

// Labels returns the labels of the model in a file, as Model.Labels does. It does
// not read the matrices, which are most of the file.
func Labels(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	in, m := newReader(f, info.Size()), &Model{}
	m.settings.read(in)
	m.dictionary.read(in, &m.settings)
	return m.Labels(), in.err
}

// Read reads a model of size bytes.
func Read(r io.Reader, size int64) (*Model, error) {
	in := newReader(r, size)
	m := &Model{}
	m.read(in)
	if in.err != nil {
		return nil, in.err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	if m.settings.loss == hierarchicalSoftmax {
		var err error
		if m.tree, err = newTree(m.dictionary.counts); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Model) read(in *reader) {
	m.settings.read(in)
	m.dictionary.read(in, &m.settings)
	quantized := in.bool()
	m.input = readMatrix(in, quantized)
	quantizedOutput := in.bool()
	m.output = readMatrix(in, quantized && quantizedOutput)
}

// check checks that the parts of the file belong together.
func (m *Model) check() error {
	inputs, inputDim := m.input.size()
	outputs, outputDim := m.output.size()
	labels := int64(len(m.dictionary.labels))
	switch dim := int64(m.settings.dim); {
	case labels == 0:
		return errors.New("the model has no labels")
	case inputDim != dim || outputDim != dim:
		return damaged("its vectors have %d and %d values in place of %d", inputDim, outputDim, dim)
	case outputs != labels:
		return damaged("it has %d labels, but outputs for %d", labels, outputs)
	case m.dictionary.rows(&m.settings) > inputs:
		return damaged("its dictionary needs %d vectors, but there are %d", m.dictionary.rows(&m.settings), inputs)
	}
	return nil
}

// Labels returns the labels without fastText's prefix __label__, in the order of
// their numbers.
func (m *Model) Labels() []string { return m.dictionary.labels }

// Label is a label that a model predicts.
type Label struct {
	// Number is the label's position in Labels.
	Number int
	// Probability is from 0 to 1. With the losses one-vs-all and negative
	// sampling, the probabilities of all labels do not add up to 1.
	Probability float64
}

// Predictor predicts with a model. It reuses memory, so it must not be used by
// several goroutines at the same time.
type Predictor struct {
	model  *Model
	rows   []int32
	hashes []int32
	word   []byte
	hidden []float32
	scores []float32
	best   ranking
	out    []Label
}

// NewPredictor returns a predictor.
func (m *Model) NewPredictor() *Predictor {
	return &Predictor{
		model: m, hidden: make([]float32, m.settings.dim), scores: make([]float32, len(m.dictionary.labels)),
	}
}

// Predict returns the k most probable labels of a text, beginning with the most
// probable. A line break separates words like any other space, so the whole text
// is one line for fastText. If only is not nil, labels for which it is false are
// left out. The result is empty if the model knows nothing that occurs in the
// text; it is valid until the next call.
func (p *Predictor) Predict(text string, k int, only []bool) []Label {
	p.line(text)
	if len(p.rows) == 0 {
		return nil
	}
	p.model.input.average(p.hidden, p.rows)
	p.best.reset(k, only)
	p.model.rank(p.hidden, p.scores, &p.best)
	p.out = p.out[:0]
	for _, s := range p.best.scored {
		p.out = append(p.out, Label{s.label, probability(s.score)})
	}
	return p.out
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("the file is damaged: "+format, args...)
}

func withoutPrefix(label string) string { return strings.TrimPrefix(label, labelPrefix) }
