// Program quern-plugin-openai offers model "openai": models behind the API that
// OpenAI defined and many others serve, such as Azure, vLLM, llama.cpp and LM
// Studio. It goes through OpenAI's own SDK, whose retries are off: quern's are in
// their place. It is a program of its own so that the SDK, which is large, is only loaded
// where such a model is used.
package main

import (
	"runtime/debug"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// version is set by the build.
var version = "0.1.0"

// collectAt: nothing but calls under way is held, which is a few megabytes.
// Collecting garbage whenever as much has come to it would take a tenth of the
// processor time.
const collectAt = 400

func main() {
	debug.SetGCPercent(collectAt)
	plugin.Serve(offer())
}

func offer() plugin.Plugin {
	return plugin.Plugin{Name: "openai", Version: version, Types: []plugin.Type{
		plugin.NewProvider(plugin.Info{Name: "openai", Doc: doc, Behavior: 1}, impl{}),
	}}
}
