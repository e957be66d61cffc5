package runner_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/runner"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// toldModel is a language model that stands in for one: it says what the test
// tells it to.
type toldModel struct{ w *world }

type toldArgs struct {
	Name  string  `quern:"name,required" doc:"Its name."`
	Key   string  `quern:"api_key,sensitive" doc:"Its key."`
	Price float64 `quern:"price,operational" doc:"Money per token."`
	Many  int64   `quern:"max_concurrency,operational" doc:"Requests at a time."`
}

func (m *toldModel) Prepare(_ context.Context, p *plugin.Prepare[toldArgs]) error {
	million := p.Args.Price * 1e6
	p.SetModelInfo(plugin.ModelInfo{Cache: true, MaxConcurrency: p.Args.Many, Price: &llm.Price{Input: &million, Output: &million, Source: "configuration"}})
	return nil
}

func (m *toldModel) Chat(ctx context.Context, a *toldArgs, r *llm.Request) (*llm.Response, error) {
	m.w.called("chat")
	text := r.Messages[len(r.Messages)-1].Content
	if m.w.onChat != nil {
		return m.w.onChat(ctx, text)
	}
	return &llm.Response{Text: a.Name + " says " + text, FinishReason: llm.FinishStop, Usage: llm.Usage{Input: 8, Output: 2}}, nil
}

// asked labels rows with what a model says to a prompt.
type asked struct{}

type askedArgs struct {
	Input  plugin.Dataset `quern:"input,required" doc:"Rows."`
	Model  plugin.Model   `quern:"model,required" doc:"The model."`
	Prompt plugin.Prompt  `quern:"prompt,required" doc:"What it is asked." rows_of:"input"`
}

func (*asked) BatchRows() int   { return 16 }
func (*asked) Concurrency() int { return 256 }

func (*asked) Prepare(_ context.Context, p *plugin.Prepare[askedArgs]) error {
	p.KeepInput("input")
	p.AddColumn(p.Name(), "string")
	return nil
}

func (*asked) Map(ctx context.Context, a *askedArgs, b *plugin.Batch) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	for i := range b.N {
		r, err := b.Request(a.Prompt, i)
		if err != nil {
			b.Fail(i, false, err)
			continue
		}
		wg.Go(func() {
			answer, err := b.Host().Chat(ctx, a.Model, r, 0)
			mu.Lock()
			defer mu.Unlock()
			var call *llm.CallError
			switch {
			case errors.As(err, &call):
				b.Fail(i, call.Temporary, err)
			case err != nil:
				first = err
			default:
				b.SetString(b.Name(), i, answer.Text)
			}
		})
	}
	wg.Wait()
	return first
}

// quiz asks a model about each row, and has a late expression judge.
type quiz struct{}

type quizArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"Rows."`
	Model   plugin.Model   `quern:"model,required" doc:"The model."`
	Prompt  plugin.Prompt  `quern:"prompt,required" doc:"What it is asked." rows_of:"dataset"`
}

func (*quiz) Prepare(_ context.Context, p *plugin.Prepare[quizArgs]) error {
	p.SetValueType(cty.Object(map[string]cty.Type{"answers": cty.Number}))
	return nil
}

func (*quiz) Run(ctx context.Context, r *plugin.Run[quizArgs]) error {
	n := int64(0)
	for rec, err := range r.Dataset(r.Args.Dataset).Batches(ctx) {
		if err != nil {
			return err
		}
		for i := range rec.NumRows() {
			req := &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: fmt.Sprint("quiz ", i)}}}
			if _, err := r.Host().Chat(ctx, r.Args.Model, req, 0); err != nil {
				return err
			}
			n++
		}
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"answers": cty.NumberIntVal(n)}))
	return nil
}

// asking is a pipeline that asks a model about each line.
func asking(settings, model string) string {
	return settings + `
model "told" "m" {
  name = "m1"
  ` + model + `
}
prompt "p" {
  user = "say ${row.text}"
}
source "lines" "raw" { path = "raw.txt" }
label "asked" "reply" {
  input  = source.raw
  model  = model.m
  prompt = prompt.p
}
`
}

func manyLines(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("line %05d", i)
	}
	return out
}

func TestAStageCallsALanguageModelOncePerRow(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "a", "b", "a")
	res := p.mustApply(asking("", "price = 0.5"))
	p.wantColumn("label.reply", "", "reply", "m1 says say a", "m1 says say b", "m1 says say a")
	want := llm.Spend{Calls: 2, InputTokens: 16, OutputTokens: 4, Cost: 10}
	if s := p.stage(res, "label.reply"); s.Spend != want || res.Spend != want {
		t.Errorf("the stage spent %+v, the run %+v", s.Spend, res.Spend)
	}
	entry, err := p.store.Actions.Get(p.state.Instances["label.reply"].ActionKey)
	if err != nil || entry.Spend == nil || *entry.Spend != want {
		t.Errorf("the entry has %+v, %v", entry, err)
	}
	// A row more is a call more; other prices and limits are none.
	p.world.taken("chat")
	p.world.set("raw.txt", "a", "b", "a", "c")
	p.mustApply(asking("", "price = 0.25\n  max_concurrency = 3"))
	if n := p.world.taken("chat"); n != 1 {
		t.Errorf("%d calls for one new row", n)
	}
	// Another model is asked about all; the first one's answers are still kept.
	other := strings.Replace(asking("", ""), `"m1"`, `"m2"`, 1)
	p.mustApply(other)
	if n := p.world.taken("chat"); n != 3 {
		t.Errorf("%d calls of another model", n)
	}
	p.wantColumn("label.reply", "", "reply", "m2 says say a", "m2 says say b", "m2 says say a", "m2 says say c")
	p.mustApply(asking("", ""))
	if n := p.world.taken("chat"); n != 0 {
		t.Errorf("%d calls for answers that are kept", n)
	}
	// Unless new ones are asked for.
	p.mustApply(asking("", ""), replace("label.reply"))
	if n := p.world.taken("chat"); n != 3 {
		t.Errorf("%d calls for a new result", n)
	}
}

func TestAWholeDatasetStageCallsModelsAndRowsKeysDistinguishThem(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "a", "b")
	src := asking("", "") + `
