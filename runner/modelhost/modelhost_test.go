package modelhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

func TestAnAnswerIsAskedForOnceEver(t *testing.T) {
	b := newBench(t, &double{chat: echo}).open()
	first, _, err := b.ask("x")
	if err != nil || first.Text != "echo x" || first.Cached || first.Cost == nil || *first.Cost != 20 {
		t.Fatalf("the first answer is %+v, %v", first, err)
	}
	b.close()
	b.open()
	again, _, err := b.ask("x")
	b.close()
	if err != nil || again.Text != "echo x" || !again.Cached || *again.Cost != 20 || b.double.calls.Load() != 1 {
		t.Fatalf("the second answer is %+v, %v after %d calls", again, err, b.double.calls.Load())
	}
	if got, want := b.host.Spent(), (llm.Spend{CachedCalls: 1}); got != want {
		t.Fatalf("a kept answer cost %+v", got)
	}
}

func TestFreshAnswersAreAskedForOnceARunAndKept(t *testing.T) {
	b := newBench(t, &double{chat: func(_ context.Context, n int64, _ string) (*llm.Response, *pluginv1.CallError) {
		return &llm.Response{Text: strconv.FormatInt(n, 10)}, nil
	}}).open()
	ask := func(want string) {
		t.Helper()
		if got, _, err := b.ask("x"); err != nil || got.Text != want {
			t.Errorf("the answer is %+v, %v, want %s", got, err, want)
		}
	}
	ask("1")
	b.close()
	b.open()
	b.host.Fresh = true
	ask("2")
	ask("2") // equal rows of one run are one question still
	b.close()
	b.open()
	ask("2")
	b.close()
}

func TestDrawsOfOneRequestAreToldApart(t *testing.T) {
	b := newBench(t, &double{chat: func(_ context.Context, n int64, _ string) (*llm.Response, *pluginv1.CallError) {
		return &llm.Response{Text: strconv.FormatInt(n, 10)}, nil
	}}).open()
	defer b.close()
	texts := map[string]bool{}
	for range 2 {
		for draw := range 3 {
			req := request("x")
			req.Draw = int64(draw)
			resp, err := b.host.answerChat(b.stage, req)
			if err != nil {
				t.Fatal(err)
			}
			var answer llm.Response
			if err := json.Unmarshal(resp.GetResponse(), &answer); err != nil {
				t.Fatal(err)
			}
			texts[answer.Text] = true
		}
	}
	if b.double.calls.Load() != 3 || len(texts) != 3 {
		t.Fatalf("%d calls gave %v", b.double.calls.Load(), texts)
	}
}

func TestWithoutACacheEachCallIsMade(t *testing.T) {
	b := newBench(t, &double{chat: echo})
	b.info.Cache = false
	b.open()
	defer b.close()
	if got := b.askAll(10, 4, func(int) string { return "same" }); got != 10 || b.double.calls.Load() != 10 {
		t.Fatalf("%d answers of %d calls", got, b.double.calls.Load())
	}
}

func TestEqualRequestsAtTheSameTimeAreOne(t *testing.T) {
	release := make(chan struct{})
	var waiting atomic.Int64
	b := newBench(t, &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
		<-release
		return echo(ctx, n, text)
	}}).open()
	defer b.close()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			waiting.Add(1)
			if _, _, err := b.ask("same"); err != nil {
				t.Error(err)
			}
		})
	}
	for waiting.Load() < 20 {
	}
	close(release)
	wg.Wait()
	if s := b.host.Spent(); b.double.calls.Load() != 1 || s.Calls != 1 || s.CachedCalls != 19 {
		t.Fatalf("%d calls, spent %+v", b.double.calls.Load(), s)
	}
}

func TestNoMoreAreUnderWayThanAllowed(t *testing.T) {
	b := newBench(t, &double{chat: echo})
	b.info.MaxConcurrency = 3
	b.open()
	defer b.close()
	if got := b.askAll(200, 50, func(i int) string { return fmt.Sprint(i) }); got != 200 || b.double.most > 3 {
		t.Fatalf("%d answers, %d at a time", got, b.double.most)
	}
}

