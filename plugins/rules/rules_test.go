package rules

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

var offer = plugin.Plugin{Name: "rules", Version: "1.0.0", Types: Types()}

func twoRules() map[string]any {
	return map[string]any{"rule": []map[string]any{
		{"name": "card words", "when": plugintest.Row("card"), "label": "card"},
		{"name": "rates", "when": plugintest.Row("rate"), "label": "exchange"},
	}}
}

func TestTheFirstMatchingRuleGivesTheLabel(t *testing.T) {
	got, err := plugintest.Map(t, offer, plugintest.Case{
		Type: "rules", Name: "topic", Args: twoRules(),
		Rows: []map[string]any{
			{"card": true, "rate": false}, {"card": true, "rate": true}, {"card": false, "rate": true},
			{"card": false, "rate": false}, {"card": nil, "rate": true}, {"card": nil, "rate": nil},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if labels := fmt.Sprint(got.Column("topic")); labels != "[card card exchange <nil> exchange <nil>]" {
		t.Errorf("labels: %s", labels)
	}
	if rules := fmt.Sprint(got.Column("topic_rule")); rules != "[card words card words rates <nil> rates <nil>]" {
		t.Errorf("rules: %s", rules)
	}
	if names := strings.Join(got.Columns.Names(), " "); names != "card rate topic topic_rule" {
		t.Errorf("columns: %s", names)
	}
}

func TestTwoRulesWithTheSameNameAreRefused(t *testing.T) {
	args := twoRules()
	args["rule"].([]map[string]any)[1]["name"] = "card words"
	got, err := plugintest.Prepare(t, offer, plugintest.Case{Type: "rules", Args: args, Rows: []map[string]any{{"card": true, "rate": false}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Errors) != 1 || !strings.Contains(got.Errors[0].Text, `two rules named "card words"`) {
		t.Errorf("errors: %v", got.Errors)
	}
}
