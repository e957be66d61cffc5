// Package onnx provides embedding models in the ONNX format, which ONNX Runtime
// runs on this machine. That library is loaded when a model is called, so planning
// needs neither the library nor the model's weights in memory.
package onnx

import (
	"context"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Plugin returns the plugin. Relative paths start from the root that it is
// configured with or, before that, from the working directory.
func Plugin(version string) plugin.Plugin {
	place := "."
	return plugin.Plugin{
		Name: "onnx", Version: version,
		Configure: func(_ context.Context, root string) error {
			place = root
			return nil
		},
		Types: []plugin.Type{
			plugin.NewProvider(plugin.Info{Name: "onnx", Doc: doc, BehaviorVersion: 1}, model{func() string { return place }}),
		},
	}
}

const doc = `An embedding model in the ONNX format that runs on this machine.

Models of sentence-transformers on Hugging Face have the files 'onnx/model.onnx' and 'tokenizer.json'. The content of both is part of the model: if one changes, embeddings are computed again. ONNX Runtime, a shared library, must be installed: the Python package onnxruntime contains it, in the folder 'capi', and Linux distributions have packages for it.

A text is tokenized, the model computes a vector for each token, and ` + "`pooling`" + ` makes one of them. Each text is computed by itself, so its embedding does not depend on others.

` + "```hcl" + `
model "onnx" "minilm" {
  path      = "all-MiniLM-L6-v2/onnx/model.onnx"
  tokenizer = "all-MiniLM-L6-v2/tokenizer.json"
  library   = "/usr/lib/libonnxruntime.so"
}
` + "```"
