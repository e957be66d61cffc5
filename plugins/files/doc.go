// Package files reads rows from CSV, JSON, and Parquet files.
//
// Rows come in the order of the files' names and, within a file, of its lines.
// Memory does not grow with the files. A malformed row is never dropped
// silently: either it is an error that names its file and line, or it is set
// aside and counted. Fingerprints depend on the contents of the files, not on
// their paths.
//
// The package works as follows: a place (place.go) finds files and opens them,
// decompressed and decoded. A window (window.go) passes their bytes, record by
// record, to a scanner (csv.go, json.go). Values are parsed (text.go,
// json_value.go) and collected into batches (sink.go). If there is no schema,
// column types are inferred from a sample (infer.go, json_infer.go).
package files
