//go:build duckdb_arrow

// Package query checks one SELECT against the columns of its inputs, before
// there is a row, and carries it out over their Parquet files, with DuckDB.
//
// It promises that a query reads its inputs and nothing else: no file, no
// network, no clock, no chance. And it promises that the same query over the
// same rows gives the same rows in the same order, on any machine: where SQL
// leaves the order open it is fixed (see order.go), and where more threads
// could change a value, one thread is used. A sum of floats that spills to
// disk may still differ in its last digits.
//
// It knows nothing of plugins: Analyze and Run could serve another program.
package query
