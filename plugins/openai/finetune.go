package openai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/quern-dev/quern/internal/english"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type tuningArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"The examples to learn from, at least 10."`
	Base    string         `quern:"base,required" doc:"The model to train, such as \"gpt-4.1-mini-2025-04-14\"."`

	Messages plugin.Column `quern:"messages" rows_of:"dataset" doc:"The conversation of a row, as a list of objects with role and content or as JSON. It ends with a message of the assistant."`
	Prompt   plugin.Prompt `quern:"prompt" rows_of:"dataset" doc:"In place of messages: the prompt of a row, such as 'prompt.intent'."`
	Target   plugin.Column `quern:"target" type:"string" rows_of:"dataset" doc:"With prompt: the answer to learn. With method = \"dpo\", the preferred one."`
	Rejected plugin.Column `quern:"rejected" type:"string" rows_of:"dataset" doc:"With method = \"dpo\": the answer that is not preferred."`

	Validation []validation `quern:"validation,block,single" doc:"Examples to measure the loss on while training."`

	Method                 string   `quern:"method" default:"\"supervised\"" oneof:"supervised,dpo" doc:"How to train: 'supervised' learns to give the target, 'dpo' to prefer it to the rejected answer."`
	Epochs                 *int64   `quern:"epochs" doc:"The number of passes over all examples. By default, the provider chooses."`
	BatchSize              *int64   `quern:"batch_size" doc:"The number of examples in a step. By default, the provider chooses."`
	LearningRateMultiplier *float64 `quern:"learning_rate_multiplier" doc:"What to multiply the provider's learning rate by. By default, the provider chooses."`
	Beta                   *float64 `quern:"beta" doc:"With method = \"dpo\": how close the model stays to the base, from 0 to 2; higher is closer. By default, the provider chooses."`
	Suffix                 string   `quern:"suffix" doc:"A part of the trained model's name, at most 64 characters."`
	Seed                   *int64   `quern:"seed" doc:"A seed, which makes training repeatable as far as the provider supports it."`

	Wait              bool     `quern:"wait,operational" default:"false" doc:"Whether apply waits for the job. Otherwise, the stage is pending, and a later apply continues."`
	CancelOnInterrupt bool     `quern:"cancel_on_interrupt,operational" default:"false" doc:"With wait = true: whether the job is canceled at the provider if Ctrl-C or a timeout ends the wait. Otherwise it continues, and so does the next apply."`
	TrainingPrice     *float64 `quern:"training_price,operational" doc:"The price of training per million tokens, for the cost in plans, budgets, and the value cost, and for max_cost."`
	MaxCost           *float64 `quern:"max_cost,operational" doc:"The most that training may be expected to cost, by the number of tokens, epochs, and training_price. The plan fails if it is more, and no job is created. The provider's bill can differ by a few percent, because tokens are estimated."`

	BaseURL string `quern:"base_url" default:"\"https://api.openai.com/v1\"" doc:"The endpoint's address, without /fine_tuning/jobs."`
	provider.Moved
	provider.Secret
	provider.Headers
	Organization   string           `quern:"organization,operational" doc:"The organization to bill."`
	Project        string           `quern:"project,operational" doc:"The project to bill."`
	MaxConcurrency int64            `quern:"max_concurrency,operational" default:"32" doc:"The maximum number of concurrent requests to the trained model."`
	Price          []provider.Price `quern:"price,block,single" doc:"The price per million tokens of requests to the trained model."`

	endpoint *args
}

// validation is the validation block.
type validation struct {
	Dataset  plugin.Dataset `quern:"dataset,required" doc:"The examples."`
	Messages plugin.Column  `quern:"messages" rows_of:"validation.0.dataset" doc:"As for training."`
	Prompt   plugin.Prompt  `quern:"prompt" rows_of:"validation.0.dataset" doc:"As for training."`
	Target   plugin.Column  `quern:"target" type:"string" rows_of:"validation.0.dataset" doc:"As for training."`
	Rejected plugin.Column  `quern:"rejected" type:"string" rows_of:"validation.0.dataset" doc:"As for training."`
}

