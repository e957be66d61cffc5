package modelhost

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// post is a provider with a batch API, behind the double of its plugin. It finds
// a batch that was submitted before by its name.
type post struct {
	*double
	mu      sync.Mutex
	batches map[string][]*pluginv1.BatchRequest // by name
	names   []string                            // in the order of their submission
	submits int                                 // calls, including those that found a batch
	reads   int
	// dies makes the next submission fail after the batch was accepted, and
	// refuses fails it before.
	dies    bool
	refuses *pluginv1.CallError
	// status is that of all batches; answer answers a request of one.
	status pluginv1.BatchStatus
	answer func(text string) *pluginv1.BatchAnswer
	// extra are answers that no request asked for.
	extra []*pluginv1.BatchAnswer
}

type submission struct {
	pluginv1.PluginService_SubmitBatchClient
	post     *post
	name     string
	again    bool
	requests []*pluginv1.BatchRequest
}

func (p *post) SubmitBatch(context.Context, ...grpc.CallOption) (pluginv1.PluginService_SubmitBatchClient, error) {
	return &submission{post: p}, nil
}

func (s *submission) Send(m *pluginv1.SubmitBatchRequest) error {
	if m.GetModel() != nil {
		s.name, s.again = m.GetName(), m.BegunSecondsAgo != nil
	}
	s.requests = append(s.requests, m.GetRequests()...)
	return nil
}

func (s *submission) CloseAndRecv() (*pluginv1.SubmitBatchResponse, error) {
	p := s.post
	p.mu.Lock()
	defer p.mu.Unlock()
	p.submits++
	if failure := p.refuses; failure != nil {
		p.refuses = nil
		return &pluginv1.SubmitBatchResponse{Error: failure}, nil
	}
	if p.batches[s.name] == nil || !s.again {
		if p.batches == nil {
			p.batches = map[string][]*pluginv1.BatchRequest{}
		}
		p.batches[s.name] = s.requests
		p.names = append(p.names, s.name)
	}
	if p.dies {
		p.dies = false
		return nil, io.ErrUnexpectedEOF
	}
	return &pluginv1.SubmitBatchResponse{Token: []byte(s.name)}, nil
}

type reading struct {
	pluginv1.PluginService_ReadBatchClient
	next []*pluginv1.ReadBatchResponse
}

func (p *post) ReadBatch(_ context.Context, req *pluginv1.ReadBatchRequest, _ ...grpc.CallOption) (pluginv1.PluginService_ReadBatchClient, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reads++
	r := &reading{next: []*pluginv1.ReadBatchResponse{{Event: &pluginv1.ReadBatchResponse_Status{Status: &p.status}}}}
	if !p.status.GetDone() {
		return r, nil
	}
	answers := slices.Clone(p.extra)
	for _, request := range p.batches[string(req.GetToken())] {
		of := &llm.Request{}
		if err := json.Unmarshal(request.GetRequest(), of); err != nil {
			return nil, err
		}
		if a := p.answer(of.Messages[len(of.Messages)-1].Content); a != nil {
			a.Id = request.GetId()
			answers = append([]*pluginv1.BatchAnswer{a}, answers...) // in another order than the requests
		}
	}
	for _, a := range answers {
		r.next = append(r.next, &pluginv1.ReadBatchResponse{Event: &pluginv1.ReadBatchResponse_Answer{Answer: a}})
	}
	return r, nil
}

func (r *reading) Recv() (*pluginv1.ReadBatchResponse, error) {
	if len(r.next) == 0 {
		return nil, io.EOF
	}
	m := r.next[0]
	r.next = r.next[1:]
	return m, nil
}

func answered(text string) *pluginv1.BatchAnswer {
	content, _ := json.Marshal(&llm.Response{Text: "echo " + text, FinishReason: llm.FinishStop, Usage: llm.Usage{Input: 10, Output: 5}})
	return &pluginv1.BatchAnswer{Response: content}
}