evaluate "quiz" "q" {
  dataset = source.raw
  model   = model.m
  prompt  = prompt.p
}
`
	res := p.mustApply(src)
	if s := p.stage(res, "evaluate.q"); s.Spend.Calls != 2 {
		t.Errorf("the stage spent %+v", s.Spend)
	}
	entry, err := p.store.Actions.Get(p.state.Instances["label.reply"].ActionKey)
	if err != nil || entry.RowsKey == "" || entry.RowsKey == entry.Definition {
		t.Errorf("the entry is %+v, %v", entry, err)
	}
}

func TestABudgetStopsARunCleanlyAndRaisingItContinuesTheRun(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", manyLines(400)...)
	budget := func(money int) string { return fmt.Sprintf("quern {\n  budget {\n    money = %d\n  }\n}\n", money) }
	res := p.apply(asking(budget(1000), "price = 1")) // 10 a call
	if res.Status != runner.Failed || !strings.Contains(told(res), "The budget is used up") {
		t.Fatalf("the run is %s: %s", res.Status, told(res))
	}
	first := p.world.taken("chat")
	if first > 100 || first < 80 || res.Spend.Calls != int64(first) {
		t.Fatalf("%d calls, spent %+v", first, res.Spend)
	}
	res = p.mustApply(asking(budget(100000), "price = 1"))
	if again := p.world.taken("chat"); first+again != 400 {
		t.Errorf("%d and %d calls for 400 rows: %+v", first, again, res.Spend)
	}
}

func TestSpendingIsReportedDuringARunWithoutSecrets(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", manyLines(100)...)
	var calls atomic.Int64
	p.world.onChat = func(ctx context.Context, text string) (*llm.Response, error) {
		if calls.Add(1) == 90 {
			return nil, &llm.CallError{Message: "bad key hush in the request", Status: 400}
		}
		time.Sleep(20 * time.Millisecond)
		return &llm.Response{Text: text, Usage: llm.Usage{Input: 8, Output: 2}}, nil
	}
	p.vars = []string{"key=hush"}
	res := p.apply(asking("variable \"key\" {\n  type = string\n  sensitive = true\n}\n", "price = 1\n  max_concurrency = 2\n  api_key = var.key"))
	if res.Status != runner.Failed || !strings.Contains(told(res), "(sensitive value)") || strings.Contains(told(res), "hush") {
		t.Errorf("the run is %s: %s", res.Status, told(res))
	}
	told := slices.ContainsFunc(p.events, func(e events.Event) bool {
		return e.Type == events.StageProgress && e.Progress.Calls > 0 && e.Progress.Cost > 0
	})
	if !told {
		t.Error("no event tells of spending")
	}
	if last := p.events[len(p.events)-1]; last.Summary == nil || last.Summary.Calls < 80 {
		t.Errorf("the summary is %+v", last.Summary)
	}
}

// What a run was killed in the middle of is not asked for again.
func TestACanceledRunKeepsItsAnswers(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", manyLines(300)...)
	ctx, cancel := context.WithCancel(t.Context())
	var calls atomic.Int64
	var mu sync.Mutex
	answered := map[string]int{}
	p.world.onChat = func(ctx context.Context, text string) (*llm.Response, error) {
		if calls.Add(1) == 150 {
			cancel()
		}
		mu.Lock()
		defer mu.Unlock()
		answered[text]++
		return &llm.Response{Text: text}, nil
	}
	res := p.carryOut(ctx, p.plan(asking("", "max_concurrency = 4")))
	if res.Status != runner.Interrupted {
		t.Fatalf("the run is %s: %s", res.Status, told(res))
	}
	first := calls.Load()
	p.mustApply(asking("", "max_concurrency = 4"))
	if all := calls.Load(); first < 150 || all > 300+4 {
		t.Errorf("%d calls before, %d in all", first, all)
	}
}

// 5,000 rows and a model that takes 50 ms, 128 at a time: 1.95 s at best.
func BenchmarkAsking(b *testing.B) {
	for b.Loop() {
		p := newPipeline(b)
		p.world.set("raw.txt", manyLines(5000)...)
		p.world.onChat = func(_ context.Context, text string) (*llm.Response, error) {
			time.Sleep(50 * time.Millisecond)
			return &llm.Response{Text: text, FinishReason: llm.FinishStop, Usage: llm.Usage{Input: 8, Output: 2}}, nil
		}
		p.mustApply(asking("", "max_concurrency = 128"))
	}
}
