package inspect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/state"
)

// digest returns a digest that ends in a letter.
func digest(letter string) string { return "sha256:" + strings.Repeat("0", 63) + letter }

func newStore(t *testing.T, entries ...*action.Entry) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir() + "/.quern")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		e.Format, e.Definition = action.Format, e.Key
		if _, err := s.Actions.Put(e); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func outputs(letter string) map[string]artifact.Ref {
	return map[string]artifact.Ref{"": {Kind: artifact.Dataset, Digest: digest(letter), Manifest: digest(letter)}}
}

// tree formats a lineage on one line.
func tree(a *inspect.Ancestor) string {
	text := a.Address
	if a.Role != "" {
		text = string(a.Role) + " " + text
	}
	for argument, seed := range a.Seeds {
		text += fmt.Sprintf(" %s=%s", argument, seed)
	}
	if a.Repeated {
		text += " again"
	}
	if a.Missing {
		text += " missing"
	}
	var from []string
	for _, f := range a.From {
		from = append(from, tree(f))
	}
	if from != nil {
		text += "(" + strings.Join(from, ", ") + ")"
	}
	return text
}

func TestLineageFollowsTheActionsOfAResult(t *testing.T) {
	source := &action.Entry{Key: digest("1"), Address: "source.a", Outputs: outputs("a")}
	split := &action.Entry{Key: digest("2"), Address: "transform.b", Outputs: outputs("b"),
		Preimage: action.NewPreimage([]action.Field{{Name: "number seed", Value: "7"}}),
		Inputs:   []action.InputRef{{Address: "source.a", Digest: digest("a"), Action: source.Key}}}
	label := &action.Entry{Key: digest("3"), Address: "label.c", Outputs: outputs("c"), Plugin: action.PluginRef{Name: "builtin"},
		Inputs: []action.InputRef{
			{Address: "transform.b", Digest: digest("b"), Action: split.Key},
			{Address: "model.m", Digest: digest("d"), Role: action.RoleModel, Plugin: &action.PluginRef{Name: "openai"}},
			{Address: "prompt.p", Digest: digest("e"), Role: action.RolePrompt},
			{Address: "prompt.p", Digest: digest("e"), Role: action.RolePrompt}, // two arguments use it
			{Address: "source.a", Action: source.Key, Role: action.RoleValues},
		}}
	s := newStore(t, source, split, label)
	for _, c := range []struct {
		inst *state.Instance
		want string
	}{
		{&state.Instance{Address: "label.c", Kind: "label", ActionKey: label.Key},
			"label.c(transform.b seed=7(source.a), model model.m, prompt prompt.p, values source.a again)"},
		{&state.Instance{Address: "gate.g", Kind: "gate", Inputs: []action.InputRef{{Address: "transform.b", Action: split.Key, Role: action.RoleValues}}},
			"gate.g(values transform.b seed=7(source.a))"},
		{&state.Instance{Address: "deploy.d", Kind: "deploy", Deployment: &state.Deployment{}, Inputs: []action.InputRef{{Address: "source.a", Digest: digest("a"), Action: source.Key}}},
			"deploy.d(source.a)"},
		// Entries and states of earlier versions identify their inputs only by
		// digest.
		{&state.Instance{Address: "deploy.d", Kind: "deploy", Deployment: &state.Deployment{Digests: map[string]string{"artifact": digest("b")}}},
			"deploy.d(transform.b seed=7(source.a))"},
		{&state.Instance{Address: "deploy.d", Kind: "deploy", Deployment: &state.Deployment{Digests: map[string]string{"artifact": digest("f")}}},
			"deploy.d(artifact missing)"},
		// The address is the one in the state, because a stage can be renamed.
		{&state.Instance{Address: "source.renamed", Kind: "source", ActionKey: source.Key}, "source.renamed"},
		{&state.Instance{Address: "source.x", Kind: "source", ActionKey: digest("9")}, "source.x missing"},
	} {
		got, err := inspect.Lineage(s, c.inst)
		if err != nil || tree(got) != c.want {
			t.Errorf("got %s, %v\nwant %s", tree(got), err, c.want)
		}
	}
}

func TestSeedsOfNestedBlocksArePartOfALineage(t *testing.T) {
	e := &action.Entry{Key: digest("1"), Address: "train.t", Preimage: action.NewPreimage([]action.Field{
		{Name: "number head.seed", Value: "8"}, {Name: "number seeds", Value: "9"},
	})}
	got, err := inspect.Lineage(newStore(t, e), &state.Instance{Address: "train.t", Kind: "train", ActionKey: e.Key})
	if err != nil || tree(got) != "train.t head.seed=8" {
		t.Errorf("got %s, %v", tree(got), err)
	}
}

func TestALineageAsJSONHasTheDigestsByPort(t *testing.T) {
	e := &action.Entry{Key: digest("1"), Address: "source.a", Outputs: outputs("a"), Run: "r", Plugin: action.PluginRef{Name: "builtin"}}
	got, err := inspect.Lineage(newStore(t, e), &state.Instance{Address: "source.a", Kind: "source", ActionKey: e.Key})
	if err != nil {
		t.Fatal(err)
	}
	if text := toJSON(t, got); text != `{"address":"source.a","action_key":"`+e.Key+`","digests":{"":"`+digest("a")+`"},"plugin":{"name":"builtin"},"run":"r"}` {
		t.Errorf("got %s", text)
	}
}