// Faults that pass lose no row, and nothing that was answered is asked again.
func TestPassingFaultsLoseNothing(t *testing.T) {
	zero := 0.0
	faults := map[string]func() *pluginv1.CallError{
		"429 with Retry-After": func() *pluginv1.CallError {
			return &pluginv1.CallError{Status: 429, Temporary: true, Message: "slow down", RetryAfterSeconds: &zero}
		},
		"500":         func() *pluginv1.CallError { return failing(500, true, "oops") },
		"unreachable": func() *pluginv1.CallError { return failing(0, true, "connection refused") },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			bubble(t, func() {
				b := newBench(t, &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
					if n%10 == 0 {
						return nil, fault()
					}
					return echo(ctx, n, text)
				}})
				b.info.Cache = false
				b.open()
				defer b.close()
				got := b.askAll(500, 32, func(i int) string { return fmt.Sprint(i) })
				if calls := b.double.calls.Load(); got != 500 || calls < 550 || calls > 556 {
					t.Fatalf("%d answers of %d calls", got, calls)
				}
			})
		})
	}
}

// bubble runs f on a clock of its own, so that pauses take no time.
func bubble(t *testing.T, f func()) { synctest.Test(t, func(*testing.T) { f() }) }

func TestRetryAfterIsHonoured(t *testing.T) {
	bubble(t, func() {
		asked := 7.0
		var at []time.Time
		b := newBench(t, &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
			at = append(at, time.Now())
			if n == 1 {
				return nil, &pluginv1.CallError{Status: 429, Temporary: true, RetryAfterSeconds: &asked}
			}
			return echo(ctx, n, text)
		}})
		b.info.Cache = false
		b.open()
		defer b.close()
		if _, _, err := b.ask("x"); err != nil || len(at) != 2 {
			t.Fatalf("%v after %d calls", err, len(at))
		}
		if d := at[1].Sub(at[0]); d < 7*time.Second || d > 9*time.Second {
			t.Fatalf("the second attempt came after %s", d)
		}
	})
}

func TestARequestThatKeepsFailingIsARowsMatter(t *testing.T) {
	bubble(t, func() {
		b := newBench(t, &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
			switch text {
			case "poison":
				return nil, failing(500, true, "it makes me crash")
			case "too long":
				return nil, failing(400, false, "maximum context length")
			}
			return echo(ctx, n, text)
		}})
		b.info.Cache = false
		b.info.Retries = 2
		b.open()
		defer b.close()
		for text, calls := range map[string]int{"poison": 3, "too long": 1} {
			if _, callErr, err := b.ask(text); err != nil || callErr == nil || b.double.asked[text] != calls {
				t.Fatalf("%s: %v, %v after %d calls", text, callErr, err, b.double.asked[text])
			}
		}
		if _, _, err := b.ask("fine"); err != nil || b.host.Err() != nil {
			t.Fatal("one bad request ended the stage")
		}
	})
}

func TestARefusalIsAnAnswer(t *testing.T) {
	b := newBench(t, &double{chat: func(context.Context, int64, string) (*llm.Response, *pluginv1.CallError) {
		return &llm.Response{FinishReason: llm.FinishRefusal, Refusal: "I would rather not"}, nil
	}}).open()
	defer b.close()
	for range 2 {
		answer, callErr, err := b.ask("x")
		if err != nil || callErr != nil || answer.Refusal == "" || answer.FinishReason != llm.FinishRefusal {
			t.Fatalf("%+v, %v, %v", answer, callErr, err)
		}
	}
	if b.double.calls.Load() != 1 {
		t.Fatal("a refusal was not kept")
	}
}

// ended waits until the host has ended the stage.
func (b *bench) ended() error {
	<-b.stage.Done()
	return context.Cause(b.stage)
}

func TestADeadEndpointEndsTheStageWithinAMinute(t *testing.T) {
	deaths := map[string]func(context.Context) *pluginv1.CallError{
		"it refuses connections": func(context.Context) *pluginv1.CallError { return failing(0, true, "connection refused") },
		"it gives 503":           func(context.Context) *pluginv1.CallError { return failing(503, true, "unavailable") },
		"it falls silent":        func(ctx context.Context) *pluginv1.CallError { <-ctx.Done(); return nil },
	}
	for name, die := range deaths {
		t.Run(name, func(t *testing.T) {
			bubble(t, func() {
				b := newBench(t, &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
					if n > 50 {
						return nil, die(ctx)
					}
					time.Sleep(50 * time.Millisecond)
					return echo(ctx, n, text)
				}})
				b.info.Cache = false
				b.info.Retries = 1000
				b.open()
				defer b.close()
				started := time.Now()
				go b.askAll(100, 20, func(i int) string { return fmt.Sprint(i) })
				err := b.ended()
				var down *Down
				if took := time.Since(started); !errors.As(err, &down) || took > time.Minute {
					t.Fatalf("the end was %v after %s", err, took)
				}
				synctest.Wait()
			})
		})
	}
}

