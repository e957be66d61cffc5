package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
)

// collector receives spans in OTLP over HTTP, like an OpenTelemetry collector.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*tracev1.Span
}

func newCollector(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(c.receive))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) receive(w http.ResponseWriter, r *http.Request) {
	var sent collectorv1.ExportTraceServiceRequest
	body, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &sent) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range sent.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

const traced = `
source "csv" "rows" {
  path = "rows.csv"
}

model "openai" "m" {
  name     = "small"
  base_url = "%URL%"
}

prompt "ask" {
  user = "Say ${row.word}."
}

label "llm" "said" {
  input  = source.rows
  model  = model.m
  prompt = prompt.ask
}
`

func TestEachModelCallIsASpanAtTheCollector(t *testing.T) {
	spans, dir := newCollector(t), t.TempDir()
	endpoint := openaitest.Serve(t, openaitest.Options{})
	config := bytes.ReplaceAll([]byte(traced), []byte("%URL%"), []byte(endpoint.URL()))
	for name, content := range map[string][]byte{"main.quern.hcl": config, "rows.csv": []byte("word\nyes\nno\nmaybe\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(binaries, "quern"), "apply", "-auto-approve")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+spans.URL)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(spans.spans) != 3 {
		t.Fatalf("%d spans, want one for each of 3 calls", len(spans.spans))
	}
	for _, s := range spans.spans {
		got := map[string]string{}
		for _, a := range s.Attributes {
			got[a.Key] = text(a.Value)
		}
		want := map[string]string{
			"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "small", "quern.model": "model.m",
		}
		for key, value := range want {
			if got[key] != value {
				t.Errorf("span %q has %s = %q, want %q", s.Name, key, got[key], value)
			}
		}
		if got["gen_ai.usage.input_tokens"] == "" || got["gen_ai.usage.output_tokens"] == "" {
			t.Errorf("span %q has no tokens: %v", s.Name, got)
		}
		if s.Name != "chat small" || s.Kind != tracev1.Span_SPAN_KIND_CLIENT || s.EndTimeUnixNano <= s.StartTimeUnixNano {
			t.Errorf("span %q of kind %s, %d to %d", s.Name, s.Kind, s.StartTimeUnixNano, s.EndTimeUnixNano)
		}
	}
}

func text(v *commonv1.AnyValue) string {
	if s := v.GetStringValue(); s != "" {
		return s
	}
	return v.String()
}
