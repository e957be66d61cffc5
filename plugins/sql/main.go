//go:build duckdb_arrow

// Program quern-plugin-sql offers transform "sql": a SELECT over datasets, by
// DuckDB. It is a program of its own because DuckDB is a C++ library; the
// build tag duckdb_arrow is DuckDB's, for rows in Arrow's form.
package main

import "github.com/quern-dev/quern/sdk/go/plugin"

// version is set by the build.
var version = "0.1.0"

func main() { plugin.Serve(offer()) }

func offer() plugin.Plugin {
	return plugin.Plugin{Name: "sql", Version: version, Types: []plugin.Type{
		plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "sql", Doc: doc, Behavior: behaviour}, transform{}),
	}}
}
