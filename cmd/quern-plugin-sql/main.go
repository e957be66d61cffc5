//go:build duckdb_arrow

// Command quern-plugin-sql offers transform "sql": a SELECT over datasets, by
// DuckDB. It is a program of its own because DuckDB is a C++ library; the
// build tag duckdb_arrow is DuckDB's, for rows in Arrow's form.
package main

import (
	"github.com/quern-dev/quern/internal/version"
	"github.com/quern-dev/quern/plugins/sql"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

func main() { plugin.Serve(sql.Plugin(version.Number)) }
