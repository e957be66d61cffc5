// Package files brings in rows from files: CSV, JSON lines and Parquet.
//
// It promises that rows come in the order of the files' names and, inside a
// file, of its lines; that memory does not grow with the files; that a line
// which is not as it should be is never dropped in silence, but ends the
// reading with its file and line, or is set aside and counted; and that
// fingerprints follow what the files hold, not where they stand.
//
// The way through the package: a place (place.go) names files and opens them
// decompressed and decoded; a window (window.go) gives their bytes record by
// record to a scanner (csv.go, json.go); values are parsed (text.go,
// json_value.go) and gathered into batches (sink.go). Column types are
// inferred from a sample (infer.go, json_infer.go) where no schema is given.
package files
