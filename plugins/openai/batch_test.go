package openai

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

func batchCase(e *openaitest.Endpoint) plugintest.Case {
	return caseAt(e.URL(), map[string]any{"batch": true, "temperature": 0.5, "api_key": "sk-the-very-key", "max_tokens": 9})
}

func submit(t *testing.T, e *openaitest.Endpoint, b plugin.BatchSubmission, texts ...string) ([]byte, error) {
	t.Helper()
	var requests []plugin.BatchRequest
	for i, text := range texts {
		requests = append(requests, plugin.BatchRequest{ID: fmt.Sprintf("id%d", i), Request: ask(text)})
	}
	return plugintest.SubmitBatch(t, Plugin("0.0.0"), batchCase(e), &b, requests...)
}

func read(t *testing.T, e *openaitest.Endpoint, token []byte) (*plugin.BatchStatus, map[string]plugin.BatchAnswer) {
	t.Helper()
	status, answers, err := plugintest.ReadBatch(t, Plugin("0.0.0"), batchCase(e), token)
	if err != nil {
		t.Fatal(err)
	}
	return status, answers
}

func TestABatchIsUploadedAndRead(t *testing.T) {
	e := openaitest.Serve(t, openaitest.Options{Key: "sk-the-very-key", Answer: func(r *openaitest.Request) *llm.Response {
		return &llm.Response{Text: r.Last + " and sk-the-very-key"}
	}})
	token, err := submit(t, e, plugin.BatchSubmission{Name: "quern-1"}, "a", "expired", "wrong", "filtered", "missing", "twice")
	if err != nil {
		t.Fatal(err)
	}
	b := e.Batches()[0]
	want := `{"body":{"model":"test-model","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"a"}],"temperature":0.5,"max_tokens":9},"custom_id":"id0","method":"POST","url":"/v1/chat/completions"}` + "\n"
	if first, _, _ := bytes.Cut(b.Input.Content, []byte("\n")); string(first)+"\n" != want || string(token) != b.ID || b.Metadata["quern_batch"] != "quern-1" {
		t.Errorf("batch %+v, token %s, with\n%s", b, token, b.Input.Content)
	}
	status, _ := read(t, e, token)
	if status.Done || status.Message != b.ID+" is validating" {
		t.Errorf("got %+v", status)
	}
	e.ProgressBatches(2)
	if status, _ = read(t, e, token); status.Done || status.Message != b.ID+": 2 of 6 requests are done" {
		t.Errorf("got %+v", status)
	}
	e.FinishBatches(func(last string) openaitest.Outcome {
		return map[string]openaitest.Outcome{
			"expired": {Expired: true}, "wrong": {Status: 400, Message: "too long for sk-the-very-key"}, "missing": {Missing: true}, "twice": {Twice: true},
		}[last]
	})
	status, answers := read(t, e, token)
	if !status.Done || len(answers) != 5 {
		t.Errorf("got %+v with %v", status, answers)
	}
	if a := answers["id0"].Response; a == nil || !strings.HasPrefix(a.Text, "a and ") || strings.Contains(a.Text, "sk-the") || a.Usage.Input == 0 {
		t.Errorf("the answer is %+v", a)
	}
	if call := failure(t, answers["id1"].Err); !call.Temporary {
		t.Errorf("an expired request is %+v", call)
	}
	if call := failure(t, answers["id2"].Err); call.Temporary || call.Status != 400 || strings.Contains(call.Message, "sk-the") {
		t.Errorf("a refused request is %+v", call)
	}
}

// The second call finds the batch on a later page of the list.
func TestABatchIsFoundByItsName(t *testing.T) {
	e := openaitest.Serve(t, openaitest.Options{})
	for i := range 5 {
		if _, err := submit(t, e, plugin.BatchSubmission{Name: fmt.Sprintf("quern-%d", i)}, "a"); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now().Add(-time.Minute)
	token, err := submit(t, e, plugin.BatchSubmission{Name: "quern-1", Again: true, Begun: begun}, "a")
	if err != nil || string(token) != e.Batches()[1].ID || len(e.Batches()) != 5 {
		t.Errorf("got %s, %v of %d batches", token, err, len(e.Batches()))
	}
	if _, err := submit(t, e, plugin.BatchSubmission{Name: "quern-new", Again: true, Begun: begun}, "a"); err != nil || len(e.Batches()) != 6 {
		t.Errorf("%d batches: %v", len(e.Batches()), err)
	}
}

func TestFailuresOfBatches(t *testing.T) {
	refuse := ""
	e := openaitest.Serve(t, openaitest.Options{Object: func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) bool {
		if r.URL.Path != refuse {
			return false
		}
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}})
	for _, refuse = range []string{"/v1/files", "/v1/batches"} {
		_, err := submit(t, e, plugin.BatchSubmission{Name: "quern-1"}, strings.Repeat("x", 1<<20), strings.Repeat("y", 1<<20))
		if call := failure(t, err); !call.Temporary || call.Status != 429 || call.RetryAfter == nil || *call.RetryAfter != 3*time.Second {
			t.Errorf("%s: %+v", refuse, call)
		}
	}
	refuse = ""
	token, err := submit(t, e, plugin.BatchSubmission{Name: "quern-1"}, "a")
	if err != nil {
		t.Fatal(err)
	}
	e.FailBatches("The model does not exist.")
	status, answers := read(t, e, token)
	if !status.Done || len(answers) != 0 || !strings.HasSuffix(status.Message, "failed: The model does not exist.") {
		t.Errorf("got %+v", status)
	}
	if status, _ = read(t, e, []byte("batch-unknown")); !status.Done || status.Message != "batch-unknown no longer exists" {
		t.Errorf("got %+v", status)
	}
}

func TestBatchesNeedTheCache(t *testing.T) {
	prepared := func(more map[string]any) error {
		_, err := plugintest.SubmitBatch(t, Plugin("0.0.0"), caseAt("http://127.0.0.1:1/v1", more), &plugin.BatchSubmission{Name: "x"})
		return err
	}
	if err := prepared(map[string]any{"batch": true, "cache": false}); err == nil || !strings.Contains(err.Error(), "Batches need the cache") {
		t.Errorf("got %v", err)
	}
	if err := prepared(map[string]any{"batch": true, "name": "text-embedding-3-small"}); err == nil || !strings.Contains(err.Error(), "Only chats are submitted") {
		t.Errorf("got %v", err)
	}
}
