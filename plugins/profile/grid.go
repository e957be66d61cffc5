package profile

import "math"

// gridCells is the maximum number of cells of a grid, and so the number of
// distinct values up to which quantiles are exact.
const gridCells = 1 << 14

// grid counts values in cells. A value is a uint64 whose order is that of the
// values; see keys.go. Cells have the width 1<<level, which starts at 1 and
// doubles whenever there would be more than gridCells cells with a value.
//
// The number of such cells only grows with the values, so the final level is the
// least at which they fit: it does not depend on the order of the values, nor
// does anything else in the grid. This is why it is not one of the usual quantile
// sketches, such as KLL or t-digest, whose results depend on it.
type grid struct {
	cells *counter
	level uint
	n     int64
	// least and most are the least and the greatest value.
	least, most uint64
}

func newGrid() *grid { return &grid{cells: newCounter(), least: math.MaxUint64} }

// add adds a value. It returns false if the value is the first one that does not
// fit at this level; then the caller must call coarsen before it adds more.
func (g *grid) add(key uint64) bool {
	g.n++
	g.least, g.most = min(g.least, key), max(g.most, key)
	g.cells.add(key>>g.level, 1)
	return g.cells.len <= gridCells
}

// coarsen raises the level until the cells fit.
func (g *grid) coarsen() {
	for g.cells.len > gridCells {
		g.level++
		g.cells.rebuild(func(k uint64) (uint64, bool) { return k >> 1, true })
	}
}

// cell contains n values from low to high, both included.
type cell struct {
	low, high uint64
	n         int64
}

// sorted returns the cells in the order of their values.
func (g *grid) sorted() []cell {
	out := make([]cell, 0, g.cells.len)
	for _, s := range sortedSlots(g.cells) {
		low := s.Key << g.level
		c := cell{low, low + (1<<g.level - 1), s.N}
		// No value is outside the range that was seen.
		c.low, c.high = max(c.low, g.least), min(c.high, g.most)
		out = append(out, c)
	}
	return out
}

// scale converts the keys of a grid to numbers.
type scale func(key uint64) float64

// quantile returns the quantile p of the values in sorted cells, as numpy and
// pandas compute it: linear between the two values next to rank p*(n-1). The
// values of a cell count as evenly spaced.
func quantile(cells []cell, n int64, p float64, of scale) float64 {
	rank := p * float64(n-1)
	below := math.Floor(rank)
	low := valueAt(cells, int64(below), of)
	if rank == below {
		return low
	}
	high := valueAt(cells, int64(below)+1, of)
	return low + (rank-below)*(high-low)
}

// valueAt returns the value with a rank, counted from 0. The first and the last
// value are known exactly.
func valueAt(cells []cell, rank int64, of scale) float64 {
	if rank == 0 {
		return of(cells[0].low)
	}
	var before int64
	for i, c := range cells {
		if rank == before+c.n-1 && i == len(cells)-1 {
			break
		}
		if rank < before+c.n {
			low, high := of(c.low), of(c.high)
			return low + (high-low)*(float64(rank-before)+0.5)/float64(c.n)
		}
		before += c.n
	}
	return of(cells[len(cells)-1].high)
}

// within counts the values from low to high. The values of a cell are all
// counted as its middle.
func within(cells []cell, low, high float64, of scale) int64 {
	var n int64
	for _, c := range cells {
		if v := middle(c, of); v >= low && v <= high {
			n += c.n
		}
	}
	return n
}

// middle is the number that all values of a cell count as.
func middle(c cell, of scale) float64 {
	low, high := of(c.low), of(c.high)
	return low + (high-low)/2
}
