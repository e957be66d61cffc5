// Command quern-plugin-langid is a plugin for quern that detects the language of
// a text. It is an example of a plugin outside of quern: a module of its own that
// imports only the SDK.
package main

import "github.com/quern-dev/quern/sdk/go/plugin"

func main() { plugin.Serve(langid()) }

// langid describes the plugin.
func langid() plugin.Plugin {
	return plugin.Plugin{
		Name:    "langid",
		Version: "0.1.0",
		Types: []plugin.Type{plugin.NewMapper(plugin.Info{
			Kind: plugin.KindLabel, Name: "langid_language", BehaviorVersion: 1,
			Doc: "Detects the language of a text by its most common words. " +
				"The column has the block's name and contains en, de, fr, es, it, nl, or pt; " +
				"it is null if too few words are known or two languages tie.",
		}, labeler{})},
		Functions: []plugin.Function{language},
	}
}