func TestAShortOutageEndsNothing(t *testing.T) {
	bubble(t, func() {
		started := time.Now()
		b := newBench(t, &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
			if since := time.Since(started); since > time.Second && since < 25*time.Second {
				return nil, failing(0, true, "connection refused")
			}
			time.Sleep(50 * time.Millisecond)
			return echo(ctx, n, text)
		}})
		b.info.Cache = false
		b.open()
		defer b.close()
		if got := b.askAll(1000, 20, func(i int) string { return fmt.Sprint(i) }); got != 1000 {
			t.Fatalf("%d answers; %v", got, b.host.Err())
		}
	})
}

func TestDeniedAccessEndsTheStageAtOnce(t *testing.T) {
	b := newBench(t, &double{chat: func(context.Context, int64, string) (*llm.Response, *pluginv1.CallError) {
		return nil, failing(401, false, "bad key hunter2-the-key, Authorization: Bearer abc.def, sk-12345678abc")
	}}).open()
	defer b.close()
	go b.ask("x")
	err := b.ended()
	var denied *Denied
	if !errors.As(err, &denied) {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", "abc.def", "12345678"} {
		if strings.Contains(err.Error(), secret) {
			t.Fatalf("the error shows a secret: %v", err)
		}
	}
}

func TestACallThatIsLeftAloneIsStillKept(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	b := newBench(t, &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
		close(begun)
		<-release
		return echo(ctx, n, text)
	}}).open()
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan struct{})
	go func() {
		defer close(left)
		b.host.answerChat(ctx, request("x"))
	}()
	<-begun
	cancel()
	<-left
	close(release)
	b.close()
	b.open()
	defer b.close()
	if answer, _, err := b.ask("x"); err != nil || !answer.Cached || b.double.calls.Load() != 1 {
		t.Fatalf("%+v, %v after %d calls", answer, err, b.double.calls.Load())
	}
}

func TestABudgetIsNotExceededAndGoesOnWhenRaised(t *testing.T) {
	for _, what := range []string{"money", "tokens"} {
		t.Run(what, func(t *testing.T) {
			b := newBench(t, &double{chat: echo})
			limit := func(calls float64) *plan.Budget {
				if what == "money" {
					return &plan.Budget{Money: price(20 * calls)}
				}
				n := int64(15 * calls)
				return &plan.Budget{Tokens: &n}
			}
			text := func(i int) string { return fmt.Sprintf("text number %04d of them all", i) }
			b.budget = limit(300)
			b.open()
			b.askAll(1000, 16, text)
			err := b.ended()
			var reached *BudgetReached
			if !errors.As(err, &reached) || reached.What != what {
				t.Fatal(err)
			}
			first := b.double.calls.Load()
			if spent := b.hub.Spent(); first > 300 || first < 250 || spent.Calls != first || spent.Cost > 6000 {
				t.Fatalf("%d calls, spent %+v", first, spent)
			}
			b.close()
			b.budget = limit(2000)
			b.open()
			defer b.close()
			if got := b.askAll(1000, 16, text); got != 1000 || b.double.calls.Load() != 1000 {
				t.Fatalf("%d answers after %d calls in all", got, b.double.calls.Load())
			}
		})
	}
}

func TestABudgetInMoneyNeedsAPrice(t *testing.T) {
	b := newBench(t, &double{chat: echo})
	b.info.Price, b.budget = nil, &plan.Budget{Money: price(1)}
	b.open()
	defer b.close()
	go b.ask("x")
	var unpriced *NoPrice
	if err := b.ended(); !errors.As(err, &unpriced) || b.double.calls.Load() != 0 {
		t.Fatal(err)
	}
}

func TestWithoutRetriesAFailureIsFinal(t *testing.T) {
	b := newBench(t, &double{chat: func(context.Context, int64, string) (*llm.Response, *pluginv1.CallError) {
		return nil, failing(500, true, "no")
	}})
	b.info.Retries = 0
	b.open()
	defer b.close()
	if _, callErr, err := b.ask("x"); err != nil || callErr == nil || b.double.calls.Load() != 1 {
		t.Fatalf("%v, %v after %d calls", callErr, err, b.double.calls.Load())
	}
}

