package plan

import (
	"maps"
	"slices"

	"github.com/quern-dev/quern/lang/expr"
)

// Resolved returns the node with Reads computed from its configuration with all
// values known. A row expression that waited for a value may then read fewer
// columns. features returns the expressions that compute a model's inputs, by
// the key of the model. Resolved does not change the node itself, and returns
// it if nothing waited for a value.
func (n *Node) Resolved(b *Bound, features func(key string) map[string]*expr.Compiled) *Node {
	reads := b.Reads(n.PluginReads, features)
	if SameReads(reads, n.Reads) {
		return n
	}
	out := *n
	out.Reads = reads
	return &out
}

// SameReads reports whether the same is read from the same inputs.
func SameReads(a, b map[string]Reads) bool {
	return maps.EqualFunc(a, b, func(a, b Reads) bool { return a.All == b.All && slices.Equal(a.Columns, b.Columns) })
}

// Reads returns the columns that are read from each dataset input: those that
// the plugin requests, and those that row expressions and the features of
// models need.
func (o *Bound) Reads(plugin map[string]Reads, features func(key string) map[string]*expr.Compiled) map[string]Reads {
	var out map[string]Reads
	for key, in := range o.Inputs {
		if in.Kind != KindDataset {
			continue
		}
		if out == nil {
			out = map[string]Reads{}
		}
		columns := slices.Clone(plugin[key].Columns)
		for _, row := range o.Rows {
			if row.Of == key {
				columns = append(columns, row.Expr.Columns...)
			}
		}
		for model, of := range o.Inputs {
			if of.Of != key {
				continue
			}
			for _, e := range features(model) {
				columns = append(columns, e.Columns...)
			}
		}
		slices.Sort(columns)
		out[key] = Reads{All: plugin[key].All, Columns: slices.Compact(columns)}
	}
	return out
}
