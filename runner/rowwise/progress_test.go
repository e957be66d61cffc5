package rowwise

import (
	"slices"
	"testing"
)

// Rows count as soon as the plugin has finished them, once, and never more than
// there are; also where some were tried again, or the plugin says too much.
func TestRowsCountOnceAndImmediately(t *testing.T) {
	var told []int64
	p := &progress{tell: func(c Progress) { told = append(told, c.Done) }}
	count := Progress{Total: 20, Done: 4, Reused: 4}
	p.start(count)
	p.finish(3) // of the batch 4 … 11, whose row 4 is out
	p.finish(10)
	p.finish(9) // came late
	write := func(rows, asked int64) {
		count.Done += rows
		p.write(count, asked, true)
	}
	write(8, 8) // two of those behind it are finished
	write(2, 0) // equal to others
	p.finish(14)
	write(4, 4) // one of them had failed for the time being, and does for good
	p.finish(100)
	write(2, 2)
	if want := []int64{7, 14, 14, 16, 20, 20, 20, 20}; !slices.Equal(told, want) {
		t.Errorf("told %d, want %d", told, want)
	}
}
