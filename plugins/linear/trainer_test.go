package linear

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

var offer = plugin.Plugin{Name: "linear", Version: "1.0.0", Types: Types()}

func rowsOf(list []Example) []map[string]any {
	var rows []map[string]any
	for _, e := range list {
		rows = append(rows, map[string]any{"body": e.Text, "intent": e.Label})
	}
	return rows
}

func trained(t *testing.T, rows []map[string]any, args map[string]any) (*plugintest.RunResult, error) {
	t.Helper()
	all := map[string]any{"text": plugintest.Row("body"), "target": plugintest.Row("intent")}
	for k, v := range args {
		all[k] = v
	}
	return plugintest.Run(t, offer, plugintest.Case{Type: "linear", Args: all, Rows: rows})
}

func TestTheTrainedModelPredictsThroughTheProtocol(t *testing.T) {
	rows := append(rowsOf(messages(300, 1)),
		map[string]any{"body": "no label", "intent": nil}, map[string]any{"body": nil, "intent": "top_up"})
	got, err := trained(t, rows, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int64{"rows": 301, "skipped": 1, "classes": 6, "epochs": 10} {
		if v := got.Value.GetAttr(name); !v.RawEquals(cty.NumberIntVal(want)) {
			t.Errorf("%s = %#v, want %d", name, v, want)
		}
	}
	test := messages(60, 2)
	inputs := []map[string]any{{"text": nil}}
	for _, e := range test {
		inputs = append(inputs, map[string]any{"text": e.Text})
	}
	predicted, err := plugintest.Predict(t, offer, got.Models[""], inputs)
	if err != nil {
		t.Fatal(err)
	}
	if predicted.Failures[0] == "" || len(predicted.Failures) != 1 {
		t.Errorf("failures: %v", predicted.Failures)
	}
	right := 0
	for i, e := range test {
		if predicted.Rows[i+1]["label"] == e.Label {
			right++
		}
		if c := predicted.Rows[i+1]["confidence"].(float64); c <= 0 || c > 1 {
			t.Errorf("confidence %g", c)
		}
	}
	if right < 54 {
		t.Errorf("%d of 60 are right", right)
	}
}

func TestMistakesInArgumentsAreFoundBeforeAnythingRuns(t *testing.T) {
	for argument, value := range map[string]any{"epochs": 0, "learning_rate": -1, "max_memory": 0, "hash_bits": 40, "char_ngrams": 20} {
		got, err := plugintest.Prepare(t, offer, plugintest.Case{
			Type: "linear", Rows: rowsOf(messages(6, 1)),
			Args: map[string]any{"text": plugintest.Row("body"), "target": plugintest.Row("intent"), argument: value},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Errors) != 1 {
			t.Errorf("%s = %v: %v", argument, value, got.Errors)
		}
	}
}

func TestAnUnknownValueIsNotAnError(t *testing.T) {
	got, err := plugintest.Prepare(t, offer, plugintest.Case{
		Type: "linear", Rows: rowsOf(messages(6, 1)),
		Args: map[string]any{"text": plugintest.Row("body"), "target": plugintest.Row("intent"), "epochs": plugintest.Unknown{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Errors) != 0 || len(got.Outputs) != 1 || got.Outputs[0].Format != Format {
		t.Errorf("%+v", got)
	}
}

func TestRowsWithOnlyOneLabelAreRefused(t *testing.T) {
	_, err := trained(t, rowsOf(messages(60, 1)[:10]), nil)
	if err == nil || !strings.Contains(err.Error(), "at least two distinct labels") {
		t.Errorf("error: %v", err)
	}
}

// numbered returns n rows, each with its own label.
func numbered(n int) []Example {
	list := messages(600, 1)
	var out []Example
	for i := range n {
		out = append(out, Example{Text: list[i%len(list)].Text, Label: fmt.Sprintf("id-%d", i)})
	}
	return out
}

func TestAnIDAsTargetIsRefusedBeforeMemoryRunsOut(t *testing.T) {
	_, err := Train(t.Context(), in(numbered(100_000)), DefaultOptions(), "", nil)
	if err == nil || !strings.Contains(err.Error(), "looks like an ID: 50001 of the first 50001 rows have a value that no other row has") {
		t.Errorf("error: %v", err)
	}
	_, err = trained(t, rowsOf(numbered(3000)), map[string]any{"max_memory": 8})
	if err == nil || !strings.Contains(err.Error(), "more than the 8 MiB that max_memory allows") ||
		!strings.Contains(err.Error(), "looks like an ID: 3000 of 3000 rows") {
		t.Errorf("error: %v", err)
	}
}

func TestLabelsOfUnboundedLengthAreRefused(t *testing.T) {
	var list []Example
	for i := range 100 {
		list = append(list, Example{Text: "text", Label: fmt.Sprint(i, strings.Repeat("x", 1<<20))})
	}
	if _, err := Train(t.Context(), in(list), DefaultOptions(), "", nil); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("error: %v", err)
	}
}

func TestManyClassesWithoutIDsGetTheAdviceToRaiseMaxMemory(t *testing.T) {
	var list []Example
	for i, e := range numbered(4000) {
		list = append(list, Example{Text: e.Text, Label: fmt.Sprint(i % 1000)})
	}
	o := DefaultOptions()
	o.MaxMemory = 1
	_, err := Train(t.Context(), in(list), o, "", nil)
	if err == nil || strings.Contains(err.Error(), "ID") || !strings.Contains(err.Error(), "or raise max_memory") {
		t.Errorf("error: %v", err)
	}
}

func TestThereIsAWarningIfATargetLooksLikeAnID(t *testing.T) {
	got, err := trained(t, rowsOf(numbered(120)), map[string]any{"epochs": 1, "calibration": "none"})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "120 of 120 rows have a value that no other row has") {
		t.Errorf("warnings: %v", got.Warnings)
	}
}