// most is how many of the times lie within a minute at most.
func most(at []time.Time) int {
	slices.SortFunc(at, time.Time.Compare)
	most, from := 0, 0
	for i, t := range at {
		for t.Sub(at[from]) >= time.Minute {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

func TestInNoMinuteAreMoreRequestsMadeThanAllowed(t *testing.T) {
	for limit, calls := range map[float64]int{1: 4, 7: 20, 60: 150, 600: 1500} {
		bubble(t, func() {
			var mu sync.Mutex
			var at []time.Time
			b := newBench(t, &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
				mu.Lock()
				at = append(at, time.Now())
				mu.Unlock()
				if n == 2 {
					time.Sleep(50 * time.Second) // while the others have leave
				}
				return echo(ctx, n, text)
			}})
			b.info.Cache, b.info.RequestsPerMinute, b.info.MaxConcurrency = false, limit, 1
			b.open()
			defer b.close()
			started := time.Now()
			b.askAll(calls, 20, func(i int) string { return fmt.Sprint(i) })
			if n := most(at); n > int(limit) {
				t.Errorf("%d requests within a minute, %v are allowed", n, limit)
			}
			if took, best := time.Since(started), float64(calls)/limit; took.Minutes() > best*1.1+1 {
				t.Errorf("%d requests, %v a minute, took %s", calls, limit, took)
			}
		})
	}
}

func TestInNoMinuteAreMoreTokensUsedThanAllowed(t *testing.T) {
	const limit = 12000
	for name, tokens := range map[string]int64{"few": 15, "as expected": 270, "many": 2000} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func() {
				calls := int(3 * limit / tokens)
				var mu sync.Mutex
				var at []time.Time // of as many tokens
				b := newBench(t, &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
					mu.Lock()
					at = append(at, time.Now())
					mu.Unlock()
					time.Sleep(100 * time.Millisecond)
					answer, _ := echo(ctx, n, text)
					answer.Usage = llm.Usage{Input: 10, Output: tokens - 10}
					return answer, nil
				}})
				b.info.Cache, b.info.TokensPerMinute, b.info.MaxConcurrency = false, limit, 4
				b.open()
				defer b.close()
				started := time.Now()
				b.askAll(calls, 20, func(i int) string { return fmt.Sprint(i) })
				// The first calls are made before it is known how long answers are.
				if n := int64(most(at)) * tokens; n > limit+4*tokens {
					t.Errorf("%d tokens within a minute, %d are allowed", n, limit)
				}
				if took := time.Since(started).Minutes(); took > 3.3 {
					t.Errorf("three minutes' tokens took %.1f minutes", took)
				}
			})
		})
	}
}

func TestWhatABudgetCameToIsWrittenInFull(t *testing.T) {
	for _, c := range []struct {
		reached BudgetReached
		want    string
	}{
		{BudgetReached{What: "tokens", Spent: 12345678, Limit: 12.5e6}, "the budget of 12500000 tokens does not allow another call: this run has spent 12345678"},
		{BudgetReached{What: "money", Spent: 0.1 + 0.2, Limit: 0.305}, "the budget of 0.305 units of money does not allow another call: this run has spent 0.3"},
	} {
		if got := c.reached.Error(); got != c.want {
			t.Errorf("got %s", got)
		}
	}
}

func TestEmbeddingsAreAskedForOnceAText(t *testing.T) {
	b := newBench(t, &double{}).open()
	texts := []string{"a", "bb", "a", "ccc"}
	want := []float32{1, 2, 1, 3}
	for round := range 2 {
		resp, err := b.host.Embed(b.stage, &pluginv1.HostServiceEmbedRequest{Model: "model", Texts: texts})
		if err != nil || len(resp.GetEmbeddings()) != len(texts) {
			t.Fatal(err)
		}
		for i, v := range resp.GetEmbeddings() {
			if v.GetValues()[0] != want[i] {
				t.Fatalf("round %d: text %d has %v", round, i, v)
			}
		}
		b.close()
		b.open()
	}
	defer b.close()
	if got := b.double.asked; !reflect.DeepEqual(got, map[string]int{"a": 1, "bb": 1, "ccc": 1}) || b.double.embed.Load() != 1 {
		t.Fatalf("asked for %v in %d calls", got, b.double.embed.Load())
	}
}

