package rowwise

// rowKey is the digest of the values that a stage reads from a row.
type rowKey = [16]byte

// windowRows is the number of rows in a generation of the window. Equal rows
// that are at most that far apart are computed once.
const windowRows = 1 << 16

// window remembers where rows were last seen, so that equal rows are computed
// once. It contains between one and two generations, so its size is bounded,
// whatever the size of the dataset.
type window struct{ young, old map[rowKey]place }

// place is a row of a block. The block's results are available when later
// blocks are assembled, because that happens in order.
type place struct {
	block *block
	row   int32
}

func newWindow() *window { return &window{young: make(map[rowKey]place)} }

// seen returns the place of an equal row, or records this one.
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
