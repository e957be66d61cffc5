// Package text provides the transforms of texts: chunk splits them, tokenize
// turns them into the tokens of a model, and pack puts tokens into sequences of
// one length.
//
// What a row becomes depends on the row alone, except for pack, which reads rows
// in their order.
package text

import "github.com/quern-dev/quern/sdk/go/plugin"

// Types returns the transforms of this package. Relative paths of tokenizers start
// from root.
func Types(root func() string) []plugin.Type {
	return []plugin.Type{
		plugin.NewFlatMapper(plugin.Info{Kind: plugin.KindTransform, Name: "chunk", Doc: chunkDoc, BehaviorVersion: 2}, chunker{root}),
		plugin.NewMapper(plugin.Info{Kind: plugin.KindTransform, Name: "tokenize", Doc: tokenizeDoc, BehaviorVersion: 2}, tokenize{root}),
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "pack", Doc: packDoc, BehaviorVersion: 1}, pack{}),
	}
}
