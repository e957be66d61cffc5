package addr

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/kind"
)

func TestTargetsComeBackFromTheirText(t *testing.T) {
	k := cty.StringVal(`a].b["`)
	for want, target := range map[string]Target{
		`label.x`:    {Kind: kind.Label, Name: "x"},
		`label.x[0]`: {Kind: kind.Label, Name: "x", Key: cty.NumberIntVal(0)},
		`module.a`:   {Name: "a"},
		`module.a["a].b[\""].module.b["a].b[\""]`: {Module: Module{}.Child("a", k), Name: "b", Key: k},
		`module.a.gate.x`:                         {Module: Module{}.Child("a", cty.NilVal), Kind: kind.Gate, Name: "x"},
	} {
		back, err := ParseTarget(want)
		if target.String() != want || err != nil || back.String() != want || back.IsModule() != target.IsModule() || back.HasKey() != target.HasKey() {
			t.Errorf("%s, and back %s (%v), not %s", target, back, err, want)
		}
	}
	for _, s := range []string{"", "label", "module", "label.x.y", "resource.x", "module.a.x", "module.a.module", `label.x["a"]["b"]`, "label.x[1.5]", "row.text"} {
		if target, err := ParseTarget(s); err == nil {
			t.Errorf("%q is read as %s", s, target)
		}
	}
}

func TestAnAddressIsEnclosedByItsStageAndItsModules(t *testing.T) {
	var got []string
	for target, rest := range Enclosing(`module.a["k"].label.x["i"]`) {
		got = append(got, target+" "+rest)
	}
	want := []string{
		`module.a["k"].label.x["i"] `, `module.a["k"].label.x ["i"]`, `module.a["k"] .label.x["i"]`, `module.a ["k"].label.x["i"]`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestWhateverEnclosesAnAddressIsATarget(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	names := []string{"x", "module", "label", "a-b"}
	keys := []cty.Value{cty.NilVal, cty.NumberIntVal(7), cty.StringVal(""), cty.StringVal(`"].label.x["`), cty.StringVal(`\`), cty.StringVal("${x}")}
	for range 2000 {
		var m Module
		for range r.IntN(3) {
			m = m.Child(names[r.IntN(len(names))], keys[r.IntN(len(keys))])
		}
		a := Instance{Stage: Stage{Module: m, Kind: kind.Label, Name: names[r.IntN(len(names))]}, Key: keys[r.IntN(len(keys))]}
		for target, rest := range Enclosing(a.String()) {
			back, err := ParseTarget(target)
			if err != nil || back.String() != target || target+rest != a.String() {
				t.Fatalf("%s in %s: %v", target, a, err)
			}
		}
		if unkeyed, err := Parse(Unkeyed(a.String())); err != nil || unkeyed.HasKey() || unkeyed.Name != a.Name {
			t.Fatalf("%s without keys is %s: %v", a, unkeyed, err)
		}
	}
	if got := Unkeyed(`module.a["k"].module.b[0].label.x["i"]`); got != "module.a.module.b.label.x" {
		t.Error(got)
	}
}
