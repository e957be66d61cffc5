package anthropic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// batchLimits are those of Anthropic: 100,000 requests and 256 MB. The form in
// which requests are sent is a little longer than the one in which quern measures
// them.
var batchLimits = plugin.BatchLimits{Requests: 100_000, Bytes: 200 << 20}

// batch is a batch of messages.
type batch struct {
	ID               string    `json:"id"`
	ProcessingStatus string    `json:"processing_status"`
	CreatedAt        time.Time `json:"created_at"`
	ResultsURL       string    `json:"results_url"`
	Counts           struct {
		Processing int64 `json:"processing"`
		Succeeded  int64 `json:"succeeded"`
		Errored    int64 `json:"errored"`
		Canceled   int64 `json:"canceled"`
		Expired    int64 `json:"expired"`
	} `json:"request_counts"`
}

const ended = "ended"

// The API has no place for quern's name of a batch, so the IDs of its requests
// begin with it.
func customID(name, id string) string { return name + "_" + id }

// SubmitBatch creates a batch.
func (impl) SubmitBatch(ctx context.Context, a *args, b *plugin.BatchSubmission) ([]byte, error) {
	if b.Again {
		if found, err := a.find(ctx, b); found != "" || err != nil {
			return []byte(found), err
		}
	}
	call, err := a.call(ctx, a.url+"/batches")
	if err != nil {
		return nil, err
	}
	var made batch
	failure, err := call.Upload(ctx, "application/json", func(w io.Writer) error { return a.writeBatch(w, b) }, &made)
	switch {
	case err != nil:
		return nil, err
	case failure != nil:
		return nil, failure
	case made.ID == "":
		return nil, provider.Garbled(http.StatusOK, errors.New("the batch has no id"))
	}
	return []byte(made.ID), nil
}

// writeBatch writes the body that creates a batch.
func (a *args) writeBatch(w io.Writer, b *plugin.BatchSubmission) error {
	text, separator := json.NewEncoder(w), `{"requests":[`
	for r, err := range b.Requests {
		if err != nil {
			return err
		}
		params, err := a.body(a.Complete(r.Request))
		if err != nil {
			return &llm.CallError{Message: err.Error()}
		}
		if _, err := io.WriteString(w, separator); err != nil {
			return err
		}
		if err := text.Encode(map[string]any{"custom_id": customID(b.Name, r.ID), "params": params}); err != nil {
			return err
		}
		separator = ","
	}
	_, err := io.WriteString(w, "]}")
	return err
}

// clockSkew is how far the API's clock may be from this machine's.
const clockSkew = 10 * time.Minute

// find returns the ID of the batch that was created with this name, or "". Which
// requests a batch has is known only when it has ended.
func (a *args) find(ctx context.Context, b *plugin.BatchSubmission) (string, error) {
	after, running := "", ""
	for {
		var page struct {
			Data    []batch `json:"data"`
			HasMore bool    `json:"has_more"`
			LastID  string  `json:"last_id"`
		}
		query := url.Values{"limit": {"100"}}
		if after != "" {
			query.Set("after_id", after)
		}
		if err := a.get(ctx, a.url+"/batches?"+query.Encode(), &page); err != nil {
			return "", err
		}
		for i := range page.Data {
			one := &page.Data[i]
			if one.CreatedAt.Before(b.Begun.Add(-clockSkew)) {
				return "", open(running)
			}
			if one.ProcessingStatus != ended {
				running = one.ID
				continue
			}
			same, err := a.named(ctx, one, b.Name)
			if err != nil || same {
				return one.ID, err
			}
		}
		if after = page.LastID; !page.HasMore || after == "" {
			return "", open(running)
		}
	}
}

// open returns an error if the batch in question may be one that is still running.
func open(running string) error {
	if running == "" {
		return nil
	}
	return &llm.CallError{
		Message:   fmt.Sprintf("a run ended while it submitted a batch, and batch %s, which was created since, may be that one; that is known when it has ended, so apply again then", running),
		Temporary: true, Status: http.StatusConflict,
	}
}

