package classification

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/linear"
	"github.com/quern-dev/quern/plugins/stats"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

var offer = plugin.Plugin{Name: "classification", Version: "1.0.0", Types: Types()}

// labeled returns rows with a correct label, a good guess, and a bad guess.
func labeled() []map[string]any {
	target, predicted := letters()
	var rows []map[string]any
	for i := range target {
		rows = append(rows, map[string]any{"name": fmt.Sprint("r", i), "right": target[i], "good": target[i], "bad": predicted[i]})
	}
	rows[0]["good"] = nil
	rows[1]["right"] = nil
	return rows
}

func evaluate(t *testing.T, rows []map[string]any) (*plugintest.RunResult, error) {
	t.Helper()
	return plugintest.Run(t, offer, plugintest.Case{
		Type: "classification", Rows: rows,
		Args: map[string]any{
			"target": plugintest.Row("right"), "id": plugintest.Row("name"),
			"subjects": map[string]any{"good": plugintest.Row("good"), "bad": plugintest.Row("bad")},
		},
	})
}

func number(t *testing.T, v cty.Value, path ...string) float64 {
	t.Helper()
	for _, step := range path {
		if v.Type().IsMapType() {
			v = v.Index(cty.StringVal(step))
		} else {
			v = v.GetAttr(step)
		}
	}
	f, _ := v.AsBigFloat().Float64()
	return f
}

func TestTheValueListsTheClassesWithTheMostRows(t *testing.T) {
	long := strings.Repeat("x", 300)
	var rows []map[string]any
	for i := range 1200 {
		label := fmt.Sprint(i)
		rows = append(rows, map[string]any{"name": label, "right": label, "good": label, "bad": label})
	}
	rows = append(rows,
		map[string]any{"name": "a", "right": "999", "good": "999", "bad": "999"},
		map[string]any{"name": "b", "right": long, "good": long, "bad": long})
	got, err := evaluate(t, rows)
	if err != nil {
		t.Fatal(err)
	}
	classes := got.Value.GetAttr("subjects").GetAttr("good").GetAttr("classes")
	if n := classes.LengthInt(); n != 1000 || number(t, classes, "999", "support") != 2 || classes.HasIndex(cty.StringVal(long)).True() {
		t.Errorf("the value lists %d classes", n)
	}
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "1000 of 1201 classes") {
		t.Errorf("warnings: %q", got.Warnings)
	}
	if page, err := os.ReadFile(got.Folders[""] + "/report.md"); err != nil || !strings.Contains(string(page), long) {
		t.Errorf("the report does not have all classes (%v)", err)
	}
}

func TestSubjectsAreScoredOnTheRowsThatHaveACorrectLabel(t *testing.T) {
	got, err := evaluate(t, labeled())
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]float64{
		"scored": 199, "skipped": 1,
		"subjects good accuracy value": 198.0 / 199, "subjects good accuracy n": 199,
		"subjects good coverage value": 198.0 / 199, "subjects good errors": 0,
		"subjects bad coverage value":             1,
		"subjects bad classes e support":          40,
		"subjects bad classes f precision value":  0,
		"subjects good classes a precision value": 1,
	} {
		if f := number(t, got.Value, strings.Fields(path)...); !near(f, want, 1e-12) {
			t.Errorf("%s = %g, want %g", path, f, want)
		}
	}
	for _, subject := range []string{"good", "bad"} {
		for _, metric := range []string{"accuracy", "macro_f1", "weighted_f1", "coverage"} {
			value := number(t, got.Value, "subjects", subject, metric, "value")
			low, high := number(t, got.Value, "subjects", subject, metric, "low"), number(t, got.Value, "subjects", subject, metric, "high")
			if low > value || value > high || low < 0 || high > 1 {
				t.Errorf("%s of %s: %g is not in [%g, %g]", metric, subject, value, low, high)
			}
		}
	}
}

