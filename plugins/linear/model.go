package linear

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
)

// Format is the name of the model's format: a folder of two files.
//
// model.json is an object: format, features (as in Features), classes (the
// labels, sorted), places (the number of n-gram buckets that have weights),
// temperature (above 0; 1 if the model is not calibrated), and training (how
// the model was trained, for people).
//
// weights.bin contains, without gaps and in little-endian order: the bucket of
// each place (uint32), its inverse document frequency (float32), the bias of
// each class (float32), and for each place the weight of each class (float32).
//
// A prediction splits the text into n-grams, hashes them into buckets, counts,
// weights the counts as 1+ln(count) times the inverse document frequency,
// scales that vector to length 1, multiplies it by the weights, adds the bias,
// divides by the temperature, and takes the softmax.
const Format = "quern.linear/v2"

// formatV1 has no temperature, which is then 1. Earlier versions wrote it.
const formatV1 = "quern.linear/v1"

const (
	headFile    = "model.json"
	weightsFile = "weights.bin"
)

// Model is a trained classifier.
type Model struct {
	Features Features
	// Classes are the labels, sorted.
	Classes  []string
	Training Training
	// Temperature is the divisor of scores before they become probabilities. It
	// does not change any label.
	Temperature float64

	// Only in a model that was just trained: the number of classes with one
	// row, and how the temperature was found.
	singles     int64
	calibration *Calibration

	vocabulary *vocabulary
	weights    []float32 // place-major
	bias       []float32
}

// Training describes what a model was trained from. It contains no times and no
// paths, so that equal training gives equal files.
type Training struct {
	Rows         int64   `json:"rows"`
	Epochs       int     `json:"epochs"`
	LearningRate float64 `json:"learning_rate"`
	L2           float64 `json:"l2"`
	Seed         int64   `json:"seed"`
	// Loss is the mean loss of the last epoch, in nats.
	Loss float64 `json:"loss"`
}

type head struct {
	Format      string   `json:"format"`
	Features    Features `json:"features"`
	Classes     []string `json:"classes"`
	Places      int      `json:"places"`
	Temperature float64  `json:"temperature"`
	Training    Training `json:"training"`
}

// Places is the number of n-gram buckets that have weights.
func (m *Model) Places() int { return len(m.vocabulary.idf) }

// Save writes the model's files into dir.
func (m *Model) Save(dir string) error {
	h := head{Format: Format, Features: m.Features, Classes: m.Classes, Places: m.Places(), Temperature: m.Temperature, Training: m.Training}
	text, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the model: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, headFile), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("save the model: %w", err)
	}
	file, err := os.Create(filepath.Join(dir, weightsFile))
	if err != nil {
		return fmt.Errorf("save the model: %w", err)
	}
	defer file.Close()
	w := bufio.NewWriterSize(file, 1<<20)
	for _, part := range []any{m.vocabulary.buckets(), m.vocabulary.idf, m.bias, m.weights} {
		if err := binary.Write(w, binary.LittleEndian, part); err != nil {
			return fmt.Errorf("save the model: %w", err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("save the model: %w", err)
	}
	return file.Close()
}

// Open reads a model. open opens one of its files by name.
func Open(open func(name string) (io.ReadCloser, error)) (*Model, error) {
	h, err := readHead(open)
	if err != nil {
		return nil, fmt.Errorf("open the model: %w", err)
	}
	file, err := open(weightsFile)
	if err != nil {
		return nil, fmt.Errorf("open the model: %w", err)
	}
	defer file.Close()
	buckets, idf := make([]uint32, h.Places), make([]float32, h.Places)
	bias, weights := make([]float32, len(h.Classes)), make([]float32, h.Places*len(h.Classes))
	r := bufio.NewReaderSize(file, 1<<20)
	for _, part := range []any{buckets, idf, bias, weights} {
		if err := binary.Read(r, binary.LittleEndian, part); err != nil {
			return nil, fmt.Errorf("open the model: %s is too short: %w", weightsFile, err)
		}
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("open the model: %s is longer than %s says", weightsFile, headFile)
	}
	for _, b := range buckets {
		if b >= 1<<h.Features.Bits {
			return nil, fmt.Errorf("open the model: %s refers to bucket %d, which is out of range for %d hash bits", weightsFile, b, h.Features.Bits)
		}
	}
	return &Model{
		Features: h.Features, Classes: h.Classes, Training: h.Training, Temperature: h.Temperature,
		vocabulary: newVocabulary(h.Features.Bits, buckets, idf), weights: weights, bias: bias,
	}, nil
}

// maxWeights limits the memory that a model file can request: 16 GiB.
const maxWeights = 1 << 32

func readHead(open func(name string) (io.ReadCloser, error)) (*head, error) {
	file, err := open(headFile)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var h head
	if err := json.NewDecoder(file).Decode(&h); err != nil {
		return nil, fmt.Errorf("%s: %w", headFile, err)
	}
	switch {
	case h.Format == formatV1:
		h.Temperature = 1
	case h.Format != Format:
		return nil, fmt.Errorf("%s has format %q, but this version of quern reads %q", headFile, h.Format, Format)
	case !(h.Temperature > 0) || math.IsInf(h.Temperature, 0):
		return nil, fmt.Errorf("%s: the temperature %g is not valid", headFile, h.Temperature)
	}
	if err := h.Features.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", headFile, err)
	}
	if h.Places < 0 || h.Places > 1<<h.Features.Bits || len(h.Classes) < 1 || int64(h.Places)*int64(len(h.Classes)) > maxWeights {
		return nil, fmt.Errorf("%s cannot have %d places and %d classes", headFile, h.Places, len(h.Classes))
	}
	return &h, nil
}

// Predictor applies a model. It owns buffers, so only one goroutine may use it.
type Predictor struct {
	model   *Model
	extract extractor
	scores  []float32
}

// Predictor returns a new predictor. Several can be used at the same time.
func (m *Model) Predictor() *Predictor {
	return &Predictor{model: m, extract: extractor{Features: m.Features}, scores: make([]float32, len(m.Classes))}
}

// Predict returns the most probable label of a text and its probability.
func (p *Predictor) Predict(text string) (label string, confidence float64) {
	scores := p.Probabilities(text)
	best := top(scores)
	return p.model.Classes[best], float64(scores[best])
}

// top returns the index of the largest number, or the first index if there are
// several.
func top(list []float32) (best int) {
	for i, x := range list {
		if x > list[best] {
			best = i
		}
	}
	return best
}

// Probabilities returns the probability of each class, in the order of
// Model.Classes. The slice is valid until the next call.
func (p *Predictor) Probabilities(text string) []float32 {
	scores := p.score(text)
	softmax(scores, 1/p.model.Temperature)
	return scores
}

// score returns the unnormalized logarithm of the probability of each class, at
// a temperature of 1. The slice is valid until the next call.
func (p *Predictor) score(text string) []float32 {
	m := p.model
	copy(p.scores, m.bias)
	for _, t := range m.vocabulary.weigh(p.extract.counts(text)) {
		at := int(t.at) * len(m.Classes)
		blas.Saxpy(len(m.Classes), t.value, m.weights[at:at+len(m.Classes)], 1, p.scores, 1)
	}
	return p.scores
}
