package secrets_test

import (
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/secrets"
)

func sensitive(name, text string) map[string]cty.Value {
	return map[string]cty.Value{name: cty.StringVal(text).Mark(value.Sensitive{Variable: name})}
}

func TestEachModuleSeesItsOwnVariables(t *testing.T) {
	all := secrets.New(nil, nil)
	root := all.Variables(map[string]*config.Variable{"token": {Sensitive: true}}, sensitive("token", "value-of-root"))
	child := all.Variables(map[string]*config.Variable{"token": {}}, sensitive("token", "value-of-child"))
	hidden := all.Hide(cty.StringVal("hidden-value"))

	if got := root.Values([]string{"token"})["token"].AsString(); got != "value-of-root" {
		t.Errorf("the root module sees %s", got)
	}
	if got := child.Values([]string{"token"})["token"].AsString(); got != "value-of-child" {
		t.Errorf("the child module sees %s", got)
	}
	if !root.IsSensitive("token") || child.IsSensitive("token") {
		t.Error("one module has the other's declaration")
	}
	if root.IsGiven("key") || child.Values([]string{"key"})["key"].IsKnown() {
		t.Error("a variable that no module declares has a value")
	}
	for _, vs := range []*secrets.Variables{root, child} {
		if !vs.IsSensitive(hidden) || !vs.IsGiven(hidden) {
			t.Error("a module does not know a value that sensitive() hides")
		}
		if got := vs.Text("value-of-root value-of-child hidden-value"); got != "(sensitive value) (sensitive value) (sensitive value)" {
			t.Errorf("texts of a module show secrets: %s", got)
		}
	}
}
