package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// EMOptions says when DawidSkene and MACE stop. The zero value has the
// defaults.
type EMOptions struct {
	// Iterations is the maximum number of iterations; 0 means 200.
	Iterations int
	// Tolerance decides when the model has converged: when the probabilities of
	// an item's labels change by at most this much in an iteration, averaged
	// over all items. 0 means 1e-7.
	Tolerance float64
	// Smoothing is the number of votes that DawidSkene adds for each annotator
	// and true label, distributed like the votes of all annotators on that
	// label. With 0, the result is the maximum likelihood model, which takes
	// annotators with few votes at face value.
	Smoothing float64
	// Restarts is the number of starting points that MACE tries. 0 means 10.
	// Seed determines all starting points except the first.
	Restarts int
	Seed     uint64
	// Progress, if it is not nil, is called after each iteration. If it returns
	// an error, the work ends.
	Progress func(iteration int) error
}

func (o EMOptions) usual() (EMOptions, error) {
	if o.Iterations == 0 {
		o.Iterations = 200
	}
	if o.Tolerance == 0 {
		o.Tolerance = 1e-7
	}
	if o.Restarts == 0 {
		o.Restarts = 10
	}
	if o.Iterations < 0 || o.Restarts < 0 || !(o.Tolerance > 0) || !(o.Smoothing >= 0) || math.IsInf(o.Smoothing, 0) {
		return o, fmt.Errorf("iterations %d, restarts %d, tolerance %g, and smoothing %g cannot be used", o.Iterations, o.Restarts, o.Tolerance, o.Smoothing)
	}
	return o, nil
}

// LabelModel is what DawidSkene or MACE has learned.
type LabelModel struct {
	// Choices contains the most probable label of each item.
	Choices []Choice
	// Priors[k] is the share of items whose true label is k.
	Priors []float64
	// LogLikelihood is the natural logarithm of the likelihood of all votes.
	LogLikelihood float64
	// Iterations is the number of iterations, and Converged says whether they
	// were enough.
	Iterations int
	Converged  bool

	votes *votesByItem
	learned
}

// learned contains the probabilities that a model has learned.
type learned interface {
	// posterior returns the probability of each label of an item that has
	// votes. The caller owns the slice.
	posterior(i int) []float64
	// Confusion returns the probability that an annotator gives the label given
	// to an item whose true label is truth.
	Confusion(annotator, truth, given int) float64
}

// Posterior returns the probability of each label of an item. For an item
// without votes, these are the priors.
func (m *LabelModel) Posterior(item int) []float64 {
	if i, ok := slices.BinarySearch(m.votes.items, item); ok {
		return m.posterior(i)
	}
	return slices.Clone(m.Priors)
}

// Accuracy returns how often an annotator is right, over all labels in their
// proportions.
func (m *LabelModel) Accuracy(annotator int) float64 {
	var right float64
	for k, prior := range m.Priors {
		right += prior * m.Confusion(annotator, k, k)
	}
	return right
}

// leastCount replaces a count of zero, because a label that was never seen is
// not impossible.
const leastCount = 1e-10

// maxCells limits the memory of DawidSkene to 2 GiB of probabilities.
const maxCells = 1 << 28

