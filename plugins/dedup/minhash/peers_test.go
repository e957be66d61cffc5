package minhash

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// plantedPair returns two texts as testdata/pairs.py makes them.
func plantedPair(pair int) (string, string) {
	words := make([]string, 150)
	for i := range words {
		words[i] = fmt.Sprintf("w%d", (pair*7919+i*i*31+i*pair)%20011)
	}
	other := slices.Clone(words)
	for k := range pair % 40 {
		other[(k*37+pair)%len(other)] = fmt.Sprintf("x%dy%d", pair, k)
	}
	return strings.Join(words, " "), strings.Join(other, " ")
}

// TestPairsAreFoundAsDatasketchAndRensaFindThem compares on the same texts, by similarity.
// The files of testdata say which versions of the tools gave the answers.
func TestPairsAreFoundAsDatasketchAndRensaFindThem(t *testing.T) {
	text, err := os.ReadFile("testdata/pairs.json")
	if err != nil {
		t.Fatal(err)
	}
	var peers struct{ Pairs [][5]float64 }
	if err := json.Unmarshal(text, &peers); err != nil {
		t.Fatal(err)
	}
	p := Params{NGram: 5}
	p.Bands, p.Rows = Derive(0.8)
	s := NewSigner(p)
	bands := []float64{0, 0.5, 0.7, 0.8, 0.9, 1.01}
	type tally struct{ pairs, own, datasketch, rensa int }
	tallies := make([]tally, len(bands)-1)
	var squares [3]float64
	for i, peer := range peers.Pairs {
		a, b := plantedPair(i)
		similarity := Jaccard(slices.Clone(s.Shingles(a)), s.Shingles(b))
		if math.Abs(similarity-peer[0]) > 1e-5 {
			t.Fatalf("pair %d: similarity %g, but %g in Python", i, similarity, peer[0])
		}
		x, slotsX := sign(s, a)
		y, slotsY := sign(s, b)
		equal := Equal(slotsX, slotsY)
		at := &tallies[slices.IndexFunc(bands[1:], func(end float64) bool { return similarity < end })]
		at.pairs++
		for k := range x {
			if x[k] == y[k] && equal >= p.LeastEqual(0.8) {
				at.own++
				break
			}
		}
		at.datasketch += int(peer[1])
		at.rensa += int(peer[3])
		for k, estimate := range []float64{p.Similarity(equal), peer[2], peer[4]} {
			squares[k] += (estimate - similarity) * (estimate - similarity)
		}
	}
	for i, at := range tallies {
		t.Logf("similarity %.1f to %.1f: of %d pairs, found %d, datasketch %d, rensa %d", bands[i], min(1, bands[i+1]), at.pairs, at.own, at.datasketch, at.rensa)
		if at.pairs < 50 {
			t.Errorf("there are only %d pairs from %.1f", at.pairs, bands[i])
		}
		if bands[i] >= 0.8 && at.own < max(at.datasketch, at.rensa) {
			t.Errorf("from %.1f: found %d of %d", bands[i], at.own, at.pairs)
		}
		if bands[i+1] <= 0.7 && at.own > max(at.datasketch, at.rensa) {
			t.Errorf("to %.1f: found %d of %d", bands[i+1], at.own, at.pairs)
		}
	}
	for k := range squares {
		squares[k] = math.Sqrt(squares[k] / float64(len(peers.Pairs)))
	}
	t.Logf("standard error of estimates: %.4f, datasketch %.4f, rensa %.4f", squares[0], squares[1], squares[2])
	if squares[0] > 1.3*max(squares[1], squares[2]) {
		t.Error("the estimates are worse")
	}
}
