package onnx

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/quern-dev/quern/internal/tokenizer"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type args struct {
	Path      string `quern:"path,required,operational" doc:"The file of the model, '.onnx'. A relative path is relative to the folder of the configuration. Only the file's content affects results."`
	Tokenizer string `quern:"tokenizer,required,operational" doc:"The model's 'tokenizer.json'. Only the file's content affects results."`
	Library   string `quern:"library,operational" doc:"The path of ONNX Runtime's shared library, such as '/usr/lib/libonnxruntime.so'. By default, the environment variable ONNXRUNTIME_LIBRARY, which the plugin's block has to list in 'environment', or what the system finds under the library's usual name."`
	Pooling   string `quern:"pooling" default:"\"mean\"" oneof:"mean,cls" doc:"How the vectors of the tokens become one: their mean, or the vector of the first token."`
	Normalize bool   `quern:"normalize" default:"true" doc:"Whether embeddings have the length 1."`
	MaxTokens int    `quern:"max_tokens" default:"512" doc:"The maximum number of tokens of a text, with the special ones."`
	Longer    string `quern:"longer" default:"\"error\"" oneof:"error,truncate" doc:"What happens to a longer text: it cannot be embedded ('error'), or its end is cut off ('truncate')."`
	Cache     bool   `quern:"cache,operational" default:"true" doc:"Whether embeddings are cached and reused for equal texts."`

	tokens *tokenizer.Tokenizer
	// loaded is the network, which the first call loads.
	loaded struct {
		sync.Once
		*network
		err error
	}
}

// model implements model "onnx".
type model struct{ root func() string }

// resolve returns a path that can be relative to the root.
func (m model) resolve(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(m.root(), path)
}

// Prepare declares the files and what the model can do.
func (m model) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	a := p.Args
	for _, f := range []struct{ key, name, path string }{{"path", "model", a.Path}, {"tokenizer", "tokenizer", a.Tokenizer}} {
		if !p.Known(f.key) {
			continue
		}
		if err := p.AddFile(f.name, m.resolve(f.path)); err != nil {
			p.Errorf(f.key, "Cannot read the %s\n%s.", f.name, err)
		}
	}
	if p.Known("max_tokens") && a.MaxTokens < 1 {
		p.Errorf("max_tokens", "max_tokens is out of range\nIt must be at least 1, not %d.", a.MaxTokens)
	}
	var free float64
	p.SetModelInfo(plugin.ModelInfo{
		Capabilities: []string{plugin.CanEmbed}, Cache: a.Cache, MaxConcurrency: int64(runtime.GOMAXPROCS(0)),
		Price: &llm.Price{Input: &free, Output: &free, Source: "configuration"},
	})
	return nil
}

// Open reads the tokenizer.
func (m model) Open(_ context.Context, a *args) error {
	content, err := os.ReadFile(m.resolve(a.Tokenizer))
	if err != nil {
		return plugin.ArgumentErrorf("tokenizer", "%w", err)
	}
	if a.tokens, err = tokenizer.Parse(content); err != nil {
		return plugin.ArgumentErrorf("tokenizer", "Cannot use this tokenizer\n%s: %w.", a.Tokenizer, err)
	}
	return nil
}

// Embed computes the embedding of each text.
func (m model) Embed(ctx context.Context, a *args, texts []string) (*plugin.Embeddings, error) {
	a.loaded.Do(func() { a.loaded.network, a.loaded.err = load(m.resolve(a.Path), a.Library) })
	if a.loaded.err != nil {
		return nil, &llm.CallError{Message: a.loaded.err.Error()}
	}
	out := &plugin.Embeddings{}
	for _, text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ids, err := a.tokenize(text)
		if err != nil {
			return nil, &llm.CallError{Status: 400, Message: err.Error()}
		}
		states, err := a.loaded.run(ids)
		if err != nil {
			return nil, &llm.CallError{Message: fmt.Sprintf("ONNX Runtime: %s", err)}
		}
		v, err := a.pool(states)
		if err != nil {
			return nil, &llm.CallError{Message: err.Error()}
		}
		out.Vectors = append(out.Vectors, v)
		out.InputTokens += int64(len(ids))
	}
	return out, nil
}

// tokenize returns the tokens of a text, at most MaxTokens.
func (a *args) tokenize(text string) ([]int64, error) {
	e, err := a.tokens.Encode(text, tokenizer.Options{Special: true})
	if err != nil {
		return nil, err
	}
	n := len(e.IDs)
	switch {
	case n == 0:
		return nil, errors.New("the text has no tokens")
	case n > a.MaxTokens && (a.Longer == "error" || a.MaxTokens <= e.Before+e.After):
		return nil, fmt.Errorf("the text has %d tokens, but max_tokens is %d; split it, or set longer = \"truncate\"", n, a.MaxTokens)
	case n > a.MaxTokens: // the special tokens at the end stay
		e.IDs = append(e.IDs[:a.MaxTokens-e.After], e.IDs[n-e.After:]...)
	}
	ids := make([]int64, len(e.IDs))
	for i, id := range e.IDs {
		ids[i] = int64(id)
	}
	return ids, nil
}

// pool makes one vector of those of the tokens.
func (a *args) pool(states [][]float32) ([]float32, error) {
	sums := make([]float64, len(states[0]))
	if a.Pooling == "cls" {
		states = states[:1]
	}
	for _, state := range states {
		for i, x := range state {
			sums[i] += float64(x) / float64(len(states))
		}
	}
	length := 1.0
	if a.Normalize {
		length = 0
		for _, x := range sums {
			length += x * x
		}
		length = math.Sqrt(length)
	}
	v := make([]float32, len(sums))
	for i, x := range sums {
		if v[i] = float32(x / length); math.IsNaN(float64(v[i])) || math.IsInf(float64(v[i]), 0) {
			return nil, errors.New("the embedding is not finite")
		}
	}
	return v, nil
}
