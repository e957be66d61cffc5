// Package openai provides model "openai": models behind the API that OpenAI
// defined and many others offer, such as Azure, vLLM, llama.cpp, and LM Studio.
package openai

import "github.com/quern-dev/quern/sdk/go/plugin"

// Plugin returns the plugin "openai".
func Plugin(version string) plugin.Plugin {
	return plugin.Plugin{Name: "openai", Version: version, Types: []plugin.Type{
		plugin.NewProvider(plugin.Info{Name: "openai", Doc: doc, BehaviorVersion: 1}, impl{}),
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTrain, Name: "openai_finetune", Doc: tuningDoc, BehaviorVersion: 1}, tuner{}),
	}}
}

const doc = `A language model at an endpoint that is compatible with OpenAI's API.

OpenAI, Azure, vLLM, llama.cpp, LM Studio, and many others serve such endpoints; ` + "`base_url`" + ` is the address. The key comes from ` + "`api_key`, `api_key_command`" + ` or the variable ` + "`OPENAI_API_KEY`" + `, and is sent to ` + "`base_url`" + `; an endpoint that you run yourself may not need one.

` + "```hcl" + `
model "openai" "judge" {
  name        = "gpt-4.1-mini"
  temperature = 0
}

model "openai" "local" {
  name            = "qwen3-8b"
  base_url        = "http://127.0.0.1:8000/v1"
  max_concurrency = 64

  price {
    input  = 0
    output = 0
  }
}
` + "```" + `
`
