package models

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quern-dev/quern/plugins/linear"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// offer also has a trainer, whose models predict.
var offer = plugin.Plugin{Name: "models", Version: "1.0.0", Types: append(Types(), linear.Types()...)}

func student(t *testing.T) plugintest.Model {
	t.Helper()
	var rows []map[string]any
	for i := range 60 {
		rows = append(rows, map[string]any{"text": fmt.Sprintf("card %d lost", i), "intent": "card"}, map[string]any{"text": fmt.Sprintf("rate %d today", i), "intent": "rate"})
	}
	trained, err := plugintest.Run(t, offer, plugintest.Case{
		Kind: plugin.KindTrain, Type: "linear", Rows: rows,
		Args: map[string]any{"text": plugintest.Row("text"), "target": plugintest.Row("intent")},
	})
	if err != nil {
		t.Fatal(err)
	}
	m := trained.Models[""]
	m.Features = map[string]plugintest.Row{"text": "body"}
	return m
}

func TestATrainedModelLabelsRows(t *testing.T) {
	rows := []map[string]any{{"body": "my card is lost"}, {"body": "the rate today"}, {"body": "xyzzy"}}
	m := student(t)
	got, err := plugintest.Map(t, offer, plugintest.Case{Kind: plugin.KindLabel, Type: "model", Name: "intent", Args: map[string]any{"model": m}, Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	if names := strings.Join(got.Columns.Names(), " "); names != "body intent intent_confidence" {
		t.Errorf("columns: %s", names)
	}
	if labels := fmt.Sprint(got.Column("intent")[:2]); labels != "[card rate]" {
		t.Errorf("labels: %s", labels)
	}
	sure, err := plugintest.Map(t, offer, plugintest.Case{Kind: plugin.KindLabel, Type: "model", Name: "intent", Args: map[string]any{"model": m, "min_confidence": 0.75}, Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	if labels := fmt.Sprint(sure.Column("intent")); labels != "[card rate <nil>]" {
		t.Errorf("labels: %s, confidence %v", labels, sure.Column("intent_confidence"))
	}
}

func TestAModelThatCannotPredictIsRefused(t *testing.T) {
	chat := plugintest.FakeModel{Chat: func(*llm.Request, int) (*llm.Response, error) { return nil, nil }}
	for want, model := range map[string]any{"does not predict": chat, "not a trained model": plugintest.Row("body")} {
		got, err := plugintest.Prepare(t, offer, plugintest.Case{Kind: plugin.KindLabel, Type: "model", Args: map[string]any{"model": model}, Rows: []map[string]any{{"body": "a"}}})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Errors) != 1 || !strings.Contains(got.Errors[0].Text, want) {
			t.Errorf("errors: %v", got.Errors)
		}
	}
}