func TestSingleResultsAndConfusionsAreDatasets(t *testing.T) {
	got, err := evaluate(t, labeled())
	if err != nil {
		t.Fatal(err)
	}
	rows := got.Datasets["rows"]
	if names := strings.Join(rows.Columns.Names(), " "); names != "row id target bad good" {
		t.Errorf("columns: %s", names)
	}
	if len(rows.Rows) != 199 {
		t.Fatalf("%d rows", len(rows.Rows))
	}
	if r := rows.Rows[0]; r["row"] != int64(0) || r["id"] != "r0" || r["good"] != nil || r["bad"] == nil {
		t.Errorf("first row: %v", r)
	}
	if r := rows.Rows[1]; r["row"] != int64(2) || r["id"] != "r2" {
		t.Errorf("second row: %v", r)
	}
	counts := map[any]int64{}
	abstained := int64(0)
	for _, r := range got.Datasets["confusion"].Rows {
		counts[r["subject"]] += r["rows"].(int64)
		if r["predicted"] == nil {
			abstained += r["rows"].(int64)
		}
	}
	if counts["good"] != 199 || counts["bad"] != 199 || abstained != 1 {
		t.Errorf("confusions: %v, %d abstained", counts, abstained)
	}
}

func TestTheReportContainsTheFiguresForPeopleAndForPrograms(t *testing.T) {
	got, err := evaluate(t, labeled())
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(got.Folders[""], figures.PageFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# test", "199 rows were scored; 1 more", "| good | 0.995 [", "Most frequent confusions", "(none)"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	text, err := os.ReadFile(filepath.Join(got.Folders[""], measurement.File))
	if err != nil {
		t.Fatal(err)
	}
	var m findings
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if m.Scored != 199 || m.Subjects["bad"].Accuracy.N != 199 || m.Subjects["bad"].Classes["e"].Support != 40 {
		t.Errorf("metrics: %s", text)
	}
}

func TestMistakesAreReported(t *testing.T) {
	labels := plugin.Signature{}
	cases := map[string]struct {
		args map[string]any
		want string
	}{
		"no subjects":     {map[string]any{"subjects": map[string]any{}}, "nothing to score"},
		"a doubtful name": {map[string]any{"subjects": map[string]any{"target": plugintest.Row("good")}}, `"target" has the same name`},
		"a misspelled baseline": {
			map[string]any{"subjects": map[string]any{"good": plugintest.Row("good"), "bad": plugintest.Row("bad")}, "baseline": "goood"},
			"There is no subject \"goood\"\nDid you mean \"good\"? The subjects are: bad, good."},
		"too many to compare pairwise": {map[string]any{"subjects": crowd(21)}, "21 subjects are too many"},
		"a confidence of 95 %, written otherwise": {
			map[string]any{"subjects": map[string]any{"good": plugintest.Row("good")}, "confidence": 95}, "such as 0.95"},
		"a model that predicts no label": {
			map[string]any{"subjects": map[string]any{"m": plugintest.Model{Format: "acme/v1", Signature: labels}}}, "does not predict a label"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.args["target"] = plugintest.Row("right")
			got, err := plugintest.Prepare(t, offer, plugintest.Case{Type: "classification", Rows: labeled(), Args: c.args})
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Errors) != 1 || !strings.Contains(got.Errors[0].Text, c.want) {
				t.Errorf("errors: %v", got.Errors)
			}
		})
	}
}

// crowd returns n subjects that give the same labels.
func crowd(n int) map[string]any {
	all := map[string]any{}
	for i := range n {
		all[fmt.Sprintf("s%02d", i)] = plugintest.Row("good")
	}
	return all
}

func TestManySubjectsNeedABaseline(t *testing.T) {
	for n, baseline := range map[int]any{20: nil, 120: "s07"} {
		args := map[string]any{"target": plugintest.Row("right"), "subjects": crowd(n)}
		if baseline != nil {
			args["baseline"] = baseline
		}
		got, err := plugintest.Prepare(t, offer, plugintest.Case{Type: "classification", Rows: labeled(), Args: args})
		if err != nil || len(got.Errors) > 0 {
			t.Errorf("%d subjects: %v, %v", n, got.Errors, err)
		}
	}
}

