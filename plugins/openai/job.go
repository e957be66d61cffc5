package openai

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

const jobsPath = "fine_tuning/jobs"

// tuningJob is a fine-tuning job at the endpoint.
type tuningJob struct {
	ID              string            `json:"id"`
	Status          string            `json:"status"`
	FineTunedModel  string            `json:"fine_tuned_model"`
	TrainedTokens   *int64            `json:"trained_tokens"`
	ResultFiles     []string          `json:"result_files"`
	EstimatedFinish *int64            `json:"estimated_finish"`
	Metadata        map[string]string `json:"metadata"`
	Error           struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Param   string `json:"param"`
	} `json:"error"`
}

// jobKey is the key of a job's metadata that contains the mark of the stage.
const jobKey = "quern_job"

// tuningState is what a run leaves in its work folder for the next one.
type tuningState struct {
	// Mark identifies the job in its metadata. It is stored before anything is
	// uploaded, so a job that a killed run has created is found by it.
	Mark       string `json:"mark"`
	Training   string `json:"training,omitempty"` // IDs of files
	Validation string `json:"validation,omitempty"`
	Job        string `json:"job,omitempty"`
	Examples   int64  `json:"examples"`
	Bytes      int64  `json:"bytes"` // of the examples
	Skipped    int64  `json:"skipped"`
	// Paid is what quern was told that the job costs, or nil: nothing yet.
	Paid *float64 `json:"paid,omitempty"`
}

// tuning is a run of train "openai_finetune".
type tuning struct {
	*plugin.Run[tuningArgs]
	endpoint *args
	state    tuningState
}

const stateFile = "job.json"

// job returns the job of the stage, which it creates if it does not exist.
func (t *tuning) job(ctx context.Context) (*tuningJob, error) {
	known, err := t.load()
	if err != nil {
		return nil, err
	}
	if t.state.Job != "" {
		if err := t.pay(); err != nil {
			return nil, err
		}
		return t.get(ctx, t.state.Job)
	}
	var j *tuningJob
	if known {
		if j, err = t.find(ctx); err != nil {
			return nil, err
		}
	}
	if j == nil {
		if j, err = t.create(ctx); err != nil {
			return nil, err
		}
	}
	t.state.Job = j.ID
	if err := t.save(); err != nil {
		return nil, err
	}
	return j, t.pay()
}

// tokens returns the estimated tokens of the examples.
func (t *tuning) tokens() int64 { return int64(float64(t.state.Bytes) / bytesPerToken) }

// affordable returns an error if the job is expected to cost more than max_cost, or
// than the budgets leave.
func (t *tuning) affordable() error {
	if err := t.Args.tooExpensive(t.tokens()); err != nil {
		return plugin.ArgumentErrorf("max_cost", "%w", err)
	}
	left, limited := t.MoneyLeft()
	cost := t.Args.cost(t.tokens())
	if !limited || cost != nil && *cost <= left {
		return nil
	}
	if cost == nil {
		return plugin.ArgumentErrorf("training_price", "The cost of training is not known\nA budget in money limits the stage. Set training_price and epochs.")
	}
	return fmt.Errorf("Training would exceed the budget\nIt is expected to cost %s, and the budget leaves %s. Raise the budget, or train on fewer rows or epochs.", llm.FormatMoney(*cost), llm.FormatMoney(left))
}

// pay reports what the job is expected to cost, once.
func (t *tuning) pay() error {
	cost := t.Args.cost(t.tokens())
	if cost == nil || t.state.Paid != nil {
		return nil
	}
	t.state.Paid = cost
	if err := t.save(); err != nil {
		return err
	}
	return t.Paid(*cost)
}

// settle reports the difference between what a job that has ended cost and what was
// expected. It returns the cost, or nil if it is not known. The tokens of a job are
// those that the provider bills, also if it failed or was canceled:
// https://platform.openai.com/docs/api-reference/fine-tuning/object
func (t *tuning) settle(j *tuningJob) (*float64, error) {
	price := t.Args.TrainingPrice
	if j.TrainedTokens == nil || price == nil {
		return nil, nil
	}
	cost, expected := float64(*j.TrainedTokens)**price/1e6, 0.0
	if t.state.Paid != nil {
		expected = *t.state.Paid
	}
	t.state.Paid = &cost
	if err := t.save(); err != nil {
		return nil, err
	}
	return &cost, t.Paid(cost - expected)
}

