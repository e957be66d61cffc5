package planner_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/quern-dev/quern/planner"
	"github.com/quern-dev/quern/planner/plan"
)

// chains returns a configuration of transform "map" stages in chains of ten that
// begin with one source.
func chains(stages int) string {
	var b strings.Builder
	b.WriteString("source \"lines\" \"root\" {\n  path = \"a.txt\"\n}\n")
	for i := range stages {
		input := "source.root"
		if i%10 > 0 {
			input = fmt.Sprintf("transform.m%d", i-1)
		}
		fmt.Fprintf(&b, "transform \"map\" \"m%d\" {\n  input   = %s\n  columns = { text = \"${lower(row.text)} %d\" }\n}\n", i, input, i)
	}
	return b.String()
}

func BenchmarkFirstPlanOf10000Maps(b *testing.B) {
	p := newPipeline(b)
	o, diags := p.options(chains(10_000))
	if diags.HasErrors() {
		b.Fatal(diags)
	}
	b.ReportAllocs()
	for b.Loop() {
		made, diags := planner.Build(context.Background(), o)
		if diags.HasErrors() {
			b.Fatal(p.print(diags))
		}
		if n := made.Total().Actions[plan.Run]; n != 10_001 {
			b.Fatalf("%d stages to run", n)
		}
	}
}
