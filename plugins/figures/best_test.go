package figures

import (
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/measurement"
)

func TestTheBestSubjectHasTheHighestFigure(t *testing.T) {
	figures := map[string]map[string]*float64{
		"a": {"accuracy": Known(0.7), "loss": nil, "recall": Known(0.5)},
		"b": {"accuracy": Known(0.9), "loss": nil, "recall": nil},
		"c": {"accuracy": Known(0.9), "loss": nil, "recall": Known(-1)},
	}
	got := Best([]string{"a", "b", "c"}, []string{"accuracy", "loss", "recall"}, func(subject, metric string) measurement.Figure {
		return measurement.Figure{Value: figures[subject][metric]}
	})
	want := cty.ObjectVal(map[string]cty.Value{
		"accuracy": cty.StringVal("b"), // a tie with c
		"loss":     cty.NullVal(cty.String), "recall": cty.StringVal("a"),
	})
	if !got.RawEquals(want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
}
