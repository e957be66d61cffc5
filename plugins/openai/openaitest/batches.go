package openaitest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// Files, batches, and fine-tuning jobs are kept as the API documents them. They make
// no progress by themselves: a test calls FinishBatches and FinishJobs, or posts to
// /finish.

// store contains the objects of an endpoint, in the order of their creation.
type store struct {
	files   map[string]*File
	batches []*Batch
	jobs    []*Job
	made    int
}

// File is an uploaded file, or one that the endpoint wrote.
type File struct {
	ID, Name, Purpose string
	Content           []byte
}

// Batch is a batch.
type Batch struct {
	ID       string
	Status   string
	Metadata map[string]string
	Input    *File
	created  time.Time

	output, errors           string // IDs of files
	total, completed, failed int
	problem                  string
}

func (e *Endpoint) objectRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/files", e.keyed(e.postFile))
	mux.HandleFunc("GET /v1/files/{id}/content", e.keyed(e.getContent))
	mux.HandleFunc("POST /v1/batches", e.keyed(e.postBatch))
	mux.HandleFunc("GET /v1/batches", e.keyed(e.listBatches))
	mux.HandleFunc("GET /v1/batches/{id}", e.keyed(e.getBatch))
	e.jobRoutes(mux)
	mux.HandleFunc("POST /finish", func(w http.ResponseWriter, _ *http.Request) {
		e.FinishBatches(nil)
		e.FinishJobs()
		writeJSON(w, http.StatusOK, map[string]any{})
	})
}

// keyed checks the key, and applies the faults of Options.Object.
func (e *Endpoint) keyed(f http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if key := e.options.Key; key != "" && r.Header.Get("Authorization") != "Bearer "+key {
			e.refuse(w, http.StatusUnauthorized, "invalid_api_key", "Incorrect API key provided.")
			return
		}
		if e.options.Object != nil && e.options.Object(w, r, f) {
			return
		}
		f(w, r)
	}
}

// id must be called with the lock held.
func (s *store) id(kind string) string {
	s.made++
	return fmt.Sprintf("%s-%d", kind, s.made)
}

func (e *Endpoint) postFile(w http.ResponseWriter, r *http.Request) {
	form, err := r.MultipartReader()
	if err != nil {
		e.refuse(w, http.StatusBadRequest, "invalid_request_error", err.Error())
		return
	}
	f := &File{}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return // the connection was cut
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return
		}
		switch part.FormName() {
		case "purpose":
			f.Purpose = string(content)
		case "file":
			f.Name, f.Content = part.FileName(), content
		}
	}
	if f.Purpose == "" || f.Name == "" {
		e.refuse(w, http.StatusBadRequest, "invalid_request_error", "purpose and file are required")
		return
	}
	e.mu.Lock()
	e.keepFile(f)
	e.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"id": f.ID, "object": "file", "bytes": len(f.Content), "filename": f.Name, "purpose": f.Purpose, "status": "processed"})
}

// keepFile must be called with the lock held.
func (e *Endpoint) keepFile(f *File) string {
	if e.store.files == nil {
		e.store.files = map[string]*File{}
	}
	f.ID = e.store.id("file")
	e.store.files[f.ID] = f
	return f.ID
}

// Files returns the files that were uploaded for a purpose.
func (e *Endpoint) Files(purpose string) []*File {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []*File
	for _, f := range e.store.files {
		if f.Purpose == purpose {
			out = append(out, f)
		}
	}
	return out
}

func (e *Endpoint) getContent(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	f := e.store.files[r.PathValue("id")]
	e.mu.Unlock()
	if f == nil {
		e.refuse(w, http.StatusNotFound, "not_found", "No such file.")
		return
	}
	_, _ = w.Write(f.Content)
}

func (e *Endpoint) postBatch(w http.ResponseWriter, r *http.Request) {
	var req struct {
		InputFileID      string            `json:"input_file_id"`
		Endpoint         string            `json:"endpoint"`
		CompletionWindow string            `json:"completion_window"`
		Metadata         map[string]string `json:"metadata"`
	}
	err := json.NewDecoder(r.Body).Decode(&req)
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.store.files[req.InputFileID]
	if err != nil || f == nil || f.Purpose != "batch" || req.Endpoint != "/v1/chat/completions" || req.CompletionWindow != "24h" {
		e.refuseLocked(w, http.StatusBadRequest, "invalid_request_error", "The batch is not valid.")
		return
	}
	b := &Batch{ID: e.store.id("batch"), Status: "validating", Metadata: req.Metadata, Input: f, created: time.Now()}
	e.store.batches = append(e.store.batches, b)
	writeJSON(w, http.StatusOK, b.object())
}

// refuseLocked is refuse with the lock held.
func (e *Endpoint) refuseLocked(w http.ResponseWriter, status int, code, message string) {
	e.mu.Unlock()
	defer e.mu.Lock()
	e.refuse(w, status, code, message)
}

func (b *Batch) object() map[string]any {
	out := map[string]any{
		"id": b.ID, "object": "batch", "endpoint": "/v1/chat/completions", "status": b.Status, "created_at": b.created.Unix(),
		"metadata": b.Metadata, "input_file_id": b.Input.ID, "output_file_id": null(b.output), "error_file_id": null(b.errors),
		"request_counts": map[string]any{"total": b.total, "completed": b.completed, "failed": b.failed}, "errors": nil,
	}
	if b.problem != "" {
		out["errors"] = map[string]any{"object": "list", "data": []any{map[string]any{"code": "invalid", "message": b.problem}}}
	}
	return out
}

