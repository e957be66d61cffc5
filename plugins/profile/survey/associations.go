package survey

import (
	"cmp"
	"errors"
	"math"
	"runtime"
	"slices"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/stats"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// series are the values of a column in the sampled rows.
type series struct {
	// numeric is set if the numbers have a meaning.
	numeric bool
	// Numbers are NaN where there is no value. IDs identify values; 0 means none.
	Numbers []float64
	IDs     []uint64
}

// add adds a value, and returns its id.
func (s *series) add(v float64, hash uint64) (id uint64) {
	if s.numeric {
		s.Numbers = append(s.Numbers, v)
	}
	id = hash | 1<<63
	s.IDs = append(s.IDs, id)
	return id
}

func (s *series) missing() {
	if s.numeric {
		s.Numbers = append(s.Numbers, math.NaN())
	}
	s.IDs = append(s.IDs, 0)
}

// forget removes the rows that are not to be kept.
func (s *series) forget(keep []bool) {
	if s.numeric {
		s.Numbers = kept(s.Numbers, keep)
	}
	s.IDs = kept(s.IDs, keep)
}

func kept[T any](all []T, keep []bool) []T {
	out := all[:0]
	for i, v := range all {
		if keep[i] {
			out = append(out, v)
		}
	}
	return out
}

const (
	// mostRelated is the maximum number of columns of a kind whose associations
	// are computed, because the number of pairs grows with its square.
	mostRelated = 30
	// mostClasses is the maximum number of distinct values of a column for
	// Cramér's V.
	mostClasses = 50
)

// associations returns the associations of all pairs of columns, starting with
// the strongest.
func (s *Survey) associations(out *measurement.Profile) ([]measurement.Association, error) {
	var numeric, classes []int
	for i := range out.Columns {
		c, of := &out.Columns[i], s.columns[i].series()
		distinct := c.Distinct.Value
		switch {
		case of == nil || distinct < 2 || c.Identifier:
		case of.numeric && len(numeric) < mostRelated:
			numeric = append(numeric, i)
		case !of.numeric && distinct <= mostClasses && len(classes) < mostRelated:
			classes = append(classes, i)
		}
	}
	var pairs []related
	for k, a := range numeric {
		for _, b := range numeric[k+1:] {
			pairs = append(pairs, related{a, b, "pearson"}, related{a, b, "spearman"})
		}
	}
	for k, a := range classes {
		for _, b := range classes[k+1:] {
			pairs = append(pairs, related{a, b, "cramers_v"})
		}
	}
	found := make([]*measurement.Association, len(pairs))
	errs := make([]error, len(pairs))
	parallel.For(len(pairs), runtime.GOMAXPROCS(0), func(i int) { found[i], errs[i] = s.associate(pairs[i]) })
	all := []measurement.Association{}
	for i, a := range found {
		if errs[i] != nil {
			return nil, errs[i]
		}
		if a != nil {
			all = append(all, *a)
		}
	}
	slices.SortStableFunc(all, func(a, b measurement.Association) int {
		return -cmp.Compare(math.Abs(*a.Value), math.Abs(*b.Value))
	})
	return all, nil
}

// related are the positions of two columns.
type related struct {
	a, b   int
	method string
}

// associate returns nil if the association is not defined.
func (s *Survey) associate(r related) (*measurement.Association, error) {
	a, b := s.columns[r.a].series(), s.columns[r.b].series()
	var e stats.Estimate
	var err error
	if r.method == "cramers_v" {
		e, err = stats.CramersV(contingency(a.IDs, b.IDs), s.options.Confidence)
	} else {
		var x, y []float64
		for i, v := range a.Numbers {
			if w := b.Numbers[i]; !math.IsNaN(v) && !math.IsNaN(w) {
				x, y = append(x, v), append(y, w)
			}
		}
		correlate := stats.Pearson
		if r.method == "spearman" {
			correlate = stats.Spearman
		}
		e, err = correlate(x, y, s.options.Confidence)
	}
	if errors.Is(err, stats.ErrUndefined) || errors.Is(err, stats.ErrNoObservations) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f := figures.Of(e, e.N)
	return &measurement.Association{A: s.schema[r.a].Name, B: s.schema[r.b].Name, Method: r.method, Figure: f}, nil
}

// contingency counts how often each two values occur together, by the order of
// the values' ids.
func contingency(a, b []uint64) [][]int {
	rows, columns := numbered(a), numbered(b)
	table := make([][]int, len(rows))
	for i := range table {
		table[i] = make([]int, len(columns))
	}
	for i := range a {
		if a[i] != 0 && b[i] != 0 {
			table[rows[a[i]]][columns[b[i]]]++
		}
	}
	return table
}

func numbered(ids []uint64) map[uint64]int {
	sorted := slices.Clone(ids)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	out := make(map[uint64]int, len(sorted))
	for _, id := range sorted {
		if id != 0 {
			out[id] = len(out)
		}
	}
	return out
}
