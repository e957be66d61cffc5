package anthropic

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// messageBatches is an endpoint of this test that speaks the documented API of
// Message Batches.
type messageBatches struct {
	url     string
	batches []*messageBatch
}

type messageBatch struct {
	id, status string
	created    time.Time
	requests   []struct {
		CustomID string         `json:"custom_id"`
		Params   map[string]any `json:"params"`
	}
	results []string
	body    []byte
}

func (b *messageBatch) object(url string) map[string]any {
	out := map[string]any{
		"id": b.id, "type": "message_batch", "processing_status": b.status, "created_at": b.created, "results_url": nil,
		"request_counts": map[string]int{"processing": len(b.requests), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
	}
	if b.status == "ended" {
		out["results_url"] = url + "/v1/messages/batches/" + b.id + "/results"
		out["request_counts"] = map[string]int{"processing": 0, "succeeded": 1, "errored": 2, "canceled": 0, "expired": 1}
	}
	return out
}

func serveBatches(t *testing.T) *messageBatches {
	m := &messageBatches{}
	mux := http.NewServeMux()
	write := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	of := func(w http.ResponseWriter, r *http.Request) *messageBatch {
		for _, b := range m.batches {
			if b.id == r.PathValue("id") {
				return b
			}
		}
		w.WriteHeader(http.StatusNotFound)
		write(w, map[string]any{"type": "error", "error": map[string]any{"type": "not_found_error", "message": "Not found."}})
		return nil
	}
	mux.HandleFunc("POST /v1/messages/batches", func(w http.ResponseWriter, r *http.Request) {
		b := &messageBatch{id: fmt.Sprintf("msgbatch_%d", len(m.batches)), status: "in_progress", created: time.Now()}
		b.body, _ = io.ReadAll(r.Body)
		if err := json.Unmarshal(b.body, &struct{ Requests any }{&b.requests}); err != nil || r.Header.Get("X-Api-Key") != "sk-ant-secret" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		m.batches = append(m.batches, b)
		write(w, b.object(m.url))
	})
	mux.HandleFunc("GET /v1/messages/batches", func(w http.ResponseWriter, r *http.Request) {
		all := slices.Clone(m.batches)
		slices.Reverse(all)
		if after := r.URL.Query().Get("after_id"); after != "" {
			all = all[1+slices.IndexFunc(all, func(b *messageBatch) bool { return b.id == after }):]
		}
		page := all[:min(1, len(all))] // pages of one
		out := map[string]any{"has_more": len(all) > 1, "data": []any{}, "last_id": nil}
		for _, b := range page {
			out["data"], out["last_id"] = []any{b.object(m.url)}, b.id
		}
		write(w, out)
	})
	mux.HandleFunc("GET /v1/messages/batches/{id}", func(w http.ResponseWriter, r *http.Request) {
		if b := of(w, r); b != nil {
			write(w, b.object(m.url))
		}
	})
	mux.HandleFunc("GET /v1/messages/batches/{id}/results", func(w http.ResponseWriter, r *http.Request) {
		if b := of(w, r); b != nil {
			_, _ = io.WriteString(w, strings.Join(b.results, "\n"))
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	m.url = s.URL
	return m
}

func (m *messageBatches) submit(t *testing.T, b plugin.BatchSubmission) ([]byte, error) {
	t.Helper()
	ask := &llm.Request{Messages: []llm.Message{{Role: llm.System, Content: "Be brief."}, {Role: llm.User, Content: "hi"}}}
	return plugintest.SubmitBatch(t, Plugin("0.0.0"), m.example(), &b, plugin.BatchRequest{ID: "a", Request: ask}, plugin.BatchRequest{ID: "b", Request: ask})
}

func (m *messageBatches) example() plugintest.Case {
	return plugintest.Case{Type: "anthropic", Args: map[string]any{"name": "claude-test", "base_url": m.url, "api_key": "sk-ant-secret", "batch": true, "temperature": 0.5}}
}

func TestABatchIsCreatedAndRead(t *testing.T) {
	m := serveBatches(t)
	token, err := m.submit(t, plugin.BatchSubmission{Name: "quern-1"})
	if err != nil || string(token) != "msgbatch_0" {
		t.Fatalf("got %s, %v", token, err)
	}
	want := `{"requests":[{"custom_id":"quern-1_a","params":{"model":"claude-test","max_tokens":4096,"system":[{"type":"text","text":"Be brief."}],"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"temperature":0.5}}` + "\n,"
	b := m.batches[0]
	if !strings.HasPrefix(string(b.body), want) || len(b.requests) != 2 {
		t.Errorf("got\n%s\nwant\n%s", b.body, want)
	}
	status, _, err := plugintest.ReadBatch(t, Plugin("0.0.0"), m.example(), token)
	if err != nil || status.Done || status.Message != "msgbatch_0: 0 of 2 requests are done" {
		t.Errorf("got %+v, %v", status, err)
	}
	b.status = "ended"
	b.results = []string{
		`{"custom_id":"quern-1_c","result":{"type":"expired"}}`,
		`{"custom_id":"quern-1_b","result":{"type":"errored","error":{"type":"error","error":{"type":"invalid_request_error","message":"too long for sk-ant-secret"}}}}`,
		`{"custom_id":"quern-1_d","result":{"type":"errored","error":{"type":"error","error":{"type":"api_error","message":"oops"}}}}`,
		`{"custom_id":"quern-1_a","result":{"type":"succeeded","message":` + strings.ReplaceAll(hello, "\n", "") + `}}`,
	}
	status, answers, err := plugintest.ReadBatch(t, Plugin("0.0.0"), m.example(), token)
	if err != nil || !status.Done || len(answers) != 4 {
		t.Fatalf("got %+v, %v, %v", status, answers, err)
	}
	if a := answers["a"].Response; a == nil || a.Text != "Hello" || a.Usage != (llm.Usage{Input: 17, CachedInput: 5, Output: 3}) {
		t.Errorf("got %+v", a)
	}
	for id, temporary := range map[string]bool{"b": false, "c": true, "d": true} {
		call, ok := answers[id].Err.(*llm.CallError)
		if !ok || call.Temporary != temporary || strings.Contains(call.Message, "sk-ant") {
			t.Errorf("%s: %+v", id, answers[id])
		}
	}
	if status, _, err := plugintest.ReadBatch(t, Plugin("0.0.0"), m.example(), []byte("gone")); err != nil || !status.Done || status.Message != "gone no longer exists" {
		t.Errorf("got %+v, %v", status, err)
	}
}

// The API has no names of batches, and the requests of one that runs are not
// known, so a batch is never created while that is in doubt.
func TestABatchIsFoundByTheIDsOfItsRequests(t *testing.T) {
	m := serveBatches(t)
	begun := time.Now()
	for i := range 3 {
		if _, err := m.submit(t, plugin.BatchSubmission{Name: fmt.Sprintf("quern-%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	again := plugin.BatchSubmission{Name: "quern-1", Again: true, Begun: begun}
	_, err := m.submit(t, again)
	if call, ok := err.(*llm.CallError); !ok || !call.Temporary || !strings.Contains(call.Message, "batch msgbatch_0") {
		t.Errorf("got %v", err)
	}
	for i, b := range m.batches {
		b.status, b.results = "ended", []string{fmt.Sprintf(`{"custom_id":"quern-%d_a","result":{"type":"expired"}}`, i)}
	}
	if token, err := m.submit(t, again); err != nil || string(token) != "msgbatch_1" || len(m.batches) != 3 {
		t.Errorf("got %s, %v", token, err)
	}
	again.Name = "quern-9"
	if token, err := m.submit(t, again); err != nil || string(token) != "msgbatch_3" {
		t.Errorf("got %s, %v", token, err)
	}
	// Batches that are older than the submission do not matter.
	again.Name, again.Begun = "quern-10", time.Now().Add(time.Hour)
	if token, err := m.submit(t, again); err != nil || string(token) != "msgbatch_4" {
		t.Errorf("got %s, %v", token, err)
	}
}
