package runner_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/runner"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// httpQuiz asks a model through OpenAI's API, as a library would, and counts the
// answers.
type httpQuiz struct{}

type httpQuizArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"Rows."`
	Model   plugin.Model   `quern:"model,required" doc:"The model."`
}

func (*httpQuiz) Prepare(_ context.Context, p *plugin.Prepare[httpQuizArgs]) error {
	p.UseOpenAIAPI()
	p.SetValueType(cty.Object(map[string]cty.Type{"said": cty.String}))
	return nil
}

func (*httpQuiz) Run(ctx context.Context, r *plugin.Run[httpQuizArgs]) error {
	base, key := r.Host().OpenAIAPI()
	var said []string
	for i := range 3 {
		body := fmt.Sprintf(`{"model": %q, "max_tokens": 1, "messages": [{"role": "user", "content": "part %d"}]}`, r.Args.Model.Key, i/2)
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/chat/completions", strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var answer struct {
			Choices []struct {
				Message struct{ Content string }
			}
			Error struct{ Message string }
		}
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d: %s", resp.StatusCode, answer.Error.Message)
		}
		said = append(said, answer.Choices[0].Message.Content)
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"said": cty.StringVal(strings.Join(said, ", "))}))
	return nil
}

const httpQuizPipeline = `
model "told" "m" { name = "m1" }
source "lines" "raw" { path = "raw.txt" }
evaluate "http_quiz" "q" {
  dataset = source.raw
  model   = model.m
}
`

// Answers that the token limit cut off are the ones that the library asked for.
func TestALibraryCallsModelsThroughOpenAIsAPI(t *testing.T) {
	p := newPipeline(t)
	p.world.onChat = func(_ context.Context, text string) (*llm.Response, error) {
		return &llm.Response{Text: "about " + text, FinishReason: llm.FinishLength, Usage: llm.Usage{Input: 8, Output: 1}}, nil
	}
	p.world.set("raw.txt", "a")
	res := p.mustApply(httpQuizPipeline)
	if s := p.stage(res, "evaluate.q"); s.Spend.Calls != 3 || s.Spend.InputTokens != 24 {
		t.Errorf("the stage spent %+v", s.Spend)
	}
	value, err := p.state.Instances["evaluate.q"].Value.Get()
	if err != nil || value.GetAttr("said").AsString() != "about part 0, about part 0, about part 1" {
		t.Errorf("got %#v, %v", value, err)
	}
	// The second draw of part 0 is an answer of its own, and cached as such.
	p.world.set("raw.txt", "a", "b")
	res = p.mustApply(httpQuizPipeline)
	if s := p.stage(res, "evaluate.q"); s.Spend.Calls != 0 || s.Spend.CachedCalls != 3 {
		t.Errorf("the stage spent %+v", s.Spend)
	}
}

func TestABudgetEndsAStageThatCallsModelsThroughOpenAIsAPI(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "a")
	res := p.apply("quern {\n  budget { tokens = 15 }\n}\n" + httpQuizPipeline)
	if res.Status != runner.Failed || !strings.Contains(told(res), "The budget is used up") || res.Spend.Calls > 2 {
		t.Fatalf("the run is %s: %s; spent %+v", res.Status, told(res), res.Spend)
	}
}
