// Package rows offers the transforms that choose and shape rows without
// looking at more than one at a time: map, explode, chunk, filter, split and
// sample.
//
// It promises that which part or sample a row falls into depends on the row's
// own values and the seed, never on its place: datasets grow, and rows stay
// where they are. Rows keep their order.
package rows

import "github.com/quern-dev/quern/sdk/go/plugin"

// Types are the transforms of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.Mapper(plugin.Info{Kind: plugin.KindTransform, Name: "map", Doc: mapDoc, Behaviour: 1}, mapper{}),
		plugin.FlatMapper(plugin.Info{Kind: plugin.KindTransform, Name: "explode", Doc: explodeDoc, Behaviour: 1}, explode{}),
		plugin.FlatMapper(plugin.Info{Kind: plugin.KindTransform, Name: "chunk", Doc: chunkDoc, Behaviour: 1}, chunker{}),
		plugin.Runner(plugin.Info{Kind: plugin.KindTransform, Name: "filter", Doc: filterDoc, Behaviour: 2}, filter{}),
		plugin.Runner(plugin.Info{Kind: plugin.KindTransform, Name: "split", Doc: splitDoc, Behaviour: 2}, split{}),
		plugin.Runner(plugin.Info{Kind: plugin.KindTransform, Name: "sample", Doc: sampleDoc, Behaviour: 1}, sample{}),
	}
}
