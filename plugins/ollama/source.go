package ollama

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// The formats of models that Ollama can import.
const (
	formatGGUF    = "gguf"
	formatHF      = "hf"
	formatAdapter = "hf-adapter"
)

// adapterFolder is where a model in the format hf-adapter has the adapter.
const adapterFolder = "adapter/"

// imported are the architectures that Ollama converts from safetensors, as its
// package convert lists them. An architecture that is missing here can still be
// deployed as GGUF.
var imported = []string{
	"BertModel", "CohereForCausalLM", "DeepseekV3ForCausalLM", "Gemma2ForCausalLM", "Gemma3ForCausalLM", "Gemma3ForConditionalGeneration",
	"Gemma3nForConditionalGeneration", "GemmaForCausalLM", "Glm4MoeLiteForCausalLM", "GptOssForCausalLM", "Lfm2ForCausalLM", "Llama4ForConditionalGeneration",
	"LlamaForCausalLM", "Ministral3ForCausalLM", "Mistral3ForConditionalGeneration", "MixtralForCausalLM", "MllamaForConditionalGeneration",
	"NomicBertModel", "NomicBertMoEModel", "Olmo3ForCausalLM", "Phi3ForCausalLM", "Qwen2ForCausalLM", "Qwen2_5_VLForConditionalGeneration",
	"Qwen3VLForConditionalGeneration", "Qwen3VLMoeForConditionalGeneration",
}

// adapted are the architectures whose adapters Ollama converts, by the name of
// the architecture in GGUF.
var adapted = map[string]string{"LlamaForCausalLM": "llama", "Gemma2ForCausalLM": "gemma2"}

// source is what Ollama creates a model from.
type source struct {
	files, adapter []plugin.File
	base           config // of the adapter
}

// all returns the files that the server needs.
func (s *source) all() []plugin.File { return slices.Concat(s.files, s.adapter) }

// config is the part of config.json that matters.
type config struct {
	Architectures []string `json:"architectures"`
	HiddenSize    float64  `json:"hidden_size"`
	Layers        float64  `json:"num_hidden_layers"`
}

// importable returns what to create a model from, or why Ollama cannot import
// it. from is the model on the server that an adapter is put on, if any.
func importable(m *plugin.ModelFiles, from string) (*source, error) {
	if from != "" && m.Format != formatAdapter {
		return nil, &plugin.ArgumentError{Argument: "from", Err: fmt.Errorf(
			"from is for adapters, but the artifact is a model in the format %s\nOmit from.", m.Format)}
	}
	s, err := func() (*source, error) {
		switch m.Format {
		case formatGGUF:
			return gguf(m)
		case formatHF:
			return safetensors(m)
		case formatAdapter:
			return adapter(m, from)
		}
		return nil, fmt.Errorf("a model in the format %s cannot be imported\nOllama imports gguf, hf, and hf-adapter.", m.Format)
	}()
	if err != nil {
		return nil, &plugin.ArgumentError{Argument: "artifact", Err: err}
	}
	return s, nil
}

// gguf returns the GGUF files of a model.
func gguf(m *plugin.ModelFiles) (*source, error) {
	s := &source{}
	for _, f := range m.Files {
		if path.Ext(f.Name) != ".gguf" {
			continue
		}
		if err := checkGGUF(f.Path); err != nil {
			return nil, fmt.Errorf("%s is not a model that Ollama can load: %w", f.Name, err)
		}
		f.Name = path.Base(f.Name)
		s.files = append(s.files, f)
	}
	if len(s.files) == 0 {
		return nil, errors.New("the model has no file that ends in .gguf")
	}
	return s, nil
}

// checkGGUF checks the beginning of a GGUF file: magic, version, and the number
// of tensors, little-endian.
func checkGGUF(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var header struct {
		Magic   [4]byte
		Version uint32
		Tensors uint64
	}
	if err := binary.Read(f, binary.LittleEndian, &header); err != nil {
		return fmt.Errorf("read its header: %w", err)
	}
	switch {
	case string(header.Magic[:]) != "GGUF":
		return fmt.Errorf("it begins with %q instead of \"GGUF\"", header.Magic[:])
	case header.Version < 2 || header.Version > 3:
		return fmt.Errorf("its GGUF version is %d, but must be 2 or 3, little-endian", header.Version)
	case header.Tensors == 0:
		return errors.New("it has no tensors")
	}
	return nil
}

