package modelhost

import (
	"context"
	"encoding/json"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/backend/backendtest"
	"github.com/quern-dev/quern/store/batches"
	"github.com/quern-dev/quern/store/responses"
)

// double stands in for a plugin whose model answers by a function of how
// often it was asked and of the last message.
type double struct {
	pluginv1.PluginServiceClient
	chat  func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError)
	calls atomic.Int64
	embed atomic.Int64 // calls

	mu     sync.Mutex
	active int
	most   int            // that were active at a time
	asked  map[string]int // by text
}

func (d *double) enter(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.active++
	d.most = max(d.most, d.active)
	if d.asked == nil {
		d.asked = map[string]int{}
	}
	d.asked[text]++
}

func (d *double) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.active--
}

func (d *double) Chat(ctx context.Context, _ ...grpc.CallOption) (pluginv1.PluginService_ChatClient, error) {
	return &asked{double: d, ctx: ctx}, nil
}

// asked is a stream to the double. It answers when it is asked for the answer.
type asked struct {
	pluginv1.PluginService_ChatClient
	double *double
	ctx    context.Context
	last   *pluginv1.ChatRequest
}

func (a *asked) Send(req *pluginv1.ChatRequest) error {
	a.last = req
	return nil
}

func (a *asked) Recv() (*pluginv1.ChatResponse, error) { return a.double.answer(a.ctx, a.last) }

func (d *double) answer(ctx context.Context, req *pluginv1.ChatRequest) (*pluginv1.ChatResponse, error) {
	r := &llm.Request{}
	if err := json.Unmarshal(req.GetRequest(), r); err != nil {
		return nil, err
	}
	text := r.Messages[len(r.Messages)-1].Content
	d.enter(text)
	defer d.leave()
	answer, callErr := d.chat(ctx, d.calls.Add(1), text)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if callErr != nil {
		return &pluginv1.ChatResponse{Error: callErr}, nil
	}
	content, err := json.Marshal(answer)
	return &pluginv1.ChatResponse{Response: content}, err
}

func (d *double) Embed(_ context.Context, req *pluginv1.EmbedRequest, _ ...grpc.CallOption) (*pluginv1.EmbedResponse, error) {
	d.embed.Add(1)
	out := &pluginv1.EmbedResponse{InputTokens: int64(len(req.GetTexts()))}
	for _, text := range req.GetTexts() {
		d.enter(text)
		d.leave()
		out.Embeddings = append(out.Embeddings, &pluginv1.Embedding{Values: []float32{float32(len(text)), 0.5}})
	}
	return out, nil
}

// echo answers with what was asked.
func echo(_ context.Context, _ int64, text string) (*llm.Response, *pluginv1.CallError) {
	return &llm.Response{Text: "echo " + text, FinishReason: llm.FinishStop, Usage: llm.Usage{Input: 10, Output: 5}, Model: "double-1"}, nil
}

func failing(status int32, temporary bool, message string) *pluginv1.CallError {
	return &pluginv1.CallError{Message: message, Status: status, Temporary: temporary}
}

func price(f float64) *float64 { return &f }

// bench is a hub with one model, "model.m".
type bench struct {
	t      *testing.T
	dir    string
	double *double
	info   plan.ModelInfo
	// defaults are what the model's block says of requests.
	defaults llm.Request
	budget   *plan.Budget
	// spending and limits are those of the run: open makes them unless they are
	// shared.
	spending *RunBudget
	limits   *RunLimits
	shared   bool
	hub      *Hub
	host     *Host
	// stage ends when the host ends the stage.
	stage  context.Context
	report []error
	// batches are those that were submitted, which outlive a run.
	batches *batches.Store
	plugin  pluginv1.PluginServiceClient // nil: the double
}

func newBench(t *testing.T, d *double) *bench {
	return &bench{t: t, dir: t.TempDir(), double: d, batches: batches.New(context.Background(), backendtest.NewMemory()), info: plan.ModelInfo{
		Capabilities: []string{plan.CanChat, plan.CanEmbed}, Cache: true, MaxConcurrency: 8, Retries: 5,
		Price: &plan.Price{Input: price(1e6), Output: price(2e6)}, // 1 and 2 a token
	}}
}

// open begins a run; close ends it.
func (b *bench) open() *bench {
	b.t.Helper()
	if !b.shared {
		b.spending, b.limits = NewBudget("this run", b.budget), NewLimits()
	}
	b.hub = NewHub(context.Background(), Options{
		Budget: b.spending, Limits: b.limits,
		Cache: func() (*responses.Cache, error) {
			return responses.Open(filepath.Join(b.dir, "responses"), responses.Options{Aside: filepath.Join(b.dir, "damaged")})
		},
		Batches: b.batches,
		Report:  func(err error) { b.report = append(b.report, err) },
	})
	stage, cancel := context.WithCancelCause(context.Background())
	b.stage = stage
	b.host = b.hub.Stage(StageOptions{Models: map[string]Model{"model": {Language: b.language()}}, End: cancel, Environment: "dev"})
	return b
}

func (b *bench) language() *Language {
	return &Language{
		Address: "model.m", Name: "double", Plugin: "test", Definition: "sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd", Info: b.info, Defaults: b.defaults,
		Instance: &pluginv1.Instance{Kind: "model", Type: "test", Address: "model.m"},
		Secrets:  []string{"hunter2-the-key"},
		Connect: func(context.Context) (pluginv1.PluginServiceClient, error) {
			if b.plugin != nil {
				return b.plugin, nil
			}
			return b.double, nil
		},
	}
}

func (b *bench) close() {
	b.t.Helper()
	if err := b.hub.Close(); err != nil {
		b.t.Error(err)
	}
}

func request(text string) *pluginv1.HostServiceChatRequest {
	content, err := (&llm.Request{Messages: []llm.Message{{Role: llm.User, Content: text}}}).Encode()
	if err != nil {
		panic(err)
	}
	return &pluginv1.HostServiceChatRequest{Model: "model", Request: content}
}

// ask makes one call as a stage does.
func (b *bench) ask(text string) (*llm.Response, *pluginv1.CallError, error) {
	resp, err := b.host.Answer(b.stage, request(text))
	if err != nil || resp.GetError() != nil {
		return nil, resp.GetError(), err
	}
	answer := &llm.Response{}
	return answer, nil, json.Unmarshal(resp.GetResponse(), answer)
}

// askAll asks for n texts, so many at a time, and returns how many had an
// answer.
func (b *bench) askAll(n, atATime int, text func(int) string) int {
	var got atomic.Int64
	next := make(chan int)
	var wg sync.WaitGroup
	for range atATime {
		wg.Go(func() {
			for i := range next {
				if answer, _, err := b.ask(text(i)); err == nil && answer != nil {
					got.Add(1)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return int(got.Load())
}
