package addr

import (
	"testing"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func TestIdentifiersAreThoseOfHCL(t *testing.T) {
	names := []string{"", "größe", "é", "名", "a·b", "a\u0301", "null", "for", "a b", "a.b", "a\n", "\xff", "x\xff"}
	for a := range 128 {
		names = append(names, string(rune(a)))
		for b := range 128 {
			names = append(names, string([]rune{rune(a), rune(b)}), string([]rune{'a', rune(a), rune(b)}))
		}
	}
	for _, name := range names {
		if got, want := ValidIdentifier(name), hclsyntax.ValidIdentifier(name); got != want {
			t.Errorf("%q: %t, but for HCL it is %t", name, got, want)
		}
	}
}

func TestIdentifiersInASCIINeedNoScanner(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { ValidIdentifier("clean_rows-2") }); n > 0 {
		t.Errorf("%.0f allocations", n)
	}
}
