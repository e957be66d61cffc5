package state_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/quern-dev/quern/store/state"
)

func pull(t *testing.T, s *state.Store) *state.State {
	t.Helper()
	text, err := state.Text(load(t, s, "dev"))
	if err != nil {
		t.Fatal(err)
	}
	st, err := state.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestAPushedStateFollowsTheExistingOne(t *testing.T) {
	for name, c := range map[string]struct {
		edit    func(*state.State)
		force   bool
		changed bool
		serial  int64
		refused string
	}{
		"the same":          {edit: func(*state.State) {}, serial: 2},
		"a higher serial":   {edit: func(st *state.State) { st.Serial = 9 }, changed: true, serial: 9},
		"a lower serial":    {edit: func(st *state.State) { st.Serial = 1 }, refused: "newer"},
		"lower, by force":   {edit: func(st *state.State) { st.Serial = 1 }, force: true, changed: true, serial: 3},
		"the same serial":   {edit: func(st *state.State) { st.Outputs["x"] = &state.Output{} }, refused: "its content is different"},
		"another lineage":   {edit: func(st *state.State) { st.Lineage, st.Serial = "other", 9 }, refused: "unrelated"},
		"lineage, by force": {edit: func(st *state.State) { st.Lineage, st.Serial = "other", 9 }, force: true, changed: true, serial: 9},
		"another place":     {edit: func(st *state.State) { st.Environment, st.Serial = "prod", 9 }, refused: `environment "prod"`},
		"place, by force":   {edit: func(st *state.State) { st.Environment, st.Serial = "prod", 9 }, force: true, changed: true, serial: 9},
	} {
		s, _ := newStore(t)
		save(t, s, load(t, s, "dev"))
		save(t, s, load(t, s, "dev"))
		st := pull(t, s)
		c.edit(st)
		changed, err := s.Push("dev", st, c.force)
		var unrelated *state.Unrelated
		if c.refused != "" {
			if !errors.As(err, &unrelated) || !strings.Contains(err.Error(), c.refused) || load(t, s, "dev").Serial != 2 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		after := load(t, s, "dev")
		if err != nil || changed != c.changed || after.Serial != c.serial || after.Environment != "dev" || after.Lineage != st.Lineage {
			t.Errorf("%s: %v %v, serial %d", name, changed, err, after.Serial)
		}
	}
}

func TestAStateIsPushedWhereThereIsNone(t *testing.T) {
	s, _ := newStore(t)
	save(t, s, load(t, s, "dev"))
	st := pull(t, s)
	other, _ := newStore(t)
	if changed, err := other.Push("dev", st, false); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if after := load(t, other, "dev"); after.Lineage != st.Lineage || after.Serial != 1 {
		t.Errorf("%+v", after)
	}
}

func TestInvalidStatesAreNotParsed(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "not JSON",
		`{}`:                           "not a state",
		`{"format": "quern.state/v9"}`: "update quern",
		`{"format": "quern.state/v1"}`: "no lineage or serial",
		`{"format": "quern.state/v1", "lineage": "a", "serial": 1, "x": 1}`:                                     `unknown field "x"`,
		`{"format": "quern.state/v1", "lineage": "a", "serial": 1, "instances": {"label.a": {"address": "b"}}}`: "another one",
		`{"checksum": "sha256:0", "format": "quern.state/v1"}`:                                                  "checksum",
	} {
		if _, err := state.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
