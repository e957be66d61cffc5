package llm

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestTheNearestExamplesHaveTheHighestCosine(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var vectors, normed [][]float32
	for range 20 {
		v := make([]float32, 5)
		for i := range v {
			v[i] = float32(r.NormFloat64()) * float32(1+r.IntN(9)) // of any length
		}
		vectors, normed = append(vectors, v), append(normed, Normalize(v))
	}
	for q := range vectors {
		order := RankBySimilarity(normed, normed[q])
		if order[0] != q {
			t.Fatalf("the nearest to example %d is %d", q, order[0])
		}
		if !slices.IsSortedFunc(order, func(a, b int) int {
			switch x, y := CosineSimilarity(vectors[q], vectors[a]), CosineSimilarity(vectors[q], vectors[b]); {
			case x > y+1e-6:
				return -1
			case y > x+1e-6:
				return 1
			}
			return 0
		}) {
			t.Errorf("example %d: %v is not in the order of cosines", q, order)
		}
	}
}

func TestARowIsNotItsOwnExample(t *testing.T) {
	examples := []Example{{"a", "x"}, {"b", "x"}, {"c", "x"}}
	for _, d := range []*ExampleSelection{{Count: 3, Select: SelectFirst}, {Count: 3, Select: SelectRandom, Seed: 4}} {
		// Compared by the question, and by a separate text.
		for _, q := range []struct{ question, by string }{{"b", "b"}, {"Sort this: b", "b"}} {
			chosen := d.choose(d.Order(len(examples)), examples, q.question, q.by)
			if len(chosen) != 2 || slices.Contains(chosen, 1) {
				t.Errorf("%s by %+v: %v", d.Select, q, chosen)
			}
		}
	}
}