// batchBench is a bench whose model is batched.
type batchBench struct {
	*bench
	post *post
}

func newBatchBench(t *testing.T) *batchBench {
	d := &double{chat: func(context.Context, int64, string) (*llm.Response, *pluginv1.CallError) {
		t.Error("the model of a batch was called directly")
		return nil, failing(500, false, "wrong")
	}}
	b := &batchBench{newBench(t, d), &post{double: d, answer: answered}}
	b.plugin, b.info.Batch, b.info.Retries = b.post, &plan.BatchLimits{}, 0
	return b
}

// run makes requests in a run of their own and submits what they collected. It
// returns the answers and the reasons of those that are pending.
func (b *batchBench) run(texts ...string) (got []string, err error) {
	b.t.Helper()
	b.open()
	defer b.close()
	for _, text := range texts {
		answer, failure, err := b.ask(text)
		switch {
		case err != nil:
			return got, err
		case failure.GetPending():
			got = append(got, "pending")
		case failure != nil:
			got = append(got, "failed: "+failure.GetMessage())
		default:
			got = append(got, answer.Text)
		}
	}
	return got, b.host.Submit(b.stage)
}

func (b *batchBench) wants(want string, texts ...string) {
	b.t.Helper()
	got, err := b.run(texts...)
	if err != nil || fmt.Sprint(got) != want {
		b.t.Fatalf("got %v, %v, want %s", got, err, want)
	}
}

// size returns how many requests each batch has, in the order of submission.
func (p *post) sizes() string {
	var n []int
	for _, name := range p.names {
		n = append(n, len(p.batches[name]))
	}
	return fmt.Sprint(n)
}

func TestABatchIsSubmittedOnceAndItsAnswersAreFound(t *testing.T) {
	b := newBatchBench(t)
	b.wants("[pending pending pending]", "a", "b", "a")
	if b.post.sizes() != "[2]" || b.post.reads != 0 || b.host.Spent() != (llm.Spend{}) {
		t.Fatalf("batches of %s requests were submitted, %d read, for %+v", b.post.sizes(), b.post.reads, b.host.Spent())
	}
	b.post.status = pluginv1.BatchStatus{Message: "batch_1: 1 of 2 requests are done"}
	b.open()
	_, failure, err := b.ask("a")
	if err != nil || failure.GetMessage() != "batch_1: 1 of 2 requests are done" || !failure.GetPending() {
		t.Fatalf("got %v, %v", failure, err)
	}
	b.close()
	// A new request is in a batch of its own.
	b.wants("[pending pending]", "b", "c")
	if b.post.sizes() != "[2 1]" {
		t.Fatalf("batches of %s requests were submitted", b.post.sizes())
	}
	b.post.status = pluginv1.BatchStatus{Done: true, Answered: 2, Total: 2}
	b.wants("[echo a echo b echo c]", "a", "b", "c")
	want := llm.Spend{Calls: 3, InputTokens: 30, OutputTokens: 15, Cost: 60}
	if b.host.Spent() != want || b.spending.Spent() != want {
		t.Errorf("the answers cost %+v, and the budget was charged %+v", b.host.Spent(), b.spending.Spent())
	}
	// From now on, they are cached answers.
	reads := b.post.reads
	b.wants("[echo a echo b]", "a", "b")
	if b.host.Spent() != (llm.Spend{CachedCalls: 2}) || b.post.reads != reads {
		t.Errorf("cached answers cost %+v after %d reads", b.host.Spent(), b.post.reads-reads)
	}
}

func TestABatchThatMayHaveBeenSubmittedIsNotSubmittedAgain(t *testing.T) {
	b := newBatchBench(t)
	b.post.dies = true
	if _, err := b.run("a", "b"); err == nil {
		t.Fatal("the submission did not fail")
	}
	// One of the requests no longer exists, and there is a new one.
	b.wants("[pending pending]", "b", "c")
	if b.post.sizes() != "[2 1]" || b.post.submits != 3 {
		t.Fatalf("batches of %s requests after %d calls", b.post.sizes(), b.post.submits)
	}
	b.post.status.Done = true
	b.wants("[echo a echo b echo c]", "a", "b", "c")
}

