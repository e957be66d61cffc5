package plugin

// FlatBatch is some rows that a FlatMapper works on. What Batch says of reading
// rows, failing them and counting them applies to it: those rows are the
// batch's. The Set methods fill the rows that are yielded, which are counted
// from 0 through the whole batch.
//
//	for i := range b.N {
//		text, _ := texts.At(i)
//		for _, word := range strings.Fields(text) {
//			b.SetString("word", b.Yield(i), word)
//		}
//	}
type FlatBatch struct{ *Batch }

// Yield adds a row to those that come of a row of the batch, and returns its
// number for the Set methods. Rows are yielded in the order of the rows that
// they come of.
func (b *FlatBatch) Yield(row int) int {
	switch {
	case row < 0 || row >= b.N:
		b.fault("FlatMap yields for row %d of %d", row, b.N)
		return -1
	case row < len(b.counts)-1:
		b.fault("FlatMap yields for row %d after row %d: rows are yielded in order", row, len(b.counts)-1)
		return -1
	}
	b.counts = extend(b.counts, row+1)
	b.counts[row]++
	b.made++
	return b.made - 1
}

// YieldCounts yields rows for all rows of the batch at once: counts has the
// number of rows for each. It is for mappers that fill columns with SetArray,
// takes the place of Yield, and comes before the Set methods.
func (b *FlatBatch) YieldCounts(counts []int64) {
	if len(counts) != b.N || len(b.counts) > 0 {
		b.fault("FlatMap yields %d counts for %d rows, or yielded before", len(counts), b.N)
		return
	}
	for _, n := range counts {
		if n < 0 {
			b.fault("FlatMap yields %d rows", n)
			return
		}
		b.made += int(n)
	}
	b.counts = append(b.counts, counts...)
}

// complete ends what was yielded: rows at the end may have yielded nothing.
func (b *Batch) complete() {
	b.counts = extend(b.counts, b.N)
	for _, c := range b.out {
		if c.array != nil && c.array.Len() != b.made {
			b.fault("column %q was given %d values with SetArray and then rows were yielded: there are %d", c.name, c.array.Len(), b.made)
		}
	}
}
