package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

const parrotFormat = "acme.parrot/v1"

// training returns a plugin that trains language models, which can also be wrapped
// in model blocks.
func training() plugin.Plugin {
	return plugin.Plugin{
		Name: "training", Version: "1.0.0",
		Types: []plugin.Type{
			plugin.NewRunner(plugin.Info{Kind: plugin.KindTrain, Name: "training_parrot", BehaviorVersion: 1}, parrot{}),
			plugin.NewProvider(plugin.Info{Name: "training_model", BehaviorVersion: 1}, wrapper{}),
		},
	}
}

type parrotArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required"`
	Text    plugin.Column  `quern:"text,required" type:"string"`
}

// parrot trains a model that repeats what it is told, after the texts that it was
// trained on.
type parrot struct{}

func (parrot) Prepare(_ context.Context, p *plugin.Prepare[parrotArgs]) error {
	p.AddLanguageModel("", parrotFormat, plugin.Signature{}, plugin.ModelInfo{
		Capabilities: []string{plugin.CanChat, plugin.CanEmbed}, Price: llm.FreeOfCharge(), Cache: true,
	})
	return nil
}

func (parrot) Run(ctx context.Context, r *plugin.Run[parrotArgs]) error {
	var words []string
	for rec, err := range r.Dataset(r.Args.Dataset).Batches(ctx, data.Arguments.Refs("text")) {
		if err != nil {
			return err
		}
		for i := range int(rec.NumRows()) {
			words = append(words, rec.Column(0).ValueStr(i))
		}
	}
	dir, err := r.Folder("")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "words"), []byte(strings.Join(words, " ")), 0o644)
}

func (parrot) LanguageFormats() []string { return []string{parrotFormat} }

func (parrot) LoadLanguage(_ context.Context, m *plugin.ModelFiles) (*plugin.Language, error) {
	words, err := wordsOf(m)
	return &plugin.Language{
		Chat: func(_ context.Context, r *llm.Request) (*llm.Response, error) { return repeat(words, r), nil },
		Embed: func(_ context.Context, texts []string) (*plugin.Embeddings, error) {
			return &plugin.Embeddings{Vectors: make([][]float32, len(texts))}, nil
		},
	}, err
}

func wordsOf(m *plugin.ModelFiles) (string, error) {
	path, err := m.Path("words")
	if err != nil {
		return "", err
	}
	words, err := os.ReadFile(path)
	return string(words), err
}

func repeat(words string, r *llm.Request) *llm.Response {
	return &llm.Response{Text: words + ": " + r.Messages[len(r.Messages)-1].Content, FinishReason: llm.FinishStop}
}

type wrapperArgs struct {
	Artifact plugin.Model `quern:"artifact"`
	Loud     bool         `quern:"loud"`

	words string
}

// wrapper calls a parrot.
type wrapper struct{}

func (wrapper) Prepare(_ context.Context, p *plugin.Prepare[wrapperArgs]) error {
	if in := p.Input("artifact"); in != nil && in.Format != parrotFormat {
		return plugin.ArgumentErrorf("artifact", "it has the format %q", in.Format)
	}
	p.SetModelInfo(plugin.ModelInfo{})
	return nil
}

func (wrapper) OpenModel(_ context.Context, a *wrapperArgs, m *plugin.ModelFiles) (err error) {
	a.words, err = wordsOf(m)
	return err
}

func (wrapper) Chat(_ context.Context, a *wrapperArgs, r *llm.Request) (*llm.Response, error) {
	out := repeat(a.words, r)
	if a.Loud {
		out.Text = strings.ToUpper(out.Text)
	}
	return out, nil
}

func train(t *testing.T) plugintest.Model {
	t.Helper()
	got, err := plugintest.Run(t, training(), plugintest.Case{
		Type: "training_parrot", Args: map[string]any{"text": plugintest.Row("text")},
		Rows: []map[string]any{{"text": "pieces"}, {"text": "of"}, {"text": "eight"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return got.Models[""]
}

func TestATrainedLanguageModelIsCalled(t *testing.T) {
	model := train(t)
	if fmt.Sprint(model.Language) != "[chat embed]" {
		t.Errorf("its capabilities are %v", model.Language)
	}
	got, err := plugintest.ChatTrained(t, training(), model, ask("arr"))
	if err != nil || got.Text != "pieces of eight: arr" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAModelBlockWrapsATrainedModel(t *testing.T) {
	model := train(t)
	args := map[string]any{"artifact": model, "loud": true}
	got, err := plugintest.Chat(t, training(), plugintest.Case{Type: "training_model", Args: args}, ask("arr"))
	if err != nil || got.Text != "PIECES OF EIGHT: ARR" {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = plugintest.Chat(t, training(), plugintest.Case{Type: "training_model"}, ask("arr"))
	if err != nil || got.Text != ": arr" {
		t.Errorf("without a model: got %+v, %v", got, err)
	}
	model.Format = "acme.other/v1"
	prepared, err := plugintest.Prepare(t, training(), plugintest.Case{Type: "training_model", Args: map[string]any{"artifact": model}})
	if err != nil || len(prepared.Errors) != 1 || prepared.Errors[0].Argument != "artifact" {
		t.Errorf("another format: got %+v, %v", prepared, err)
	}
}

func TestATrainedModelOfAnUnknownFormatIsNotCalled(t *testing.T) {
	model := train(t)
	model.Format = "acme.other/v1"
	_, err := plugintest.ChatTrained(t, training(), model, ask("arr"))
	if err == nil || !strings.Contains(err.Error(), `no type of the plugin can call models of format "acme.other/v1"`) {
		t.Errorf("got %v", err)
	}
}

func TestAModelThatCannotBeLoadedIsACallError(t *testing.T) {
	model := train(t)
	model.Dir = t.TempDir()
	_, err := plugintest.ChatTrained(t, training(), model, ask("arr"))
	var call *llm.CallError
	if !errors.As(err, &call) || call.Temporary || !strings.Contains(call.Message, `has no file "words"`) {
		t.Errorf("got %v", err)
	}
}
