// Package data holds what quern and its plugins agree on about rows: column
// types, Arrow batches on the wire, and datasets as Parquet files.
package data

// Column is a named, typed column. Types are written string, int64, float64,
// bool, binary, date, timestamp, list<T> and struct<name:T,...>. Every column
// may hold nulls.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Schema is the columns of a dataset in their order. Names are unique.
type Schema []Column
