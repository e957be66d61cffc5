// Package dedup offers transform "dedup", which finds rows that say the same: equal
// values, or similar texts.
//
// It promises that the result depends on the rows alone, and not on their order, on
// shards, or on what earlier runs kept. What is known about a text is kept by the
// content of its shard, so that a run after a small change computes little.
//
// docs/decisions/0078-duplicates-follow-a-leader.md says how groups of similar texts are
// formed.
package dedup

import "github.com/quern-dev/quern/sdk/go/plugin"

// Types are the transforms of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "dedup", Doc: dedupDoc, BehaviorVersion: 1}, dedup{}),
	}
}
