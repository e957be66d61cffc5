package evaluation

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/stats"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

var offer = plugin.Plugin{Name: "evaluation", Version: "1.0.0", Types: Types()}

// asks returns a prompt that asks for the column text in a given tone.
func asks(tone string) plugintest.Prompt {
	return func(row map[string]any) *llm.Request {
		return &llm.Request{Messages: []llm.Message{{Role: llm.System, Content: tone}, {Role: llm.User, Content: row["text"].(string)}}}
	}
}

func price(v float64) *float64 { return &v }

// adder answers sums. If it is asked sloppily, it is wrong on every third row,
// and it fails on "boom".
func adder() plugintest.FakeModel {
	return plugintest.FakeModel{Chat: func(r *llm.Request, draw int) (*llm.Response, error) {
		var a, b int
		question := r.Messages[len(r.Messages)-1].Content
		if question == "boom" {
			return nil, &llm.CallError{Message: "filtered", Status: 400}
		}
		if _, err := fmt.Sscanf(question, "%d+%d", &a, &b); err != nil {
			return nil, err
		}
		sum := a + b
		if r.Messages[0].Content == "sloppy" && a%3 == 0 {
			sum++
		}
		return &llm.Response{
			Text: fmt.Sprint(sum), FinishReason: llm.FinishStop, Usage: llm.Usage{Input: 10, Output: 2}, Cost: price(0.001), Latency: 0.25,
		}, nil
	}}
}

func sums(n int) []map[string]any {
	rows := make([]map[string]any, n)
	for i := range rows {
		rows[i] = map[string]any{"text": fmt.Sprintf("%d+1", i), "answer": fmt.Sprint(i + 1), "known": fmt.Sprint(i + 1), "doc": fmt.Sprint(i / 2)}
	}
	return rows
}

