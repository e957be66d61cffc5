package survey

import "math"

// gridCells is the maximum number of cells of a grid, and so the number of
// distinct values up to which quantiles are exact.
const gridCells = 1 << 14

// grid counts values in cells. A value is a uint64 whose order is that of the
// values; see keys.go. Cells have the width 1<<Level, which starts at 1 and
// doubles whenever there would be more than gridCells cells with a value.
//
// The number of such cells only grows with the values, so the final level is the
// least at which they fit: it does not depend on the order of the values, nor
// does anything else in the grid. This is why it is not one of the usual quantile
// sketches, such as KLL or t-digest, whose results depend on it.
type grid struct {
	Cells cells
	Level uint
	N     int64
	// Least and Most are the least and the greatest value.
	Least, Most uint64
}

func newGrid() grid { return grid{Least: math.MaxUint64} }

// add adds sorted values with their counts.
func (g *grid) add(runs []cell, room *workroom) {
	if len(runs) == 0 {
		return
	}
	for _, r := range runs {
		g.N += r.N
	}
	g.Least, g.Most = min(g.Least, runs[0].Key), max(g.Most, runs[len(runs)-1].Key)
	merged := merge(room.merged[:0], g.Cells, runs, g.Level)
	room.merged = merged
	for len(merged) > gridCells {
		g.Level++
		merged = halve(merged)
	}
	g.Cells = append(g.Cells[:0], merged...)
}

// halve joins cells that are one cell at the next level.
func halve(all []cell) []cell {
	out := all[:0]
	for _, c := range all {
		c.Key >>= 1
		if last := len(out) - 1; last >= 0 && out[last].Key == c.Key {
			out[last].N += c.N
			continue
		}
		out = append(out, c)
	}
	return out
}

// span contains n values from low to high, both included.
type span struct {
	low, high uint64
	n         int64
}

// spans returns the ranges of values of the cells.
func (g *grid) spans() []span {
	out := make([]span, 0, len(g.Cells))
	for _, c := range g.Cells {
		low := c.Key << g.Level
		// No value is outside the range that was seen.
		out = append(out, span{max(low, g.Least), min(low+(1<<g.Level-1), g.Most), c.N})
	}
	return out
}

// scale converts the keys of a grid to numbers.
type scale func(key uint64) float64

// quantile returns the quantile p of the values in sorted spans, as numpy and
// pandas compute it: linear between the two values next to rank p*(n-1). The
// values of a span count as evenly spaced.
func quantile(all []span, n int64, p float64, of scale) float64 {
	rank := p * float64(n-1)
	below := math.Floor(rank)
	low := valueAt(all, int64(below), of)
	if rank == below {
		return low
	}
	high := valueAt(all, int64(below)+1, of)
	return low + (rank-below)*(high-low)
}

// valueAt returns the value with a rank, counted from 0. The first and the last
// value are known exactly.
func valueAt(all []span, rank int64, of scale) float64 {
	if rank == 0 {
		return of(all[0].low)
	}
	var before int64
	for i, s := range all {
		if rank == before+s.n-1 && i == len(all)-1 {
			break
		}
		if rank < before+s.n {
			low, high := of(s.low), of(s.high)
			return low + (high-low)*(float64(rank-before)+0.5)/float64(s.n)
		}
		before += s.n
	}
	return of(all[len(all)-1].high)
}

// within counts the values from low to high. The values of a span are all
// counted as its middle.
func within(all []span, low, high float64, of scale) int64 {
	var n int64
	for _, s := range all {
		if v := middle(s, of); v >= low && v <= high {
			n += s.n
		}
	}
	return n
}

// middle is the number that all values of a span count as.
func middle(s span, of scale) float64 {
	low, high := of(s.low), of(s.high)
	return low + (high-low)/2
}