// load reads the state. known is false if there was none.
func (t *tuning) load() (known bool, err error) {
	text, err := os.ReadFile(filepath.Join(t.WorkDir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		var random [12]byte
		_, _ = rand.Read(random[:]) // it does not fail
		t.state = tuningState{Mark: hex.EncodeToString(random[:])}
		return false, t.save()
	}
	if err == nil {
		err = json.Unmarshal(text, &t.state)
	}
	return true, err
}

// save stores the state durably.
func (t *tuning) save() error {
	text, err := json.Marshal(&t.state)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(t.WorkDir, stateFile+"-")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(t.WorkDir, stateFile))
}

// forget makes the next run create another job.
func (t *tuning) forget() error { return os.Remove(filepath.Join(t.WorkDir, stateFile)) }

// create uploads the examples and creates the job.
func (t *tuning) create(ctx context.Context) (*tuningJob, error) {
	if t.state.Training == "" {
		id, counts, err := t.uploadExamples(ctx, t.Dataset(t.Args.Dataset), t.Args.training(), "")
		if err != nil {
			return nil, err
		}
		t.state.Training, t.state.Examples, t.state.Skipped, t.state.Bytes = id, counts.examples, counts.skipped, counts.bytes
		if err := t.save(); err != nil {
			return nil, err
		}
	}
	if len(t.Args.Validation) > 0 && t.state.Validation == "" {
		v := t.Args.Validation[0]
		id, _, err := t.uploadExamples(ctx, t.Dataset(v.Dataset), v.examples(), "validation.0.")
		if err != nil {
			return nil, err
		}
		t.state.Validation = id
		if err := t.save(); err != nil {
			return nil, err
		}
	}
	if err := t.affordable(); err != nil {
		return nil, err
	}
	call, err := t.endpoint.call(ctx, jobsPath)
	if err != nil {
		return nil, err
	}
	var made tuningJob
	_, failure, _ := call.Post(ctx, t.request(), &made)
	switch {
	case failure != nil:
		return nil, t.refused(failure, "")
	case made.ID == "":
		return nil, provider.Garbled(http.StatusOK, errors.New("the job has no id"))
	}
	return &made, nil
}

// request is the body that creates the job.
func (t *tuning) request() map[string]any {
	a := t.Args
	parameters := map[string]any{}
	for name, v := range map[string]*int64{"n_epochs": a.Epochs, "batch_size": a.BatchSize} {
		if v != nil {
			parameters[name] = *v
		}
	}
	for name, v := range map[string]*float64{"learning_rate_multiplier": a.LearningRateMultiplier, "beta": a.Beta} {
		if v != nil {
			parameters[name] = *v
		}
	}
	method := map[string]any{"type": a.Method, a.Method: map[string]any{"hyperparameters": parameters}}
	out := map[string]any{
		"model": a.Base, "training_file": t.state.Training, "method": method, "metadata": map[string]string{jobKey: t.state.Mark},
	}
	if t.state.Validation != "" {
		out["validation_file"] = t.state.Validation
	}
	if a.Suffix != "" {
		out["suffix"] = a.Suffix
	}
	if a.Seed != nil {
		out["seed"] = *a.Seed
	}
	return out
}

// find returns the job that an earlier run created, or nil.
func (t *tuning) find(ctx context.Context) (*tuningJob, error) {
	for j, err := range pages[tuningJob](ctx, t.endpoint, jobsPath) {
		if err != nil {
			return nil, err
		}
		if j.Metadata[jobKey] == t.state.Mark {
			return j, nil
		}
	}
	return nil, nil
}

func (t *tuning) get(ctx context.Context, id string) (*tuningJob, error) {
	j := &tuningJob{}
	err := t.endpoint.get(ctx, jobsPath+"/"+url.PathEscape(id), nil, j)
	if call := (*llm.CallError)(nil); errors.As(err, &call) && call.Status == http.StatusNotFound {
		return nil, errors.Join(fmt.Errorf("The job %s no longer exists\nThe next apply creates another one.", id), t.forget())
	}
	return j, err
}

const (
	firstPoll = time.Second
	lastPoll  = 30 * time.Second
	// checkAfter is when it is worth asking again if the provider does not say when
	// the job will be done.
	checkAfter = 5 * time.Minute
)

// await returns when the job is done, or says that it is pending. If ctx ends, the
// job continues, and the next run finds it in the state.
func (t *tuning) await(ctx context.Context, j *tuningJob) error {
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) {
		switch j.Status {
		case "succeeded":
			if j.FineTunedModel == "" {
				return provider.Garbled(http.StatusOK, fmt.Errorf("the job %s succeeded without a model", j.ID))
			}
			return nil
		case "failed", "cancelled":
			_, err := t.settle(j)
			return errors.Join(t.ended(j), err, t.forget())
		}
		said, err := t.progress(ctx, j)
		if err != nil {
			return err
		}
		if !t.Args.Wait {
			return &plugin.Pending{Reason: said, CheckAfter: remaining(j)}
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		next, err := t.get(ctx, j.ID)
		if err != nil {
			return err
		}
		*j = *next
	}
}

