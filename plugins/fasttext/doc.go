// Package fasttext offers labelers that run fastText models in Go: label
// "language" with a model that comes with quern, and label "fasttext" with any
// classifier of the user.
package fasttext

import "github.com/quern-dev/quern/sdk/go/plugin"

// Types returns the labelers of this package. root returns the folder that
// relative paths start from.
func Types(root func() string) []plugin.Type {
	return []plugin.Type{
		plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "language", Doc: languageDoc, BehaviorVersion: 1}, language{root}),
		plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "fasttext", Doc: classifierDoc, BehaviorVersion: 1}, classifier{root}),
	}
}
