package stats

import "math"

// Composite is a figure between 0 and 1 that is a weighted share of rows, where
// the weights depend on the rows themselves. An example is macro F1, in which a
// row has more weight the rarer its class is.
type Composite struct {
	Value float64
	// Influence is how much each row changes the figure, to first order: the
	// influence function divided by the number of rows. The influences sum to
	// 0.
	Influence []float64
	// Weight is how much of the figure each row decides. The weights sum to 1.
	Weight []float64
}

// Estimate returns Wilson's interval for the effective number of independent
// rows: the number that would have the figure's standard error, according to
// the rows' influence (the infinitesimal jackknife, Efron 1982), but at most
// Kish's effective number for their weights (Kish 1965). So the rarest class
// decides the interval of a figure without any variation, and nothing is
// random. Clusters are treated as in Proportion.
func (c Composite) Estimate(o Options) (Estimate, error) {
	n := len(c.Influence)
	o, err := o.checked(n)
	if err != nil {
		return Estimate{}, err
	}
	u := newUnits(n, o.Clusters)
	if u.count() < 2 {
		return unbounded(c.Value, n, u.count()).Within(0, 1), nil
	}
	se := c.se(u)
	z := normalQuantile(o.Confidence)
	e := wilson(c.Value, effective(c.Value, se, z, c.size(u), u.count(), o.Confidence), z)
	e.N, e.Units = n, u.count()
	if se > 0 {
		e.SE = se
	}
	return e, nil
}

func (c Composite) se(u *units) float64 {
	parts := u.parts(c.Influence)
	squares := make([]float64, len(parts))
	for i, p := range parts {
		squares[i] = p.sum * p.sum
	}
	n := float64(len(parts))
	return math.Sqrt(total(squares) * n / (n - 1))
}

// size returns Kish's effective number of units.
func (c Composite) size(u *units) float64 {
	parts := u.parts(c.Weight)
	sums, squares := make([]float64, len(parts)), make([]float64, len(parts))
	for i, p := range parts {
		sums[i], squares[i] = p.sum, p.sum*p.sum
	}
	sum := total(sums)
	return sum * sum / total(squares)
}

// CompareComposites compares two subjects by a figure over the same rows. It
// treats the difference as the mean of one value per row (the jackknife's
// pseudo-values), and compares these like Compare.
func CompareComposites(a, b Composite, o Options) (Comparison, error) {
	n := len(a.Influence)
	o, err := o.checked(n)
	if err != nil {
		return Comparison{}, err
	}
	u := newUnits(n, o.Clusters)
	difference := a.Value - b.Value
	pseudo := make([]float64, n)
	for i := range pseudo {
		pseudo[i] = difference + float64(n)*(a.Influence[i]-b.Influence[i])
	}
	c := shift(u.parts(pseudo), n, [2]float64{-1, 1}, min(a.size(u), b.size(u)), true, o)
	c.Value = difference // without the rounding error of the mean
	return c, nil
}
