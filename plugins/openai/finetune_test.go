package openai

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

func conversations(n int) []map[string]any {
	var rows []map[string]any
	for i := range n {
		rows = append(rows, map[string]any{"c": fmt.Sprintf(`[{"role":"user","content":"q%d"},{"role":"assistant","content":"a%d"}]`, i, i)})
	}
	return rows
}

func tuningCase(e *openaitest.Endpoint, rows []map[string]any, more map[string]any) plugintest.Case {
	args := map[string]any{"base": "gpt-test", "base_url": e.URL(), "messages": plugintest.Row("c"), "training_price": 3.0}
	for k, v := range more {
		args[k] = v
	}
	return plugintest.Case{Type: "openai_finetune", Args: args, Rows: rows}
}

// finishing ends jobs as soon as somebody asks for them.
func finishing(t *testing.T) *openaitest.Endpoint {
	var e *openaitest.Endpoint
	e = openaitest.Serve(t, openaitest.Options{Object: func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) bool {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/events") {
			e.FinishJobs()
		}
		return false
	}})
	return e
}

func TestAModelIsTrained(t *testing.T) {
	e := finishing(t)
	rows := append(conversations(10), map[string]any{"c": nil})
	got, err := plugintest.Run(t, Plugin("0.0.0"), tuningCase(e, rows, map[string]any{
		"wait": true, "epochs": 3, "batch_size": 2, "learning_rate_multiplier": 0.5, "suffix": "intent", "seed": 7,
	}))
	if err != nil {
		t.Fatal(err)
	}
	j := e.Jobs()[0]
	if n := len(e.Jobs()); n != 2 { // plugintest runs it twice
		t.Errorf("%d jobs", n)
	}
	first, _, _ := strings.Cut(string(j.Training.Content), "\n")
	if first != `{"messages":[{"content":"q0","role":"user"},{"content":"a0","role":"assistant"}]}` || strings.Count(string(j.Training.Content), "\n") != 10 {
		t.Errorf("the examples are\n%s", j.Training.Content)
	}
	want := "map[supervised:map[hyperparameters:map[batch_size:2 learning_rate_multiplier:0.5 n_epochs:3]] type:supervised]"
	if fmt.Sprint(j.Request["method"]) != want || j.Request["suffix"] != "intent" || j.Request["seed"] != 7.0 || j.Request["model"] != "gpt-test" {
		t.Errorf("the job is %v", j.Request)
	}
	v := got.Value.AsValueMap()
	tokens, _ := v["trained_tokens"].AsBigFloat().Int64()
	cost, _ := v["cost"].AsBigFloat().Float64()
	if v["model"].AsString() != "ft:gpt-test:acme::"+j.ID || tokens != int64(len(j.Training.Content)/4) || cost != float64(tokens)*3/1e6 || v["skipped"].AsBigFloat().String() != "1" {
		t.Errorf("the values are %v", v)
	}
	curve := got.Datasets[curves]
	if losses := fmt.Sprint(curve.Column("step"), curve.Column("loss"), curve.Column("eval_loss")); losses != "[1 2] [2.5 1.5] [<nil> 1.75]" {
		t.Errorf("the curves are %s", losses)
	}
	answer, err := plugintest.ChatTrained(t, Plugin("0.0.0"), got.Models[""], ask("hi"))
	if err != nil || answer.Text != "hi" || answer.Model != "ft:gpt-test:acme::"+j.ID {
		t.Errorf("the model answers %+v, %v", answer, err)
	}
}

func TestATrainingThatWouldCostTooMuchIsNotCreated(t *testing.T) {
	e := openaitest.Serve(t, openaitest.Options{})
	// What the plan could not know is checked once the examples are counted.
	_, err := plugintest.Run(t, Plugin("0.0.0"), tuningCase(e, conversations(10), map[string]any{"epochs": 3, "max_cost": 0.0001}))
	if err == nil || !strings.Contains(err.Error(), "max_cost: Training would cost more than max_cost\nAbout ") || len(e.Jobs()) != 0 {
		t.Errorf("got %v, and %d jobs", err, len(e.Jobs()))
	}
	_, err = plugintest.Run(t, Plugin("0.0.0"), tuningCase(e, conversations(10), map[string]any{"max_cost": 1}))
	if err == nil || !strings.Contains(err.Error(), "max_cost needs epochs and training_price") {
		t.Errorf("got %v", err)
	}
}

