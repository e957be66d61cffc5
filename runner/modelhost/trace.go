package modelhost

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Traces have one span for each call to a provider, including its retries, by
// OpenTelemetry's semantic conventions for generative AI. They contain no text
// of requests or answers. They are sent to the endpoint in the usual
// OTEL_EXPORTER_OTLP_… variables; without one, there are no traces.

// flushTime is how long the end of a run waits for spans to be sent.
const flushTime = 5 * time.Second

type tracer struct {
	trace.Tracer
	provider *sdktrace.TracerProvider // nil if tracing is off
	report   func(error)
}

func newTracer(ctx context.Context, report func(error)) *tracer {
	if !wanted() {
		return untraced(report)
	}
	exporter, err := newExporter(ctx)
	if err != nil {
		report(fmt.Errorf("send traces: %w", err))
		return untraced(report)
	}
	return traceTo(sdktrace.WithBatcher(&reporting{SpanExporter: exporter, report: report}), report)
}

func wanted() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// reporting reports once that spans could not be sent. Without it, the SDK
// would log every failure.
type reporting struct {
	sdktrace.SpanExporter
	report func(error)
	once   sync.Once
}

func (r *reporting) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := r.SpanExporter.ExportSpans(ctx, spans); err != nil {
		r.once.Do(func() { r.report(fmt.Errorf("send traces: %w", err)) })
	}
	return nil
}

func untraced(report func(error)) *tracer {
	return &tracer{Tracer: noop.NewTracerProvider().Tracer(""), report: report}
}

func traceTo(processor sdktrace.TracerProviderOption, report func(error)) *tracer {
	about, err := resource.New(context.Background(), resource.WithAttributes(attribute.String("service.name", "quern")), resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		report(fmt.Errorf("describe this program for traces: %w", err))
	}
	provider := sdktrace.NewTracerProvider(processor, sdktrace.WithResource(about))
	return &tracer{Tracer: provider.Tracer("github.com/quern-dev/quern"), provider: provider, report: report}
}

func newExporter(ctx context.Context) (sdktrace.SpanExporter, error) {
	protocol := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	if protocol == "grpc" {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

// close sends the remaining spans.
func (t *tracer) close() {
	if t.provider == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.report(fmt.Errorf("send traces: %w", err))
	}
}

// span is the trace of one call.
type span struct {
	trace.Span
	redact func(string) string
}

func (t *tracer) start(ctx context.Context, e *endpoint, operation string, r *llm.Request) span {
	if t.provider == nil {
		return span{trace.SpanFromContext(context.Background()), e.redact}
	}
	attrs := []attribute.KeyValue{
		attribute.String("gen_ai.operation.name", operation),
		attribute.String("gen_ai.provider.name", e.Instance.GetType()),
		attribute.String("gen_ai.request.model", e.redact(e.Name)),
		attribute.String("quern.model", e.Address),
	}
	_, s := t.Start(ctx, strings.TrimSpace(operation+" "+e.redact(e.Name)), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(append(attrs, requestAttributes(r, &e.Defaults)...)...))
	return span{s, e.redact}
}

// requestAttributes are the parameters of a chat, including those that the
// model's block sets.
func requestAttributes(r, defaults *llm.Request) (attrs []attribute.KeyValue) {
	if r == nil {
		return nil
	}
	r = r.WithDefaults(defaults)
	if r.Temperature != nil {
		attrs = append(attrs, attribute.Float64("gen_ai.request.temperature", *r.Temperature))
	}
	if r.TopP != nil {
		attrs = append(attrs, attribute.Float64("gen_ai.request.top_p", *r.TopP))
	}
	if r.MaxTokens != nil {
		attrs = append(attrs, attribute.Int64("gen_ai.request.max_tokens", *r.MaxTokens))
	}
	if r.Seed != nil {
		attrs = append(attrs, attribute.Int64("gen_ai.request.seed", *r.Seed))
	}
	if len(r.Stop) > 0 {
		attrs = append(attrs, attribute.StringSlice("gen_ai.request.stop_sequences", r.Stop))
	}
	if r.Output != nil {
		attrs = append(attrs, attribute.String("gen_ai.output.type", "json"))
	}
	return attrs
}

// end ends the span of a call that was answered.
func (s span) end(u llm.Usage, finish, model string, retries int) {
	if !s.IsRecording() {
		return
	}
	s.SetAttributes(attribute.Int64("gen_ai.usage.input_tokens", u.Input), attribute.Int64("gen_ai.usage.output_tokens", u.Output))
	if u.CachedInput > 0 {
		s.SetAttributes(attribute.Int64("gen_ai.usage.cache_read.input_tokens", u.CachedInput))
	}
	if finish != "" {
		s.SetAttributes(attribute.StringSlice("gen_ai.response.finish_reasons", []string{finish}))
	}
	if model != "" {
		s.SetAttributes(attribute.String("gen_ai.response.model", model))
	}
	if retries > 0 {
		s.SetAttributes(attribute.Int("http.request.resend_count", retries))
	}
	s.End()
}

// fail ends the span of a call that was not answered: because of an error, or
// of the failure of its last attempt, with secrets already removed from its
// message.
func (s span) fail(err error, failure *pluginv1.CallError) {
	if !s.IsRecording() {
		return
	}
	kind, text := "_OTHER", ""
	switch {
	case failure != nil:
		text = failure.GetMessage()
		if status := failure.GetStatus(); status >= 400 { // a status below 400 means that the answer cannot be read
			kind = strconv.Itoa(int(status))
		}
	case err != nil:
		text = s.redact(err.Error())
	}
	s.SetAttributes(attribute.String("error.type", kind))
	s.SetStatus(codes.Error, text)
	s.End()
}
