package llm

import (
	"cmp"
	"math"
	"slices"
)

// CosineSimilarity returns the cosine of the angle between two embeddings.
func CosineSimilarity(a, b []float32) float64 { return dot(Normalize(a), Normalize(b)) }

// RankBySimilarity returns the indexes of vectors by their cosine similarity to
// v, most similar first. All vectors have length 1.
func RankBySimilarity(vectors [][]float32, v []float32) []int {
	order, similarity := make([]int, len(vectors)), make([]float64, len(vectors))
	for i := range vectors {
		order[i], similarity[i] = i, dot(v, vectors[i])
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(similarity[b], similarity[a]) })
	return order
}

// Normalize scales an embedding to length 1.
func Normalize(v []float32) []float32 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return v
	}
	scale := 1 / math.Sqrt(sum)
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) * scale)
	}
	return out
}

func dot(a, b []float32) float64 {
	var sum float64
	for i := range min(len(a), len(b)) {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}