// safetensors returns the files of a model as transformers saves it.
func safetensors(m *plugin.ModelFiles) (*source, error) {
	c, err := readConfig(m)
	if err != nil {
		return nil, err
	}
	s := &source{base: c}
	if !slices.Contains(imported, c.architecture()) {
		return nil, fmt.Errorf("the architecture %q cannot be imported\nOllama imports %s. Export the model as GGUF instead.", c.architecture(), strings.Join(imported, ", "))
	}
	weights, tokenizer := false, false
	for _, f := range m.Files {
		if !forOllama(f.Name) {
			continue
		}
		weights = weights || path.Ext(f.Name) == ".safetensors"
		tokenizer = tokenizer || f.Name == "tokenizer.json" || f.Name == "tokenizer.model"
		s.files = append(s.files, f)
	}
	switch {
	case !weights:
		return nil, errors.New("the model has no weights: no file ends in .safetensors")
	case !tokenizer:
		return nil, errors.New("the model has neither tokenizer.json nor tokenizer.model, which Ollama needs")
	}
	return s, nil
}

// forOllama reports whether Ollama reads a file of a model.
func forOllama(name string) bool {
	if strings.Contains(name, "/") || name == "quern.json" {
		return false
	}
	switch path.Ext(name) {
	case ".safetensors", ".json", ".jinja", ".model":
		return true
	}
	return false
}

// adapter returns the files of an adapter and, without from, of its base.
func adapter(m *plugin.ModelFiles, from string) (*source, error) {
	c, err := readConfig(m)
	if err != nil {
		return nil, err
	}
	if adapted[c.architecture()] == "" {
		return nil, fmt.Errorf("an adapter for the architecture %q cannot be imported\nOllama imports adapters for LlamaForCausalLM and Gemma2ForCausalLM. Merge the adapter into its base, and deploy the merged model.", c.architecture())
	}
	s := &source{base: c}
	if from == "" {
		if s, err = safetensors(m); err != nil {
			return nil, err
		}
	}
	for _, f := range m.Files {
		name, ok := strings.CutPrefix(f.Name, adapterFolder)
		if ok && forOllama(name) {
			f.Name = name
			s.adapter = append(s.adapter, f)
		}
	}
	for _, name := range []string{"adapter_config.json", "adapter_model.safetensors"} {
		if !slices.ContainsFunc(s.adapter, func(f plugin.File) bool { return f.Name == name }) {
			return nil, fmt.Errorf("the adapter has no %s", name)
		}
	}
	return s, nil
}

func readConfig(m *plugin.ModelFiles) (config, error) {
	var c config
	file, err := m.Path("config.json")
	if err != nil {
		return c, errors.New("the model has no config.json, which Ollama needs")
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return c, fmt.Errorf("read config.json: %w", err)
	}
	return c, nil
}

func (c config) architecture() string {
	if len(c.Architectures) == 0 {
		return ""
	}
	return c.Architectures[0]
}

// fits returns an error if an adapter does not belong to the model on the
// server that it is put on.
func (s *source) fits(ctx context.Context, on *ollama, from string) error {
	if from == "" {
		return nil
	}
	found, err := on.show(ctx, from)
	if err != nil {
		return &plugin.ArgumentError{Argument: "from", Err: fmt.Errorf("look at %s in Ollama at %s: %w", from, on.URL, err)}
	}
	architecture := adapted[s.base.architecture()]
	for _, want := range []struct {
		key   string
		value any
	}{
		{"general.architecture", architecture},
		{architecture + ".embedding_length", s.base.HiddenSize},
		{architecture + ".block_count", s.base.Layers},
	} {
		if got := found.Info[want.key]; got != want.value {
			return &plugin.ArgumentError{Argument: "from", Err: fmt.Errorf(
				"the adapter does not belong to %s\nIts %s is %v, but the base model of the adapter has %v. Omit from to upload the base model with the adapter.", from, want.key, got, want.value)}
		}
	}
	return nil
}
