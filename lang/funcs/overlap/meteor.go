package overlap

import (
	"cmp"
	"math"
	"slices"
)

// The parameters of METEOR as published by Lavie and Agarwal in 2007: the
// weight of recall relative to precision, and the penalty for disorder.
const (
	meteorAlpha = 0.9
	meteorBeta  = 3
	meteorGamma = 0.5
)

// Meteor is METEOR with the matchers for equal words and equal English stems
// (Porter's, as implemented in NLTK). Its third matcher, for synonyms, needs
// WordNet and is left out, so texts that say the same in other words score
// lower than in its published form. Words are aligned as in NLTK.
func Meteor(text string, references []string) float64 {
	have := Words(text)
	top := 0.0
	for _, r := range references {
		top = max(top, meteor(have, Words(r)))
	}
	return top
}

func meteor(have, want []string) float64 {
	pairs := align(have, want)
	if len(pairs) == 0 {
		return 0
	}
	matches := float64(len(pairs))
	p, r := matches/float64(len(have)), matches/float64(len(want))
	mean := p * r / (meteorAlpha*p + (1-meteorAlpha)*r)
	disorder := float64(chunks(pairs)) / matches
	return (1 - meteorGamma*math.Pow(disorder, meteorBeta)) * mean
}

// pair is a word of the text and the word of the reference that it matches, by
// position.
type pair struct{ have, want int }

// align matches equal words first, and then words with equal stems among the
// rest. The pairs are in the order of the text.
func align(have, want []string) []pair {
	pairs := match(have, want, nil)
	pairs = append(pairs, match(stems(have), stems(want), pairs)...)
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.have, b.have) })
	return pairs
}

// match pairs equal words that are not in a pair yet. From the end of the text,
// each word takes the last unused one of the reference.
func match(have, want []string, taken []pair) []pair {
	usedHave, usedWant := map[int]bool{}, map[int]bool{}
	for _, p := range taken {
		usedHave[p.have], usedWant[p.want] = true, true
	}
	free := map[string][]int{}
	for i, word := range want {
		if !usedWant[i] {
			free[word] = append(free[word], i)
		}
	}
	var pairs []pair
	for i, word := range slices.Backward(have) {
		places := free[word]
		if usedHave[i] || len(places) == 0 {
			continue
		}
		last := len(places) - 1
		pairs = append(pairs, pair{i, places[last]})
		free[word] = places[:last]
	}
	return pairs
}

func stems(words []string) []string {
	out := make([]string, len(words))
	for i, word := range words {
		out[i] = porter(word)
	}
	return out
}

// chunks counts the runs of pairs that are adjacent in both texts.
func chunks(pairs []pair) int {
	n := 1
	for i := 1; i < len(pairs); i++ {
		if pairs[i].have != pairs[i-1].have+1 || pairs[i].want != pairs[i-1].want+1 {
			n++
		}
	}
	return n
}
