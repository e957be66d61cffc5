package modelhost

import (
	"context"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

func TestEachCallHasASpanWithoutText(t *testing.T) {
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
	if _, err := b.host.Answer(b.stage, again); err != nil {
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

func TestAMissingCollectorIsReportedOnce(t *testing.T) {
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