func TestABatchThatWasNotAcceptedIsSubmittedUnderItsName(t *testing.T) {
	b := newBatchBench(t)
	b.post.refuses = failing(503, true, "overloaded")
	if _, err := b.run("a"); err == nil || !strings.Contains(err.Error(), "could not submit a batch of 1 request: overloaded") {
		t.Fatalf("the error is %v", err)
	}
	recorded, err := b.batches.Of(b.language().Definition)
	if err != nil || len(recorded) != 1 {
		t.Fatalf("%d batches are recorded: %v", len(recorded), err)
	}
	b.wants("[pending]", "a")
	if b.post.names[0] != recorded[0].Name {
		t.Errorf("batch %s was submitted as %s", recorded[0].Name, b.post.names[0])
	}
	// One that the provider refused for good is not recorded.
	b.post.refuses = failing(400, false, "no such model")
	if _, err := b.run("b"); err == nil {
		t.Fatal("the submission did not fail")
	}
	if recorded, _ = b.batches.Of(b.language().Definition); len(recorded) != 1 {
		t.Errorf("%d batches are recorded", len(recorded))
	}
}

func TestRequestsThatABatchDidNotAnswerAreSubmittedAgain(t *testing.T) {
	b := newBatchBench(t)
	b.wants("[pending pending pending pending pending]", "good", "expired", "missing", "wrong", "empty")
	b.post.answer = func(text string) *pluginv1.BatchAnswer {
		switch text {
		case "missing":
			return nil
		case "expired":
			return &pluginv1.BatchAnswer{Error: failing(0, true, "the batch expired")}
		case "wrong":
			return &pluginv1.BatchAnswer{Error: failing(400, false, "too long; the key hunter2-the-key")}
		case "empty":
			return &pluginv1.BatchAnswer{Response: []byte(`{"usage": {"input": 10, "output": 5}}`)}
		}
		return answered(text)
	}
	stray := answered("stray")
	stray.Id = strings.Repeat("ab", 16)
	b.post.status, b.post.extra = pluginv1.BatchStatus{Done: true}, []*pluginv1.BatchAnswer{stray, {Id: "x"}}
	b.wants("[echo good pending pending failed: too long; the key (sensitive value) pending]", "good", "expired", "missing", "wrong", "empty")
	if b.post.sizes() != "[5 3]" {
		t.Errorf("batches of %s requests", b.post.sizes())
	}
	// A permanent failure fails its row once; the next run asks again.
	b.post.status.Done = false
	b.wants("[pending]", "wrong")
	if b.post.sizes() != "[5 3 1]" {
		t.Errorf("batches of %s requests", b.post.sizes())
	}
}

func TestTheFirstOfTwoAnswersCounts(t *testing.T) {
	b := newBatchBench(t)
	b.wants("[pending]", "a")
	second := answered("another")
	second.Id = b.post.batches[b.post.names[0]][0].GetId()
	b.post.status, b.post.extra = pluginv1.BatchStatus{Done: true}, []*pluginv1.BatchAnswer{second, second}
	got, err := b.run("a")
	if err != nil || len(got) != 1 || !strings.HasPrefix(got[0], "echo ") || b.host.Spent().Calls != 1 {
		t.Errorf("got %v, %v for %+v", got, err, b.host.Spent())
	}
}

