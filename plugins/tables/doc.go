// Package tables offers the transforms that relate rows to each other: sort,
// group, join, and concat.
//
// They need not fit in memory: rows are sorted in temporary files. The result
// does not depend on the memory limit, and its rows have a defined order.
package tables

import "github.com/quern-dev/quern/sdk/go/plugin"

// Types are the transforms of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "sort", Doc: sortDoc, BehaviorVersion: 1}, sorting{}),
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "concat", Doc: concatDoc, BehaviorVersion: 1}, concat{}),
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "group", Doc: groupDoc, BehaviorVersion: 1}, group{}),
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "join", Doc: joinDoc, BehaviorVersion: 1}, join{}),
	}
}
