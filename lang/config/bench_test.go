package config

import (
	"fmt"
	"strings"
	"testing"
)

func BenchmarkLoadTenThousandStages(b *testing.B) {
	var text strings.Builder
	text.WriteString("source \"csv\" \"s\" {\n  path = \"a.csv\"\n}\n")
	last := "source.s"
	for i := range 10_000 {
		fmt.Fprintf(&text, "transform \"map\" \"m%d\" {\n  input   = %s\n  columns = { text = \"${row.text} %d\" }\n}\n", i, last, i)
		last = fmt.Sprintf("transform.m%d", i)
	}
	src := []byte(text.String())
	for b.Loop() {
		if _, diags := Parse("a.quern.hcl", src); diags.HasErrors() {
			b.Fatal(diags)
		}
	}
}
