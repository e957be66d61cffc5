// Package provenance reads what a trained model says about itself: how it was
// made, according to the quern.json that a trainer wrote, and what it is,
// according to the config.json of transformers. Deployments publish both.
package provenance

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Model is what is known about a model. Everything may be empty: a model need
// not have either file.
type Model struct {
	// Method is how the model was trained, such as sft.
	Method string `json:"method"`
	// Base identifies the model that it was trained from: path, repo with
	// revision, or digest.
	Base map[string]any `json:"base"`
	// Arguments are the arguments of training that affect the weights.
	Arguments map[string]any `json:"arguments"`
	// Data has the digests of the datasets, by the argument of training.
	Data map[string]string `json:"data"`
	// Packages has the versions of libraries that affect the weights.
	Packages map[string]string `json:"packages"`

	// Family and Precision are transformers' model_type and dtype.
	Family, Precision string `json:"-"`
}

// maxFile limits the size of a file that is read into memory, in bytes.
const maxFile = 16 << 20

// Read reads what the files of a model say about it.
func Read(files []plugin.File) (*Model, error) {
	m := &Model{}
	if err := decode(files, "quern.json", m); err != nil {
		return nil, err
	}
	var config struct {
		ModelType string `json:"model_type"`
		DType     string `json:"dtype"`
		// TorchDType was the name of DType before transformers 5.
		TorchDType string `json:"torch_dtype"`
	}
	if err := decode(files, "config.json", &config); err != nil {
		return nil, err
	}
	m.Family, m.Precision = config.ModelType, config.DType
	if m.Precision == "" {
		m.Precision = config.TorchDType
	}
	return m, nil
}

// decode decodes a file, if it exists.
func decode(files []plugin.File, name string, into any) error {
	i := slices.IndexFunc(files, func(f plugin.File) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	if files[i].Size > maxFile {
		return fmt.Errorf("%s of the model has %d bytes, and at most %d are read", name, files[i].Size, maxFile)
	}
	text, err := os.ReadFile(files[i].Path)
	if err != nil {
		return fmt.Errorf("read %s of the model: %w", name, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read %s of the model: %w", name, err)
	}
	return nil
}

// BaseName returns the base as people write it: NAME, or NAME at REVISION. It
// returns "" if the base is not known.
func (m *Model) BaseName() string {
	for _, key := range []string{"repo", "path", "digest"} {
		name, _ := m.Base[key].(string)
		if name == "" {
			continue
		}
		if revision, _ := m.Base["revision"].(string); revision != "" {
			name += " at " + revision
		}
		return name
	}
	return ""
}

// DataNames returns the keys of Data, sorted.
func (m *Model) DataNames() []string { return slices.Sorted(maps.Keys(m.Data)) }

// Format returns the format of a model's weights: safetensors, gguf, onnx, or
// the format of the artifact.
func Format(format string, files []plugin.File) string {
	for _, known := range []string{"safetensors", "gguf", "onnx"} {
		if slices.ContainsFunc(files, func(f plugin.File) bool { return path.Ext(f.Name) == "."+known }) {
			return known
		}
	}
	return format
}

// Commit returns the Git commit of the working directory, with the suffix -dirty
// if files that Git tracks have changed. It returns "" outside of a repository.
func Commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
