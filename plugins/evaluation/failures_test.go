package evaluation

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// short is the length of an answer. It fails on the answer "2".
var short = plugintest.LateColumn(func(row map[string]any) (any, error) {
	if answer(row)["text"] == "2" {
		return nil, errors.New("two is no good")
	}
	return float64(len(fmt.Sprint(answer(row)["text"]))), nil
})

// withFailures returns four sums. The model fails on one of them, and short on
// another.
func withFailures(metric map[string]any) (rows []map[string]any, given map[string]any) {
	rows = append(sums(3), map[string]any{"text": "boom", "answer": "4", "known": "4444", "doc": "9"})
	metric["name"] = "length"
	return rows, map[string]any{
		"subjects": map[string]any{"asked": plugintest.PromptedModel{Model: adder(), Prompt: asks("careful")}, "known": plugintest.Row("known")},
		"metric":   []map[string]any{metric},
	}
}

func evaluateFailures(t *testing.T, metric map[string]any) *plugintest.RunResult {
	t.Helper()
	rows, given := withFailures(metric)
	return evaluate(t, rows, given)
}

func TestAFailureIsLeftOutOfAMeanAndCounted(t *testing.T) {
	got := evaluateFailures(t, map[string]any{"value": short, "weight": 1})
	asked := got.Value.GetAttr("subjects").GetAttr("asked")
	for _, metric := range []string{"length", "overall"} {
		if text := words(at(asked, metric, "value"), at(asked, metric, "n"), at(asked, metric, "errors")); text != "1 2 2" {
			t.Errorf("%s: %s", metric, text)
		}
	}
	if text := words(at(asked, "errors"), at(got.Value, "subjects", "known", "length", "errors")); text != "1 1" {
		t.Errorf("errors: %s", text)
	}
	// Both subjects have a length only for two rows.
	if n := at(got.Value, "differences", "asked - known", "length", "n"); n != 2 {
		t.Errorf("rows that are compared: %v", n)
	}
	all := strings.Join(got.Warnings, "\n")
	for _, want := range []string{
		`2 of 4 values of "length" are missing for subject "asked"`, "They are left out of its mean and of differences. Set error_score",
		`1 of 4 values of "length" are missing for subject "known"`, "two is no good",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning %q in\n%s", want, all)
		}
	}
}

func TestTheMetricDecidesWhatAFailureCounts(t *testing.T) {
	got := evaluateFailures(t, map[string]any{"value": short, "weight": 1, "error_score": -1, "threshold": 1})
	asked := got.Value.GetAttr("subjects").GetAttr("asked")
	for _, metric := range []string{"length", "overall"} {
		if text := words(at(asked, metric, "value"), at(asked, metric, "n"), at(asked, metric, "errors")); text != "0 4 2" {
			t.Errorf("%s: %s", metric, text)
		}
	}
	if v := at(asked, "passed", "value"); v != 0.5 {
		t.Errorf("passed: %v", v)
	}
	// Both have 1 and 1, both have -1, and the last row is -1 against 4.
	if v, n := at(got.Value, "differences", "asked - known", "length", "value"), at(got.Value, "differences", "asked - known", "length", "n"); v != -5.0/4 || n != 4 {
		t.Errorf("difference: %v of %v rows", v, n)
	}
	if all := strings.Join(got.Warnings, "\n"); !strings.Contains(all, "They count as -1.") {
		t.Errorf("warnings: %s", all)
	}
}

func TestAConditionThatFailsDoesNotPass(t *testing.T) {
	refused := plugintest.LateColumn(func(row map[string]any) (any, error) {
		if answer(row)["text"] == "2" {
			return nil, errors.New("two is no good")
		}
		return answer(row)["text"] != "", nil
	})
	for score, want := range map[float64]string{0: "0.5 4 2 0.5", 1: "1 4 2 0.5"} {
		got := evaluateFailures(t, map[string]any{"value": refused, "error_score": score})
		asked := got.Value.GetAttr("subjects").GetAttr("asked")
		if text := words(at(asked, "length", "value"), at(asked, "length", "n"), at(asked, "length", "errors"), at(asked, "passed", "value")); text != want {
			t.Errorf("error_score %g: %s, want %s", score, text, want)
		}
	}
}

func TestAnErrorScoreThatWouldLetAFailurePassIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		metric map[string]any
		want   string
	}{
		"above the threshold": {map[string]any{"value": short, "threshold": 2, "error_score": 2}, "answers pass at 2"},
	} {
		rows, given := withFailures(c.metric)
		got, err := plugintest.Prepare(t, offer, plugintest.Case{Type: "prompt", Rows: rows, Args: given})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Errors) != 1 || !strings.Contains(got.Errors[0].Text, c.want) {
			t.Errorf("%s: %v", name, got.Errors)
		}
	}
}

func TestTheOrderOfRowsChangesNoFigure(t *testing.T) {
	priced := plugintest.FakeModel{Chat: func(r *llm.Request, draw int) (*llm.Response, error) {
		got, err := adder().Chat(r, draw)
		if err == nil {
			got.Cost = price(0.1 * float64(len(r.Messages[1].Content)+int(r.Messages[1].Content[0])%7))
		}
		return got, err
	}}
	var want string
	for seed := range uint64(3) {
		rows, given := withFailures(map[string]any{"value": short, "weight": 0.3, "error_score": 0.1})
		rows = append(rows, sums(40)...)
		given["subjects"].(map[string]any)["sloppy"] = plugintest.PromptedModel{Model: priced, Prompt: asks("sloppy")}
		given["metrics"] = map[string]any{"exact": plugintest.LateColumn(exact)}
		given["cluster"] = plugintest.Row("doc")
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(rows), func(i, k int) { rows[i], rows[k] = rows[k], rows[i] })
		text := fmt.Sprintf("%#v", evaluate(t, rows, given).Value)
		if seed == 0 {
			want = text
		} else if text != want {
			t.Errorf("%s\nbecame\n%s", want, text)
		}
	}
}
