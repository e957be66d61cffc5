//go:build duckdb_arrow

package query

import (
	"context"
	"testing"
)

// The cost of each query in every plan.
func BenchmarkAnalyze(b *testing.B) {
	for b.Loop() {
		if _, err := Analyze(context.Background(), "select distinct trim(text) as text, category from tickets where length(text) > 3", []Table{tickets}); err != nil {
			b.Fatal(err)
		}
	}
}
