package state

import (
	"slices"
	"strings"
	"testing"

	"github.com/quern-dev/quern/store/action"
)

func TestAllMovesHappenAtOnceOrNone(t *testing.T) {
	fresh := func() *State {
		return &State{
			Instances: map[string]*Instance{
				"label.a": {Address: "label.a"}, "label.b": {Address: "label.b"},
				"gate.g": {Address: "gate.g", DependsOn: []string{"label.a", "label.b"}, Inputs: []action.InputRef{{Address: "label.a"}}},
			},
			Pending:  map[string]*Pending{"label.a": {}, "label.p": {}},
			Rejected: map[string]*Rejected{"label.b": {}, "label.r": {}},
		}
	}
	st := fresh()
	gate := st.Instances["gate.g"]
	// Two instances can trade places.
	if err := st.Move([]Move{{"label.a", "label.b"}, {"label.b", "label.a"}, {"label.p", "module.m.label.p"}, {"label.r", "label.s"}}); err != nil {
		t.Fatal(err)
	}
	g := st.Instances["gate.g"]
	if st.Instances["label.b"].Address != "label.b" || !slices.Equal(g.DependsOn, []string{"label.b", "label.a"}) || g.Inputs[0].Address != "label.b" {
		t.Errorf("%+v", g)
	}
	if gate.DependsOn[0] != "label.a" || gate.Inputs[0].Address != "label.a" {
		t.Error("an instance that others may hold was changed")
	}
	if st.Pending["label.b"] == nil || st.Pending["module.m.label.p"] == nil || st.Rejected["label.a"] == nil || st.Rejected["label.s"] == nil {
		t.Errorf("%v %v", st.Pending, st.Rejected)
	}
	if got := slices.Sorted(st.Addresses()); !slices.Equal(got, []string{"gate.g", "label.a", "label.b", "label.s", "module.m.label.p"}) {
		t.Error(got)
	}
	for _, test := range []struct {
		moves []Move
		says  string
	}{
		{[]Move{{"label.x", "label.y"}}, "the state has no instance label.x"},
		{[]Move{{"label.a", "label.b"}}, "already has an instance label.b"},
		{[]Move{{"label.a", "label.r"}}, "already has an instance label.r"},
		{[]Move{{"label.a", "label.x"}, {"label.b", "label.x"}}, "two instances are moved to label.x"},
		{[]Move{{"label.a", "label.x"}, {"label.a", "label.y"}}, "label.a is moved to label.x and to label.y"},
	} {
		st := fresh()
		if err := st.Move(test.moves); err == nil || !strings.Contains(err.Error(), test.says) || st.Instances["label.a"] == nil {
			t.Errorf("%v: %v", test.moves, err)
		}
	}
}
