package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

const parrotFormat = "test.parrot/v1"

type parrotArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"Rows to learn from."`
	Text    plugin.Column  `quern:"text,required" type:"string" doc:"What the model learns to say."`
	Paid    bool           `quern:"paid,operational" doc:"Calls have no known price."`
}

// parrot trains a language model that says its words, and then what it is told.
// Each load and each call is a line of the file calls in the project's folder.
type parrot struct{ calls *calls }

// calls is where calls are recorded.
type calls struct{ dir string }

func (c *calls) configure(_ context.Context, root string) error {
	c.dir = root
	return nil
}

func (c *calls) record(format string, args ...any) error {
	return appendTo(filepath.Join(c.dir, "calls"), fmt.Sprintf(format+"\n", args...))
}

func (parrot) Prepare(_ context.Context, p *plugin.Prepare[parrotArgs]) error {
	info := plugin.ModelInfo{Capabilities: []string{plugin.CanChat, plugin.CanEmbed, plugin.CanScore}, MaxConcurrency: 2, MaxTokens: 20, Cache: true}
	if !p.Args.Paid {
		info.Price = llm.FreeOfCharge()
	}
	p.AddLanguageModel("", parrotFormat, plugin.Signature{}, info)
	return nil
}

func (parrot) Run(ctx context.Context, r *plugin.Run[parrotArgs]) error {
	var words []string
	for rec, err := range r.Dataset(r.Args.Dataset).Batches(ctx, data.Arguments.Refs("text")) {
		if err != nil {
			return err
		}
		texts := rec.Column(0).(*array.String)
		for i := range texts.Len() {
			words = append(words, texts.Value(i))
		}
	}
	dir, err := r.Folder("")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "words"), []byte(strings.Join(words, " ")), 0o644)
}

func (parrot) LanguageFormats() []string { return []string{parrotFormat} }

func (p parrot) LoadLanguage(_ context.Context, m *plugin.ModelFiles) (*plugin.Language, error) {
	words, err := wordsOf(m)
	if err != nil {
		return nil, err
	}
	return &plugin.Language{
		Chat: func(_ context.Context, r *llm.Request) (*llm.Response, error) { return p.calls.repeat(words, r) },
		Embed: func(_ context.Context, texts []string) (*plugin.Embeddings, error) {
			return embedded(words, texts), p.calls.record("%s embeds %d", words, len(texts))
		},
	}, p.calls.record("%s is loaded", words)
}

func wordsOf(m *plugin.ModelFiles) (string, error) {
	path, err := m.Path("words")
	if err != nil {
		return "", err
	}
	words, err := os.ReadFile(path)
	return string(words), err
}

// repeat answers a request. The text "hang" never gets an answer.
func (c *calls) repeat(words string, r *llm.Request) (*llm.Response, error) {
	if r.Prompt != "" {
		return scored(words, r.Prompt), c.record("%s scores %s", words, r.Prompt)
	}
	last := r.Messages[len(r.Messages)-1].Content
	if err := c.record("%s hears %s", words, last); err != nil {
		return nil, err
	}
	if last == "hang" {
		select {}
	}
	return &llm.Response{
		Text: words + " " + last, FinishReason: llm.FinishStop, Usage: llm.Usage{Input: 2, Output: 3},
	}, nil
}

// scored returns a token for each word. Those that the model knows have a
// probability of 1/2, and others one of 1/8.
func scored(words, text string) *llm.Response {
	out := &llm.Response{FinishReason: llm.FinishStop, Usage: llm.Usage{Input: 2}, PromptLogProbs: []llm.PromptLogProb{{}}}
	for token := range strings.SplitAfterSeq(text, " ") {
		p := -3 * math.Ln2
		if strings.Contains(words, strings.TrimSpace(token)) {
			p = -math.Ln2
		}
		out.PromptLogProbs = append(out.PromptLogProbs, llm.PromptLogProb{Token: token, LogProb: &p})
	}
	return out
}

func embedded(words string, texts []string) *plugin.Embeddings {
	out := &plugin.Embeddings{InputTokens: int64(len(texts))}
	for _, t := range texts {
		out.Vectors = append(out.Vectors, []float32{float32(len(words)), float32(len(t))})
	}
	return out
}

type wrapperArgs struct {
	Artifact    plugin.Model `quern:"artifact,required" doc:"A model that test_parrot trained."`
	Temperature *float64     `quern:"temperature" doc:"As for other models."`
	Loud        bool         `quern:"loud" doc:"It says everything in capitals."`

	words string
}

// wrapper calls a parrot as its block says.
type wrapper struct{ calls *calls }

func (wrapper) Prepare(_ context.Context, p *plugin.Prepare[wrapperArgs]) error {
	if in := p.Input("artifact"); in != nil && in.Format != parrotFormat {
		return plugin.ArgumentErrorf("artifact", "Wrong format of model\nIts format is %q, but this model needs %q.", in.Format, parrotFormat)
	}
	p.SetModelInfo(plugin.ModelInfo{Price: llm.FreeOfCharge(), Cache: true})
	return nil
}

func (w wrapper) OpenModel(_ context.Context, a *wrapperArgs, m *plugin.ModelFiles) (err error) {
	a.words, err = wordsOf(m)
	return errors.Join(err, w.calls.record("%s is wrapped", a.words))
}

func (w wrapper) Chat(_ context.Context, a *wrapperArgs, r *llm.Request) (*llm.Response, error) {
	out, err := w.calls.repeat(a.words, r)
	if err == nil && a.Loud {
		out.Text = strings.ToUpper(out.Text)
	}
	return out, err
}
