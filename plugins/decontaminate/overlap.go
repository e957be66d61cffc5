package decontaminate

import (
	"cmp"
	"maps"
	"slices"
)

// What a row shares with an item.
const (
	quoted       = "quoted"   // the question and, if the set has one, the answer
	questionOnly = "question" // the question, without the answer
	answerOnly   = "answer"   // the answer, without the question
	commonText   = "common"   // only text that many items share
)

// overlap is the most that a row shares with an item.
type overlap struct {
	verdict          string
	item             *item
	question, answer float64 // shares that are covered
	start, end       int     // where, in bytes of the row's text
}

// hit is an n-gram that a text and a part of an item have.
type hit struct{ row, at int32 }

// covered is how much of a part a text covers.
type covered struct {
	share      float64
	start, end int // tokens of the text
}

// shortest is the least number of distinct tokens of a question, of an answer, or
// of both together, that are evidence.
const shortest = 8

// commonRun is the number of tokens in a row from which shared text is worth
// mentioning.
const commonRun = 13

// compare returns what a text shares with the items of an index. share is the
// part of a question, or of an answer, that must be covered.
func (x *index) compare(text string, share float64) overlap {
	tokens := tokenize(text)
	hashes := grams(tokens, x.n)
	found := x.candidates(tokens, hashes)
	var best overlap
	for _, i := range slices.Sorted(maps.Keys(found)) {
		o := x.judge(i, found[i], tokens, share)
		if o.verdict != "" && better(o, best) {
			best = o
		}
	}
	if best.verdict == "" {
		return x.commonRun(tokens, hashes)
	}
	best.start, best.end = tokens[best.start].start, tokens[best.end-1].end
	return best
}

// better reports whether an overlap says more than another one.
func better(a, b overlap) bool {
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.question+a.answer, b.question+b.answer)) > 0
}

func rank(o overlap) int {
	return slices.Index([]string{"", answerOnly, questionOnly, quoted}, o.verdict)
}

// candidate has the hits of an item.
type candidate struct{ question, answer []hit }

func (x *index) candidates(tokens []token, hashes []uint64) map[int32]*candidate {
	found := map[int32]*candidate{}
	add := func(p place, row int) {
		c := found[p.item]
		if c == nil {
			c = &candidate{}
			found[p.item] = c
		}
		if p.answer {
			c.answer = append(c.answer, hit{int32(row), p.at})
		} else {
			c.question = append(c.question, hit{int32(row), p.at})
		}
	}
	for row, h := range hashes {
		for _, p := range x.of(h) {
			add(p, row)
		}
	}
	for n, places := range x.exact {
		for row, h := range grams(tokens, n) {
			for _, p := range places[h] {
				if !p.answer {
					add(p, row)
				}
			}
		}
	}
	return found
}

// judge compares a text with an item.
func (x *index) judge(i int32, c *candidate, tokens []token, share float64) overlap {
	it := &x.items[i]
	question := it.question.cover(c.question, x.n)
	o := overlap{item: it, question: question.share, start: question.start, end: question.end}
	asked := question.share >= share
	if asked {
		// An answer often repeats its question; what is part of the question is not an answer.
		c.answer = slices.DeleteFunc(c.answer, func(h hit) bool { return int(h.row)+x.n > question.start && int(h.row) < question.end })
	}
	answer := it.answer.cover(c.answer, x.n)
	if asked && len(it.answer.tokens) > 0 && answer.share < share {
		// Short answers and parts of them are looked for after the question.
		if from := it.answer.after(tokens, question.end); from >= 0 {
			answer = covered{1, from, from + len(it.answer.tokens)}
		}
	}
	o.answer = answer.share
	switch {
	case asked && answer.share >= share && it.question.weight+len(it.answer.tokens) >= shortest:
		o.verdict, o.start, o.end = quoted, min(question.start, answer.start), max(question.end, answer.end)
	case it.question.alone(question, share) && !it.answered:
		o.verdict = quoted
	case it.question.alone(question, share):
		o.verdict = questionOnly
	case it.answer.alone(answer, share):
		o.verdict, o.start, o.end = answerOnly, answer.start, answer.end
	}
	return o
}

// alone reports whether what a text covers of a part is evidence without the other
// part: it has enough tokens, and only half as much of it may be missing.
func (p *part) alone(c covered, share float64) bool {
	return p.weight >= shortest && c.share >= (1+share)/2
}

// cover returns how much of a part hits cover, at most, within a window of the
// text that is about as long as the part.
func (p *part) cover(hits []hit, n int) covered {
	if len(hits) == 0 {
		return covered{}
	}
	length := len(p.tokens)
	if length < n {
		return covered{1, int(hits[0].row), int(hits[0].row) + length}
	}
	slices.SortFunc(hits, func(a, b hit) int { return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.at, b.at)) })
	width := int32(length + length/4)
	counts := make([]int, length)
	total, first, best := 0, 0, covered{}
	change := func(at int32, by int) {
		for k := int(at); k < int(at)+n; k++ {
			if by > 0 && counts[k] == 0 {
				total++
			}
			if counts[k] += by; counts[k] == 0 {
				total--
			}
		}
	}
	for _, h := range hits {
		change(h.at, 1)
		for ; hits[first].row+width < h.row; first++ {
			change(hits[first].at, -1)
		}
		if s := float64(total) / float64(p.weight); s > best.share {
			best = covered{s, int(hits[first].row), int(h.row) + n}
		}
	}
	return best
}

// near is how many tokens after a question its answer is looked for.
const near = 200

// after returns where the tokens of a part follow as a whole, from a token of a
// text on, or -1.
func (p *part) after(tokens []token, from int) int {
	for i := from; i+len(p.tokens) <= len(tokens) && i < from+near; i++ {
		if slices.EqualFunc(p.tokens, tokens[i:i+len(p.tokens)], func(h uint64, t token) bool { return h == t.hash }) {
			return i
		}
	}
	return -1
}

// commonRun returns the longest run of common n-grams in a text, if it is long.
func (x *index) commonRun(tokens []token, hashes []uint64) overlap {
	from, longest := 0, overlap{}
	for i := 0; i <= len(hashes); i++ {
		if i < len(hashes) && x.common[hashes[i]] {
			continue
		}
		if length := i - from + x.n - 1; i > from && length >= commonRun && length > longest.end-longest.start {
			longest = overlap{verdict: commonText, start: from, end: from + length}
		}
		from = i + 1
	}
	if longest.verdict != "" {
		longest.start, longest.end = tokens[longest.start].start, tokens[longest.end-1].end
	}
	return longest
}
