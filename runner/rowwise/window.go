package rowwise

// rowKey is the digest of the values that a stage reads of a row.
type rowKey = [16]byte

// windowRows is how many rows a generation of the window holds: equal rows
// that are at most so far apart are computed once.
const windowRows = 1 << 16

// window remembers where rows were seen last, so that equal rows are computed
// once. It holds between one and two generations and so is bounded, whatever
// the size of the dataset.
type window struct{ young, old map[rowKey]place }

// place is a row of a block. The block's results are there when blocks after
// it are put together, since that happens in order.
type place struct {
	block *block
	row   int32
}

func newWindow() *window { return &window{young: make(map[rowKey]place)} }

// seen returns the place of an equal row, or notes this one.
func (w *window) seen(k rowKey, here place) (place, bool) {
	if p, ok := w.young[k]; ok {
		return p, true
	}
	if p, ok := w.old[k]; ok {
		w.young[k] = p
		return p, true
	}
	if len(w.young) >= windowRows {
		w.old, w.young = w.young, make(map[rowKey]place, windowRows)
	}
	w.young[k] = here
	return place{}, false
}