func TestABatchWithoutAnyAnswerIsAnError(t *testing.T) {
	b := newBatchBench(t)
	b.wants("[pending]", "a")
	b.post.status = pluginv1.BatchStatus{Done: true, Message: "the model does not exist"}
	b.post.answer = func(string) *pluginv1.BatchAnswer { return nil }
	b.open()
	ended := make(chan error, 1)
	b.host.End = func(err error) { ended <- err }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { _, _ = b.host.Answer(ctx, request("a")) }()
	if err := <-ended; !strings.Contains(err.Error(), "ended without an answer: the model does not exist") {
		t.Errorf("the error is %v", err)
	}
	cancel()
	b.close()
	b.post.status.Done = false
	b.wants("[pending]", "a")
	if b.post.sizes() != "[1 1]" {
		t.Errorf("batches of %s requests", b.post.sizes())
	}
}

func TestAnAnswerOfABatchThatWasCutOffIsGivenOnce(t *testing.T) {
	b := newBatchBench(t)
	b.wants("[pending]", "a")
	b.post.status.Done = true
	b.post.answer = func(string) *pluginv1.BatchAnswer {
		return &pluginv1.BatchAnswer{Response: []byte(`{"text": "half", "finish_reason": "length", "usage": {"input": 1, "output": 1}}`)}
	}
	b.wants("[half half]", "a", "a")
	b.post.status.Done = false
	b.wants("[pending]", "a")
	if b.post.sizes() != "[1 1]" {
		t.Errorf("batches of %s requests", b.post.sizes())
	}
}

func TestFullBatchesAreSubmittedAtOnce(t *testing.T) {
	b := newBatchBench(t)
	b.info.Batch.Requests = 2
	b.open()
	for i, want := range []string{"[]", "[]", "[2]", "[2]", "[2 2]"} {
		if _, failure, err := b.ask(fmt.Sprint(i)); err != nil || !failure.GetPending() || b.post.sizes() != want {
			t.Fatalf("request %d: %v, %v, and batches of %s requests", i, failure, err, b.post.sizes())
		}
	}
	if err := b.host.Submit(b.stage); err != nil || b.post.sizes() != "[2 2 1]" {
		t.Errorf("batches of %s requests: %v", b.post.sizes(), err)
	}
	b.close()
	b.info.Batch = &plan.BatchLimits{Bytes: 3000}
	long := strings.Repeat("x", 1000)
	b.wants("[pending pending pending pending]", "1"+long, "2"+long, "3"+long, "4"+long)
	if b.post.sizes() != "[2 2 1 2 2]" {
		t.Errorf("batches of %s requests", b.post.sizes())
	}
}

func TestTheBudgetIsReservedWhenABatchIsSubmitted(t *testing.T) {
	b := newBatchBench(t)
	most := 5.0
	b.budget = &plan.Budget{Money: &most}
	if _, err := b.run("a"); err == nil || !strings.Contains(err.Error(), "budget") || b.post.submits != 0 {
		t.Fatalf("after %d submissions, the error is %v", b.post.submits, err)
	}
	most = 1000 // an answer is expected to take 256 tokens of 2 each
	b.open()
	if _, failure, err := b.ask("a"); err != nil || !failure.GetPending() {
		t.Fatal(failure, err)
	}
	if err := b.host.Submit(b.stage); err != nil {
		t.Fatal(err)
	}
	if _, failure, err := b.ask("b"); err != nil || !failure.GetPending() {
		t.Fatal(failure, err)
	}
	if err := b.host.Submit(b.stage); err == nil || b.post.sizes() != "[1]" {
		t.Errorf("batches of %s requests: %v", b.post.sizes(), err)
	}
	b.close()
}

func TestAReplacementIsSubmittedAgain(t *testing.T) {
	b := newBatchBench(t)
	b.wants("[pending]", "a")
	b.post.status.Done = true
	b.wants("[echo a]", "a")
	b.post.status.Done = false
	b.open()
	b.host.Fresh = true
	for range 2 { // equal rows are one request still
		if _, failure, err := b.ask("a"); err != nil || !failure.GetPending() {
			t.Fatal(failure, err)
		}
	}
	if err := b.host.Submit(b.stage); err != nil || b.post.sizes() != "[1 1]" {
		t.Errorf("batches of %s requests: %v", b.post.sizes(), err)
	}
	b.close()
}