// answer returns the answer that a late expression sees.
func answer(row map[string]any) map[string]any {
	raw, ok := row["output"].(json.RawMessage)
	if !ok {
		text, err := json.Marshal(row["output"])
		if err != nil {
			panic(err)
		}
		raw = text
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}

func exact(row map[string]any) (any, error) { return answer(row)["text"] == row["answer"], nil }

func evaluateArgs() map[string]any {
	return map[string]any{
		"subjects": map[string]any{
			"careful": plugintest.PromptedModel{Model: adder(), Prompt: asks("careful")},
			"sloppy":  plugintest.PromptedModel{Model: adder(), Prompt: asks("sloppy")},
			"known":   plugintest.Row("known"),
		},
		"metrics": map[string]any{"exact": plugintest.LateColumn(exact)},
	}
}

func evaluate(t *testing.T, rows []map[string]any, given map[string]any) *plugintest.RunResult {
	t.Helper()
	got, err := plugintest.Run(t, offer, plugintest.Case{Type: "prompt", Name: "sums", Args: given, Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// at follows a path into a value. It returns NaN if the value is null.
func at(v cty.Value, path ...string) float64 {
	for _, step := range path {
		v = v.GetAttr(step)
	}
	if v.IsNull() {
		return math.NaN()
	}
	f, _ := v.AsBigFloat().Float64()
	return f
}

// words joins values with spaces.
func words(values ...any) string { return strings.TrimSpace(fmt.Sprintln(values...)) }

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 || math.IsNaN(a) && math.IsNaN(b) }

func TestSubjectsAreComparedOnTheSameRows(t *testing.T) {
	got := evaluate(t, sums(30), evaluateArgs())
	paired, _ := stats.PairedShares(10, 0, 30, 0.95)
	for _, c := range []struct {
		want float64
		path []string
	}{
		{30, []string{"rows"}},
		{1, []string{"subjects", "careful", "exact", "value"}},
		{20.0 / 30, []string{"subjects", "sloppy", "exact", "value"}},
		{30, []string{"subjects", "sloppy", "exact", "n"}},
		{stats.Wilson(20, 30, 0.95).Low, []string{"subjects", "sloppy", "exact", "low"}},
		{20.0 / 30, []string{"subjects", "sloppy", "passed", "value"}},
		{20.0 / 30, []string{"subjects", "sloppy", "overall", "value"}},
		{0.001, []string{"subjects", "sloppy", "cost", "value"}},
		{0.03, []string{"subjects", "sloppy", "cost", "total"}},
		{360, []string{"subjects", "sloppy", "tokens", "total"}},
		{0.25, []string{"subjects", "sloppy", "latency", "p95"}},
		{math.NaN(), []string{"subjects", "known", "cost", "value"}},
		{10.0 / 30, []string{"differences", "careful - sloppy", "exact", "value"}},
		{-10.0 / 30, []string{"differences", "sloppy - careful", "exact", "value"}},
		{stats.McNemar(10, 0), []string{"differences", "sloppy - careful", "exact", "p"}},
		// Two of the three comparisons have the smallest p, and the third has
		// 1.
		{3 * stats.McNemar(10, 0), []string{"differences", "sloppy - careful", "exact", "p_adjusted"}},
		{paired.Low, []string{"differences", "careful - sloppy", "exact", "low"}},
		{-paired.Low, []string{"differences", "sloppy - careful", "exact", "high"}},
	} {
		if v := at(got.Value, c.path...); !near(v, c.want) {
			t.Errorf("%v = %v, want %v", c.path, v, c.want)
		}
	}
	if detectable := at(got.Value, "differences", "careful - sloppy", "exact", "detectable"); !(detectable > 0.1 && detectable < 0.5) {
		t.Errorf("detectable: %v", detectable)
	}
}

func TestEachAnswerIsARowWithItsRequestAndMetrics(t *testing.T) {
	got := evaluate(t, sums(4), evaluateArgs())
	rows := got.Datasets["rows"]
	if len(rows.Rows) != 12 {
		t.Fatalf("%d rows", len(rows.Rows))
	}
	row := rows.Rows[2]
	if line := words(row["row"], row["subject"], row["draw"], row["text"], row["exact"], row["passed"], row["input_tokens"], row["finish_reason"]); line != "0 sloppy 0 2 0 false 10 stop" {
		t.Errorf("row: %s", line)
	}
	if request := row["request"].(string); !strings.Contains(request, `{"role":"user","content":"0+1"}`) {
		t.Errorf("request: %s", request)
	}
	if given := row["given"].(string); given != `{"answer":"1","doc":"0","known":"1","text":"0+1"}` {
		t.Errorf("given: %s", given)
	}
	page, err := os.ReadFile(filepath.Join(got.Folders[""], "report.md"))
	if err != nil || !strings.Contains(string(page), "| careful - sloppy | exact | 0.5 [") {
		t.Errorf("page: %s (%v)", page, err)
	}
}

func TestAFailedAnswerIsWrong(t *testing.T) {
	rows := append(sums(3), map[string]any{"text": "boom", "answer": "4", "known": nil, "doc": "9"})
	given := evaluateArgs()
	given["metrics"].(map[string]any)["length"] = plugintest.LateColumn(func(row map[string]any) (any, error) {
		if answer(row)["text"] == "2" {
			return nil, errors.New("two is no good")
		}
		return float64(len(fmt.Sprint(answer(row)["text"]))), nil
	})
	got := evaluate(t, rows, given)
	if v := at(got.Value, "subjects", "careful", "exact", "value"); v != 0.75 {
		t.Errorf("exact: %v", v)
	}
	if n := at(got.Value, "subjects", "careful", "length", "n"); n != 2 {
		t.Errorf("rows with a length: %v", n)
	}
	if errs := fmt.Sprint(at(got.Value, "subjects", "careful", "errors"), at(got.Value, "subjects", "known", "errors")); errs != "1 1" {
		t.Errorf("errors: %s", errs)
	}
	rows = got.Datasets["rows"].Rows
	if text := words(rows[9]["error"], rows[9]["text"], rows[3]["error"]); text != "status 400: filtered <nil> length: two is no good" {
		t.Errorf("errors: %s", text)
	}
}

func TestRepeatsOfARowDoNotCountAsRows(t *testing.T) {
	// On even rows, every second draw is wrong.
	model := plugintest.FakeModel{Chat: func(r *llm.Request, draw int) (*llm.Response, error) {
		var a, b int
		if _, err := fmt.Sscanf(r.Messages[1].Content, "%d+%d", &a, &b); err != nil {
			return nil, err
		}
		return &llm.Response{Text: fmt.Sprint(a + b + draw%2*(1-a%2))}, nil
	}}
	got := evaluate(t, sums(20), map[string]any{
		"subjects": map[string]any{"m": plugintest.PromptedModel{Model: model, Prompt: asks("")}, "known": plugintest.Row("known")},
		"metrics":  map[string]any{"exact": plugintest.LateColumn(exact)}, "repeats": 4,
	})
	figure := got.Value.GetAttr("subjects").GetAttr("m").GetAttr("exact")
	if at(figure, "value") != 0.75 || at(figure, "n") != 20 {
		t.Errorf("exact: %#v", figure)
	}
	if n := at(got.Value, "subjects", "m", "answers"); n != 80 {
		t.Errorf("answers: %v", n)
	}
	if free := stats.Wilson(60, 80, 0.95); at(figure, "low") >= free.Low {
		t.Errorf("the interval from %v is as short as that of 80 rows, from %v", at(figure, "low"), free.Low)
	}
}

func TestClustersWidenIntervals(t *testing.T) {
	given := evaluateArgs()
	given["cluster"] = plugintest.Row("doc")
	got := evaluate(t, sums(30), given)
	if c := fmt.Sprint(got.Datasets["rows"].Rows[0]["cluster"]); c != "0" {
		t.Errorf("cluster: %s", c)
	}
	if n := at(got.Value, "subjects", "sloppy", "exact", "n"); n != 30 {
		t.Errorf("n: %v", n)
	}
}

func TestThresholdsAndWeightsDecideWhatPasses(t *testing.T) {
	length := plugintest.LateColumn(func(row map[string]any) (any, error) { return float64(len(answer(row)["text"].(string))), nil })
	got := evaluate(t, sums(12), map[string]any{
		"subjects": map[string]any{"known": plugintest.Row("known")},
		"metric": []map[string]any{
			{"name": "long", "value": length, "threshold": 2, "weight": 1},
			{"name": "exact", "value": plugintest.LateColumn(exact), "weight": 3},
		},
	})
	if v := at(got.Value, "subjects", "known", "passed", "value"); !near(v, 3.0/12) {
		t.Errorf("passed: %v", v)
	}
	// Nine numbers have one digit, and three have two.
	if v := at(got.Value, "subjects", "known", "overall", "value"); !near(v, (9*(1+3.0)/4+3*(2+3.0)/4)/12) {
		t.Errorf("overall: %v", v)
	}
	if !got.Value.GetAttr("differences").RawEquals(cty.EmptyObjectVal) {
		t.Errorf("differences: %#v", got.Value.GetAttr("differences"))
	}
}

func TestSimilarityIsTheCosineOfEmbeddings(t *testing.T) {
	model := plugintest.FakeModel{Embed: func(text string) ([]float32, error) {
		if strings.HasPrefix(text, "east") {
			return []float32{2, 0}, nil
		}
		return []float32{1, 1}, nil
	}}
	rows := []map[string]any{{"a": "east", "b": "east wind"}, {"a": "east", "b": "north-east"}, {"a": "", "b": "east"}, {"a": "east", "b": nil}}
	got := evaluate(t, rows, map[string]any{
		"subjects": map[string]any{"a": plugintest.Row("a")},
		"similar":  []map[string]any{{"name": "like", "model": model, "expected": plugintest.Row("b"), "threshold": 0.9}},
	})
	if v := at(got.Value, "subjects", "a", "like", "value"); math.Abs(v-(1+math.Sqrt(0.5)+0)/3) > 1e-6 {
		t.Errorf("like: %v", v)
	}
	if v := fmt.Sprint(got.Datasets["rows"].Column("passed")); v != "[true false false <nil>]" {
		t.Errorf("passed: %s", v)
	}
}

func TestASubjectThatNeverAnswersFailsTheStage(t *testing.T) {
	_, err := plugintest.Run(t, offer, plugintest.Case{Type: "prompt", Args: evaluateArgs(), Rows: []map[string]any{{"text": "boom", "answer": "", "known": "", "doc": ""}}})
	if err == nil || !strings.Contains(err.Error(), `The subject "careful" answered none of the rows`) {
		t.Errorf("error: %v", err)
	}
}

func TestOtherSubjectsAreComparedOnlyWithTheBaseline(t *testing.T) {
	given := evaluateArgs()
	given["baseline"] = "careful"
	got := evaluate(t, sums(30), given)
	differences := got.Value.GetAttr("differences")
	if n := differences.LengthInt(); n != 4 || differences.Type().HasAttribute("known - sloppy") {
		t.Errorf("%d differences: %#v", n, differences)
	}
	// Two comparisons, of which the other one has p = 1.
	if p := at(differences, "sloppy - careful", "exact", "p_adjusted"); !near(p, 2*stats.McNemar(10, 0)) {
		t.Errorf("p_adjusted: %v", p)
	}
}

func TestMistakesInTheArgumentsAreReported(t *testing.T) {
	embeds := plugintest.FakeModel{Embed: func(string) ([]float32, error) { return nil, nil }}
	for name, c := range map[string]struct {
		args map[string]any
		want string
	}{
		"no subjects":         {map[string]any{"subjects": map[string]any{}}, "nothing to evaluate"},
		"no metrics":          {map[string]any{"metrics": map[string]any{}}, "nothing to measure"},
		"a taken name":        {map[string]any{"metrics": map[string]any{"cost": plugintest.LateColumn(exact)}}, `"cost" is taken`},
		"a name twice":        {map[string]any{"metric": []map[string]any{{"name": "exact", "value": plugintest.LateColumn(exact)}}}, `"exact" is taken`},
		"a mute judge":        {map[string]any{"judge": []map[string]any{{"name": "j", "model": embeds, "rubric": "Be good."}}}, "cannot chat"},
		"a vague judge":       {map[string]any{"judge": []map[string]any{{"name": "j", "model": adder()}}}, "has no rubric"},
		"an unknown rival":    {map[string]any{"judge": []map[string]any{{"name": "j", "model": adder(), "kind": "pairwise", "baseline": "x"}}}, "There is no subject \"x\"\nThe subjects are: careful, known, sloppy."},
		"an unknown baseline": {map[string]any{"baseline": "slopy"}, "Did you mean \"sloppy\"?"},
		"a mute subject":      {map[string]any{"subjects": map[string]any{"s": plugintest.PromptedModel{Model: embeds, Prompt: asks("")}}}, "cannot chat"},
		"no prompt":           {map[string]any{"subjects": map[string]any{"s": adder()}}, "needs a prompt"},
		"no embeddings":       {map[string]any{"similar": []map[string]any{{"name": "s", "model": adder(), "expected": plugintest.Row("answer")}}}, "cannot compute embeddings"},
		"too sure":            {map[string]any{"confidence": 95}, "between 0 and 1"},
	} {
		given := evaluateArgs()
		for k, v := range c.args {
			given[k] = v
		}
		got, err := plugintest.Prepare(t, offer, plugintest.Case{Type: "prompt", Rows: sums(2), Args: given})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Errors) != 1 || !strings.Contains(got.Errors[0].Text, c.want) {
			t.Errorf("%s: %v", name, got.Errors)
		}
	}
}
