package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugin/output"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// asking returns a plugin with models, and stages that call them.
func asking() plugin.Plugin {
	return plugin.Plugin{
		Name: "asking", Version: "1.0.0",
		Types: []plugin.Type{
			plugin.NewProvider(plugin.Info{Name: "asking_echo", BehaviorVersion: 1}, echo{}),
			plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "asking_label", BehaviorVersion: 1}, asker{}),
			plugin.NewRunner(plugin.Info{Kind: plugin.KindEvaluate, Name: "asking_metrics", BehaviorVersion: 1}, metrics{}),
		},
	}
}

// ---- a provider ------------------------------------------------------------

// Limits contains arguments that several types share.
type Limits struct {
	Limit int64 `quern:"limit,operational"`
}

type echoArgs struct {
	Limits
	Prefix string `quern:"prefix,required"`

	opened int
}

type echo struct{}

func (echo) Prepare(_ context.Context, p *plugin.Prepare[echoArgs]) error {
	p.SetModelInfo(plugin.ModelInfo{MaxConcurrency: p.Args.Limit, Timeout: time.Minute, Cache: true})
	return nil
}

func (echo) Open(_ context.Context, a *echoArgs) error {
	a.opened++
	if a.Prefix == "broken" {
		return errors.New("the model can't be opened")
	}
	return nil
}

func (echo) Chat(_ context.Context, a *echoArgs, r *llm.Request) (*llm.Response, error) {
	last := r.Messages[len(r.Messages)-1].Content
	if last == "overloaded" {
		wait := 1500 * time.Millisecond
		return nil, &llm.CallError{Message: "come back later", Status: 429, Temporary: true, RetryAfter: &wait}
	}
	return &llm.Response{Text: fmt.Sprintf("%s%s %d %d", a.Prefix, last, a.opened, a.Limit)}, nil
}

func (echo) Embed(_ context.Context, _ *echoArgs, texts []string) (*plugin.Embeddings, error) {
	out := &plugin.Embeddings{}
	for _, t := range texts {
		out.Vectors = append(out.Vectors, []float32{float32(len(t))})
		out.InputTokens += int64(len(t))
	}
	return out, nil
}

func TestAProviderOpensItsArgumentsOnce(t *testing.T) {
	args := map[string]any{"prefix": "re: ", "limit": 3}
	got, err := plugintest.Chat(t, asking(), plugintest.Case{Type: "asking_echo", Args: args}, ask("hello"))
	if err != nil || got.Text != "re: hello 1 3" {
		t.Errorf("got %+v, %v", got, err)
	}
	e, err := plugintest.Embed(t, asking(), plugintest.Case{Type: "asking_echo", Args: args}, "a", "bcd")
	if err != nil || len(e.Vectors) != 2 || e.Vectors[1][0] != 3 || e.InputTokens != 4 {
		t.Errorf("got %+v, %v", e, err)
	}
}

func TestACallErrorSaysWhetherToRetry(t *testing.T) {
	_, err := plugintest.Chat(t, asking(), plugintest.Case{Type: "asking_echo", Args: map[string]any{"prefix": ""}}, ask("overloaded"))
	var call *llm.CallError
	if !errors.As(err, &call) || call.Status != 429 || !call.Temporary || call.RetryAfter == nil || *call.RetryAfter != 1500*time.Millisecond {
		t.Errorf("got %#v", err)
	}
	_, err = plugintest.Chat(t, asking(), plugintest.Case{Type: "asking_echo", Args: map[string]any{"prefix": "broken"}}, ask("x"))
	if !errors.As(err, &call) || call.Temporary || !strings.Contains(call.Message, "can't be opened") {
		t.Errorf("got %#v", err)
	}
}

