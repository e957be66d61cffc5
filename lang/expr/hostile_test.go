package expr

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

func TestLongExpressionsCompileInTime(t *testing.T) {
	conditional, and, try, nested := `"z"`, `row.ok`, `"z"`, `row.n`
	for i := range 200 {
		conditional = fmt.Sprintf(`row.n > %d ? "%d" : %s`, i, i, conditional)
		and += fmt.Sprintf(` && row.n > %d`, i)
		if i < 60 {
			try = fmt.Sprintf(`try(row.meta.lang, (%s))`, try)
			nested = fmt.Sprintf(`(row.ok ? [for x in row.tags : %s][0] : -(%s))`, nested, `1`)
		}
	}
	for name, src := range map[string]string{"conditional": conditional, "and": and, "try": try, "nested": nested} {
		start := time.Now()
		_, diags := Compile(parse(src), testScope(), cty.DynamicPseudoType)
		if diags.HasErrors() {
			t.Errorf("%s: %v", name, diags)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s takes %s", name, took)
		}
		t.Log(name, time.Since(start), len(src))
	}
}

func TestDefinitionsThatDoubleAreRefused(t *testing.T) {
	s := testScope()
	s.Definitions = map[string]hcl.Expression{"local.l0": parse(`evaluate.student.accuracy`)}
	for i := range 39 {
		s.Definitions[fmt.Sprintf("local.l%d", i+1)] = parse(fmt.Sprintf(`"${local.l%d}${local.l%d}"`, i, i))
	}
	locals := map[string]cty.Value{}
	for name := range s.Definitions {
		locals[strings.TrimPrefix(name, "local.")] = cty.UnknownVal(cty.String)
	}
	s.Eval.Variables["local"] = cty.ObjectVal(locals)
	_, diags := Compile(parse(`local.l39`), s, cty.DynamicPseudoType)
	if len(diags) != 1 || diags[0].Summary != "Beyond a limit" {
		t.Errorf("got %v", diags)
	}
}
