package openaitest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Job is a fine-tuning job.
type Job struct {
	ID, Status, Model string
	// Request is the body that created it.
	Request map[string]any
	// Training is the file with the examples.
	Training *File

	created      time.Time
	result       string // ID of a file
	problem      map[string]any
	step, total  int
	loss         float64
	trainedToken int
}

func (e *Endpoint) jobRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/fine_tuning/jobs", e.keyed(e.postJob))
	mux.HandleFunc("GET /v1/fine_tuning/jobs", e.keyed(e.listJobs))
	mux.HandleFunc("GET /v1/fine_tuning/jobs/{id}", e.keyed(e.withJob(func(j *Job) any { return j.object() })))
	mux.HandleFunc("GET /v1/fine_tuning/jobs/{id}/events", e.keyed(e.withJob(func(j *Job) any { return j.events() })))
	mux.HandleFunc("POST /v1/fine_tuning/jobs/{id}/cancel", e.keyed(e.withJob(func(j *Job) any {
		j.Status = "cancelled"
		if j.total > 0 {
			j.trainedToken = len(j.Training.Content) / 4 * j.step / j.total
		}
		return j.object()
	})))
}

func (e *Endpoint) postJob(w http.ResponseWriter, r *http.Request) {
	j := &Job{Status: "validating_files", created: time.Now()}
	err := json.NewDecoder(r.Body).Decode(&j.Request)
	e.mu.Lock()
	defer e.mu.Unlock()
	name, _ := j.Request["training_file"].(string)
	j.Training = e.store.files[name]
	if j.Model, _ = j.Request["model"].(string); err != nil || j.Training == nil || j.Training.Purpose != "fine-tune" || j.Model == "" {
		e.refuseLocked(w, http.StatusBadRequest, "invalid_request_error", "The job is not valid.")
		return
	}
	// Equal examples have equal jobs, so that tests can compare two runs.
	j.ID = fmt.Sprintf("ftjob-%x", hash(string(j.Training.Content)))
	e.store.jobs = append(e.store.jobs, j)
	writeJSON(w, http.StatusOK, j.object())
}

func (j *Job) object() map[string]any {
	out := map[string]any{
		"id": j.ID, "object": "fine_tuning.job", "status": j.Status, "model": j.Model, "created_at": j.created.Unix(),
		"metadata": j.Request["metadata"], "training_file": j.Training.ID, "fine_tuned_model": nil, "trained_tokens": nil,
		"result_files": []string{}, "estimated_finish": nil, "error": map[string]any{},
	}
	if j.problem != nil {
		out["error"] = j.problem
	}
	switch j.Status {
	case "succeeded":
		out["fine_tuned_model"], out["trained_tokens"], out["result_files"] = "ft:"+j.Model+":acme::"+j.ID, j.trainedToken, []string{j.result}
	case "failed", "cancelled":
		out["trained_tokens"] = j.trainedToken
	}
	return out
}

// events returns the events, the newest first.
func (j *Job) events() any {
	data := []any{map[string]any{"type": "message", "level": "info", "message": "Created fine-tuning job: " + j.ID, "data": map[string]any{}}}
	if j.step > 0 {
		metrics := map[string]any{"step": j.step, "total_steps": j.total, "train_loss": j.loss}
		data = slices.Insert(data, 0, any(map[string]any{"type": "metrics", "level": "info", "message": fmt.Sprintf("Step %d/%d", j.step, j.total), "data": metrics}))
	}
	return map[string]any{"object": "list", "data": data, "has_more": false}
}

func (e *Endpoint) withJob(f func(*Job) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, j := range e.store.jobs {
			if j.ID == r.PathValue("id") {
				writeJSON(w, http.StatusOK, f(j))
				return
			}
		}
		e.refuseLocked(w, http.StatusNotFound, "not_found", "No such job.")
	}
}

func (e *Endpoint) listJobs(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []map[string]any
	for _, j := range e.store.jobs {
		all = append(all, j.object())
	}
	writePage(w, r, all)
}

// Jobs returns the jobs that were created.
func (e *Endpoint) Jobs() []*Job {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.store.jobs)
}

// eachOpenJob changes all jobs that have not ended.
func (e *Endpoint) eachOpenJob(f func(*Job)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, j := range e.store.jobs {
		if !slices.Contains([]string{"succeeded", "failed", "cancelled"}, j.Status) {
			f(j)
		}
	}
}

// ProgressJobs makes progress without ending a job.
func (e *Endpoint) ProgressJobs(step, total int, loss float64) {
	e.eachOpenJob(func(j *Job) { j.Status, j.step, j.total, j.loss = "running", step, total, loss })
}

// FailJobs ends all open jobs with an error about a parameter of the request.
func (e *Endpoint) FailJobs(message, param string) {
	e.eachOpenJob(func(j *Job) {
		j.Status, j.problem = "failed", map[string]any{"code": "invalid", "message": message, "param": param}
	})
}

// FinishJobs ends all open jobs successfully. The result file is in base64, as
// OpenAI's is.
func (e *Endpoint) FinishJobs() {
	e.eachOpenJob(func(j *Job) {
		text := "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n1,2.5,0.25,,\n2,1.5,0.5,1.75,0.5\n"
		j.Status, j.trainedToken = "succeeded", len(j.Training.Content)/4
		j.result = e.keepFile(&File{Name: "step_metrics.csv", Purpose: "fine-tune-results", Content: []byte(base64.StdEncoding.EncodeToString([]byte(text)))})
	})
}
