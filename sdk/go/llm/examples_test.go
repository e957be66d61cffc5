package llm_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/quern-dev/quern/sdk/go/llm"
)

func TestARandomOrderDependsOnTheSeedAndFavorsNoExample(t *testing.T) {
	const n, seeds = 10, 20_000
	var first [n]int
	for seed := range int64(seeds) {
		d := &llm.ExampleSelection{Select: llm.SelectRandom, Seed: seed}
		order := d.Order(n)
		if again := d.Order(n); !slices.Equal(order, again) {
			t.Fatalf("seed %d gives %v, then %v", seed, order, again)
		}
		if sorted := slices.Sorted(slices.Values(order)); fmt.Sprint(sorted) != "[0 1 2 3 4 5 6 7 8 9]" {
			t.Fatalf("seed %d gives %v", seed, order)
		}
		first[order[0]]++
	}
	// Chi squared with nine degrees of freedom exceeds 27.88 once in a
	// thousand.
	chi := 0.0
	for _, k := range first {
		chi += float64((k-seeds/n)*(k-seeds/n)) / (seeds / n)
	}
	if chi > 27.88 {
		t.Errorf("examples stand first %v times: chi squared is %.1f", first, chi)
	}
}

func TestARandomOrderIsStable(t *testing.T) {
	// Answers are cached by request, so another order would request all of them
	// again.
	if got := fmt.Sprint((&llm.ExampleSelection{Select: llm.SelectRandom, Seed: 1}).Order(8)); got != "[0 2 1 7 4 6 5 3]" {
		t.Errorf("seed 1 gives %s", got)
	}
}
