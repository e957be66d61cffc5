package goplugin

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

const echoFormat = "conform.echo/v1"

type echoArgs struct {
	Word string `quern:"word,required" doc:"What the model says first."`
}

// echo trains a language model that says a word and what it is told.
type echo struct{}

func (echo) Prepare(_ context.Context, p *plugin.Prepare[echoArgs]) error {
	p.AddLanguageModel("", echoFormat, plugin.Signature{}, plugin.ModelInfo{
		Capabilities: []string{plugin.CanChat, plugin.CanComplete, plugin.CanEmbed, plugin.CanScore}, Price: llm.FreeOfCharge(), Cache: true,
	})
	return nil
}

func (echo) Run(_ context.Context, r *plugin.Run[echoArgs]) error {
	folder, err := r.Folder("")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "word"), []byte(r.Args.Word), 0o644)
}

func (echo) LanguageFormats() []string { return []string{echoFormat} }

func (echo) LoadLanguage(_ context.Context, m *plugin.ModelFiles) (*plugin.Language, error) {
	word, err := wordOf(m)
	return &plugin.Language{
		Chat: func(_ context.Context, r *llm.Request) (*llm.Response, error) { return say(word, r), nil },
		Embed: func(_ context.Context, texts []string) (*plugin.Embeddings, error) {
			out := &plugin.Embeddings{}
			for _, t := range texts {
				out.Vectors = append(out.Vectors, []float32{float32(utf8.RuneCountInString(word + t))})
			}
			return out, nil
		},
	}, err
}

func wordOf(m *plugin.ModelFiles) (string, error) {
	path, err := m.Path("word")
	if err != nil {
		return "", err
	}
	word, err := os.ReadFile(path)
	return string(word), err
}

func say(word string, r *llm.Request) *llm.Response {
	out := &llm.Response{FinishReason: llm.FinishStop, Usage: llm.Usage{Input: 2, Output: 1}}
	if !r.OnlyScores() {
		out.Text = word + " " + r.Prompt
		if r.Prompt == "" {
			out.Text += r.Messages[len(r.Messages)-1].Content
		}
	}
	if r.PromptLogProbs {
		out.PromptLogProbs = scores(r)
	}
	return out
}

// scores returns a token for each word.
func scores(r *llm.Request) []llm.PromptLogProb {
	var all []llm.PromptLogProb
	for token := range strings.SplitAfterSeq(r.Prompt, " ") {
		if token == "" {
			continue
		}
		s := llm.PromptLogProb{Token: token}
		if len(all) > 0 {
			p := -float64(len(all))
			s.LogProb, s.Top = &p, &llm.LogProb{Token: "a", LogProb: -0.5}
		}
		all = append(all, s)
	}
	for i, m := range r.Messages {
		all = append(all, llm.PromptLogProb{Token: m.Content, Message: &i})
	}
	return all
}

type wrapArgs struct {
	Artifact plugin.Model `quern:"artifact" doc:"A model that conform_echo trained."`
	Loud     bool         `quern:"loud" default:"false" doc:"It says everything in capital letters."`

	word string
}

// wrap calls a language model as its block says.
type wrap struct{}

func (wrap) Prepare(_ context.Context, p *plugin.Prepare[wrapArgs]) error {
	if in := p.Input("artifact"); in != nil && in.Format != echoFormat {
		return plugin.ArgumentErrorf("artifact", "the format is wrong\nIt is %s.", in.Format)
	}
	p.SetModelInfo(plugin.ModelInfo{Cache: true})
	return nil
}

func (wrap) OpenModel(_ context.Context, a *wrapArgs, m *plugin.ModelFiles) (err error) {
	a.word, err = wordOf(m)
	return err
}

func (wrap) Chat(_ context.Context, a *wrapArgs, r *llm.Request) (*llm.Response, error) {
	if a.word == "" {
		return nil, &llm.CallError{Message: "it wraps no model"}
	}
	out := say(a.word, r)
	if a.Loud {
		out.Text = strings.ToUpper(out.Text)
	}
	return out, nil
}

func (wrap) Embed(_ context.Context, a *wrapArgs, texts []string) (*plugin.Embeddings, error) {
	return nil, fmt.Errorf("%s embeds nothing", a.word)
}
