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

// BenchmarkFirstPlanOf10000MapsInModules plans the same stages as
// BenchmarkFirstPlanOf10000Maps in 100 modules. It may take 1.1 times as long.
func BenchmarkFirstPlanOf10000MapsInModules(b *testing.B) {
	p := newPipeline(b)
	var root strings.Builder
	root.WriteString("source \"lines\" \"root\" {\n  path = \"a.txt\"\n}\n")
	p.modules = map[string]string{}
	for i := range 100 {
		fmt.Fprintf(&root, "module \"m%d\" {\n  source = \"./m%d\"\n  rows = source.root\n}\n", i, i)
		stages := strings.ReplaceAll(chains(100), "source.root", "var.rows")
		stages = "variable \"rows\" {}\n" + stages[strings.Index(stages, "transform"):]
		p.modules[fmt.Sprintf("m%d/m.quern.hcl", i)] = strings.ReplaceAll(stages, "${lower(row.text)} ", fmt.Sprintf("${lower(row.text)} %d ", i))
	}
	o, diags := p.options(root.String())
	if diags.HasErrors() {
		b.Fatal(p.print(diags))
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
