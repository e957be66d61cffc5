package addr

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

func TestAddressesComeBackFromTheirText(t *testing.T) {
	for _, a := range []Instance{
		{Stage: Stage{"transform", "clean"}},
		{Stage: Stage{"gate", "a-b_c"}},
		{Stage: Stage{"label", "x"}, Key: cty.StringVal("a b")},
		{Stage: Stage{"label", "x"}, Key: cty.StringVal("quote \" ${x} %{y} \\ \n é 日")},
		{Stage: Stage{"train", "x"}, Key: cty.NumberIntVal(12)},
		{Stage: Stage{"model", "x"}, Key: cty.StringVal("a")},
		{Stage: Stage{Kind: "prompt", Name: "x"}},
	} {
		back, err := Parse(a.String())
		if err != nil || back.Stage != a.Stage || back.HasKey() != a.HasKey() || a.HasKey() && !back.Key.RawEquals(a.Key) {
			t.Errorf("%s came back as %s: %v", a, back, err)
		}
	}
}

func TestWhatIsNoAddressIsRefused(t *testing.T) {
	for _, s := range []string{"", "transform", "transform.", "transform.sql.clean", "resource.x", "label.x[", "label.x[0].y", "label[0]", "label.x[*]", "label.x[y]"} {
		if a, err := Parse(s); err == nil {
			t.Errorf("%q is read as %s", s, a)
		}
	}
}

func TestATraversalIsSplitBehindItsAddress(t *testing.T) {
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
	traversal, _ := hclsyntax.ParseTraversalAbs([]byte("var.x"), "", hcl.InitialPos)
	if _, _, ok := FromTraversal(traversal); ok {
		t.Error("var.x is held to be a stage")
	}
}
