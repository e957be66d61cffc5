package llm

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type augmentArgs struct {
	Input    plugin.Dataset  `quern:"input,required" doc:"The dataset to add rows to."`
	Model    plugin.Model    `quern:"model,required" doc:"The language model to use, such as 'model.small'."`
	Prompt   plugin.Prompt   `quern:"prompt,required" doc:"The prompt to send for each row, which says what to write, such as 'prompt.rephrase'. The number of texts and the form of the answer are added to its system message."`
	Variants int             `quern:"variants" default:"1" doc:"The number of new texts for each row."`
	As       string          `quern:"as,required" doc:"The name of the column for the new text."`
	Unlike   []plugin.Column `quern:"unlike" type:"string" doc:"Texts of the row that a new text must not repeat, such as '[row.text]'. Case and white space do not count."`

	pool struct {
		once sync.Once
		*prompting.Pool
		err error
	}
}

const augmentDoc = `Writes new rows with a language model: variants of each row of a dataset.

Each new row repeats the columns of the input, followed by the new text. The original rows are not in the result; transform "concat" puts both together, and transform "dedup" removes texts that different rows have in common.

Answers are read strictly. The texts of a row must differ from each other and from those in ` + "`unlike`" + `. If an answer is not valid, the model is told what is wrong and asked once more; if the second one is not valid either, the row fails, and ` + "`max_errors`" + ` sets how many rows may fail. Each row is asked about once: only rows that are new or changed cost anything. A ` + "`budget`" + ` limits the cost.

` + "```hcl" + `
transform "augment" "more" {
  input    = transform.rare
  model    = model.large
  prompt   = prompt.rephrase
  variants = 3
  as       = "variant"
  unlike   = [row.text]
}
` + "```"

// mostVariants limits the texts of an answer.
const mostVariants = 100

// augment implements transform "augment".
type augment struct{}

func (augment) BatchRows() int   { return rowsPerBatch }
func (augment) Concurrency() int { return openBatches }

// Prepare declares the column, and the calls.
func (augment) Prepare(_ context.Context, p *plugin.Prepare[augmentArgs]) error {
	a := p.Args
	if in := p.Input("model"); in != nil && !in.Can(plugin.CanChat) {
		p.Errorf("model", "This model cannot chat\nIt can: %v. This transform needs a model that answers messages, such as one from a model block.", in.Capabilities)
	}
	if p.Known("variants") && (a.Variants < 1 || a.Variants > mostVariants) {
		p.Errorf("variants", "The number of variants, %d, is out of range\nvariants must be from 1 to %d.", a.Variants, mostVariants)
	}
	if !p.Known("as") {
		return plugin.ArgumentErrorf("as", "as must be known at plan time\nIt is the name of a column, so it cannot depend on the result of another stage.")
	}
	p.KeepInput("input")
	p.AddColumn(a.As, "string")
	schema, err := json.Marshal(a.schema())
	if err != nil {
		return err
	}
	p.AddModelCalls(plugin.ModelCalls{Prompt: "prompt", Model: "model", PerRow: 1, Added: a.instruction() + "\n\n" + string(schema)})
	return nil
}

func (a *augmentArgs) instruction() string {
	return fmt.Sprintf("Write %d different new texts. Answer with a JSON object: {\"texts\": [\"…\"]}.", a.Variants)
}

func (a *augmentArgs) schema() map[string]any {
	return map[string]any{
		"type": "object", "additionalProperties": false, "required": []string{"texts"},
		"properties": map[string]any{"texts": map[string]any{"type": "array", "items": map[string]any{"type": "string"}}},
	}
}

// FlatMap asks for the texts of all rows of the batch at the same time.
func (augment) FlatMap(ctx context.Context, a *augmentArgs, b *plugin.FlatBatch) error {
	a.pool.once.Do(func() {
		// Other batches of the run continue after this batch's context ends.
		ctx := context.WithoutCancel(ctx)
		a.pool.Pool, a.pool.err = prompting.NewPool(ctx, b.Host(), a.Prompt, b.Dataset(prompting.Dataset(a.Prompt)))
	})
	if a.pool.err != nil {
		return a.pool.err
	}
	schema, err := json.Marshal(a.schema())
	if err != nil {
		return err
	}
	texts, errs := make([][]string, b.N), make([]error, b.N)
	host, requests := b.Host(), a.requests(b)
	g, gctx := parallel.WithContext(ctx)
	for i, r := range requests {
		if r == nil {
			continue
		}
		g.Go(func() error {
			texts[i], errs[i] = r.ask(gctx, a, host, schema)
			if errs[i] != nil && !prompting.OfRow(errs[i]) && !llm.IsPending(errs[i]) {
				return errs[i]
			}
			b.ReportDone()
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i := range b.N {
		if errs[i] != nil {
			b.Fail(i, false, errs[i])
			continue
		}
		for _, text := range texts[i] {
			b.SetString(a.As, b.Yield(i), text)
		}
	}
	return nil
}

// variation is the request for one row.
type variation struct {
	prompt string
	by     string
	unlike []string
}

// requests reads the requests from the batch: nil for a row without a prompt.
func (a *augmentArgs) requests(b *plugin.FlatBatch) []*variation {
	prompts := b.Strings(plugin.Column(a.Prompt))
	var by plugin.Values[string]
	if key := prompting.ByKey(a.Prompt.Key); b.Array(key) != nil {
		by = b.Strings(plugin.Column{Key: key})
	}
	out := make([]*variation, b.N)
	for i := range out {
		text, ok := prompts.At(i)
		if !ok {
			continue
		}
		out[i] = &variation{prompt: text}
		out[i].by, _ = by.At(i)
		for _, c := range a.Unlike {
			if text, ok := b.Strings(c).At(i); ok {
				out[i].unlike = append(out[i].unlike, text)
			}
		}
	}
	return out
}

// ask returns the new texts of a row.
func (v *variation) ask(ctx context.Context, a *augmentArgs, host *plugin.Host, schema []byte) ([]string, error) {
	prompt, err := llm.DecodePrompt(v.prompt)
	if err != nil {
		return nil, err
	}
	if err := a.pool.Fill(ctx, prompt, v.by); err != nil {
		return nil, err
	}
	prompting.Instruct(prompt.Request, a.instruction())
	prompt.Request.Output = &llm.Output{Name: "texts", Schema: schema, Strict: true}
	var texts []string
	err = prompting.Ask(ctx, host, a.Model, prompt.Request, 0, func(answer string) (err error) {
		texts, err = v.read(answer, a.Variants)
		return err
	})
	return texts, err
}

// read reads an answer. What is wrong with it is told to the model.
func (v *variation) read(answer string, wanted int) ([]string, error) {
	object, err := prompting.Object(answer)
	if err != nil {
		return nil, err
	}
	var content struct {
		Texts []string `json:"texts"`
	}
	if err := json.Unmarshal(object, &content); err != nil {
		return nil, fmt.Errorf("it is not the JSON that was asked for: %w", err)
	}
	if len(content.Texts) != wanted {
		return nil, fmt.Errorf("it has %d texts, but %d were asked for", len(content.Texts), wanted)
	}
	seen := map[string]bool{"": true}
	for _, text := range v.unlike {
		seen[folded(text)] = true
	}
	for _, text := range content.Texts {
		if seen[folded(text)] {
			return nil, fmt.Errorf("the text %q is empty or not new", text)
		}
		seen[folded(text)] = true
	}
	return content.Texts, nil
}

// folded is a text without differences in case and white space.
func folded(text string) string { return strings.ToLower(strings.Join(strings.Fields(text), " ")) }
