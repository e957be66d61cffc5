package addr

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
)

func TestATargetContainsWhatItMeans(t *testing.T) {
	for _, c := range []struct {
		target, address string
		want            bool
	}{
		{`transform.x`, `transform.x`, true},
		{`transform.x`, `transform.x["a"]`, true},
		{`transform.x["a"]`, `transform.x["b"]`, false},
		{`transform.x["a"]`, `transform.x`, false},
		{`transform.x`, `module.m.transform.x`, false},
		{`module.m`, `module.m.transform.x`, true},
		{`module.m`, `module.m["k"].transform.x[0]`, true},
		{`module.m["k"]`, `module.m["k"].module.n.transform.x`, true},
		{`module.m["k"]`, `module.m["l"].transform.x`, false},
		{`module.m["k"]`, `module.m.transform.x`, false},
		{`module.m`, `module.n.transform.x`, false},
		{`module.m`, `transform.m`, false},
		{`module.m.transform.x`, `module.m["k"].transform.x["a"]`, true},
		{`module.m.transform.x`, `module.m["k"].module.n.transform.x`, false},
		{`module.m.module.n`, `module.m["k"].module.n[1].transform.x`, true},
		{`module.m.module.n[0]`, `module.m["k"].module.n[1].transform.x`, false},
	} {
		target, err := ParseTarget(c.target)
		if err != nil {
			t.Fatal(err)
		}
		address, err := Parse(c.address)
		if err != nil {
			t.Fatal(err)
		}
		if got := target.Contains(address); got != c.want {
			t.Errorf("%s contains %s: %t", target, address, got)
		}
	}
}

func TestReferencesInCompiledTextsAreWholeAddresses(t *testing.T) {
	for _, text := range []string{`transform.x`, `module.m["k"].module.n[1].transform.x`, `module.m.train.module`} {
		a, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		steps := a.Stage.Traversal(hcl.Range{})
		back, rest, ok := Referenced(steps)
		if !ok || len(rest) > 0 || back.Stage != a.Stage {
			t.Errorf("%s became %s", a, back)
		}
		if got, want := WithinModule(text), a.Stage.In(Module{}).String(); got != want {
			t.Errorf("within its module, %s is %s, not %s", text, got, want)
		}
	}
}
