package survey

import (
	"cmp"
	"slices"
	"sort"
	"unicode/utf8"
)

const (
	// frequentValues is the maximum number of values that are counted at the
	// same time, and so the number of distinct values up to which counts are
	// exact.
	frequentValues = 1 << 14
	// longestValue is how many bytes of a value are kept, for people.
	longestValue = 120
)

// frequent finds the most frequent values. When there are more than
// frequentValues of them after a block, it subtracts from all counts the greatest
// one that does not fit, and forgets the values that have none left (Misra and
// Gries 1982; Agarwal et al. 2012). So each count is too low by at most Lost,
// which is at most 1/frequentValues of all values. Which values it knows then
// depends on the order of the rows.
type frequent struct {
	Cells cells
	// Lost is how much was subtracted.
	Lost int64
	// Texts are the beginnings of the values, if they are texts.
	Texts map[uint64]beginning
}

// beginning is what is kept of a text.
type beginning struct {
	Text string
	Cut  bool
}

// replace replaces the values by those merged with a block. It returns the values
// that were not known before.
func (f *frequent) replace(merged []cell, fresh []uint64) []uint64 {
	if len(merged) > frequentValues {
		least := ranked(merged, frequentValues)
		f.Lost += least
		merged = slices.DeleteFunc(merged, func(c cell) bool { return c.N <= least })
		for i := range merged {
			merged[i].N -= least
		}
	}
	if f.Texts != nil {
		fresh = newKeys(fresh, f.Cells, merged)
	}
	f.Cells = append(f.Cells[:0], merged...)
	return fresh
}

// newKeys appends the keys of sorted cells that are not among others.
func newKeys(out []uint64, old, now []cell) []uint64 {
	i := 0
	for _, c := range now {
		for i < len(old) && old[i].Key < c.Key {
			i++
		}
		if i == len(old) || old[i].Key != c.Key {
			out = append(out, c.Key)
		}
	}
	return out
}

// ranked returns the count with a rank, counted from 0, of the counts from the
// greatest to the least.
func ranked(all []cell, rank int) int64 {
	var small [1 << 10]int
	var large []int64
	for _, c := range all {
		if c.N < int64(len(small)) {
			small[c.N]++
			continue
		}
		large = append(large, c.N)
	}
	if rank < len(large) {
		slices.Sort(large)
		return large[len(large)-1-rank]
	}
	rank -= len(large)
	n := len(small) - 1
	for ; rank >= small[n]; n-- {
		rank -= small[n]
	}
	return int64(n)
}

// learn remembers the beginnings of values. sequence are the values of the block, in
// their order, and texts are what they begin with.
func (f *frequent) learn(ids, sequence []uint64, texts *beginnings) {
	if len(ids) == 0 {
		return
	}
	if len(f.Texts) > 2*frequentValues {
		for id := range f.Texts {
			if f.find(id) < 0 {
				delete(f.Texts, id)
			}
		}
	}
	wanted := newCounter()
	for _, id := range ids {
		wanted.add(id, 1)
	}
	for i, id := range sequence {
		if w := wanted.find(id); w.N == 1 {
			w.N++ // it has been found
			f.Texts[id] = texts.of(i)
		}
	}
}

// find returns the position of a value, or -1.
func (f *frequent) find(id uint64) int {
	i := sort.Search(len(f.Cells), func(i int) bool { return f.Cells[i].Key >= id })
	if i < len(f.Cells) && f.Cells[i].Key == id {
		return i
	}
	return -1
}

// beginningOf returns what is kept of a text, without half a character at the end.
func beginningOf(text string) beginning {
	if len(text) <= longestValue {
		return beginning{text, false}
	}
	end := longestValue
	for end > longestValue-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return beginning{text[:end], true}
}

// frequentValue is a value with its count.
type frequentValue struct {
	id uint64
	n  int64
	beginning
}

// top returns the most frequent values, at most most of them. If not all are
// known, it returns only those that are certainly more frequent than any value
// that is not.
func (f *frequent) top(most int) []frequentValue {
	var all []frequentValue
	for _, c := range f.Cells {
		if c.N > f.Lost {
			all = append(all, frequentValue{c.Key, c.N, f.Texts[c.Key]})
		}
	}
	slices.SortFunc(all, func(a, b frequentValue) int {
		return cmp.Or(-cmp.Compare(a.n, b.n), cmp.Compare(a.Text, b.Text), cmp.Compare(a.id, b.id))
	})
	return all[:min(most, len(all))]
}
