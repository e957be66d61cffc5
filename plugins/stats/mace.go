package stats

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// The priors are those of MACE's authors: Beta(0.5, 0.5) for how often an
// annotator knows the label, and a symmetric Dirichlet of 10 for guesses.
const (
	knowPrior  = 0.5
	guessPrior = 10
	// maceNoise says how uneven the starting points are.
	maceNoise = 1.5
)

// RestartIterations is the number of iterations after which MACE chooses a
// starting point.
const RestartIterations = 10

// MACE finds the true labels of items and the competence of annotators (Hovy et
// al. 2013, "Learning whom to trust with MACE"). An annotator either knows the
// label of an item, or guesses according to a preference of their own. The
// model is fitted by variational Bayes. The first starting point is even. After
// a few iterations from each starting point, MACE continues with the one under
// which the votes are most likely.
//
// MACE has fewer parameters than the model of Dawid and Skene, so it needs
// fewer votes from each annotator, and its memory grows only with the votes. It
// does not learn which labels an annotator confuses.
//
// Annotators who find the same items difficult do not err independently. The
// probabilities are then too close to 0 and 1; see FitTemperature.
func MACE(votes []Vote, items, annotators, labels int, o EMOptions) (*LabelModel, error) {
	o, err := o.usual()
	if err != nil {
		return nil, err
	}
	sorted, err := sortVotes(votes, items, annotators, labels)
	if err != nil {
		return nil, err
	}
	var best *LabelModel
	for restart := range o.Restarts {
		c := newMace(sorted, restart, o.Seed)
		m := &LabelModel{votes: &c.votesByItem, learned: c}
		if err := c.fit(m, min(RestartIterations, o.Iterations), o, restart*RestartIterations); err != nil {
			return nil, err
		}
		if best == nil || m.LogLikelihood > best.LogLikelihood {
			best = m
		}
	}
	if err := best.learned.(*mace).fit(best, o.Iterations, o, (o.Restarts-1)*RestartIterations); err != nil {
		return nil, err
	}
	best.Choices = best.learned.(*mace).choices(items)
	best.Priors = slices.Repeat([]float64{1 / float64(labels)}, labels)
	return best, nil
}

// mace is the state of the algorithm.
type mace struct {
	votesByItem
	annotators []competence
	of         []int // of a row: the index of its annotator in annotators
	guesses    []guess
	// known[v] is the probability that the annotator knew the label of vote v.
	known []float64
	// For one item: the labels with votes, in ascending order, and the
	// logarithms of how much likelier they are than a label without votes.
	// place[label] is the index of a label in these, or -1.
	voted []int
	likes []float64
	place []int
}

// competence is the expected number of votes that an annotator knew and
// guessed, and the resulting probability of each.
type competence struct {
	annotator               int
	known, guessed          float64
	knowChance, guessChance float64
}

// guess is the expected number of votes of a row that are guesses, the
// probability of its label as a guess, and the logarithm of how strongly a vote
// supports its label.
type guess struct{ count, chance, evidence float64 }

// newMace returns the starting point with a number. The first one is even.
func newMace(b votesByItem, number int, seed uint64) *mace {
	c := &mace{votesByItem: b, of: make([]int, len(b.rows)), guesses: make([]guess, len(b.rows)), known: make([]float64, len(b.given))}
	c.place = slices.Repeat([]int{-1}, b.labels)
	r := rand.New(rand.NewPCG(seed, uint64(number)))
	draw := func() float64 {
		if number == 0 {
			return 1
		}
		return 1 + maceNoise*r.Float64()
	}
	for from, to := 0, 0; from < len(b.rows); from = to {
		to = b.annotatorEnd(from)
		know, spam := draw(), draw()
		c.annotators = append(c.annotators, competence{annotator: b.rows[from].Annotator, knowChance: know / (know + spam), guessChance: spam / (know + spam)})
		sum := float64(b.labels - (to - from))
		for row := from; row < to; row++ {
			c.of[row] = len(c.annotators) - 1
			c.guesses[row].chance = draw()
			sum += c.guesses[row].chance
		}
		for row := from; row < to; row++ {
			c.guesses[row].chance /= sum
		}
	}
	c.weigh()
	return c
}

// fit continues until a model has had the given number of iterations or has
// converged. before is the number of earlier iterations.
func (c *mace) fit(m *LabelModel, iterations int, o EMOptions, before int) error {
	m.LogLikelihood, _ = c.expect()
	for m.Iterations < iterations && !m.Converged {
		m.Iterations++
		c.maximize()
		var change float64
		m.LogLikelihood, change = c.expect()
		m.Converged = change <= o.Tolerance
		if o.Progress != nil {
			if err := o.Progress(before + m.Iterations); err != nil {
				return err
			}
		}
	}
	return nil
}

