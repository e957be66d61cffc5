// Package rows offers the transforms that choose and shape the rows of a
// dataset: map, explode, filter, split, sample, limit, shuffle, balance,
// and mix.
//
// It promises that which part or sample a row falls into, and where shuffling
// puts it, depends on the row's own values and the seed, never on its place:
// datasets grow, and rows stay where they are. Except in shuffle, the rows of a
// dataset keep their order.
package rows

import "github.com/quern-dev/quern/sdk/go/plugin"

// Types are the transforms of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.NewMapper(plugin.Info{Kind: plugin.KindTransform, Name: "map", Doc: mapDoc, BehaviorVersion: 1}, mapper{}),
		plugin.NewFlatMapper(plugin.Info{Kind: plugin.KindTransform, Name: "explode", Doc: explodeDoc, BehaviorVersion: 1}, explode{}),
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "filter", Doc: filterDoc, BehaviorVersion: 2}, filter{}),
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "split", Doc: splitDoc, BehaviorVersion: 2}, split{}),
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "sample", Doc: sampleDoc, BehaviorVersion: 1}, sample{}),
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "limit", Doc: limitDoc, BehaviorVersion: 1}, limit{}),
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "shuffle", Doc: shuffleDoc, BehaviorVersion: 1}, shuffle{}),
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "balance", Doc: balanceDoc, BehaviorVersion: 1}, balance{}),
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "mix", Doc: mixDoc, BehaviorVersion: 1}, mix{}),
	}
}