// DawidSkene uses expectation maximization to find the true labels of items,
// the shares of labels, and the errors of annotators that maximize the
// likelihood of the votes (Dawid and Skene 1979). Given the true label,
// annotators err independently, each with their own confusion matrix. It starts
// with the shares of votes, so labels keep their meaning as long as annotators
// are right more often than not.
//
// Annotators who find the same items difficult do not err independently. The
// probabilities are then too close to 0 and 1; see FitTemperature.
//
// Confusion matrices are stored only for labels that an annotator gave, so
// memory and time grow with the number of votes times the number of labels. The
// order of the votes does not matter.
func DawidSkene(votes []Vote, items, annotators, labels int, o EMOptions) (*LabelModel, error) {
	o, err := o.usual()
	if err != nil {
		return nil, err
	}
	e, err := newEM(votes, items, annotators, labels)
	if err != nil {
		return nil, err
	}
	m := &LabelModel{votes: &e.votesByItem, learned: e, Priors: e.priors}
	for m.Iterations < o.Iterations && !m.Converged {
		m.Iterations++
		e.maximize(o.Smoothing)
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

// votesByItem contains votes in order. Only items with votes are in it.
type votesByItem struct {
	labels int
	items  []int // their numbers, in ascending order
	// starts[i] is where the votes on items[i] begin in given, which contains
	// the row of each vote.
	starts, given []int
	// rows contains the labels that each annotator gave, by annotator and
	// label.
	rows []Vote
}

func byAnnotator(a, b Vote) int {
	return cmp.Or(cmp.Compare(a.Annotator, b.Annotator), cmp.Compare(a.Label, b.Label))
}

// byItem is a total order, so that sums do not depend on the order of the
// votes.
func byItem(a, b Vote) int { return cmp.Or(cmp.Compare(a.Item, b.Item), byAnnotator(a, b)) }

func sortVotes(votes []Vote, items, annotators, labels int) (votesByItem, error) {
	b := votesByItem{labels: labels, rows: slices.Clone(votes)}
	if len(votes) == 0 {
		return b, ErrNoObservations
	}
	for i, v := range votes {
		if err := v.check(i, items, annotators, labels); err != nil {
			return b, err
		}
	}
	for i := range b.rows {
		b.rows[i].Item = 0
	}
	slices.SortFunc(b.rows, byAnnotator)
	b.rows = slices.Compact(b.rows)
	number := make(map[Vote]int, len(b.rows))
	for i, row := range b.rows {
		number[row] = i
	}
	votes = slices.SortedFunc(slices.Values(votes), byItem)
	for i, v := range votes {
		if i == 0 || v.Item != votes[i-1].Item {
			b.items, b.starts = append(b.items, v.Item), append(b.starts, i)
		}
		b.given = append(b.given, number[Vote{Annotator: v.Annotator, Label: v.Label}])
	}
	b.starts = append(b.starts, len(votes))
	return b, nil
}

// votesOn returns the rows of the votes on items[i].
func (b *votesByItem) votesOn(i int) []int { return b.given[b.starts[i]:b.starts[i+1]] }

// annotatorEnd returns the end of the rows of the annotator of rows[from].
func (b *votesByItem) annotatorEnd(from int) int {
	to := from
	for to < len(b.rows) && b.rows[to].Annotator == b.rows[from].Annotator {
		to++
	}
	return to
}

// em is the state of the algorithm.
type em struct {
	votesByItem
	// probabilities[i*labels+k] is the probability that the true label of
	// items[i] is k.
	probabilities []float64
	priors        []float64
	// logs[row*labels+k] is the logarithm of the probability that the row's
	// annotator gives the row's label to an item whose true label is k.
	logs []float64
	// pooled[given*labels+k] is the share of the label given among the votes of
	// all annotators on items whose true label is k.
	pooled []float64
}

func newEM(votes []Vote, items, annotators, labels int) (*em, error) {
	sorted, err := sortVotes(votes, items, annotators, labels)
	if err != nil {
		return nil, err
	}
	e := &em{votesByItem: sorted, priors: make([]float64, labels)}
	if cells := float64(len(e.items)+len(e.rows)+labels) * float64(labels); cells > maxCells {
		return nil, fmt.Errorf("%d items and %d labels are too many for a model of annotators' errors: it would need %.0f GiB of memory", len(e.items), labels, cells*8/(1<<30))
	}
	e.logs = make([]float64, len(e.rows)*labels)
	e.pooled = make([]float64, labels*labels)
	e.probabilities = make([]float64, len(e.items)*labels)
	for i := range e.items {
		given := e.votesOn(i)
		for _, row := range given {
			e.of(i)[e.rows[row].Label] += 1 / float64(len(given))
		}
	}
	return e, nil
}

func (e *em) posterior(i int) []float64 { return slices.Clone(e.of(i)) }

func (e *em) Confusion(annotator, truth, given int) float64 {
	if row, ok := slices.BinarySearchFunc(e.rows, Vote{Annotator: annotator, Label: given}, byAnnotator); ok {
		return math.Exp(e.row(row)[truth])
	}
	// The rest belongs to labels that the annotator never gave, distributed
	// like the votes of the others.
	from, _ := slices.BinarySearchFunc(e.rows, Vote{Annotator: annotator}, byAnnotator)
	left, others := 1.0, 1.0
	for row := from; row < len(e.rows) && e.rows[row].Annotator == annotator; row++ {
		left -= math.Exp(e.row(row)[truth])
		others -= e.pool(e.rows[row].Label)[truth]
	}
	return max(0, left) * e.pool(given)[truth] / max(others, leastCount)
}

// of returns the probabilities of the labels of items[i].
func (e *em) of(i int) []float64 { return e.probabilities[i*e.labels : (i+1)*e.labels] }

// row returns the logarithms of a row, by true label.
func (e *em) row(r int) []float64 { return e.logs[r*e.labels : (r+1)*e.labels] }

// pool returns the shares of a given label, by true label.
func (e *em) pool(given int) []float64 { return e.pooled[given*e.labels : (given+1)*e.labels] }

// maximize finds the most likely priors and confusions, given the probabilities
// of the labels.
func (e *em) maximize(smoothing float64) {
	clear(e.priors)
	clear(e.logs)
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
	e.share(sums)
	for from, to := 0, 0; from < len(e.rows); from = to {
		to = e.annotatorEnd(from)
		e.normalize(from, to, smoothing, sums)
	}
}

// share computes what all annotators answer, from the counts in logs. It adds
// one vote for each true label, distributed evenly.
func (e *em) share(sums []float64) {
	for i := range e.pooled {
		e.pooled[i] = 1 / float64(e.labels)
	}
	for r, row := range e.rows {
		add(e.pool(row.Label), e.row(r))
	}
	clear(sums)
	for given := range e.labels {
		add(sums, e.pool(given))
	}
	for given := range e.labels {
		shares := e.pool(given)
		for k := range shares {
			shares[k] /= sums[k]
		}
	}
}

// normalize adds the smoothing to the counts of an annotator's rows, and
// converts them to logarithms of probabilities.
func (e *em) normalize(from, to int, smoothing float64, sums []float64) {
	for k := range sums {
		sums[k] = smoothing // without what is added to the rows
	}
	for r := from; r < to; r++ {
		row, shares := e.row(r), e.pool(e.rows[r].Label)
		for k := range row {
			sums[k] -= smoothing * shares[k]
		}
	}
	for k := range sums {
		sums[k] = max(sums[k], leastCount*float64(e.labels-(to-from)))
	}
	for r := from; r < to; r++ {
		row, shares := e.row(r), e.pool(e.rows[r].Label)
		for k := range row {
			row[k] = max(row[k]+smoothing*shares[k], leastCount)
			sums[k] += row[k]
		}
	}
	for r := from; r < to; r++ {
		row := e.row(r)
		for k := range row {
			row[k] = math.Log(row[k] / sums[k])
		}
	}
}

// expect computes the probabilities of the labels, given priors and confusions.
// It returns the log-likelihood of the votes, and the mean over the items of
// the largest change of a probability.
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

// add adds x to sum. With few labels, as is usual, calling a vector routine
// takes longer than the sum.
func add(sum, x []float64) {
	x = x[:len(sum)]
	for k := range sum {
		sum[k] += x[k]
	}
}
