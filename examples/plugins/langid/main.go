// Command quern-plugin-langid is a plugin for quern that says in which language
// a text is written. It is an example of a labeler outside of quern: a module
// of its own that imports nothing of quern but the SDK.
package main

import "github.com/quern-dev/quern/sdk/go/plugin"

func main() { plugin.Serve(langid()) }

// langid is what the plugin offers.
func langid() plugin.Plugin {
	return plugin.Plugin{
		Name:    "langid",
		Version: "0.1.0",
		Types: []plugin.Type{plugin.NewMapper(plugin.Info{
			Kind: plugin.KindLabel, Name: "langid_language", BehaviorVersion: 1,
			Doc: "Says in which language a text is written, by the little words that every sentence has. " +
				"The column has the block's name and holds en, de, fr, es, it, nl or pt; " +
				"it is null where too few of the words are known or two languages have as many.",
		}, labeler{})},
	}
}
