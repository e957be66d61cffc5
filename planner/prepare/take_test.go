package prepare

import (
	"math"
	"strings"
	"testing"

	"github.com/quern-dev/quern/planner/decode"
	"github.com/quern-dev/quern/planner/expand"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

func TestSelectionsThatCannotBeAreFaultsOfThePlugin(t *testing.T) {
	dataset := &module.Handle{Port: &plan.Port{Kind: plan.KindDataset}}
	n := &answered{Instance: &Instance{Instance: &decode.Instance{
		Instance: &expand.Instance{Node: &plan.Node{}},
		Inputs:   map[string]*module.Handle{"a": dataset, "b": dataset, "m": {Port: &plan.Port{Kind: plan.KindModel}}},
		Bound:    &plan.Bound{Rows: map[string]*plan.RowArg{"size": {Of: "a"}}},
	}}}
	plain, known := &plan.Port{}, &plan.Port{Lineage: map[string]*plan.Lineage{"text": {}}}
	one, none, infinite, nan := 1.0, 0.0, math.Inf(1), math.NaN()
	most, negative := int64(1), int64(-1)
	type selections = []*pluginv1.Selection
	for _, s := range (selections{{RowsOf: "a", Share: &nan}, {RowsOf: "a", Share: &infinite}, {RowsOf: "a", Exactly: &nan}, {RowsOf: "a", Weight: &infinite}, {RowsOf: "a", Most: &negative}}) {
		if err := n.takeSelections(plain, selections{s}); err == nil || !strings.Contains(err.Error(), "negative or not finite") {
			t.Errorf("%v: %v", s, err)
		}
	}
	for want, c := range map[string]struct {
		port *plan.Port
		of   selections
	}{
		"":                                      {known, selections{{RowsOf: "a", Exactly: &one, Size: "size"}, {RowsOf: "b", Weight: &one}}},
		"no lineage says":                       {plain, selections{{RowsOf: "a"}, {RowsOf: "b"}}},
		"but 2 selections":                      {&plan.Port{RowsOf: "a"}, selections{{RowsOf: "a"}, {RowsOf: "b"}}},
		`the input "c", which is not a dataset`: {plain, selections{{RowsOf: "c"}}},
		`the input "m", which is not a dataset`: {plain, selections{{RowsOf: "a", MostOf: "m"}}},
		"not a row expression over the input":   {known, selections{{RowsOf: "a"}, {RowsOf: "b", Size: "size"}}},
		"and a limit":                           {plain, selections{{RowsOf: "a", Exactly: &one, Most: &most}}},
		"the weight 0":                          {plain, selections{{RowsOf: "a", Weight: &none}}},
	} {
		switch err := n.takeSelections(c.port, c.of); {
		case want == "" && err != nil:
			t.Error(err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
