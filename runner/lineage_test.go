package runner_test

import (
	"strings"
	"testing"

	"github.com/quern-dev/quern/store/action"
)

func TestEntriesNameTheActionsOfTheirInputs(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "one", "two")
	src := asking("", "") + `
transform "longest" "l" {
  input = source.raw
  by    = row.text
}
gate "g" {
  condition     = transform.l.length > 0
  error_message = "Nothing."
}
deploy "shelf" "d" {
  artifact   = transform.l
  place      = "top"
  depends_on = [gate.g]
}
`
	p.mustApply(src)
	refs := func(address string) string {
		inst := p.state.Instances[address]
		inputs := inst.Inputs
		if entry, err := p.store.Actions.Get(inst.ActionKey); err != nil {
			t.Fatal(err)
		} else if entry != nil {
			inputs = entry.Inputs
		}
		var words []string
		for _, in := range inputs {
			word := in.Address
			if in.Role != "" {
				word = string(in.Role) + " " + word
			}
			if made := p.state.Instances[in.Address]; made != nil && in.Action != made.ActionKey {
				t.Errorf("%s: %s has the action key %q", address, in.Address, in.Action)
			}
			if in.Role == action.RoleModel && in.Plugin.Version != "1.2.3" {
				t.Errorf("%v", in.Plugin)
			}
			words = append(words, word)
		}
		return strings.Join(words, ", ")
	}
	for address, want := range map[string]string{
		"label.reply": "source.raw, model model.m, prompt prompt.p",
		"transform.l": "source.raw",
		"gate.g":      "values transform.l",
		"deploy.d":    "transform.l",
	} {
		if got := refs(address); got != want {
			t.Errorf("%s came from %q, not %q", address, got, want)
		}
	}
}

func TestEntriesNameEarlierProgramsOfRowsThatAreReused(t *testing.T) {
	p := newPipeline(t)
	src := `
source "lines" "s" { path = "a" }
label "upper" "loud" {
  input = source.s
  text  = row.text
}
`
	p.world.set("a", "one", "two")
	p.mustApply(src)
	p.plugins.digest = "sha256:" + strings.Repeat("cd", 32)
	p.world.set("a", "one", "two", "three")
	made := p.plan(src)
	var reason string
	for _, n := range made.Nodes {
		if n.Address == "label.loud" {
			for _, r := range n.Reasons {
				reason += string(r.Code) + ": " + r.Text + "\n"
			}
		}
	}
	if !strings.Contains(reason, `plugin: the plugin "test" changed (1.2.3 sha256:abababababab → 1.2.3 sha256:cdcdcdcdcdcd)`) {
		t.Errorf("the plan gives the reasons\n%s", reason)
	}
	p.mustApply(src)
	entry, err := p.store.Actions.Get(p.state.Instances["label.loud"].ActionKey)
	if err != nil {
		t.Fatal(err)
	}
	if len(entry.Earlier) != 1 || entry.Earlier[0].Digest != "sha256:"+strings.Repeat("ab", 32) || entry.Plugin.Digest != p.plugins.digest {
		t.Errorf("%v, earlier %v", entry.Plugin, entry.Earlier)
	}
}
