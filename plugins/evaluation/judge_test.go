package evaluation

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// replying answers each question with the reply for the first key that the
// question contains.
func replying(replies ...[2]string) plugintest.FakeModel {
	return plugintest.FakeModel{Chat: func(r *llm.Request, _ int) (*llm.Response, error) {
		question := r.Messages[1].Content
		for _, reply := range replies {
			if strings.Contains(question, reply[0]) {
				return &llm.Response{Text: reply[1]}, nil
			}
		}
		return nil, errors.New("there is no reply to: " + question)
	}}
}

func judged(t *testing.T, rows []map[string]any, j map[string]any) *plugintest.RunResult {
	t.Helper()
	j["name"] = "grade"
	return evaluate(t, rows, map[string]any{
		"subjects": map[string]any{"a": plugintest.Row("a")}, "judge": []map[string]any{j},
	})
}

func TestJudgesOfEachKindGrade(t *testing.T) {
	rows := []map[string]any{{"a": "good", "right": "fine"}, {"a": "bad", "right": "fine"}}
	for _, c := range []struct {
		kind      string
		good, bad string
		want      string
	}{
		{"rubric", `{"explanation": "e", "score": 0.9}`, `{"explanation": "f", "score": 0.2}`, "0.9 0.2 e f"},
		{"g_eval", `{"explanation": "e", "score": 8}`, `{"explanation": "f", "score": 0}`, "0.8 0 e f"},
		{"closed_qa", `{"because": "e", "choice": "yes"}`, `{"because": "f", "choice": "no"}`, "1 0 e f"},
		{"factuality", `{"because": "e", "choice": "B"}`, `{"because": "f", "choice": "D"}`, "1 0 e f"},
		{"relevance", `{"explanation": "e", "score": 1}`, `{"explanation": "f", "score": 0}`, "1 0 e f"},
		{"faithfulness", `{"statements": []}`, `{"statements": [{"statement": "x", "supported": true}, {"statement": "y", "supported": false}]}`, "<nil> 0.5 <nil> Not supported: y"},
		{"context_recall", `{"statements": [{"statement": "x", "supported": true}]}`, `{"statements": [{"statement": "y", "supported": false}]}`, "1 0 <nil> Not supported: y"},
	} {
		model := replying([2]string{"Write three to six", `{"steps": ["read", "judge"]}`},
			[2]string{"<answer>\ngood", c.good}, [2]string{"<answer>\nbad", c.bad},
			[2]string{"<question>\ngood", c.good}, [2]string{"<question>\nbad", c.bad})
		got := judged(t, rows, map[string]any{
			"model": model, "kind": c.kind, "rubric": "Be good.", "expected": plugintest.Row("right"), "context": plugintest.Row("right"), "question": plugintest.Row("a"),
		})
		all := got.Datasets["rows"]
		if line := words(append(all.Column("grade"), all.Column("grade_explanation")...)...); line != c.want {
			t.Errorf("%s: %s", c.kind, line)
		}
	}
}

func TestMetricsThatDoNotApplyToARowAreIgnored(t *testing.T) {
	model := replying([2]string{"<rubric>\nBe good.\nBe brief.\n</rubric>", `{"explanation": "e", "score": 0.8}`})
	rows := []map[string]any{
		{"a": "x", "wish": "Be brief.", "want": "x"},
		{"a": "x", "wish": nil, "want": "y"},
		{"a": "x", "wish": nil, "want": nil},
	}
	got := evaluate(t, rows, map[string]any{
		"subjects": map[string]any{"a": plugintest.Row("a")},
		"metrics": map[string]any{"exact": plugintest.LateColumn(func(row map[string]any) (any, error) {
			if row["want"] == nil {
				return nil, nil
			}
			return answer(row)["text"] == row["want"], nil
		})},
		"judge": []map[string]any{{"name": "grade", "model": model, "rubric": "Be good.", "criterion": plugintest.Row("wish"), "threshold": 0.5}},
	})
	all := got.Datasets["rows"]
	if line := words(append(append(all.Column("exact"), all.Column("grade")...), all.Column("passed")...)...); line != "1 0 <nil> 0.8 <nil> <nil> true false <nil>" {
		t.Error(line)
	}
	if v, n := at(got.Value, "subjects", "a", "exact", "value"), at(got.Value, "subjects", "a", "exact", "n"); v != 0.5 || n != 2 {
		t.Errorf("exact: %v of %v", v, n)
	}
}

func TestAPairOfAnswersIsJudgedInBothOrders(t *testing.T) {
	model := replying([2]string{"<answer 1>\ngood", `{"because": "b", "choice": "1"}`}, [2]string{"<answer 2>\ngood", `{"because": "b", "choice": "2"}`}, [2]string{"Which", `{"because": "first", "choice": "1"}`})
	rows := []map[string]any{{"a": "good", "b": "so"}, {"a": "so", "b": "good"}, {"a": "so", "b": "la"}}
	got := evaluate(t, rows, map[string]any{
		"subjects": map[string]any{"a": plugintest.Row("a"), "b": plugintest.Row("b")},
		"judge":    []map[string]any{{"name": "better", "model": model, "kind": "pairwise", "baseline": "b"}},
	})
	if grades := fmt.Sprint(got.Datasets["rows"].Column("better")); grades != "[1 <nil> 0 <nil> 0.5 <nil>]" {
		t.Errorf("grades: %s", grades)
	}
	if v := at(got.Value, "subjects", "b", "better", "value"); !math.IsNaN(v) {
		t.Errorf("the baseline's own grade: %v", v)
	}
}

func TestAnAnswerWhoseGradeCannotBeParsedDoesNotPass(t *testing.T) {
	model := replying([2]string{"<answer>\ngood", `{"because": "b", "choice": "yes"}`}, [2]string{"<answer>\nbad", `maybe`})
	got := judged(t, []map[string]any{{"a": "good"}, {"a": "bad"}, {"a": nil}}, map[string]any{"model": model, "kind": "closed_qa", "rubric": "Be good."})
	rows := got.Datasets["rows"]
	if line := fmt.Sprint(rows.Column("grade"), rows.Column("passed")); line != "[1 <nil> 0] [true false false]" {
		t.Errorf("grades: %s", line)
	}
	if why := fmt.Sprint(rows.Rows[1]["error"]); !strings.Contains(why, "grade: the answer can't be used: it is not the JSON that was asked for") {
		t.Errorf("error: %s", why)
	}
	if v := at(got.Value, "subjects", "a", "grade", "value"); math.Abs(v-1.0/3) > 1e-9 {
		t.Errorf("grade: %v", v)
	}
	if len(got.Warnings) != 2 || !strings.Contains(got.Warnings[1], `1 of 3 grades of "grade" are missing`) || !strings.Contains(got.Warnings[1], "it is not the JSON") {
		t.Errorf("warnings: %q", got.Warnings)
	}
	if len(got.Failures) != 1 || got.Failures[0].Row != 1 || !got.Failures[0].Temporary {
		t.Errorf("failures: %v", got.Failures)
	}
}
