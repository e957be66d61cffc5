package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// EMOptions say when DawidSkene stops. The zero value is the usual.
type EMOptions struct {
	// Iterations is the maximum number of iterations; 0 means 200.
	Iterations int
	// Tolerance is when the model has converged: when the probabilities of an
	// item's labels change by no more in an iteration, averaged over all items;
	// 0 means 1e-7.
	Tolerance float64
	// Smoothing is how many votes are added to what each annotator says of
	// each true label, spread evenly over all labels. With 0 the model is the
	// most likely one, which takes annotators with few votes at their word.
	Smoothing float64
	// Progress, if any, is called after each iteration. Its error ends the work.
	Progress func(iteration int) error
}

// LabelModel is what DawidSkene has learned.
type LabelModel struct {
	// Choices are the most probable label of each item.
	Choices []Choice
	// Priors[k] is the share of items that truly have the label k.
	Priors []float64
	// LogLikelihood of all votes, natural.
	LogLikelihood float64
	// Iterations is how many were carried out, and Converged whether they were
	// enough.
	Iterations int
	Converged  bool

	em *em
}

// Posterior returns the probability of each label of an item. For an item
// without votes these are the priors.
func (m *LabelModel) Posterior(item int) []float64 {
	if i, ok := slices.BinarySearch(m.em.items, item); ok {
		return slices.Clone(m.em.of(i))
	}
	return slices.Clone(m.Priors)
}

// Confusion returns how often an annotator gives an item the label given if
// the label is truly truth. If nothing is known of an annotator on a label,
// all labels are equally likely.
func (m *LabelModel) Confusion(annotator, truth, given int) float64 {
	e := m.em
	if row, ok := slices.BinarySearchFunc(e.rows, Vote{Annotator: annotator, Label: given}, byAnnotator); ok {
		return math.Exp(e.logs[row*e.labels+truth])
	}
	from, _ := slices.BinarySearchFunc(e.rows, Vote{Annotator: annotator}, byAnnotator)
	sum, seen := 0.0, 0
	for row := from; row < len(e.rows) && e.rows[row].Annotator == annotator; row++ {
		sum += math.Exp(e.logs[row*e.labels+truth])
		seen++
	}
	return max(0, 1-sum) / float64(e.labels-seen)
}

// Accuracy is how often an annotator is right, over all labels as they occur.
func (m *LabelModel) Accuracy(annotator int) float64 {
	var right float64
	for k, prior := range m.Priors {
		right += prior * m.Confusion(annotator, k, k)
	}
	return right
}

// leastCount replaces a count of zero: what was never seen is not impossible.
const leastCount = 1e-10

// maxCells bounds the memory of DawidSkene: 2 GiB of probabilities.
const maxCells = 1 << 28

// DawidSkene finds by expectation maximization the true labels of items, the
// shares of labels, and the errors of annotators, under which their votes are
// most likely (Dawid and Skene 1979): given the true label, annotators err
// independently, each by a confusion matrix of their own. It starts at the
// shares of votes, so that labels keep their meaning as long as annotators
// are right more often than not.
//
// Confusion matrices are kept only for labels that an annotator gave, so that
// memory and time grow with the votes times the labels. The order of votes
// does not matter.
func DawidSkene(votes []Vote, items, annotators, labels int, o EMOptions) (*LabelModel, error) {
	if o.Iterations == 0 {
		o.Iterations = 200
	}
	if o.Tolerance == 0 {
		o.Tolerance = 1e-7
	}
	if o.Iterations < 0 || !(o.Tolerance > 0) || !(o.Smoothing >= 0) || math.IsInf(o.Smoothing, 0) {
		return nil, fmt.Errorf("iterations %d, tolerance %g, and smoothing %g cannot be used", o.Iterations, o.Tolerance, o.Smoothing)
	}
	if len(votes) == 0 {
		return nil, ErrNoObservations
	}
	e, err := newEM(votes, items, annotators, labels)
	if err != nil {
		return nil, err
	}
	m := &LabelModel{em: e, Priors: e.priors}
	for m.Iterations < o.Iterations && !m.Converged {
		m.Iterations++
		e.maximize(o.Smoothing / float64(labels))
		var change float64
		m.LogLikelihood, change = e.expect()
		m.Converged = change <= o.Tolerance
		if o.Progress != nil {
			if err := o.Progress(m.Iterations); err != nil {
				return nil, err
			}
		}
	}
	m.Choices = e.choices(items)
	return m, nil
}

// em is the state of the algorithm. Only items with votes take part.
type em struct {
	labels int
	items  []int // their numbers, ascending
	// starts[i] is where the votes of items[i] begin in given, which holds the
	// row of each vote.
	starts, given []int
	// rows are the labels that each annotator gave, by annotator and label.
	rows []Vote
	// posterior[i*labels+k] is the probability that items[i] truly has label k.
	posterior []float64
	priors    []float64
	// logs[row*labels+k] is the logarithm of the probability that the row's
	// annotator gives the row's label to an item that truly has label k.
	logs []float64
}

func byAnnotator(a, b Vote) int {
	return cmp.Or(cmp.Compare(a.Annotator, b.Annotator), cmp.Compare(a.Label, b.Label))
}

