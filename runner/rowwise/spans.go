package rowwise

// spans say which rows of a batch came from each input row: the end of each
// input row's rows, which start at the end of the previous row's. If spans is
// nil, each input row produced exactly one row.
type spans []int64

// of returns where the rows that came from a row start, and how many there are.
func (s spans) of(row int) (start, n int64) {
	switch {
	case s == nil:
		return int64(row), 1
	case row == 0:
		return 0, s[0]
	}
	return s[row-1], s[row] - s[row-1]
}

// total is the number of output rows of the first rows input rows.
func (s spans) total(rows int) int64 {
	if s == nil || rows == 0 {
		return int64(rows)
	}
	return s[rows-1]
}

// join appends the spans of further rows.
func (s spans) join(more spans) spans {
	total := s.total(len(s))
	for _, end := range more {
		s = append(s, total+end)
	}
	return s
}

// add appends further input rows, given their numbers of output rows.
func (s spans) add(counts []int64) spans {
	total := s.total(len(s))
	for _, n := range counts {
		total += n
		s = append(s, total)
	}
	return s
}
