//go:build duckdb_arrow

// Package query checks a single SELECT against the columns of its inputs before
// there are any rows, and executes it over their Parquet files with DuckDB.
//
// A query can only read its inputs: no files, no network, no clock, and no
// random numbers. The same query over the same rows gives the same rows in the
// same order on any machine. If SQL leaves the order open, it is fixed (see
// order.go), and if more threads could change a value, only one is used. A sum
// of floats that spills to disk may still differ in its last digits.
//
// The package does not depend on plugins: other programs could use Analyze and
// Run.
package query
