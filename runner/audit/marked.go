package audit

// marked is a set of rows of a shard: bit i of the words in order is row i. nil is empty.
type marked []uint64

// set adds a row of a shard with that many rows.
func (m marked) set(row, rows int64) marked {
	if m == nil {
		m = make(marked, (rows+63)/64)
	}
	m[row/64] |= 1 << (row % 64)
	return m
}

// has reports whether a row is in the set.
func (m marked) has(row int64) bool { return m != nil && m[row/64]&(1<<(row%64)) != 0 }
