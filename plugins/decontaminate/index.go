package decontaminate

import (
	"slices"
)

// item is an item of an evaluation set: what is asked and, if the set has one, the
// answer.
type item struct {
	set              string
	id               string
	question, answer part
	answered         bool // the set has answers
}

// part is the question or the answer of an item, as tokens.
type part struct {
	tokens []uint64
	// distinct says which tokens are in an n-gram that few items have. The others
	// are common text, and are no evidence.
	distinct []bool
	weight   int // the number of distinct tokens
}

// place is where an n-gram occurs in an item.
type place struct {
	hash   uint64
	item   int32
	answer bool
	at     int32
}

// index finds the items that share n-grams with a text.
type index struct {
	n     int
	items []item
	// places are sorted by hash, and from has where those of a hash begin.
	places []place
	from   map[uint64]int32
	// common are the n-grams that many items or many rows of the common text have.
	common map[uint64]bool
	// exact are the hashes of whole parts that are shorter than an n-gram, by their
	// number of tokens.
	exact map[int]map[uint64][]place
}

// newIndex builds the index of items. tokens are theirs, and an n-gram of more
// than most items is common, as are those that common has already.
func newIndex(n, most int, items []item, common map[uint64]bool) *index {
	x := &index{n: n, items: items, from: map[uint64]int32{}, common: common, exact: map[int]map[uint64][]place{}}
	for i := range items {
		x.add(int32(i), false, items[i].question.tokens)
		x.add(int32(i), true, items[i].answer.tokens)
	}
	slices.SortFunc(x.places, comparePlaces)
	x.findCommon(most)
	x.places = slices.DeleteFunc(x.places, func(p place) bool { return x.common[p.hash] })
	for i, p := range x.places {
		if i == 0 || x.places[i-1].hash != p.hash {
			x.from[p.hash] = int32(i)
		}
		x.part(p).mark(int(p.at), n)
	}
	return x
}

func comparePlaces(a, b place) int {
	switch {
	case a.hash != b.hash:
		if a.hash < b.hash {
			return -1
		}
		return 1
	case a.item != b.item:
		return int(a.item) - int(b.item)
	case a.answer != b.answer:
		if b.answer {
			return -1
		}
		return 1
	}
	return int(a.at) - int(b.at)
}

func (x *index) add(i int32, answer bool, tokens []uint64) {
	if n := len(tokens); n > 0 && n < x.n {
		if x.exact[n] == nil {
			x.exact[n] = map[uint64][]place{}
		}
		h := gramsOf(tokens, n)[0]
		x.exact[n][h] = append(x.exact[n][h], place{h, i, answer, 0})
		return
	}
	for at, h := range gramsOf(tokens, x.n) {
		x.places = append(x.places, place{h, i, answer, int32(at)})
	}
}

// findCommon adds the n-grams that more than most different items have. Items
// with the same question, as of the same set in two versions, count once.
func (x *index) findCommon(most int) {
	for from := 0; from < len(x.places); {
		until, different := from, map[uint64]bool{}
		for ; until < len(x.places) && x.places[until].hash == x.places[from].hash; until++ {
			if len(different) <= most {
				different[x.identity(x.places[until].item)] = true
			}
		}
		if len(different) > most {
			x.common[x.places[from].hash] = true
		}
		from = until
	}
}

// identity is the same for items with the same question.
func (x *index) identity(i int32) uint64 {
	h := uint64(0)
	for _, t := range x.items[i].question.tokens {
		h = h*base + t
	}
	return h
}

func (x *index) part(p place) *part {
	if p.answer {
		return &x.items[p.item].answer
	}
	return &x.items[p.item].question
}

// mark marks the n tokens of a distinct n-gram.
func (p *part) mark(at, n int) {
	if p.distinct == nil {
		p.distinct = make([]bool, len(p.tokens))
	}
	for k := at; k < at+n; k++ {
		if !p.distinct[k] {
			p.distinct[k] = true
			p.weight++
		}
	}
}

// of returns the places of an n-gram.
func (x *index) of(hash uint64) []place {
	from, ok := x.from[hash]
	if !ok {
		return nil
	}
	until := from
	for int(until) < len(x.places) && x.places[until].hash == hash {
		until++
	}
	return x.places[from:until]
}