func TestAProviderDeclaresTheCapabilitiesOfItsModel(t *testing.T) {
	got, err := plugintest.Prepare(t, asking(), plugintest.Case{Type: "asking_echo", Args: map[string]any{"prefix": "", "limit": 9}})
	if err != nil {
		t.Fatal(err)
	}
	if m := got.Model; m == nil || fmt.Sprint(m.Capabilities) != "[chat embed]" || m.MaxConcurrency != 9 || m.TimeoutSeconds != 60 || !m.Cache {
		t.Errorf("got %v", m)
	}
}

func ask(text string) *llm.Request {
	return &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: text}}}
}

// ---- a mapper --------------------------------------------------------------

type askerArgs struct {
	Input  plugin.Dataset `quern:"input,required"`
	Model  plugin.Model   `quern:"model,required"`
	Prompt plugin.Prompt  `quern:"prompt,required"`
}

type asker struct{}

func (asker) BatchRows() int   { return 2 }
func (asker) Concurrency() int { return 4 }

func (asker) Prepare(_ context.Context, p *plugin.Prepare[askerArgs]) error {
	if !p.Input("model").Can(plugin.CanChat) {
		p.Errorf("model", "it cannot chat")
	}
	p.KeepInput("input")
	p.AddColumn(p.Name(), "string")
	return nil
}

func (asker) Map(ctx context.Context, a *askerArgs, b *plugin.Batch) error {
	if b.N > 2 {
		return fmt.Errorf("a batch has %d rows", b.N)
	}
	for i := range b.N {
		r, err := b.Request(a.Prompt, i)
		if err != nil {
			b.Fail(i, false, err)
			continue
		}
		resp, err := b.Host().Chat(ctx, a.Model, r, 0)
		var call *llm.CallError
		switch {
		case errors.As(err, &call):
			b.Fail(i, call.Temporary, err)
		case err != nil:
			return err
		default:
			b.SetString(b.Name(), i, resp.Text)
		}
	}
	return nil
}

func questions(texts ...string) []map[string]any {
	var out []map[string]any
	for _, t := range texts {
		out = append(out, map[string]any{"text": t})
	}
	return out
}

func textPrompt(row map[string]any) *llm.Request {
	if row["text"] == "" {
		return nil
	}
	return ask(row["text"].(string))
}