func TestADatasetWithoutCorrectLabelsCannotBeScored(t *testing.T) {
	rows := labeled()[:3]
	for _, r := range rows {
		r["right"] = nil
	}
	rows[0]["right"] = nil
	_, err := evaluate(t, rows)
	if err == nil || !strings.Contains(err.Error(), "3 of them without a correct label") {
		t.Errorf("error: %v", err)
	}
}

// animals classifies texts by their last word. With the careless prompt, it
// takes every text for a cat. "odd" gets an answer that is not a class, and
// "lost" gets no answer.
func animals() plugintest.FakeModel {
	return plugintest.FakeModel{Chat: func(r *llm.Request, _ int) (*llm.Response, error) {
		text := r.Messages[len(r.Messages)-1].Content
		for _, m := range r.Messages {
			if m.Role == llm.User && !strings.HasPrefix(m.Content, "This answer") {
				text = m.Content
			}
		}
		label := text[strings.LastIndex(text, " ")+1:]
		switch {
		case text == "lost":
			return nil, &llm.CallError{Message: "filtered", Status: 400}
		case text == "odd":
			label = "unicorn"
		case strings.HasPrefix(r.Messages[0].Content, "careless"):
			label = "cat"
		}
		if r.Output != nil {
			label = fmt.Sprintf(`{"label": %q}`, label)
		}
		cost := 0.5
		return &llm.Response{Text: label, FinishReason: llm.FinishStop, Usage: llm.Usage{Input: 10, Output: 2}, Cost: &cost, Latency: 0.25}, nil
	}}
}

func told(tone string) plugintest.Prompt {
	return func(row map[string]any) *llm.Request {
		return &llm.Request{Messages: []llm.Message{{Role: llm.System, Content: tone}, {Role: llm.User, Content: row["text"].(string)}}}
	}
}

func animalRows() []map[string]any {
	var rows []map[string]any
	for i := range 20 {
		kind := []string{"cat", "dog"}[i%2]
		rows = append(rows, map[string]any{"text": fmt.Sprint(i, " ", kind), "right": kind, "known": "dog", "litter": fmt.Sprint(i / 4)})
	}
	return append(rows,
		map[string]any{"text": "odd", "right": "cat", "known": nil, "litter": "9"},
		map[string]any{"text": "lost", "right": "dog", "known": "dog", "litter": "9"},
		map[string]any{"text": "lost", "right": nil, "known": "dog", "litter": "9"})
}

func asking(more map[string]any) plugintest.Case {
	args := map[string]any{
		"target": plugintest.Row("right"), "classes": []string{"cat", "dog"},
		"subjects": map[string]any{
			"careful":  plugintest.PromptedModel{Model: animals(), Prompt: told("careful")},
			"careless": plugintest.PromptedModel{Model: animals(), Prompt: told("careless")},
			"known":    plugintest.Row("known"),
		},
	}
	for key, v := range more {
		args[key] = v
	}
	return plugintest.Case{Type: "classification", Rows: animalRows(), Args: args}
}

