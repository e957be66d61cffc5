//go:build duckdb_arrow

// Command quern-plugin-sql provides what DuckDB executes: transform "sql", a SELECT
// over datasets, and source "duckdb", which reads database files. It is a separate
// program because DuckDB is a C++ library. The build tag duckdb_arrow belongs to
// DuckDB and enables rows in Arrow's format.
package main

import (
	"github.com/quern-dev/quern/internal/version"
	"github.com/quern-dev/quern/plugins/sql"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

func main() { plugin.Serve(sql.Plugin(version.Number)) }