// cancelTime is how long the request to cancel a job may take.
const cancelTime = 15 * time.Second

// cancel cancels the job at the provider, so that the next run creates another
// one. A job that cannot be canceled, for example because it has just ended, stays
// in the state.
func (t *tuning) cancel(ctx context.Context, j *tuningJob) error {
	ctx, end := context.WithTimeout(ctx, cancelTime)
	defer end()
	call, err := t.endpoint.call(ctx, jobsPath+"/"+url.PathEscape(j.ID)+"/cancel")
	if err != nil {
		return err
	}
	var canceled tuningJob
	if _, failure, _ := call.Post(ctx, map[string]any{}, &canceled); failure != nil {
		return fmt.Errorf("The job %s could not be canceled, and may still run: %w", j.ID, failure)
	}
	_, err = t.settle(&canceled)
	return errors.Join(err, t.forget())
}

func remaining(j *tuningJob) time.Duration {
	if j.EstimatedFinish == nil {
		return checkAfter
	}
	return max(time.Minute, time.Until(time.Unix(*j.EstimatedFinish, 0)))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// progress reports how far the job is, and says so in one line.
func (t *tuning) progress(ctx context.Context, j *tuningJob) (string, error) {
	said := fmt.Sprintf("job %s is %s", j.ID, cmp.Or(map[string]string{"validating_files": "validating files"}[j.Status], j.Status))
	var page struct {
		Data []struct {
			Message string `json:"message"`
			Type    string `json:"type"`
			Data    struct {
				Step       int64    `json:"step"`
				TotalSteps int64    `json:"total_steps"`
				TrainLoss  *float64 `json:"train_loss"`
			} `json:"data"`
		} `json:"data"`
	}
	err := t.endpoint.get(ctx, jobsPath+"/"+url.PathEscape(j.ID)+"/events", url.Values{"limit": {"20"}}, &page)
	if err != nil {
		return said, err
	}
	for _, e := range page.Data { // the newest come first
		d := e.Data
		if e.Type != "metrics" || d.Step == 0 {
			continue
		}
		said = fmt.Sprintf("job %s: step %d of %d", j.ID, d.Step, d.TotalSteps)
		if d.TotalSteps == 0 {
			said = fmt.Sprintf("job %s: step %d", j.ID, d.Step)
		}
		message := ""
		if d.TrainLoss != nil {
			message = fmt.Sprintf("loss %.4g", *d.TrainLoss)
			said += ", " + message
		}
		t.Progress(d.Step, d.TotalSteps, "steps", message)
		return said, nil
	}
	t.Progress(0, 0, "steps", said)
	return said, nil
}

// ended returns why a job failed, at the argument that the provider names.
func (t *tuning) ended(j *tuningJob) error {
	if j.Status == "cancelled" {
		return fmt.Errorf("The job %s was canceled at the provider\nThe next apply creates another one.", j.ID)
	}
	failure := &llm.CallError{Message: cmp.Or(j.Error.Message, "The provider gave no reason.")}
	return t.refused(failure, j.Error.Param)
}

// arguments maps the parameters of a job to arguments.
var arguments = map[string]string{
	"training_file": "dataset", "validation_file": "validation.0.dataset", "model": "base", "suffix": "suffix", "seed": "seed",
	"n_epochs": "epochs", "hyperparameters.n_epochs": "epochs", "batch_size": "batch_size", "hyperparameters.batch_size": "batch_size",
	"learning_rate_multiplier": "learning_rate_multiplier", "hyperparameters.learning_rate_multiplier": "learning_rate_multiplier",
}

// refused returns the failure of the job or of its creation.
func (t *tuning) refused(failure *llm.CallError, param string) error {
	if failure.Temporary {
		return failure
	}
	return plugin.ArgumentErrorf(arguments[param], "The provider did not train the model\n%s", provider.Redact(failure.Error(), ""))
}

// uploadExamples uploads the examples of a dataset.
func (t *tuning) uploadExamples(ctx context.Context, in *plugin.DatasetInput, from examples, at string) (string, counted, error) {
	var n counted
	id, err := t.endpoint.upload(ctx, "fine-tune", t.state.Mark+".jsonl", func(w io.Writer) (err error) {
		n, err = from.write(ctx, w, in, t.Args.Method)
		if err == nil && n.examples < leastExamples && at == "" {
			err = errors.New(fewExamples(n.examples))
		}
		return err
	})
	if call := (*llm.CallError)(nil); err != nil && !errors.As(err, &call) && ctx.Err() == nil {
		err = plugin.ArgumentErrorf(at+"dataset", "%w", err)
	}
	return id, n, err
}