// weigh computes the evidence of votes, given the probabilities.
func (c *mace) weigh() {
	for row := range c.guesses {
		a, g := c.annotators[c.of[row]], &c.guesses[row]
		g.evidence = math.Log1p(a.knowChance / (a.guessChance * g.chance))
	}
}

// maximize computes the probabilities, given the expected numbers of votes.
func (c *mace) maximize() {
	for i := range c.annotators {
		a := &c.annotators[i]
		all := mathext.Digamma(a.known + a.guessed + 2*knowPrior)
		a.knowChance = math.Exp(mathext.Digamma(a.known+knowPrior) - all)
		a.guessChance = math.Exp(mathext.Digamma(a.guessed+knowPrior) - all)
	}
	for row := range c.guesses {
		all := mathext.Digamma(c.annotators[c.of[row]].guessed + guessPrior*float64(c.labels))
		c.guesses[row].chance = math.Exp(mathext.Digamma(c.guesses[row].count+guessPrior) - all)
	}
	c.weigh()
}

// expect computes the expected numbers of votes, given the probabilities. It
// returns the log-likelihood of the votes, and the mean over the items of the
// largest change of the probability of a label with votes.
func (c *mace) expect() (likelihood, change float64) {
	for i := range c.annotators {
		c.annotators[i].known, c.annotators[i].guessed = 0, 0
	}
	for row := range c.guesses {
		c.guesses[row].count = 0
	}
	for i := range c.items {
		top, sum := c.read(i)
		likelihood += top + math.Log(sum/float64(c.labels))
		most := 0.0
		for v := c.starts[i]; v < c.starts[i+1]; v++ {
			row := c.given[v]
			a, g := &c.annotators[c.of[row]], &c.guesses[row]
			likelihood += math.Log(a.guessChance * g.chance)
			p := c.likes[c.place[c.rows[row].Label]]
			most = max(most, math.Abs(p-c.known[v]))
			c.known[v] = p
			known := p * -math.Expm1(-g.evidence)
			a.known += known
			a.guessed += 1 - known
			g.count += 1 - known
		}
		change += most
		c.forget()
	}
	return likelihood, change / float64(len(c.items))
}

// read computes the probabilities of an item's labels with votes. The sum over
// all labels of how much likelier they are than a label without votes is sum
// times e to the power of top. The caller must call forget afterwards.
func (c *mace) read(i int) (top, sum float64) {
	for _, row := range c.votesOn(i) {
		label := c.rows[row].Label
		if c.place[label] < 0 {
			c.place[label] = len(c.voted)
			c.voted, c.likes = append(c.voted, label), append(c.likes, 0)
		}
		c.likes[c.place[label]] += c.guesses[row].evidence
	}
	top = slices.Max(c.likes)
	sum = float64(c.labels-len(c.voted)) * math.Exp(-top)
	for at, like := range c.likes {
		c.likes[at] = math.Exp(like - top)
		sum += c.likes[at]
	}
	for at := range c.likes {
		c.likes[at] /= sum
	}
	return top, sum
}

func (c *mace) forget() {
	for _, label := range c.voted {
		c.place[label] = -1
	}
	c.voted, c.likes = c.voted[:0], c.likes[:0]
}

func (c *mace) choices(items int) []Choice {
	out := make([]Choice, items)
	for i := range out {
		out[i].Label = NoLabel
	}
	for i, item := range c.items {
		c.read(i)
		labels := slices.Sorted(slices.Values(c.voted))
		weights := make([]float64, len(labels))
		for at, label := range labels {
			weights[at] = c.likes[c.place[label]]
		}
		out[item] = choose(weights, len(c.votesOn(i)))
		out[item].Label = labels[out[item].Label]
		c.forget()
	}
	return out
}

func (c *mace) posterior(i int) []float64 {
	top, sum := c.read(i)
	defer c.forget()
	out := slices.Repeat([]float64{math.Exp(-top) / sum}, c.labels)
	for at, label := range c.voted {
		out[label] = c.likes[at]
	}
	return out
}

// Confusion uses the means of the distributions of the probabilities.
func (c *mace) Confusion(annotator, truth, given int) float64 {
	know, chance := 0.5, 1/float64(c.labels)
	at, ok := slices.BinarySearchFunc(c.annotators, annotator, func(a competence, number int) int { return a.annotator - number })
	if ok {
		a := c.annotators[at]
		know = (a.known + knowPrior) / (a.known + a.guessed + 2*knowPrior)
		count := 0.0
		if row, ok := slices.BinarySearchFunc(c.rows, Vote{Annotator: annotator, Label: given}, byAnnotator); ok {
			count = c.guesses[row].count
		}
		chance = (count + guessPrior) / (a.guessed + guessPrior*float64(c.labels))
	}
	p := (1 - know) * chance
	if truth == given {
		p += know
	}
	return p
}
