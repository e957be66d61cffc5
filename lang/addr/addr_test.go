package addr

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/kind"
)

func equal(a, b Instance) bool {
	return a.Stage == b.Stage && a.Deposed == b.Deposed && a.HasKey() == b.HasKey() && (!a.HasKey() || a.Key.RawEquals(b.Key))
}

func TestAddressesComeBackFromTheirText(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	names := []string{"x", "clean", "a-b_c", "module", "transform", "été", "_"}
	keys := []cty.Value{
		cty.NilVal, cty.NumberIntVal(0), cty.NumberIntVal(12), cty.NumberIntVal(1 << 60), cty.StringVal(""), cty.StringVal("a b"), cty.StringVal("0"),
		cty.StringVal("quote \" ${x} %{y} \\ \n é 日"), cty.StringVal(`"].transform.x["`), cty.StringVal("module.a"), cty.StringVal("\u0000\u2028"),
	}
	pick := func() (string, cty.Value) { return names[r.IntN(len(names))], keys[r.IntN(len(keys))] }
	seen := map[string]Instance{}
	for range 3000 {
		var m Module
		for range r.IntN(4) {
			m = m.Child(pick())
		}
		name, key := pick()
		kinds := kind.Names()
		a := Instance{Stage: Stage{Module: m, Kind: kinds[r.IntN(len(kinds))], Name: name}, Key: key, Deposed: max(0, r.IntN(8)-4)}
		back, err := Parse(a.String())
		if err != nil || !equal(a, back) || KindOf(a.String()) != a.Kind {
			t.Fatalf("%s came back as %s: %v", a, back, err)
		}
		if other, taken := seen[a.String()]; taken && !equal(a, other) {
			t.Fatalf("two addresses have the text %s", a)
		}
		seen[a.String()] = a
	}
}

func TestTheTextOfAnAddressBeginsWithItsModule(t *testing.T) {
	a := Module{}.Child("a", cty.StringVal("k"))
	for want, s := range map[string]Stage{
		`transform.x`:                                {Kind: kind.Transform, Name: "x"},
		`module.a["k"].transform.x`:                  Stage{Kind: kind.Transform, Name: "x"}.In(a),
		`module.a["k"].module.b.gate.x`:              {Module: a.Child("b", cty.NilVal), Kind: kind.Gate, Name: "x"},
		`module.a["k"].module.b[3].module.c.model.x`: Stage{Kind: kind.Model, Name: "x"}.In(a.Child("b", cty.NumberIntVal(3)).Child("c", cty.NilVal)),
	} {
		if s.String() != want {
			t.Errorf("%s, not %s", s, want)
		}
	}
}

func TestInvalidAddressesAreRefused(t *testing.T) {
	for _, s := range []string{
		"", "transform", "transform.", "transform.sql.clean", "resource.x", "label.x[", "label.x[0].y", "label[0]", "label.x[*]", "label.x[y]", "label.x[1.5]", "label.x[-1]", "label.x[1e30]",
		"deploy.x.deposed", "deploy.x.deposed[0]", "deploy.x.deposed[1.5]", `deploy.x.deposed["1"]`, "deploy.x.deposed[1][2]", "deploy.x.deposed[1].y", "deploy.x.other[1]",
		"module", "module.a", "module.a[0]", "module.a.module", "module.a.module.b", "module[0].label.x", "module.a.label", "module.a.x.label.y", "module.a[1.5].label.x", "label.x.module.a", `module.a["k"]["l"].label.x`,
	} {
		if a, err := Parse(s); err == nil {
			t.Errorf("%q is read as %s", s, a)
		}
	}
}

func TestATraversalIsSplitAfterItsAddress(t *testing.T) {
	for text, want := range map[string]struct {
		address string
		rest    int
	}{
		"evaluate.student.subjects.a.low": {"evaluate.student", 3},
		`label.x["a"].rows`:               {`label.x["a"]`, 1},
		"label.x[0]":                      {"label.x[0]", 0},
	} {
		traversal, _ := hclsyntax.ParseTraversalAbs([]byte(text), "", hcl.InitialPos)
		a, rest, ok := FromTraversal(traversal)
		if !ok || a.String() != want.address || len(rest) != want.rest {
			t.Errorf("%s: %s and %d steps", text, a, len(rest))
		}
	}
	// Expressions name the stages of their own module only.
	for _, text := range []string{"var.x", "module.a.transform.x"} {
		traversal, _ := hclsyntax.ParseTraversalAbs([]byte(text), "", hcl.InitialPos)
		if _, _, ok := FromTraversal(traversal); ok {
			t.Errorf("%s counts as a stage", text)
		}
	}
}

func TestAnEmptyModuleDoesNotExist(t *testing.T) {
	existing := slices.Values([]string{"transform.x", `module.a["k"].module.b.gate.x`})
	for text, missing := range map[string]bool{
		"transform.y": false, `module.a["k"].transform.y`: false, `module.a["k"].module.b.gate.y`: false,
		"module.a.transform.x": true, `module.a["k"].module.c.gate.x`: true, `module.a["k"].module.bb.gate.x`: true,
	} {
		a, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.CheckModule(existing); (err != nil) != missing {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"transform.clean", `label.x["a"]`, "label.x[0]", "label.x[010]", "label.x.0", `label.x["\u00e9${"]`, `module.a["k"].module.b[1].transform.x["i"]`, "module.a.gate.module",
		"label.x[1e3]", "label. x [ 0 ]", "label.x /* c */ [0]",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s)
		if parsed, parseErr := parse(s); (err != nil) != (parseErr != nil) || !equal(a, parsed) {
			t.Errorf("%q is %s, but the parser reads %s: %v, %v", s, a, parsed, err, parseErr)
		}
		if err != nil {
			return
		}
		text := a.String()
		back, err := Parse(text)
		if err != nil || !equal(a, back) || back.String() != text {
			t.Errorf("%q is %s, which comes back as %s: %v", s, text, back, err)
		}
		if of := KindOf(text); of != a.Kind {
			t.Errorf("%q is of kind %s, not %s", text, of, a.Kind)
		}
	})
}

func TestArgumentsOfCommandsCanBePasted(t *testing.T) {
	for address, want := range map[string]string{
		"transform.clean":              "transform.clean",
		`module.a["k"].transform.b`:    `'module.a["k"].transform.b'`,
		`transform.clean["Bob's"].bad`: `'transform.clean["Bob'\''s"].bad'`,
	} {
		if got := Argument(address); got != want {
			t.Errorf("Argument(%s) = %s, want %s", address, got, want)
		}
	}
}
