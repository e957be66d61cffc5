package plugin

// FlatBatch is a batch of rows for a FlatMapper. Methods that read rows, fail
// them, or report progress refer to the input rows, as in Batch. The Set
// methods fill the rows that Yield adds, which are numbered from 0 across the
// batch.
//
//	for i := range b.N {
//		text, _ := texts.At(i)
//		for _, word := range strings.Fields(text) {
//			b.SetString("word", b.Yield(i), word)
//		}
//	}
type FlatBatch struct{ *Batch }

// Yield adds an output row for an input row and returns its number for the Set
// methods. Output rows must be added in the order of the input rows.
func (b *FlatBatch) Yield(row int) int {
	switch {
	case row < 0 || row >= b.N:
		b.fault("FlatMap yields for row %d, but the batch has %d rows", row, b.N)
		return -1
	case row < len(b.counts)-1:
		b.fault("FlatMap yields for row %d after row %d; it must yield in the order of the rows", row, len(b.counts)-1)
		return -1
	}
	b.counts = extend(b.counts, row+1)
	b.counts[row]++
	b.made++
	return b.made - 1
}

// YieldCounts adds output rows for all input rows at once: counts[i] rows for
// row i. Use it with SetArray. Call it before the Set methods, and instead of
// Yield.
func (b *FlatBatch) YieldCounts(counts []int64) {
	if len(counts) != b.N || len(b.counts) > 0 {
		b.fault("FlatMap calls YieldCounts with %d counts for %d rows, or after Yield", len(counts), b.N)
		return
	}
	for _, n := range counts {
		if n < 0 {
			b.fault("FlatMap calls YieldCounts with %d rows", n)
			return
		}
		b.made += int(n)
	}
	b.counts = append(b.counts, counts...)
}

// complete ends the output: the last rows may have yielded nothing.
func (b *Batch) complete() {
	b.counts = extend(b.counts, b.N)
	for _, c := range b.out {
		if c.array != nil && c.array.Len() != b.made {
			b.fault("column %q has %d values from SetArray, but the batch has %d rows; yield all rows before SetArray", c.name, c.array.Len(), b.made)
		}
	}
}
