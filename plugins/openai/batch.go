package openai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// batchLimits are those of OpenAI. The form in which requests are sent is a
// little longer than the one in which quern measures them.
var batchLimits = plugin.BatchLimits{Requests: 50_000, Bytes: 150 << 20}

// nameKey is the key of a batch's metadata that contains quern's name for it.
const nameKey = "quern_batch"

const chatPath = "chat/completions"

// batch is a batch at the endpoint.
type batch struct {
	ID           string            `json:"id"`
	Status       string            `json:"status"`
	CreatedAt    float64           `json:"created_at"`
	Metadata     map[string]string `json:"metadata"`
	OutputFileID string            `json:"output_file_id"`
	ErrorFileID  string            `json:"error_file_id"`
	Counts       struct {
		Total     int64 `json:"total"`
		Completed int64 `json:"completed"`
		Failed    int64 `json:"failed"`
	} `json:"request_counts"`
	Errors struct {
		Data []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"data"`
	} `json:"errors"`
}

// SubmitBatch uploads the requests as a file and creates a batch of it.
func (impl) SubmitBatch(ctx context.Context, a *args, b *plugin.BatchSubmission) ([]byte, error) {
	if b.Again {
		found, err := a.find(ctx, b)
		if found != nil || err != nil {
			return []byte(found.id()), err
		}
	}
	file, err := a.upload(ctx, "batch", b.Name+".jsonl", func(w io.Writer) error { return a.writeBatch(w, b.Requests) })
	if err != nil {
		return nil, err
	}
	call, err := a.call(ctx, "batches")
	if err != nil {
		return nil, err
	}
	var made batch
	_, failure, _ := call.Post(ctx, map[string]any{
		"input_file_id": file, "endpoint": "/v1/" + chatPath, "completion_window": "24h",
		"metadata": map[string]string{nameKey: b.Name},
	}, &made)
	if failure != nil {
		return nil, failure
	}
	if made.ID == "" {
		return nil, provider.Garbled(http.StatusOK, errors.New("the batch has no id"))
	}
	return []byte(made.ID), nil
}

func (b *batch) id() string {
	if b == nil {
		return ""
	}
	return b.ID
}

// clockSkew is how far the endpoint's clock may be from this machine's.
const clockSkew = 10 * time.Minute

// find returns the batch that was created with this name, or nil.
func (a *args) find(ctx context.Context, b *plugin.BatchSubmission) (*batch, error) {
	begun := float64(b.Begun.Add(-clockSkew).Unix())
	for one, err := range pages[batch](ctx, a, "batches") {
		if err != nil {
			return nil, err
		}
		if one.Metadata[nameKey] == b.Name {
			return one, nil
		}
		if one.CreatedAt > 0 && one.CreatedAt < begun {
			return nil, nil // the newest come first
		}
	}
	return nil, nil
}

// pages yields the objects of a list, page by page.
func pages[T any](ctx context.Context, a *args, path string) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		after := ""
		for {
			var page struct {
				Data    []json.RawMessage `json:"data"`
				HasMore bool              `json:"has_more"`
			}
			query := url.Values{"limit": {"100"}}
			if after != "" {
				query.Set("after", after)
			}
			if err := a.get(ctx, path, query, &page); err != nil {
				yield(nil, err)
				return
			}
			for _, raw := range page.Data {
				var id struct {
					ID string `json:"id"`
				}
				one := new(T)
				if err := errors.Join(json.Unmarshal(raw, one), json.Unmarshal(raw, &id)); err != nil {
					yield(nil, provider.Garbled(http.StatusOK, err))
					return
				}
				if after = id.ID; !yield(one, nil) {
					return
				}
			}
			if !page.HasMore || len(page.Data) == 0 {
				return
			}
		}
	}
}

// get gets an object of the endpoint.
func (a *args) get(ctx context.Context, path string, query url.Values, answer any) error {
	call, err := a.call(ctx, path)
	if err != nil {
		return err
	}
	call.URL = withQuery(call.URL, query)
	if _, failure, _ := call.Get(ctx, answer); failure != nil {
		return failure
	}
	return nil
}

// withQuery adds a query to an address, which may have one already.
func withQuery(address string, query url.Values) string {
	switch {
	case len(query) == 0:
		return address
	case strings.Contains(address, "?"):
		return address + "&" + query.Encode()
	}
	return address + "?" + query.Encode()
}

// upload uploads a file, which is written while it is sent, and returns its ID.
func (a *args) upload(ctx context.Context, purpose, name string, write func(io.Writer) error) (string, error) {
	call, err := a.call(ctx, "files")
	if err != nil {
		return "", err
	}
	boundary := multipart.NewWriter(io.Discard)
	var file struct {
		ID string `json:"id"`
	}
	failure, err := call.Upload(ctx, boundary.FormDataContentType(), func(w io.Writer) error {
		form := multipart.NewWriter(w)
		if err := form.SetBoundary(boundary.Boundary()); err != nil {
			return err
		}
		if err := form.WriteField("purpose", purpose); err != nil {
			return err
		}
		part, err := form.CreateFormFile("file", name)
		if err != nil {
			return err
		}
		if err := write(part); err != nil {
			return err
		}
		return form.Close()
	}, &file)
	switch {
	case err != nil:
		return "", err
	case failure != nil:
		return "", failure
	case file.ID == "":
		return "", provider.Garbled(http.StatusOK, errors.New("the uploaded file has no id"))
	}
	return file.ID, nil
}

// writeBatch writes requests as the lines of a batch's file.
func (a *args) writeBatch(w io.Writer, requests iter.Seq2[plugin.BatchRequest, error]) error {
	lines := json.NewEncoder(w)
	for r, err := range requests {
		if err != nil {
			return err
		}
		request, err := a.chatBody(a.Complete(r.Request))
		if err != nil {
			return err
		}
		body, err := a.with(request)
		if err != nil {
			return &llm.CallError{Message: err.Error()}
		}
		line := map[string]any{"custom_id": r.ID, "method": http.MethodPost, "url": "/v1/" + chatPath, "body": body}
		if err := lines.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// ReadBatch returns how far a batch is. Of one that has ended, it reads the files
// with answers and errors.
func (impl) ReadBatch(ctx context.Context, a *args, token []byte) (*plugin.BatchStatus, error) {
	var b batch
	err := a.get(ctx, "batches/"+url.PathEscape(string(token)), nil, &b)
	if call := (*llm.CallError)(nil); errors.As(err, &call) && call.Status == http.StatusNotFound {
		return &plugin.BatchStatus{Done: true, Message: fmt.Sprintf("%s no longer exists", token)}, nil
	}
	if err != nil {
		return nil, err
	}
	out := &plugin.BatchStatus{Answered: b.Counts.Completed + b.Counts.Failed, Total: b.Counts.Total}
	switch b.Status {
	case "completed", "expired", "cancelled":
		out.Done, out.Message = true, fmt.Sprintf("%s is %s", b.ID, b.Status)
		out.Answers = a.answers(ctx, &b)
	case "failed":
		out.Done, out.Message = true, fmt.Sprintf("%s failed", b.ID)
		if len(b.Errors.Data) > 0 {
			out.Message += ": " + b.Errors.Data[0].Message
		}
	default:
		out.Message = fmt.Sprintf("%s: %d of %d requests are done", b.ID, out.Answered, out.Total)
		if out.Total == 0 {
			out.Message = fmt.Sprintf("%s is %s", b.ID, strings.ReplaceAll(b.Status, "_", " "))
		}
	}
	return out, nil
}

// outcome is a line of a batch's output file or error file.
type outcome struct {
	CustomID string `json:"custom_id"`
	Response *struct {
		StatusCode int             `json:"status_code"`
		Body       json.RawMessage `json:"body"`
	} `json:"response"`
	Error *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// answers reads the files of a batch.
func (a *args) answers(ctx context.Context, b *batch) iter.Seq2[plugin.BatchAnswer, error] {
	var files []func() (*provider.Call, error)
	for _, file := range []string{b.OutputFileID, b.ErrorFileID} {
		if file != "" {
			files = append(files, func() (*provider.Call, error) { return a.call(ctx, "files/"+url.PathEscape(file)+"/content") })
		}
	}
	return provider.Answers(ctx, files, a.outcome)
}

// outcome converts a line of a file. What happened to one request is no error of
// outcome.
func (a *args) outcome(call *provider.Call, line []byte) (out plugin.BatchAnswer, err error) {
	var o outcome
	if err := json.Unmarshal(line, &o); err != nil {
		return out, provider.Garbled(http.StatusOK, fmt.Errorf("a line of a batch's file is not JSON: %w", err))
	}
	out.ID = o.CustomID
	switch {
	case o.Response != nil && o.Response.StatusCode < 300:
		out.Response, out.Err = a.answer(call, o.Response.Body)
	case o.Response != nil:
		message, code := provider.Message(o.Response.Body)
		failure := provider.Refused(o.Response.StatusCode, nil, message)
		failure.Message = provider.Redact(failure.Message, call.Key)
		if out.Err = failure; filtered[code] && failure.Status == http.StatusBadRequest {
			out.Response, out.Err = filteredAnswer(failure), nil
		}
	case o.Error != nil:
		// The request was not sent to the model: the batch expired or was canceled.
		out.Err = &llm.CallError{Message: provider.Redact(o.Error.Message, call.Key), Temporary: true}
	default:
		out.Err = &llm.CallError{Message: "the line of the request has neither a response nor an error", Temporary: true}
	}
	return out, nil
}

// answer converts the body of a chat completion.
func (a *args) answer(call *provider.Call, body []byte) (*llm.Response, error) {
	var got completion
	if err := json.Unmarshal(body, &got); err != nil {
		return nil, provider.Garbled(http.StatusOK, err)
	}
	return a.completed(call, &got)
}