func null(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// listBatches lists batches, the newest first, in pages.
func (e *Endpoint) listBatches(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []map[string]any
	for _, b := range e.store.batches {
		all = append(all, b.object())
	}
	writePage(w, r, all)
}

// writePage writes a page of objects, the newest first. Pages are small, so that
// readers need several.
func writePage(w http.ResponseWriter, r *http.Request, all []map[string]any) {
	const pageSize = 2
	slices.Reverse(all)
	if after := r.URL.Query().Get("after"); after != "" {
		all = all[1+slices.IndexFunc(all, func(o map[string]any) bool { return o["id"] == after }):]
	}
	page := all[:min(len(all), pageSize)]
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": page, "has_more": len(all) > len(page)})
}

func (e *Endpoint) getBatch(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.store.batches {
		if b.ID == r.PathValue("id") {
			writeJSON(w, http.StatusOK, b.object())
			return
		}
	}
	e.refuseLocked(w, http.StatusNotFound, "not_found", "No such batch.")
}

// Batches returns the batches that were created.
func (e *Endpoint) Batches() []*Batch {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.store.batches)
}

// Outcome says what becomes of a request of a batch. The zero value answers it.
type Outcome struct {
	// Expired: the batch expired before the request was answered.
	Expired bool
	// Status is the status of a failed request, with Message.
	Status  int
	Message string
	// Missing: neither file contains the request. Twice: the output file contains it
	// twice.
	Missing, Twice bool
}

// FailBatches ends all open batches without processing them.
func (e *Endpoint) FailBatches(problem string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.store.batches {
		if !b.ended() {
			b.Status, b.problem = "failed", problem
		}
	}
}

// ProgressBatches makes progress without ending a batch.
func (e *Endpoint) ProgressBatches(completed int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.store.batches {
		if !b.ended() {
			b.Status, b.total, b.completed = "in_progress", bytes.Count(b.Input.Content, []byte("\n")), completed
		}
	}
}

func (b *Batch) ended() bool {
	return slices.Contains([]string{"completed", "expired", "failed", "cancelled"}, b.Status)
}

// FinishBatches answers the requests of all open batches. outcome chooses what
// becomes of a request by the content of its last message; nil answers all. The
// answers are in another order than the requests.
func (e *Endpoint) FinishBatches(outcome func(last string) Outcome) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.store.batches {
		if !b.ended() {
			e.finish(b, outcome)
		}
	}
}

func (e *Endpoint) finish(b *Batch, outcome func(string) Outcome) {
	var output, failed []string
	b.Status = "completed"
	b.total, b.completed, b.failed = 0, 0, 0
	for line := range bytes.Lines(b.Input.Content) {
		var r struct {
			CustomID string          `json:"custom_id"`
			Body     json.RawMessage `json:"body"`
		}
		if err := json.Unmarshal(line, &r); err != nil {
			b.Status, b.problem = "failed", err.Error()
			return
		}
		b.total++
		req, err := parse(&call{body: r.Body})
		if err != nil {
			b.Status, b.problem = "failed", err.Error()
			return
		}
		var o Outcome
		if outcome != nil {
			o = outcome(req.Last)
		}
		switch {
		case o.Missing:
		case o.Expired:
			b.Status = "expired"
			b.failed++
			failed = append(failed, jsonLine(map[string]any{"id": "batch_req", "custom_id": r.CustomID, "response": nil,
				"error": map[string]any{"code": "batch_expired", "message": "This request could not be executed before the completion window expired."}}))
		case o.Status != 0:
			b.failed++
			failed = append(failed, jsonLine(outcomeLine(r.CustomID, o.Status, map[string]any{"error": map[string]any{"message": o.Message, "code": "invalid_request_error"}})))
		default:
			b.completed++
			text := jsonLine(outcomeLine(r.CustomID, http.StatusOK, e.batchAnswer(req, r.Body)))
			if output = append(output, text); o.Twice {
				output = append(output, text)
			}
		}
	}
	slices.Reverse(output)
	b.output, b.errors = e.keepLines(output), e.keepLines(failed)
}

// batchAnswer answers a request, and counts it. It must be called with the lock
// held.
func (e *Endpoint) batchAnswer(req *Request, body []byte) any {
	answer := e.options.Answer
	if answer == nil {
		answer = Echo
	}
	a := answer(req)
	usage := e.usage(req, a)
	key := sha256.Sum256(body)
	if e.seen[key] == nil {
		e.seen[key] = &seen{}
	}
	e.counts.Answered++
	if e.seen[key].answered++; e.seen[key].answered > 1 {
		e.counts.Repeated++
	} else {
		e.counts.Distinct++
	}
	return completion(req, a, usage, e.counts.Answered)
}

func outcomeLine(id string, status int, body any) map[string]any {
	return map[string]any{"id": "batch_req", "custom_id": id, "error": nil, "response": map[string]any{"status_code": status, "request_id": "req", "body": body}}
}

func jsonLine(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("openaitest: " + err.Error())
	}
	return string(b) + "\n"
}

// keepLines keeps a file and returns its ID, or "" if it would be empty.
func (e *Endpoint) keepLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	var content []byte
	for _, line := range lines {
		content = append(content, line...)
	}
	return e.keepFile(&File{Name: "output.jsonl", Purpose: "batch_output", Content: content})
}