// named reports whether the requests of a batch have IDs that begin with a name.
func (a *args) named(ctx context.Context, b *batch, name string) (bool, error) {
	call, err := a.results(ctx, b)
	if err != nil {
		return false, err
	}
	for line, err := range call.Lines(ctx) {
		if err != nil {
			return false, err
		}
		var r result
		if err := json.Unmarshal(line, &r); err != nil {
			return false, provider.Garbled(http.StatusOK, err)
		}
		return strings.HasPrefix(r.CustomID, customID(name, "")), nil
	}
	return false, nil
}

// results returns the call for the results of a batch. The key is sent to the
// configured endpoint only, wherever the API says that the results are.
func (a *args) results(ctx context.Context, b *batch) (*provider.Call, error) {
	return a.call(ctx, a.url+"/batches/"+url.PathEscape(b.ID)+"/results")
}

func (a *args) get(ctx context.Context, address string, answer any) error {
	call, err := a.call(ctx, address)
	if err != nil {
		return err
	}
	if _, failure, _ := call.Get(ctx, answer); failure != nil {
		return failure
	}
	return nil
}

// ReadBatch returns how far a batch is, and its results if it has ended.
func (impl) ReadBatch(ctx context.Context, a *args, token []byte) (*plugin.BatchStatus, error) {
	var b batch
	err := a.get(ctx, a.url+"/batches/"+url.PathEscape(string(token)), &b)
	if call := (*llm.CallError)(nil); errors.As(err, &call) && call.Status == http.StatusNotFound {
		return &plugin.BatchStatus{Done: true, Message: fmt.Sprintf("%s no longer exists", token)}, nil
	}
	if err != nil {
		return nil, err
	}
	c := b.Counts
	out := &plugin.BatchStatus{Answered: c.Succeeded + c.Errored + c.Canceled + c.Expired}
	out.Total = out.Answered + c.Processing
	out.Message = fmt.Sprintf("%s: %d of %d requests are done", b.ID, out.Answered, out.Total)
	if b.ProcessingStatus != ended {
		return out, nil
	}
	out.Done = true
	out.Message = fmt.Sprintf("%s: %d requests succeeded, %d failed, %d were canceled, and %d expired", b.ID, c.Succeeded, c.Errored, c.Canceled, c.Expired)
	if b.ResultsURL != "" { // otherwise, they are no longer available
		out.Answers = a.answers(ctx, &b)
	}
	return out, nil
}

// result is a line of a batch's results.
type result struct {
	CustomID string `json:"custom_id"`
	Result   struct {
		Type    string          `json:"type"`
		Message answer          `json:"message"`
		Error   json.RawMessage `json:"error"`
	} `json:"result"`
}

func (a *args) answers(ctx context.Context, b *batch) iter.Seq2[plugin.BatchAnswer, error] {
	results := func() (*provider.Call, error) { return a.results(ctx, b) }
	return provider.Answers(ctx, []func() (*provider.Call, error){results}, a.answer)
}

// answer converts a line of results.
func (a *args) answer(call *provider.Call, line []byte) (out plugin.BatchAnswer, err error) {
	var r result
	if err := json.Unmarshal(line, &r); err != nil {
		return out, provider.Garbled(http.StatusOK, fmt.Errorf("a line of a batch's results is not JSON: %w", err))
	}
	_, out.ID, _ = strings.Cut(r.CustomID, "_")
	switch r.Result.Type {
	case "succeeded":
		out.Response = response(&r.Result.Message)
		a.Read(out.Response)
	case "errored":
		message, code := provider.Message(r.Result.Error)
		failure := &llm.CallError{Message: provider.Redact(message, call.Key), Status: http.StatusBadRequest}
		if code != "invalid_request_error" { // the API had a problem, not the request
			failure.Status, failure.Temporary = http.StatusInternalServerError, true
		}
		out.Err = failure
	default:
		out.Err = &llm.CallError{Message: "the request was not processed: " + r.Result.Type, Temporary: true}
	}
	return out, nil
}
