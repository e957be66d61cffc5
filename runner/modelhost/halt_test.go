package modelhost

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

func TestAHaltedStageStartsNoCallsAndCountsThoseInFlight(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	d := &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
		close(started)
		<-release
		return echo(ctx, n, text)
	}}
	b := newBench(t, d).open()
	defer b.close()
	first := make(chan error, 1)
	go func() {
		_, _, err := b.ask("first")
		first <- err
	}()
	<-started
	idle := b.host.Halt()
	stage, cancel := context.WithCancel(b.stage)
	second := make(chan error, 1)
	go func() {
		_, err := b.host.Answer(stage, request("second"))
		second <- err
	}()
	select {
	case <-idle:
		t.Fatal("it counts as idle while a call is under way")
	default:
	}
	close(release)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	<-idle
	cancel()
	if err := <-second; err == nil {
		t.Error("the second call was answered")
	}
	if n := d.calls.Load(); n != 1 {
		t.Errorf("%d calls were made", n)
	}
	if s := b.host.Spent(); s.Calls != 1 {
		t.Errorf("spent: %+v", s)
	}
}

func TestAProviderThatAsksForTooLongAPauseEndsTheStage(t *testing.T) {
	day := 86400.0
	d := &double{chat: func(context.Context, int64, string) (*llm.Response, *pluginv1.CallError) {
		e := failing(429, true, "come back tomorrow")
		e.RetryAfterSeconds = &day
		return nil, e
	}}
	b := newBench(t, d).open()
	defer b.close()
	if _, _, err := b.ask("x"); err == nil {
		t.Fatal("it was answered")
	}
	var later *Postponed
	if !errors.As(b.host.Err(), &later) || later.Wait != 24*time.Hour || !strings.Contains(later.Error(), "come back tomorrow") {
		t.Errorf("got %v", b.host.Err())
	}
	if n := d.calls.Load(); n != 1 {
		t.Errorf("%d calls were made", n)
	}
}

func TestModelsOfOneHostShareItsCapacity(t *testing.T) {
	d := &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
		time.Sleep(time.Millisecond)
		return echo(ctx, n, text)
	}}
	b := newBench(t, d)
	b.info.Host, b.info.MaxConcurrency = "127.0.0.1:1", 4
	b.open()
	defer b.close()
	other := b.language()
	other.Address, other.Definition = "model.other", "sha256:e"
	b.host.Models["other"] = Model{Language: other}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.askAll(100, 16, func(i int) string { return "a" + strings.Repeat("x", i) })
	}()
	for i := range 100 {
		req := request("b" + strings.Repeat("x", i))
		req.Model = "other"
		if _, err := b.host.Answer(b.stage, req); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	if d.most > 4 {
		t.Errorf("%d calls were under way at a time", d.most)
	}
}

func TestAMissingEndpointEndsTheStageImmediatelyWithoutRetries(t *testing.T) {
	d := &double{chat: func(context.Context, int64, string) (*llm.Response, *pluginv1.CallError) {
		return nil, failing(0, true, "connection refused")
	}}
	b := newBench(t, d)
	b.info.Retries = 0
	b.open()
	defer b.close()
	_, _, _ = b.ask("x")
	var down *Down
	if !errors.As(b.host.Err(), &down) || !strings.Contains(down.Error(), "connection refused") {
		t.Errorf("got %v", b.host.Err())
	}
}

func TestTokensThatAreNotReportedAreEstimatedAndBilled(t *testing.T) {
	d := &double{chat: func(context.Context, int64, string) (*llm.Response, *pluginv1.CallError) {
		return &llm.Response{Text: strings.Repeat("word ", 100), FinishReason: llm.FinishStop}, nil
	}}
	b := newBench(t, d).open()
	defer b.close()
	if _, _, err := b.ask(strings.Repeat("text ", 100)); err != nil {
		t.Fatal(err)
	}
	if s := b.host.Spent(); s.EstimatedCalls != 1 || s.InputTokens < 100 || s.OutputTokens < 100 || s.Cost == 0 {
		t.Errorf("spent: %+v", s)
	}
}

func TestARejectedResponseIsAskedForAgain(t *testing.T) {
	d := &double{chat: echo}
	b := newBench(t, d).open()
	defer b.close()
	for range 2 {
		if _, _, err := b.ask("x"); err != nil {
			t.Fatal(err)
		}
	}
	req := request("x")
	if _, err := b.host.Reject(b.stage, &pluginv1.HostServiceRejectRequest{Model: req.Model, Request: req.Request}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.ask("x"); err != nil {
		t.Fatal(err)
	}
	if n := d.calls.Load(); n != 2 {
		t.Errorf("%d calls were made, not 2", n)
	}
}
