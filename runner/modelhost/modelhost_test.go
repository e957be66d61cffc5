package modelhost

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

func TestAnAnswerIsRequestedOnlyOnce(t *testing.T) {
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

func TestFreshAnswersAreRequestedOncePerRunAndCached(t *testing.T) {
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

func TestDrawsOfOneRequestAreDistinguished(t *testing.T) {
	b := newBench(t, &double{chat: func(_ context.Context, n int64, _ string) (*llm.Response, *pluginv1.CallError) {
		return &llm.Response{Text: strconv.FormatInt(n, 10)}, nil
	}}).open()
	defer b.close()
	texts := map[string]bool{}
	for range 2 {
		for draw := range 3 {
			req := request("x")
			req.Draw = int64(draw)
			resp, err := b.host.Answer(b.stage, req)
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

func TestConcurrentEqualRequestsAreSentOnce(t *testing.T) {
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

// bubble runs f on a clock of its own, so that pauses take no time.
func bubble(t *testing.T, f func()) { synctest.Test(t, func(*testing.T) { f() }) }

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

func TestAnAbandonedCallIsStillCached(t *testing.T) {
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
		b.host.Answer(ctx, request("x"))
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

func TestEmbeddingsAreRequestedOncePerText(t *testing.T) {
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
	if _, err := b.host.Answer(b.stage, &pluginv1.HostServiceChatRequest{Model: "other", Request: []byte("{}")}); status.Code(err) != codes.NotFound {
		t.Fatal(err)
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
