package quality

import (
	"math/bits"
	"unicode/utf8"
)

// ngrams measures repeated sequences of words.
//
// datatrove compares sequences as text: joined with spaces for the most frequent
// one, and without anything between the words for duplicates, so that "ab c" and
// "a bc" are the same. The hash of joined words is therefore a polynomial of
// their bytes: that of the words from i to j is (sums[j] - sums[i]) · inverse[i].
type ngrams struct {
	hashes []uint64
	// chars[i] is the number of characters of the words before i.
	chars         []int
	sums, inverse []uint64
	counter       counter
}

// read sets the words.
func (g *ngrams) read(words []string) {
	g.hashes, g.chars, g.sums, g.inverse = g.hashes[:0], g.chars[:0], g.sums[:0], g.inverse[:0]
	chars, sum, power, inverse := 0, uint64(0), uint64(1), uint64(1)
	for _, w := range words {
		g.hashes = append(g.hashes, hashOf(w))
		g.chars, g.sums, g.inverse = append(g.chars, chars), append(g.sums, sum), append(g.inverse, inverse)
		chars += utf8.RuneCountInString(w)
		for i := range len(w) {
			sum = addMod(sum, mulMod(power, uint64(w[i])+1))
			power, inverse = mulMod(power, base), mulMod(inverse, baseInverse)
		}
	}
	g.chars, g.sums = append(g.chars, chars), append(g.sums, sum)
}

// top returns the number of characters that all occurrences of the most frequent
// n-gram have together. Of several, the one that comes first counts. It returns
// false if there is no n-gram.
func (g *ngrams) top(n int) (int, bool) {
	if len(g.hashes) < n {
		return 0, false
	}
	g.counter.reset(len(g.hashes))
	most, earliest := 0, 0
	for i := range len(g.hashes) - n + 1 {
		hash := uint64(n)
		for _, h := range g.hashes[i : i+n] {
			hash = bits.RotateLeft64(hash^h, 29) * 0x9FB21C651E98DF25
		}
		if count, first := g.counter.add(hash, i); count > most || count == most && first < earliest {
			most, earliest = count, first
		}
	}
	return most * (g.chars[earliest+n] - g.chars[earliest] + n - 1), true
}

// duplicated returns the number of characters of n-grams that occur earlier.
// After such an n-gram, the next one begins after its last word.
func (g *ngrams) duplicated(n int) int {
	g.counter.reset(len(g.hashes))
	chars := 0
	for i := 0; i < len(g.hashes)-n+1; {
		hash := mulMod(addMod(g.sums[i+n], prime-g.sums[i]), g.inverse[i])
		if count, _ := g.counter.add(hash, i); count > 1 {
			chars += g.chars[i+n] - g.chars[i]
			i += n
		} else {
			i++
		}
	}
	return chars
}

// Polynomials are modulo a Mersenne prime.
const (
	prime = 1<<61 - 1
	base  = 0x1A2B3C4D5E6F708 | 1
)

var baseInverse = powMod(base, prime-2)

func addMod(a, b uint64) uint64 {
	sum := a + b
	if sum >= prime {
		sum -= prime
	}
	return sum
}

func mulMod(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return addMod(lo&prime, hi<<3|lo>>61)
}

func powMod(b, e uint64) uint64 {
	out := uint64(1)
	for ; e > 0; e >>= 1 {
		if e&1 == 1 {
			out = mulMod(out, b)
		}
		b = mulMod(b, b)
	}
	return out
}
