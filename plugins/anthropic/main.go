// Program quern-plugin-anthropic offers model "anthropic": Claude models. It goes
// through Anthropic's own SDK, whose retries are off: quern's are in their place.
// It is a program of its own so that the SDK, which is large, is only loaded
// where such a model is used.
package main

import "github.com/quern-dev/quern/sdk/go/plugin"

// version is set by the build.
var version = "0.1.0"

func main() { plugin.Serve(offer()) }

func offer() plugin.Plugin {
	return plugin.Plugin{Name: "anthropic", Version: version, Types: []plugin.Type{
		plugin.NewProvider(plugin.Info{Name: "anthropic", Doc: doc, Behavior: 1}, impl{}),
	}}
}
