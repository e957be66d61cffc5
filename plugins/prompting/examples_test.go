package prompting

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// pool has examples whose embeddings are known already.
func pool(vectors [][]float32) *Pool {
	p := &Pool{}
	for i, v := range vectors {
		p.examples = append(p.examples, example{user: string(rune('a' + i)), assistant: "x"})
		p.vectors = append(p.vectors, normed(v))
	}
	return p
}

func TestTheNearestAreThoseOfTheGreatestCosine(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var vectors [][]float32
	for range 20 {
		v := make([]float32, 5)
		for i := range v {
			v[i] = float32(r.NormFloat64()) * float32(1+r.IntN(9)) // of any length
		}
		vectors = append(vectors, v)
	}
	p := pool(vectors)
	for q := range vectors {
		asked := normed(vectors[q])
		order := p.byCosine(asked)
		if order[0] != q {
			t.Fatalf("the nearest to example %d is %d", q, order[0])
		}
		if !slices.IsSortedFunc(order, func(a, b int) int {
			switch x, y := Similarity(vectors[q], vectors[a]), Similarity(vectors[q], vectors[b]); {
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

func TestARowIsNotShownItself(t *testing.T) {
	p := pool([][]float32{{1, 0}, {0, 1}, {1, 1}})
	for _, d := range []*llm.Drawing{{Count: 3, Select: llm.SelectFirst}, {Count: 3, Select: llm.SelectRandom, Seed: 4}} {
		// By the question, and by what is told apart from it.
		for _, q := range []struct{ question, by string }{{"b", "b"}, {"Sort this: b", "b"}} {
			chosen, err := p.draw(context.Background(), d, q.question, q.by)
			if err != nil {
				t.Fatal(err)
			}
			if len(chosen) != 2 || slices.Contains(chosen, 1) {
				t.Errorf("%s by %+v: %v", d.Select, q, chosen)
			}
		}
	}
}