const tuningDoc = `Trains a model of OpenAI, or of a compatible endpoint, on examples.

quern uploads the examples and creates a fine-tuning job. While it runs, the stage is pending: apply ends with the exit code 3, and each later apply asks once how far the job is. With ` + "`wait = true`" + `, apply waits; you can interrupt it, and the next one continues with the same job. A job is created once, even if quern is killed while it creates it. Ctrl-C leaves the job running, unless ` + "`cancel_on_interrupt`" + ` is set. ` + "`-replace`" + ` starts another job and does not cancel the one that runs; cancel that at the provider.

The trained model can be used wherever a language model can, for example as the ` + "`model`" + ` of a labeler. It is called at the same endpoint, with the key in ` + "`OPENAI_API_KEY`" + `; its ` + "`price`" + ` and ` + "`max_concurrency`" + ` are those of this block.

The cost of training is in the plan and in its totals, and counts against budgets in money, if ` + "`training_price` and `epochs`" + ` are set. Otherwise it is unknown, and a budget in money refuses the stage. It is recorded with the run that creates the job, from estimated tokens. The run that finds the job done, failed, or canceled corrects it if the provider says how many tokens it bills.

The values are ` + "`job`, `model`" + ` (its name at the provider), ` + "`examples`, `skipped`" + ` (rows without a prompt or a target), ` + "`trained_tokens`" + ` (null if the provider does not say), and ` + "`cost`" + ` (null without ` + "`training_price`" + `). ` + "`curves`" + ` is a dataset with the columns ` + "`step`, `loss`, `accuracy`, `eval_loss`, `eval_accuracy`" + `.

` + "```hcl" + `
train "openai_finetune" "intent" {
  dataset = transform.parts.train
  base    = "gpt-4.1-mini-2025-04-14"
  prompt  = prompt.intent
  target  = row.intent
  epochs  = 3
}
` + "```"

// tunedFormat is the format of a trained model: model.json, with a tuned. The
// weights stay with the provider.
const tunedFormat = "remote"

// curves is the name of the dataset with the losses.
const curves = "curves"

var curvesSchema = data.Schema{
	{Name: "step", Type: "int64"}, {Name: "loss", Type: "float64"}, {Name: "accuracy", Type: "float64"},
	{Name: "eval_loss", Type: "float64"}, {Name: "eval_accuracy", Type: "float64"},
}

var tuningValue = cty.Object(map[string]cty.Type{
	"job": cty.String, "model": cty.String, "examples": cty.Number, "skipped": cty.Number, "trained_tokens": cty.Number, "cost": cty.Number,
})

// tuner implements train "openai_finetune".
type tuner struct{}

var suffixForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_.-]{0,64}$`) })

// Prepare checks the arguments and declares the outputs.
func (tuner) Prepare(_ context.Context, p *plugin.Prepare[tuningArgs]) error {
	a := p.Args
	limits := a.limits()
	provider.Check(p, &provider.Sampling{}, &limits)
	at := a.at()
	u := at.locate(p.Known("base_url") && p.Known("address"))
	if u == nil {
		p.Errorf(a.Argument(), "%s is not a valid address\nStart it with http:// or https://.", a.Argument())
	}
	if problem := a.Problem(); problem != "" && p.Known("headers") {
		p.Errorf("headers", "%s", problem)
	}
	checkTuning(p)
	checkExamples(p, a.training(), "", a.Method)
	for i, v := range a.Validation {
		checkExamples(p, v.examples(), fmt.Sprintf("validation.%d.", i), a.Method)
	}
	if in := p.Input("dataset"); in != nil && in.Rows != nil && *in.Rows < leastExamples {
		p.Errorf("dataset", "%s", fewExamples(*in.Rows))
	}
	info := limits.Info(&provider.Sampling{}, Tokenizer(a.Base), nil)
	info.Capabilities = []string{plugin.CanChat}
	if u != nil {
		info.Host = u.Host
	}
	p.AddLanguageModel("", tunedFormat, plugin.Signature{}, info)
	p.AddDataset(curves, curvesSchema)
	p.Pays(a.unpriced(p.Known))
	p.SetValueType(tuningValue)
	return nil
}

// limits are how the trained model is called.
func (a *tuningArgs) limits() provider.Limits {
	return provider.Limits{MaxConcurrency: a.MaxConcurrency, Timeout: time.Minute, Retries: 5, Cache: true, Price: a.Price}
}

func checkTuning(p *plugin.Prepare[tuningArgs]) {
	a := p.Args
	for name, n := range map[string]*int64{"epochs": a.Epochs, "batch_size": a.BatchSize} {
		if n != nil && *n < 1 {
			p.Errorf(name, "%s must be at least 1", name)
		}
	}
	if m := a.LearningRateMultiplier; m != nil && *m <= 0 {
		p.Errorf("learning_rate_multiplier", "learning_rate_multiplier must be positive")
	}
	switch {
	case a.Beta != nil && a.Method != "dpo" && p.Known("method"):
		p.Errorf("beta", "beta needs method = \"dpo\"")
	case a.Beta != nil && (*a.Beta < 0 || *a.Beta > 2):
		p.Errorf("beta", "beta must be from 0 to 2")
	}
	if !suffixForm().MatchString(a.Suffix) {
		p.Errorf("suffix", "%q is not a valid suffix\nA suffix has at most 64 letters, digits, hyphens, periods, and underscores.", a.Suffix)
	}
	if a.CancelOnInterrupt && !a.Wait {
		p.Errorf("cancel_on_interrupt", "cancel_on_interrupt needs wait = true\nOtherwise, apply ends while the job runs.")
	}
	if a.TrainingPrice != nil && *a.TrainingPrice < 0 {
		p.Errorf("training_price", "a price cannot be negative")
	}
	if a.MaxCost == nil {
		return
	}
	if *a.MaxCost < 0 {
		p.Errorf("max_cost", "max_cost cannot be negative")
	}
	if p.Known("epochs") && p.Known("training_price") && (a.Epochs == nil || a.TrainingPrice == nil) {
		p.Errorf("max_cost", "max_cost needs epochs and training_price\nWithout them, the cost is not known before training.")
	}
}

// unpriced says why the cost is not known before training, or returns "".
func (a *tuningArgs) unpriced(known func(string) bool) string {
	var missing []string
	if a.TrainingPrice == nil && known("training_price") {
		missing = append(missing, "training_price")
	}
	if a.Epochs == nil && known("epochs") {
		missing = append(missing, "epochs")
	}
	if len(missing) == 0 {
		return ""
	}
	return "Set " + english.And(missing) + "."
}

// cost returns what training on tokens is expected to cost, or nil if that is not
// known.
func (a *tuningArgs) cost(tokens int64) *float64 {
	if a.Epochs == nil || a.TrainingPrice == nil {
		return nil
	}
	cost := float64(tokens) * float64(*a.Epochs) * *a.TrainingPrice / 1e6
	return &cost
}

// tooExpensive returns an error if training on tokens is expected to cost more
// than max_cost.
func (a *tuningArgs) tooExpensive(tokens int64) error {
	cost := a.cost(tokens)
	if a.MaxCost == nil || cost == nil || *cost <= *a.MaxCost {
		return nil
	}
	return fmt.Errorf("Training would cost more than max_cost\nAbout %s tokens in %s, at %g per million, are expected to cost %.4g, and max_cost is %g. Raise max_cost, or train on fewer rows or epochs.",
		english.Number(tokens), english.Count(*a.Epochs, "epoch"), *a.TrainingPrice, *cost, *a.MaxCost)
}

// at returns the endpoint that jobs are created at.
func (a *tuningArgs) at() *args {
	return &args{
		Name: a.Base, BaseURL: a.BaseURL, Moved: a.Moved, Secret: a.Secret, Headers: a.Headers,
		Organization: a.Organization, Project: a.Project, JSON: provider.JSONSchema,
	}
}

// Open determines where requests are sent.
func (tuner) Open(ctx context.Context, a *tuningArgs) error {
	a.endpoint = a.at()
	a.endpoint.locate(true)
	return impl{}.Open(ctx, a.endpoint)
}

// Run creates the job, or continues with the one that an earlier run created, and
// fetches the result.
func (tuner) Run(ctx context.Context, r *plugin.Run[tuningArgs]) error {
	t := &tuning{Run: r, endpoint: r.Args.endpoint}
	j, err := t.job(ctx)
	if err != nil {
		return err
	}
	if err := t.await(ctx, j); err != nil {
		if ctx.Err() != nil && t.Args.CancelOnInterrupt {
			err = errors.Join(err, t.cancel(context.WithoutCancel(ctx), j))
		}
		return err
	}
	if err := t.writeCurves(ctx, j); err != nil {
		return err
	}
	if err := t.writeModel(j); err != nil {
		return err
	}
	value := map[string]cty.Value{
		"job": cty.StringVal(j.ID), "model": cty.StringVal(j.FineTunedModel),
		"examples": cty.NumberIntVal(t.state.Examples), "skipped": cty.NumberIntVal(t.state.Skipped),
		"trained_tokens": cty.NullVal(cty.Number), "cost": cty.NullVal(cty.Number),
	}
	if n := j.TrainedTokens; n != nil {
		value["trained_tokens"] = cty.NumberIntVal(*n)
	}
	cost, err := t.settle(j)
	if err != nil {
		return err
	}
	if cost != nil {
		value["cost"] = cty.NumberFloatVal(*cost)
	}
	r.SetValue(cty.ObjectVal(value))
	return nil
}

// tuned is the content of model.json.
type tuned struct {
	Provider string `json:"provider"`
	// BaseURL is the address that identifies the endpoint, and Address the one to
	// send requests to, if they differ.
	BaseURL string `json:"base_url"`
	Address string `json:"address,omitempty"`
	Model   string `json:"model"`
	Base    string `json:"base"`
	Job     string `json:"job"`
	// TrainedTokens is nil if the provider does not say.
	TrainedTokens *int64 `json:"trained_tokens,omitempty"`
}

const modelFile = "model.json"

func (t *tuning) writeModel(j *tuningJob) error {
	dir, err := t.Folder("")
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(tuned{
		Provider: "openai", BaseURL: t.Args.BaseURL, Address: t.Args.Address, Model: j.FineTunedModel, Base: t.Args.Base, Job: j.ID,
		TrainedTokens: j.TrainedTokens,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, modelFile), append(text, '\n'), 0o644)
}

// LanguageFormats and LoadLanguage make the trained models callable.
func (tuner) LanguageFormats() []string { return []string{tunedFormat} }

// LoadLanguage returns a model at its endpoint. Its key comes from the
// environment, because the model must not contain one.
func (tuner) LoadLanguage(ctx context.Context, m *plugin.ModelFiles) (*plugin.Language, error) {
	path, err := m.Path(modelFile)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var of tuned
	if err := json.Unmarshal(text, &of); err != nil || of.Model == "" {
		return nil, fmt.Errorf("%s is not a model of train \"openai_finetune\"", modelFile)
	}
	a := &args{Name: of.Model, BaseURL: of.BaseURL, Moved: provider.Moved{Address: of.Address}, JSON: provider.JSONSchema}
	a.locate(true)
	if err := (impl{}).Open(ctx, a); err != nil {
		return nil, err
	}
	return &plugin.Language{Chat: func(ctx context.Context, r *llm.Request) (*llm.Response, error) { return impl{}.Chat(ctx, a, r) }}, nil
}