func TestLanguageModelsAreComparedWithExistingLabels(t *testing.T) {
	for _, answer := range []string{"json", "text", "prompt"} {
		got, err := plugintest.Run(t, offer, asking(map[string]any{"answer": answer}))
		if err != nil {
			t.Fatal(err)
		}
		paired, _ := stats.PairedShares(10, 0, 22, 0.95)
		// Of 22 rows with a correct label, 20, 10, and 11 are right. The answer
		// that is not a class was requested twice.
		for path, want := range map[string]float64{
			"scored": 22, "skipped": 1,
			"subjects careful accuracy value":  20.0 / 22,
			"subjects careful coverage value":  20.0 / 22,
			"subjects careful errors":          2,
			"subjects careful cost total":      11,
			"subjects careful tokens total":    12 * 22,
			"subjects careful latency value":   (20*0.25 + 0.5) / 21,
			"subjects careful latency n":       21,
			"subjects careless accuracy value": 10.0 / 22,
			"subjects known accuracy value":    11.0 / 22,
			"subjects known errors":            0,

			"differences careful - careless accuracy value": 10.0 / 22,
			"differences careless - careful accuracy value": -10.0 / 22,
			"differences careful - careless accuracy n":     22,
			"differences careful - careless accuracy p":     stats.McNemar(10, 0),
			"differences careful - careless accuracy low":   paired.Low,
			"differences known - careful accuracy p":        stats.McNemar(1, 10),
			// Holm's correction: the smallest of three p-values, times three.
			"differences careful - careless accuracy p_adjusted": 3 * stats.McNemar(10, 0),
			"differences careful - careless accuracy detectable": stats.DetectableShare(10.0/22, 22, 0.95, 0.8),
		} {
			if f := at(got.Value, path); !near(f, want, 1e-9) {
				t.Errorf("answer %s: %s = %g, want %g", answer, path, f, want)
			}
		}
		if p := at(got.Value, "differences careful - careless macro_f1 p"); !(p > 0 && p < 0.05) {
			t.Errorf("answer %s: p of macro F1 %g", answer, p)
		}
		if v := got.Value.GetAttr("subjects").GetAttr("known").GetAttr("cost").GetAttr("total"); !v.IsNull() {
			t.Errorf("what was not asked cost %#v", v)
		}
		row := got.Datasets["rows"].Rows[20]
		if row["careful"] != nil || !strings.Contains(fmt.Sprint(row["careful_error"]), "unicorn") || row["careful_output_tokens"] != int64(4) {
			t.Errorf("answer %s: row of an answer that is no class: %v", answer, row)
		}
	}
}

// at follows a path of words. The name of a difference consists of three words.
func at(v cty.Value, path string) float64 {
	steps := strings.Fields(path)
	if steps[0] == "differences" {
		steps = []string{steps[0], strings.Join(steps[1:4], " "), steps[4], steps[5]}
	}
	for _, step := range steps {
		v = v.GetAttr(step)
	}
	f, _ := v.AsBigFloat().Float64()
	return f
}

func TestNothingIsAddedIfThePromptSaysHowToAnswer(t *testing.T) {
	got, err := plugintest.Run(t, offer, asking(map[string]any{"answer": "prompt"}))
	if err != nil {
		t.Fatal(err)
	}
	if r := got.Datasets["rows"].Rows[0]["careful_request"]; r != `{"messages":[{"role":"system","content":"careful"},{"role":"user","content":"0 cat"}]}` {
		t.Errorf("request: %v", r)
	}
}

func TestClustersWidenIntervals(t *testing.T) {
	single, err := plugintest.Run(t, offer, asking(nil))
	if err != nil {
		t.Fatal(err)
	}
	got, err := plugintest.Run(t, offer, asking(map[string]any{"cluster": plugintest.Row("litter")}))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"subjects careless accuracy value", "subjects careless macro_f1 value", "differences careful - careless macro_f1 value"} {
		if a, b := at(single.Value, path), at(got.Value, path); !near(a, b, 1e-12) {
			t.Errorf("%s is %g, and by clusters %g", path, a, b)
		}
	}
	// In five of six clusters, the subjects differ by two, and in one by none:
	// an exact sign test.
	if p := at(got.Value, "differences careful - careless accuracy p"); !near(p, 2.0/32, 1e-9) {
		t.Errorf("p: %g", p)
	}
	if c := got.Datasets["rows"].Rows[4]["cluster"]; c != "1" {
		t.Errorf("cluster: %v", c)
	}
}

