package stats

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
)

// EMOptions say when DawidSkene stops. The zero value is the usual.
type EMOptions struct {
	// Iterations at the most; 0 stands for 1,000.
	Iterations int
	// Tolerance: it has converged when no probability of a label changes by
	// more in an iteration; 0 stands for 1e-6.
	Tolerance float64
	// Smoothing is added to every count of an annotator's confusion matrix.
	// With 0 the model is the one most likely, which takes annotators with
	// few votes at their word; 1 is Laplace's rule.
	Smoothing float64
}

// LabelModel is what DawidSkene has learnt.
type LabelModel struct {
	// Choices are the most probable label of each item.
	Choices []Choice
	// Posterior[i][k] is the probability that item i truly has the label k;
	// for items without votes, that of any item.
	Posterior [][]float64
	// Priors[k] is the share of items that truly have the label k.
	Priors []float64
	// Confusion[a][k][l] is how often annotator a says l of an item that
	// truly has the label k. Of a label on which nothing is known of an
	// annotator, all are alike.
	Confusion [][][]float64
	// LogLikelihood of all votes, natural.
	LogLikelihood float64
	// Iterations that were needed, and whether they were enough.
	Iterations int
	Converged  bool
}

// Accuracy is how often an annotator is right, over all labels as they occur.
func (m *LabelModel) Accuracy(annotator int) float64 {
	var right float64
	for k, prior := range m.Priors {
		right += prior * m.Confusion[annotator][k][k]
	}
	return right
}

// leastCount stands for a count of zero: what was never seen is not
// impossible.
const leastCount = 1e-10

// DawidSkene finds by expectation maximisation the true labels of items, the
// shares of labels, and the errors of annotators, under which their votes are
// most likely (Dawid and Skene 1979): given the true label, annotators err
// independently, each by a confusion matrix of their own. It starts at the
// shares of votes, so that labels keep their meaning as long as annotators
// are right more often than not.
func DawidSkene(votes []Vote, items, annotators, labels int, o EMOptions) (*LabelModel, error) {
	if o.Iterations == 0 {
		o.Iterations = 1000
	}
	if o.Tolerance == 0 {
		o.Tolerance = 1e-6
	}
	if o.Iterations < 0 || !(o.Tolerance > 0) || !(o.Smoothing >= 0) || math.IsInf(o.Smoothing, 0) {
		return nil, fmt.Errorf("iterations %d, tolerance %g and smoothing %g can't be used", o.Iterations, o.Tolerance, o.Smoothing)
	}
	if len(votes) == 0 {
		return nil, ErrNoObservations
	}
	em, err := newEM(votes, items, annotators, labels)
	if err != nil {
		return nil, err
	}
	m := &LabelModel{}
	for m.Iterations < o.Iterations && !m.Converged {
		m.Iterations++
		em.maximise(o.Smoothing)
		var change float64
		m.LogLikelihood, change = em.expect()
		m.Converged = change <= o.Tolerance
	}
	em.fill(m, items, annotators)
	return m, nil
}

// em is the state of the algorithm. Only items with votes take part.
type em struct {
	votes  []Vote // sorted by item
	labels int
	items  [][]Vote // votes of each item that has some
	// posterior of each of items.
	posterior [][]float64
	priors    []float64
	// confusion[(a*labels+given)*labels+true] is the probability that
	// annotator a says given of what is true; logs are their logarithms.
	confusion, logs []float64
}

func newEM(votes []Vote, items, annotators, labels int) (*em, error) {
	for i, v := range votes {
		if err := v.check(i, items, annotators, labels); err != nil {
			return nil, err
		}
	}
	e := &em{votes: slices.Clone(votes), labels: labels, priors: make([]float64, labels)}
	slices.SortStableFunc(e.votes, func(a, b Vote) int { return a.Item - b.Item })
	for from, to := 0, 0; from < len(e.votes); from = to {
		for to = from; to < len(e.votes) && e.votes[to].Item == e.votes[from].Item; to++ {
		}
		item := e.votes[from:to]
		shares := make([]float64, labels)
		for _, v := range item {
			shares[v.Label] += 1 / float64(len(item))
		}
		e.items, e.posterior = append(e.items, item), append(e.posterior, shares)
	}
	e.confusion = make([]float64, annotators*labels*labels)
	e.logs = make([]float64, len(e.confusion))
	return e, nil
}

// row is where the probabilities of a vote begin, one for each true label.
func (e *em) row(annotator, given int) int { return (annotator*e.labels + given) * e.labels }

// maximise finds the priors and confusions that are most likely, given the
// probabilities of the labels.
func (e *em) maximise(smoothing float64) {
	clear(e.priors)
	for i := range e.confusion {
		e.confusion[i] = smoothing
	}
	for i, item := range e.items {
		floats.Add(e.priors, e.posterior[i])
		for _, v := range item {
			at := e.row(v.Annotator, v.Label)
			floats.Add(e.confusion[at:at+e.labels], e.posterior[i])
		}
	}
	floats.Scale(1/float64(len(e.items)), e.priors)
	sums := make([]float64, e.labels)
	for a := range len(e.confusion) / (e.labels * e.labels) {
		clear(sums)
		block := e.confusion[e.row(a, 0):e.row(a+1, 0)]
		for i, c := range block {
			block[i] = max(c, leastCount)
			sums[i%e.labels] += block[i]
		}
		for i := range block {
			block[i] /= sums[i%e.labels]
		}
	}
	for i, p := range e.confusion {
		e.logs[i] = math.Log(p)
	}
}

// expect finds the probabilities of the labels, given priors and confusions.
// It returns the logarithm of the likelihood of the votes, and the largest
// change of a probability.
func (e *em) expect() (likelihood, change float64) {
	priors := make([]float64, e.labels)
	for k, p := range e.priors {
		priors[k] = math.Log(max(p, leastCount))
	}
	now := make([]float64, e.labels)
	for i, item := range e.items {
		copy(now, priors)
		for _, v := range item {
			at := e.row(v.Annotator, v.Label)
			floats.Add(now, e.logs[at:at+e.labels])
		}
		sum := floats.LogSumExp(now)
		likelihood += sum
		for k, x := range now {
			p := math.Exp(x - sum)
			change = max(change, math.Abs(p-e.posterior[i][k]))
			e.posterior[i][k] = p
		}
	}
	return likelihood, change
}

// fill hands the outcome to the model.
func (e *em) fill(m *LabelModel, items, annotators int) {
	m.Priors = e.priors
	m.Choices, m.Posterior = make([]Choice, items), make([][]float64, items)
	for i := range items {
		m.Choices[i].Label = NoLabel
	}
	for i, item := range e.items {
		at := item[0].Item
		m.Posterior[at] = e.posterior[i]
		m.Choices[at] = choose(e.posterior[i], len(item))
	}
	for i, p := range m.Posterior {
		if p == nil {
			m.Posterior[i] = slices.Clone(e.priors)
		}
	}
	m.Confusion = make([][][]float64, annotators)
	for a := range annotators {
		m.Confusion[a] = make([][]float64, e.labels)
		for truth := range e.labels {
			m.Confusion[a][truth] = make([]float64, e.labels)
			for given := range e.labels {
				m.Confusion[a][truth][given] = e.confusion[e.row(a, given)+truth]
			}
		}
	}
}
