package data

import (
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Shard is a range of a dataset's rows as files: one or more column groups with
// the same rows in the same order.
type Shard struct {
	Rows   int64
	Groups []Group
}

// Group is a Parquet file with some of a shard's columns. Columns of the file
// that are not listed here are not part of the dataset.
type Group struct {
	Path    string
	Columns []Stored
	// Unverified is set if the file's bytes are verified before they are first read.
	Unverified *Unverified
}

// Stored says which column of the file holds a column or a row argument.
type Stored struct {
	Stored string // its name in the file
	Name   string // its name in the dataset, or the argument's key
	// Namespace is Columns or Arguments.
	Namespace Namespace
	// Digest identifies the values in this shard, or is empty if it is not known.
	// That of a computed row argument is comparable only with those of the same
	// definition.
	Digest string
}

// Ref returns what the stored column is.
func (s Stored) Ref() Ref { return Ref{s.Namespace, s.Name} }

// Digest returns the digest of a column's or row argument's values, or "" if it is
// not known.
func (s Shard) Digest(ref Ref) string {
	for _, g := range s.Groups {
		for _, c := range g.Columns {
			if c.Ref() == ref {
				return c.Digest
			}
		}
	}
	return ""
}

// ShardsFromProto converts shards from the protocol.
func ShardsFromProto(shards []*pluginv1.Shard) []Shard {
	out := make([]Shard, len(shards))
	for i, s := range shards {
		out[i] = Shard{Rows: s.GetRows(), Groups: make([]Group, len(s.GetGroups()))}
		for j, g := range s.GetGroups() {
			group := Group{Path: g.GetPath(), Columns: make([]Stored, len(g.GetColumns()))}
			if g.GetDigest() != "" {
				group.Unverified = NewUnverified(g.GetDigest())
			}
			for k, c := range g.GetColumns() {
				group.Columns[k] = Stored{Stored: c.GetStored(), Name: c.GetName(), Namespace: namespaceFromProto(c), Digest: c.GetDigest()}
			}
			out[i].Groups[j] = group
		}
	}
	return out
}

// ShardsToProto converts shards to the protocol.
func ShardsToProto(shards []Shard) []*pluginv1.Shard {
	out := make([]*pluginv1.Shard, len(shards))
	for i, s := range shards {
		shard := &pluginv1.Shard{Rows: s.Rows}
		for _, g := range s.Groups {
			group := &pluginv1.ColumnGroup{Path: g.Path, Digest: g.Unverified.expected()}
			for _, c := range g.Columns {
				group.Columns = append(group.Columns, &pluginv1.StoredColumn{Stored: c.Stored, Name: c.Name, Argument: c.Namespace == Arguments, Digest: c.Digest})
			}
			shard.Groups = append(shard.Groups, group)
		}
		out[i] = shard
	}
	return out
}