func TestAModelIsNotAskedForWhatItCannotDo(t *testing.T) {
	b := newBench(t, &double{chat: echo})
	b.info.Capabilities = []string{plan.CanEmbed}
	b.open()
	defer b.close()
	_, _, err := b.ask("x")
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "model.m cannot chat") {
		t.Fatal(err)
	}
	if _, err := b.host.answerChat(b.stage, &pluginv1.HostServiceChatRequest{Model: "other"}); status.Code(err) != codes.NotFound {
		t.Fatal(err)
	}
}

func TestEachCallHasASpanWithoutTexts(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	b := newBench(t, &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
		if text == "bad" {
			return nil, failing(400, false, "no")
		}
		return echo(ctx, n, text)
	}})
	half, most, tokens, seed := 0.5, 0.9, int64(77), int64(5)
	b.defaults = llm.Request{Temperature: &half, TopP: &most, MaxTokens: &tokens, Seed: &seed, Stop: []string{"END"}}
	b.open()
	defer b.close()
	b.hub.tracer = traceTo(sdktrace.WithSpanProcessor(spans), func(error) {})
	for _, text := range []string{"the question", "the question", "bad"} {
		b.ask(text)
	}
	again := request("the question")
	again.Draw = 2
	if _, err := b.host.answerChat(b.stage, again); err != nil {
		t.Fatal(err)
	}
	ended := spans.Ended()
	if len(ended) != 3 {
		t.Fatalf("%d spans for three calls", len(ended))
	}
	got := map[string]string{}
	for _, a := range ended[0].Attributes() {
		got[string(a.Key)] = a.Value.String()
	}
	want := map[string]string{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "test", "gen_ai.request.model": "double", "quern.model": "model.m",
		"gen_ai.usage.input_tokens": "10", "gen_ai.usage.output_tokens": "5", "gen_ai.response.finish_reasons": `["stop"]`,
		"gen_ai.response.model": "double-1", "gen_ai.request.temperature": "0.5", "gen_ai.request.top_p": "0.9", "gen_ai.request.max_tokens": "77",
		"gen_ai.request.seed": "5", "gen_ai.request.stop_sequences": `["END"]`,
	}
	if !slices.Contains(ended[2].Attributes(), attribute.Int64("gen_ai.request.seed", 7)) {
		t.Errorf("the third draw has %v", ended[2].Attributes())
	}
	if ended[0].Name() != "chat double" || !reflect.DeepEqual(got, want) {
		t.Fatalf("%s has %v", ended[0].Name(), got)
	}
}

func TestThatNoCollectorIsThereIsToldOnce(t *testing.T) {
	for disabled, reports := range map[string]int{"": 1, "true": 0} {
		t.Setenv("OTEL_SDK_DISABLED", disabled)
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
		b := newBench(t, &double{chat: echo}).open()
		b.askAll(1000, 8, strconv.Itoa) // more than go out at once
		b.close()
		if len(b.report) != reports {
			t.Errorf("OTEL_SDK_DISABLED=%s: told of %v", disabled, b.report)
		}
	}
}

func TestTheWindowShrinksWithWhatIsTurnedAwayAndGrowsAgain(t *testing.T) {
	w := newWindow(plan.ModelInfo{MaxConcurrency: 32})
	turn := func(o outcome, n int) {
		for range n {
			if err := w.enter(context.Background()); err != nil {
				t.Fatal(err)
			}
			w.leave(o)
		}
	}
	turn(pushedBack, 100)
	if w.room() > 4 {
		t.Fatalf("after 100 refusals %d may be under way", w.room())
	}
	turn(answered, 2000)
	if w.room() != 32 {
		t.Fatalf("after 2,000 answers %d may be under way", w.room())
	}
	unknown := newWindow(plan.ModelInfo{})
	w = unknown
	turn(answered, 500)
	if unknown.room() != mostWindow {
		t.Fatalf("a model that bears all has room for %d", unknown.room())
	}
}

// 1,000 requests of 50 ms, 32 at a time: what the host itself adds.
func BenchmarkHost(b *testing.B) {
	t := &testing.T{}
	_ = t
	for b.Loop() {
		d := &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
			time.Sleep(50 * time.Millisecond)
			return echo(ctx, n, text)
		}}
		run := &bench{t: t, dir: b.TempDir(), double: d, info: plan.ModelInfo{Capabilities: []string{plan.CanChat}, Cache: true, MaxConcurrency: 32}}
		run.open()
		if got := run.askAll(1000, 64, func(i int) string { return fmt.Sprint(i) }); got != 1000 {
			b.Fatalf("%d answers", got)
		}
		run.close()
	}
}
