package config

import (
	"reflect"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func FuzzVariables(f *testing.F) {
	for _, src := range []string{
		`row.text`, `1`, `"a"`, `"a ${var.b} %{if c}${d.e}%{else}${f[0]}%{endif} %{for g in h}${g} ${i}%{endfor}"`,
		`"${a}"`, `{ a = b.c, "${d}" = e, (f) = g, h.i = j, "k" = l, (m.n) = 1 }`, `[a, [b.c], "d"]`,
		`upper(a, b.c...)`, `a ? b : c`, `a.b && !c.d || -e > 3`, `(a.b)`, `a[b.c]`, `a["b"].c[d]`, `f(a).b`,
		`[for a in b : a.c if d]`, `{ for k, v in a : k => [v, b.c]... }`, `[for a in [for b in a : b] : b]`,
		`a.b.*.c`, `a[*].b[c].d`, `[a, b][*]`, `<<E
${a.b}
E
`,
	} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		e, _ := hclsyntax.ParseExpression([]byte(src), "a.quern.hcl", hcl.InitialPos)
		if e == nil {
			return
		}
		if got, want := Variables(e), e.Variables(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s refers to %v, and not to %v", src, want, got)
		}
	})
}