// byItem is a total order, so that sums do not depend on the order of votes.
func byItem(a, b Vote) int { return cmp.Or(cmp.Compare(a.Item, b.Item), byAnnotator(a, b)) }

func newEM(votes []Vote, items, annotators, labels int) (*em, error) {
	for i, v := range votes {
		if err := v.check(i, items, annotators, labels); err != nil {
			return nil, err
		}
	}
	e := &em{labels: labels, priors: make([]float64, labels), rows: slices.Clone(votes)}
	for i := range e.rows {
		e.rows[i].Item = 0
	}
	slices.SortFunc(e.rows, byAnnotator)
	e.rows = slices.Compact(e.rows)
	number := make(map[Vote]int, len(e.rows))
	for i, row := range e.rows {
		number[row] = i
	}
	votes = slices.SortedFunc(slices.Values(votes), byItem)
	for i, v := range votes {
		if i == 0 || v.Item != votes[i-1].Item {
			e.items, e.starts = append(e.items, v.Item), append(e.starts, i)
		}
		e.given = append(e.given, number[Vote{Annotator: v.Annotator, Label: v.Label}])
	}
	e.starts = append(e.starts, len(votes))
	if cells := float64(len(e.items)+len(e.rows)) * float64(labels); cells > maxCells {
		return nil, fmt.Errorf("%d items and %d labels are too many for a model of annotators' errors: it would need %.0f GiB of memory", len(e.items), labels, cells*8/(1<<30))
	}
	e.logs = make([]float64, len(e.rows)*labels)
	e.posterior = make([]float64, len(e.items)*labels)
	for i := range e.items {
		given := e.votesOn(i)
		for _, row := range given {
			e.posterior[i*labels+e.rows[row].Label] += 1 / float64(len(given))
		}
	}
	return e, nil
}

// of returns the probabilities of the labels of items[i].
func (e *em) of(i int) []float64 { return e.posterior[i*e.labels : (i+1)*e.labels] }

// votesOn returns the rows of the votes on items[i].
func (e *em) votesOn(i int) []int { return e.given[e.starts[i]:e.starts[i+1]] }

// row returns what is known of a row, by true label.
func (e *em) row(r int) []float64 { return e.logs[r*e.labels : (r+1)*e.labels] }

// maximize finds the priors and confusions that are most likely, given the
// probabilities of the labels.
func (e *em) maximize(smoothing float64) {
	clear(e.priors)
	for i := range e.logs {
		e.logs[i] = smoothing
	}
	for i := range e.items {
		p := e.of(i)
		add(e.priors, p)
		for _, r := range e.votesOn(i) {
			add(e.row(r), p)
		}
	}
	for k := range e.priors {
		e.priors[k] /= float64(len(e.items))
	}
	sums := make([]float64, e.labels)
	for from, to := 0, 0; from < len(e.rows); from = to {
		for to = from; to < len(e.rows) && e.rows[to].Annotator == e.rows[from].Annotator; to++ {
		}
		e.normalize(from, to, max(smoothing, leastCount), sums)
	}
}

// normalize turns the counts of an annotator's rows into logarithms of
// probabilities. Labels that it never gave count as unseen each.
func (e *em) normalize(from, to int, unseen float64, sums []float64) {
	for k := range sums {
		sums[k] = unseen * float64(e.labels-(to-from))
	}
	block := e.logs[from*e.labels : to*e.labels]
	for at := 0; at < len(block); at += e.labels {
		for k := range sums {
			block[at+k] = max(block[at+k], leastCount)
			sums[k] += block[at+k]
		}
	}
	for at := 0; at < len(block); at += e.labels {
		for k, sum := range sums {
			block[at+k] = math.Log(block[at+k] / sum)
		}
	}
}

// expect finds the probabilities of the labels, given priors and confusions.
// It returns the logarithm of the likelihood of the votes, and the mean over
// the items of the largest change of a probability.
func (e *em) expect() (likelihood, change float64) {
	priors := make([]float64, e.labels)
	for k, p := range e.priors {
		priors[k] = math.Log(max(p, leastCount))
	}
	now := make([]float64, e.labels)
	for i := range e.items {
		copy(now, priors)
		for _, r := range e.votesOn(i) {
			add(now, e.row(r))
		}
		top, sum := slices.Max(now), 0.0
		for k, x := range now {
			now[k] = math.Exp(x - top)
			sum += now[k]
		}
		likelihood += top + math.Log(sum)
		p, most := e.of(i), 0.0
		for k, x := range now {
			x /= sum
			most = max(most, math.Abs(x-p[k]))
			p[k] = x
		}
		change += most
	}
	return likelihood, change / float64(len(e.items))
}

// choices returns the most probable label of each item.
func (e *em) choices(items int) []Choice {
	out := make([]Choice, items)
	for i := range out {
		out[i].Label = NoLabel
	}
	for i, item := range e.items {
		out[item] = choose(e.of(i), len(e.votesOn(i)))
	}
	return out
}

// add adds x to sum. Few labels are usual, for which a call of a vector
// routine costs more than the sum.
func add(sum, x []float64) {
	x = x[:len(sum)]
	for k := range sum {
		sum[k] += x[k]
	}
}
