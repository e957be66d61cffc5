package limit

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// nested are texts that would overflow the stack.
func nested(n int) map[string]string {
	many := func(s string) string { return strings.Repeat(s, n) }
	return map[string]string{
		"parentheses":  many("(") + "1" + many(")"),
		"brackets":     many("[") + many("]"),
		"braces":       many("{ a = ") + "1" + many("}"),
		"not closed":   many("("),
		"templates":    many(`"${`) + "1" + many(`}"`),
		"not":          many("!") + "true",
		"minus":        many("-") + "1",
		"directives":   `"` + many("%{ if true }") + many("%{ endif }") + `"`,
		"conditionals": many("true ? 1 : ") + "1",
		"sums":         "1" + many(" + 1"),
		"comparisons":  "1" + many(" == 1"),
		"indexes":      "a" + many("[0]"),
		"splats":       "a" + many("[*]"),
		"calls":        many("abs(") + "1" + many(")"),
		"loops":        many("[for x in ") + "[]" + many(" : x]"),
		"lines":        "{ for k, v in {} : k => (1\n" + many("+ 1\n") + ")}",
		"comments":     many("(/*\n}\n*/") + "1" + many(")"),
		"heredocs":     many("(<<A\n}\nA\n+ ") + "1",
	}
}

func TestTextsThatAreNestedTooDeeplyAreNotParsed(t *testing.T) {
	for name, text := range nested(10_000) {
		for kind, parse := range map[string]func() hcl.Diagnostics{
			"expression": func() hcl.Diagnostics { _, d := ParseExpression([]byte(text), "x", hcl.InitialPos); return d },
			"template":   func() hcl.Diagnostics { _, d := ParseTemplate([]byte("${"+text+"}"), "x", hcl.InitialPos); return d },
			"file":       func() hcl.Diagnostics { _, d := ParseConfig([]byte("a = "+text+"\n"), "x", hcl.InitialPos); return d },
		} {
			if diags := parse(); len(diags) != 1 || diags[0].Summary != "Nested too deeply" {
				t.Errorf("%s in a %s: %d diagnostics", name, kind, len(diags))
			}
		}
	}
	if _, diags := ParseConfig([]byte(strings.Repeat("a {\n", 10_000)), "x", hcl.InitialPos); len(diags) != 1 || diags[0].Summary != "Nested too deeply" {
		t.Errorf("blocks: %d diagnostics", len(diags))
	}
}

func TestLongTextsThatAreNotNestedAreParsed(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "a%d = [1 + 2, (3), {x = -1}] # !\nb%d = \"${1}, %%{ if true }x%%{ endif }\" /* ( */\nc%d = <<E\n - (((\nE\n", i, i, i)
	}
	b.WriteString("d = [" + strings.Repeat("-1, ", 5000) + "]\ne = {\n" + strings.Repeat("  (1 + 1) = !true\n", 5000) + "}\n")
	if _, diags := ParseConfig([]byte(b.String()), "x", hcl.InitialPos); len(diags) > 0 {
		t.Error(diags[0])
	}
	if _, diags := ParseTemplate([]byte(strings.Repeat("%{ if true }(%{ endif }${1 + 1}", 5000)), "x", hcl.InitialPos); len(diags) > 0 {
		t.Error(diags[0])
	}
}

func TestValuesAreMeasuredInLittleTime(t *testing.T) {
	double := cty.StringVal("x")
	for range 60 {
		double = cty.TupleVal([]cty.Value{double, double})
	}
	deep := cty.StringVal("x")
	for range Default.Depth + 1 {
		deep = cty.TupleVal([]cty.Value{deep})
	}
	start := time.Now()
	for name, v := range map[string]cty.Value{
		"doubling": double,
		"deep":     deep,
		"long":     cty.StringVal(strings.Repeat("x", Default.Bytes+1)),
		"infinity": cty.PositiveInfinity,
		"huge":     cty.NumberVal(new(big.Float).SetMantExp(big.NewFloat(1), maxExponent+1)),
		"marked":   cty.TupleVal([]cty.Value{double.Mark("x")}),
	} {
		if _, err := Measure(v); err == nil {
			t.Errorf("%s exceeds no limit", name)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	size, err := Measure(cty.ObjectVal(map[string]cty.Value{"ab": cty.ListVal([]cty.Value{cty.StringVal("cde"), cty.NullVal(cty.String)}), "n": cty.UnknownVal(cty.Number)}))
	if want := (Size{Elements: 5, Bytes: 6}); err != nil || size != want {
		t.Errorf("got %+v, %v", size, err)
	}
}

func TestTheEnvironmentRaisesLimits(t *testing.T) {
	env := map[string]string{DepthVariable: "5000", SecondsVariable: "60"}
	s, err := FromEnvironment(func(name string) string { return env[name] })
	if err != nil || s.Depth != 5000 || s.Time != time.Minute || s.Elements != Default.Elements {
		t.Errorf("got %+v, %v", s, err)
	}
	for _, wrong := range []string{"0", "-1", "many", "1e9", "99999999999999999999"} {
		env[BytesVariable] = wrong
		if _, err := FromEnvironment(func(name string) string { return env[name] }); err == nil || !strings.Contains(err.Error(), BytesVariable) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