func TestPreferencesAreUploaded(t *testing.T) {
	e := finishing(t)
	var rows []map[string]any
	for i := range 10 {
		rows = append(rows, map[string]any{"p": `{"messages":[{"role":"user","content":"q"}]}`, "good": fmt.Sprint("good ", i), "bad": "bad"})
	}
	c := plugintest.Case{Type: "openai_finetune", Rows: rows, Args: map[string]any{
		"base": "gpt-test", "base_url": e.URL(), "wait": true, "method": "dpo", "beta": 0.5,
		"prompt": plugintest.Row("p"), "target": plugintest.Row("good"), "rejected": plugintest.Row("bad"),
	}}
	if _, err := plugintest.Run(t, Plugin("0.0.0"), c); err != nil {
		t.Fatal(err)
	}
	j := e.Jobs()[0]
	first, _, _ := strings.Cut(string(j.Training.Content), "\n")
	want := `{"input":{"messages":[{"role":"user","content":"q"}]},"non_preferred_output":[{"content":"bad","role":"assistant"}],"preferred_output":[{"content":"good 0","role":"assistant"}]}`
	if first != want || fmt.Sprint(j.Request["method"]) != "map[dpo:map[hyperparameters:map[beta:0.5]] type:dpo]" {
		t.Errorf("got %s\n%v", first, j.Request)
	}
}

func TestMistakesInExamplesAreReportedBeforeAJobIsCreated(t *testing.T) {
	e := openaitest.Serve(t, openaitest.Options{})
	with := func(text string) []map[string]any { return append(conversations(10), map[string]any{"c": text}) }
	for name, c := range map[string]struct {
		rows []map[string]any
		want string
	}{
		"too few":      {conversations(9), "There are too few examples"},
		"not a list":   {with(`"x"`), "Row 10 is not a valid example\nIt is not a list of messages"},
		"a wrong role": {with(`[{"role":"bot","content":"x"}]`), `The role of message 0 is "bot"`},
		"no answer":    {with(`[{"role":"user","content":"x"}]`), "It does not end with a message of the assistant"},
		"no content":   {with(`[{"role":"user"},{"role":"assistant","content":"x"}]`), "Message 0, of the user, has no content"},
	} {
		_, err := plugintest.Run(t, Plugin("0.0.0"), tuningCase(e, c.rows, nil))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "dataset: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if len(e.Jobs())+len(e.Files("fine-tune")) != 0 {
		t.Errorf("%d jobs, %d files", len(e.Jobs()), len(e.Files("fine-tune")))
	}
}

func TestAFailedJobIsReportedAtItsArgument(t *testing.T) {
	var e *openaitest.Endpoint
	e = openaitest.Serve(t, openaitest.Options{Object: func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) bool {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/events") {
			e.FailJobs("Too many epochs.", "hyperparameters.n_epochs")
		}
		return false
	}})
	_, err := plugintest.Run(t, Plugin("0.0.0"), tuningCase(e, conversations(10), map[string]any{"wait": true}))
	if err == nil || !strings.Contains(err.Error(), "epochs: The provider did not train the model\nToo many epochs.") {
		t.Errorf("got %v", err)
	}
}

func TestAJobIsPending(t *testing.T) {
	var e *openaitest.Endpoint
	e = openaitest.Serve(t, openaitest.Options{Object: func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) bool {
		if strings.Contains(r.URL.Path, "/events") {
			e.ProgressJobs(3, 30, 1.25)
		}
		return false
	}})
	_, err := plugintest.Run(t, Plugin("0.0.0"), tuningCase(e, conversations(10), nil))
	why := (*plugin.Pending)(nil)
	if !errors.As(err, &why) || why.Reason != "job "+e.Jobs()[0].ID+": step 3 of 30, loss 1.25" || why.CheckAfter != checkAfter {
		t.Errorf("got %v", err)
	}
}

func TestArgumentsOfTrainingAreChecked(t *testing.T) {
	e := openaitest.Serve(t, openaitest.Options{})
	for argument, more := range map[string]map[string]any{
		"epochs": {"epochs": 0}, "beta": {"beta": 0.5}, "suffix": {"suffix": "a b"}, "learning_rate_multiplier": {"learning_rate_multiplier": 0},
		"messages": {"target": plugintest.Row("c")}, "rejected": {"rejected": plugintest.Row("c")}, "prompt": {"method": "dpo"},
	} {
		got, err := plugintest.Prepare(t, Plugin("0.0.0"), tuningCase(e, conversations(10), more))
		if err != nil || len(got.Errors) != 1 || got.Errors[0].Argument != argument {
			t.Errorf("%s: %+v, %v", argument, got, err)
		}
	}
}
