package fasttext

import "math"

// rank scores the labels. scores is memory for one value per label.
func (m *Model) rank(hidden, scores []float32, best *ranking) {
	switch m.settings.loss {
	case hierarchicalSoftmax:
		m.tree.descend(m.output, hidden, m.tree.root(), 0, best)
		return
	case softmax:
		m.dots(hidden, scores)
		normalize(scores)
	case oneVersusAll, negativeSampling:
		m.dots(hidden, scores)
		for i, x := range scores {
			scores[i] = sigmoid(x)
		}
	}
	for i, p := range scores {
		best.add(i, logarithm(p))
	}
}

func (m *Model) dots(hidden, scores []float32) {
	for i := range scores {
		scores[i] = m.output.dot(i, hidden)
	}
}

// normalize turns scores into probabilities that add up to 1.
func normalize(scores []float32) {
	highest := scores[0]
	for _, x := range scores {
		highest = max(highest, x)
	}
	var sum float32
	for i, x := range scores {
		scores[i] = float32(math.Exp(float64(x - highest)))
		sum += scores[i]
	}
	for i := range scores {
		scores[i] /= sum
	}
}

// The sigmoid function of the losses with a probability of its own for each label
// is a table in fastText, so equal probabilities are common.
const (
	sigmoidSteps = 512
	sigmoidLimit = 8
)

func sigmoid(x float32) float32 {
	switch {
	case x < -sigmoidLimit:
		return 0
	case x > sigmoidLimit:
		return 1
	case x != x:
		return 0
	}
	step := int((x + sigmoidLimit) * sigmoidSteps / sigmoidLimit / 2)
	at := float32(step*2*sigmoidLimit)/sigmoidSteps - sigmoidLimit
	return float32(1 / (1 + math.Exp(float64(-at))))
}

// logarithm is that of fastText: it avoids the logarithm of zero.
func logarithm(x float32) float32 { return float32(math.Log(float64(x) + 1e-5)) }

// probability reverses logarithm, approximately.
func probability(score float32) float64 { return min(1, float64(float32(math.Exp(float64(score))))) }

// ranking collects the labels with the highest scores, in descending order. Of
// labels with the same score, the one that is added last comes first.
type ranking struct {
	size   int
	only   []bool
	scored []scored
}

type scored struct {
	label int
	score float32
}

func (r *ranking) reset(size int, only []bool) {
	r.size, r.only, r.scored = size, only, r.scored[:0]
}

// hopeless reports whether a score is too low to be ranked.
func (r *ranking) hopeless(score float32) bool {
	return len(r.scored) == r.size && (r.size == 0 || score < r.scored[r.size-1].score)
}

func (r *ranking) add(label int, score float32) {
	if r.hopeless(score) || r.only != nil && !r.only[label] {
		return
	}
	if len(r.scored) < r.size {
		r.scored = append(r.scored, scored{})
	}
	at := len(r.scored) - 1
	for ; at > 0 && r.scored[at-1].score <= score; at-- {
		r.scored[at] = r.scored[at-1]
	}
	r.scored[at] = scored{label, score}
}
