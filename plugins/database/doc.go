// Package database provides the source "sql", which reads the rows of a query
// from a database server or an SQLite file.
//
// The types of columns are known when planning, from the description of the
// query. All queries of a read see one snapshot, in a transaction that cannot
// write. With a watermark, the rows are parts, by ranges of that column, and only
// new or changed ranges are read (ranges.go). Without one, a refresh reads all
// rows to compute their digest (digest.go).
package database

import (
	"context"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Plugin returns the plugin, which has a process of its own: it alone has the
// credentials in its environment.
func Plugin(version string) plugin.Plugin {
	place := "."
	return plugin.Plugin{
		Name: "database", Version: version,
		Configure: func(_ context.Context, root string) error {
			place = root
			return nil
		},
		Types: []plugin.Type{
			plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "sql", Doc: doc, BehaviorVersion: 1}, source{func() string { return place }}),
		},
	}
}