func TestAMapperCallsAModelAndItsBatchesAreLimited(t *testing.T) {
	got, err := plugintest.Map(t, asking(), plugintest.Case{
		Type: "asking_label", Rows: questions("a", "b", "bad", "", "c", "d", "e"),
		Args: map[string]any{
			"prompt": plugintest.Prompt(textPrompt),
			"model": plugintest.FakeModel{Chat: func(r *llm.Request, _ int) (*llm.Response, error) {
				if r.Messages[0].Content == "bad" {
					return nil, &llm.CallError{Message: "not this one", Status: 400}
				}
				return &llm.Response{Text: strings.ToUpper(r.Messages[0].Content)}, nil
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got.Column("test")) != "[A B <nil> <nil> C D E]" {
		t.Errorf("got %v", got.Column("test"))
	}
	want := plugintest.Failures{2: "status 400: not this one", 3: "the prompt is null for this row"}
	if fmt.Sprint(got.Failures) != fmt.Sprint(want) {
		t.Errorf("got %v", got.Failures)
	}
}

func TestAStageEndsWithTheRun(t *testing.T) {
	_, err := plugintest.Map(t, asking(), plugintest.Case{
		Type: "asking_label", Rows: questions("a", "b", "c"),
		Args: map[string]any{
			"prompt": plugintest.Prompt(textPrompt),
			"model": plugintest.FakeModel{Chat: func(*llm.Request, int) (*llm.Response, error) {
				return nil, errors.New("the budget is spent")
			}},
		},
	})
	if err == nil || !strings.Contains(err.Error(), "the budget is spent") {
		t.Errorf("got %v", err)
	}
}

func TestNoRowsAreNoBatches(t *testing.T) {
	got, err := plugintest.Map(t, asking(), plugintest.Case{
		Type: "asking_label", Rows: []map[string]any{}, Columns: data.Schema{{Name: "text", Type: "string"}},
		Args: map[string]any{
			"prompt": plugintest.Prompt(textPrompt), "model": plugintest.FakeChat(strings.ToUpper),
		},
	})
	if err != nil || len(got.Rows) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

// ---- a runner --------------------------------------------------------------

type metricsArgs struct {
	Dataset  plugin.Dataset               `quern:"dataset,required"`
	Subjects map[string]plugin.Subject    `quern:"subjects,required"`
	Metrics  map[string]plugin.LateColumn `quern:"metrics" late:"output=output"`
}

type metrics struct{}

func (metrics) Prepare(_ context.Context, p *plugin.Prepare[metricsArgs]) error {
	p.ReadAll("dataset")
	p.SetValueType(cty.Object(map[string]cty.Type{"scores": cty.Map(cty.Number)}))
	return nil
}

func (metrics) Run(ctx context.Context, r *plugin.Run[metricsArgs]) error {
	scores := map[string]cty.Value{}
	for name, s := range r.Args.Subjects {
		for rec, err := range r.Dataset(r.Args.Dataset).Batches(ctx) {
			if err != nil {
				return err
			}
			answers, err := answersOf(ctx, r.Host(), s, rec)
			if err != nil {
				return err
			}
			score, err := scoreOf(ctx, r.Host(), r.Args.Metrics["exact"], answers, rec)
			if err != nil {
				return err
			}
			scores[name] = cty.NumberIntVal(score)
		}
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"scores": cty.MapVal(scores)}))
	return nil
}

func answersOf(ctx context.Context, h *plugin.Host, s plugin.Subject, rec arrow.RecordBatch) ([]*llm.Response, error) {
	key := s.Prompt.Key
	if c, ok := s.Column(); ok {
		key = c.Key
	}
	texts := data.Arguments.Find(rec, key).(*array.String)
	answers := make([]*llm.Response, texts.Len())
	for i := range answers {
		if !s.Model.IsSet() {
			answers[i] = &llm.Response{Text: texts.Value(i)}
			continue
		}
		request, err := llm.DecodeRequest([]byte(texts.Value(i)))
		if err != nil {
			return nil, err
		}
		if answers[i], err = h.Chat(ctx, s.Model, request, 0); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

func scoreOf(ctx context.Context, h *plugin.Host, metric plugin.LateColumn, answers []*llm.Response, rec arrow.RecordBatch) (int64, error) {
	outputs := output.Array(answers)
	defer outputs.Release()
	values, failed, err := h.Evaluate(ctx, metric, rec, map[string]arrow.Array{"output": outputs})
	if err != nil {
		return 0, err
	}
	defer values.Release()
	if len(failed) > 0 {
		return 0, errors.New(failed[0].Message)
	}
	score := int64(0)
	for i := range values.Len() {
		if values.(*array.Boolean).Value(i) {
			score++
		}
	}
	return score, nil
}

func TestARunnerAsksSubjectsAndEvaluatesMetrics(t *testing.T) {
	got, err := plugintest.Run(t, asking(), plugintest.Case{
		Type: "asking_metrics",
		Rows: []map[string]any{{"text": "a", "want": "A"}, {"text": "b", "want": "b"}, {"text": "c", "want": "C"}},
		Args: map[string]any{
			"subjects": map[string]any{
				"upper": plugintest.PromptedModel{Model: plugintest.FakeChat(strings.ToUpper), Prompt: textPrompt},
				"same":  plugintest.Row("text"),
			},
			"metrics": map[string]any{"exact": plugintest.LateColumn(func(row map[string]any) (any, error) {
				return row["output"].(map[string]any)["text"] == row["want"], nil
			})},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := cty.MapVal(map[string]cty.Value{"upper": cty.NumberIntVal(2), "same": cty.NumberIntVal(1)})
	if !got.Value.GetAttr("scores").RawEquals(want) {
		t.Errorf("got %#v", got.Value)
	}
}
