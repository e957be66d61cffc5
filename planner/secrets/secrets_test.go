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

func TestSecretsAreKnownByNameAndShownToNobody(t *testing.T) {
	all := secrets.New(nil, nil)
	vs := all.Variables(map[string]*config.Variable{"token": {Sensitive: true}, "size": {}}, sensitive("token", "value-of-token"))
	hidden := all.Hide(cty.StringVal("hidden-value"))

	values := vs.Values([]string{"token", hidden, "key"})
	if got := values["token"].AsString() + " " + values[hidden].AsString(); got != "value-of-token hidden-value" {
		t.Errorf("the values are %s", got)
	}
	if values["key"].IsKnown() || vs.IsGiven("key") {
		t.Error("a variable that is not declared has a value")
	}
	if !vs.IsSensitive("token") || !vs.IsSensitive(hidden) || vs.IsSensitive("size") {
		t.Error("other variables are sensitive than those that are declared so")
	}
	if got := vs.Text("value-of-token hidden-value"); got != "(sensitive value) (sensitive value)" {
		t.Errorf("texts show secrets: %s", got)
	}
}
