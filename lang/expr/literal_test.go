package expr

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

func TestTextsOfAllKindsAreReadBackAsTheyWere(t *testing.T) {
	for _, s := range []string{"", "$", "$$", "${", "$${", "$$${", "%{", "%%{", "%%%{x}", "a$", "\\", `"`, "\n\r\t\x00\x7f", "\ufeff\u2028", "é", "~}", "${~", "$%{", "%${"} {
		for _, src := range []string{printExpr(literal(cty.StringVal(s), hcl.Range{})), `"` + escape(s, true) + `${"x"}` + escape(s, false) + `"`} {
			want := s
			if strings.Contains(src, `${"x"}`) {
				want = s + "x" + s
			}
			e, diags := hclsyntax.ParseExpression([]byte(src), "", hcl.InitialPos)
			if diags.HasErrors() {
				t.Fatalf("%q is written as %s: %v", want, src, diags)
			}
			v, diags := e.Value(nil)
			if diags.HasErrors() || v.AsString() != want {
				t.Errorf("%q is written %s and read as %#v %v", want, src, v, diags)
			}
		}
	}
}
