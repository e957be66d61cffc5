package plan

import (
	"maps"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
)

func TestAnEvaluationOfAnEarlierQuernHasNoCountsOfOverlap(t *testing.T) {
	n := &Node{Kind: "evaluate", ValueType: value.Type{Type: cty.Object(map[string]cty.Type{
		"scored": cty.Number, OverlapName: OverlapType([]string{"m"}),
	})}}
	v := StageValue(n, &Made{Value: cty.ObjectVal(map[string]cty.Value{"scored": cty.NumberIntVal(3)})})
	of := v.GetAttr(OverlapName).GetAttr("m")
	if !of.GetAttr("rows").IsNull() || !of.GetAttr("n").IsNull() || !v.GetAttr("scored").RawEquals(cty.NumberIntVal(3)) {
		t.Errorf("the value is %#v", v)
	}
	if ReadOverlap(v.GetAttr(OverlapName), "m") != nil {
		t.Error("nulls were read as counts")
	}
}

func TestOverlapCountsRoundTrip(t *testing.T) {
	v := OverlapValue(OverlapType([]string{"a", "b"}), map[string]*Overlap{"a": {Rows: 37, N: 310, Distinct: 300, Skipped: 2}})
	if got := ReadOverlap(v, "a"); got == nil || *got != (Overlap{Rows: 37, N: 310, Distinct: 300, Skipped: 2}) {
		t.Errorf("got %v", got)
	}
	if ReadOverlap(v, "b") != nil || ReadOverlap(v, "c") != nil || ReadOverlap(cty.NilVal, "a") != nil {
		t.Error("a subject without counts has some")
	}
}

func TestSubjectsAreNamedByTheEndOfTheirKeys(t *testing.T) {
	got := OverlapSubjects([]string{"subjects.a", "subjects.b", "others.b", "model"})
	want := map[string]string{"subjects.a": "a", "subjects.b": "subjects.b", "others.b": "others.b", "model": "model"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestAnOverlapOfSeveralFeaturesNamesAllOfThem(t *testing.T) {
	features := map[string]*expr.Compiled{"x": {Text: "row.x"}, "y": {Text: "row.y"}}
	d := (&Overlap{Rows: 37, N: 310, Distinct: 300}).Warning(nil, "train.m", features)
	if d == nil || !strings.Contains(d.Detail, "37 of 310 evaluated rows") || !strings.HasSuffix(d.Detail, "by = jsonencode([row.x, row.y]).") {
		t.Errorf("the warning is %v", d)
	}
	if (&Overlap{Rows: 37, N: 310, Distinct: 20}).Warning(nil, "train.m", features) != nil {
		t.Error("features with few values count as duplicates")
	}
	if (&Overlap{N: 310}).Warning(nil, "train.m", features) != nil {
		t.Error("a warning without an overlap")
	}
}