func TestOtherSubjectsAreComparedOnlyWithTheBaseline(t *testing.T) {
	all, err := plugintest.Run(t, offer, asking(nil))
	if err != nil {
		t.Fatal(err)
	}
	got, err := plugintest.Run(t, offer, asking(map[string]any{"baseline": "careless"}))
	if err != nil {
		t.Fatal(err)
	}
	pairs := slices.Sorted(maps.Keys(got.Value.GetAttr("differences").AsValueMap()))
	if text := strings.Join(pairs, ", "); text != "careful - careless, careless - careful, careless - known, known - careless" {
		t.Fatalf("differences: %s", text)
	}
	for _, pair := range pairs {
		for _, figure := range []string{"value", "low", "high", "p", "detectable"} {
			path := "differences " + pair + " accuracy " + figure
			if a, b := at(all.Value, path), at(got.Value, path); !near(a, b, 1e-12) {
				t.Errorf("%s is %g, and %g with a baseline", path, a, b)
			}
		}
	}
	// Holm's correction: the smaller of two p-values times two instead of
	// three.
	for p, path := range map[float64]string{3: "differences careful - careless accuracy p_adjusted", 2: "differences careless - careful accuracy p_adjusted"} {
		in := map[float64]cty.Value{3: all.Value, 2: got.Value}[p]
		if f := at(in, path); !near(f, p*stats.McNemar(10, 0), 1e-9) {
			t.Errorf("%s = %g of %g comparisons", path, f, p)
		}
	}
	page, err := os.ReadFile(filepath.Join(got.Folders[""], figures.PageFile))
	if err != nil || !strings.Contains(string(page), "| known - careless | accuracy |") || strings.Contains(string(page), "careful - known") {
		t.Errorf("page: %s (%v)", page, err)
	}
}

// TestTheOrderOfRowsChangesNoValue shuffles rows with clusters. Every figure of
// the value stays the same to the bit, including those of a trained model and
// of a language model.
func TestTheOrderOfRowsChangesNoValue(t *testing.T) {
	both := plugin.Plugin{Name: "classification", Version: "1.0.0", Types: append(Types(), linear.Types()...)}
	student, err := plugintest.Run(t, both, plugintest.Case{
		Type: "linear", Rows: animalRows(), Args: map[string]any{"text": plugintest.Row("text"), "target": plugintest.Row("right"), "epochs": 3, "calibration": "none"},
	})
	if err != nil {
		t.Fatal(err)
	}
	trained := student.Models[""]
	trained.Features = map[string]plugintest.Row{trained.Signature.Inputs[0].Name: "text"}
	priced := plugintest.FakeModel{Chat: func(r *llm.Request, draw int) (*llm.Response, error) {
		got, err := animals().Chat(r, draw)
		if err == nil {
			cost := 0.1 * float64(len(r.Messages[1].Content)+int(r.Messages[1].Content[0])%7)
			got.Cost, got.Latency = &cost, cost/3
		}
		return got, err
	}}
	var want string
	for seed := range uint64(4) {
		c := asking(map[string]any{"cluster": plugintest.Row("litter")})
		subjects := c.Args["subjects"].(map[string]any)
		subjects["trained"], subjects["careless"] = trained, plugintest.PromptedModel{Model: priced, Prompt: told("careless")}
		for i := range 37 {
			kind := []string{"cat", "dog", "dog", "emu"}[i*i%4]
			c.Rows = append(c.Rows, map[string]any{"text": fmt.Sprint(i*i, " ", kind), "right": kind, "known": []any{"dog", "emu", nil}[i%3], "litter": fmt.Sprint(i * i % 11)})
		}
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(c.Rows), func(i, k int) { c.Rows[i], c.Rows[k] = c.Rows[k], c.Rows[i] })
		got, err := plugintest.Run(t, both, c)
		if err != nil {
			t.Fatal(err)
		}
		if text := fmt.Sprintf("%#v", got.Value); seed == 0 {
			want = text
		} else if text != want {
			t.Errorf("%s\nbecame\n%s", want, text)
		}
	}
}

func TestALanguageModelNeedsClasses(t *testing.T) {
	c := asking(nil)
	delete(c.Args, "classes")
	got, err := plugintest.Prepare(t, offer, c)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Errors) != 1 || !strings.Contains(got.Errors[0].Text, "chooses from") {
		t.Errorf("errors: %v", got.Errors)
	}
}

func TestASubjectThatNeverAnswersIsAnError(t *testing.T) {
	c := asking(nil)
	for _, row := range c.Rows {
		row["text"] = "lost"
	}
	_, err := plugintest.Run(t, offer, c)
	if err == nil || !strings.Contains(err.Error(), "answered none of the rows") || !strings.Contains(err.Error(), "filtered") {
		t.Errorf("error: %v", err)
	}
}
