// Package export writes datasets in the formats that other tools read: JSON
// lines, CSV, and Parquet. It streams: memory does not grow with the dataset.
//
// Values are written exactly or not at all. In JSON, dates and timestamps are
// strings as in RFC 3339, binary values are Base64, and a number that JSON
// cannot represent (NaN, infinities) is an error. In CSV, a null is an empty
// cell (in a file with one column, it is "", because readers skip blank lines),
// an empty string is "", and lists and structs are JSON.
package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/internal/arrowjson"
	"github.com/quern-dev/quern/sdk/go/data"
)

// Format is a file format: the extension of its files.
type Format string

// The formats.
const (
	JSONL   Format = "jsonl"
	CSV     Format = "csv"
	Parquet Format = "parquet"
)

// Formats are the names of all formats.
var Formats = []string{string(JSONL), string(CSV), string(Parquet)}

// Dataset is the dataset to export.
type Dataset struct {
	Schema data.Schema
	Shards []data.Shard
}

// sink receives the rows of one file.
type sink interface {
	Write(rec arrow.RecordBatch) error
	// Close finishes the file. It does not close the underlying writer.
	Close() error
}

func (f Format) open(w io.Writer, schema data.Schema) (sink, error) {
	switch f {
	case JSONL:
		return &jsonLines{w: w, schema: schema}, nil
	case CSV:
		return openCSV(w, schema)
	case Parquet:
		return data.NewFileWriter(w, schema)
	}
	return nil, fmt.Errorf("unknown export format %q", f)
}

// Write writes all rows to w. After an error, the data that was written is
// unusable.
func Write(ctx context.Context, w io.Writer, format Format, d Dataset) error {
	out, err := format.open(w, d.Schema)
	if err != nil {
		return err
	}
	for rec, err := range data.Read(ctx, d.Shards, d.Schema.Names(), 0) {
		if err != nil {
			return err
		}
		if err := out.Write(rec); err != nil {
			return err
		}
	}
	return out.Close()
}

// Head returns the first n rows as JSON objects for people. NaN and infinities
// are strings.
func Head(ctx context.Context, d Dataset, n int) ([]json.RawMessage, error) {
	rows := []json.RawMessage{}
	if n <= 0 {
		return rows, nil
	}
	var text bytes.Buffer
	out := &jsonLines{w: &text, schema: d.Schema, values: arrowjson.Encoder{NonFinite: true}}
	for rec, err := range data.Read(ctx, d.Shards, d.Schema.Names(), n) {
		if err != nil {
			return nil, err
		}
		part := rec.NewSlice(0, min(rec.NumRows(), int64(n)-out.rows))
		err := out.Write(part)
		part.Release()
		if err != nil {
			return nil, err
		}
		if out.rows == int64(n) {
			break
		}
	}
	if err := out.Close(); err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text.Bytes()) {
		rows = append(rows, json.RawMessage(bytes.TrimSuffix(line, []byte("\n"))))
	}
	return rows, nil
}

// Row returns a row of a batch as a JSON object.
func Row(schema data.Schema, rec arrow.RecordBatch, i int) (json.RawMessage, error) {
	var text bytes.Buffer
	out := &jsonLines{w: &text, schema: schema, values: arrowjson.Encoder{NonFinite: true}}
	part := rec.NewSlice(int64(i), int64(i)+1)
	defer part.Release()
	if err := errors.Join(out.Write(part), out.Close()); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// Files writes rows to files with at most rowsPerFile rows: part-00000.jsonl
// and so on, in dir, which must exist. A dataset without rows becomes one file.
// Files returns the names of the files, and removes the files if it fails.
func Files(ctx context.Context, dir string, format Format, d Dataset, rowsPerFile int64) ([]string, error) {
	p := &parts{dir: dir, format: format, schema: d.Schema, rowsPerFile: rowsPerFile}
	err := p.write(ctx, d)
	if closeErr := p.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		p.remove()
		return nil, err
	}
	return p.names, nil
}

// parts writes one file after another.
type parts struct {
	dir         string
	format      Format
	schema      data.Schema
	rowsPerFile int64

	names []string
	file  *os.File
	out   sink
	rows  int64 // in the open file
}

func (p *parts) write(ctx context.Context, d Dataset) error {
	if err := p.next(); err != nil {
		return err
	}
	for rec, err := range data.Read(ctx, d.Shards, d.Schema.Names(), 0) {
		if err != nil {
			return err
		}
		for from := int64(0); from < rec.NumRows(); {
			if p.rows == p.rowsPerFile {
				if err := p.next(); err != nil {
					return err
				}
			}
			to := min(rec.NumRows(), from+p.rowsPerFile-p.rows)
			if err := p.add(rec, from, to); err != nil {
				return err
			}
			from = to
		}
	}
	return nil
}

func (p *parts) add(rec arrow.RecordBatch, from, to int64) error {
	part := rec.NewSlice(from, to)
	defer part.Release()
	p.rows += to - from
	return p.out.Write(part)
}

// next finishes the open file and starts another.
func (p *parts) next() error {
	if err := p.close(); err != nil {
		return err
	}
	name := fmt.Sprintf("part-%05d.%s", len(p.names), p.format)
	f, err := os.OpenFile(filepath.Join(p.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	p.names, p.file, p.rows = append(p.names, name), f, 0
	p.out, err = p.format.open(f, p.schema)
	return err
}

func (p *parts) close() error {
	if p.file == nil {
		return nil
	}
	var err error
	if p.out != nil {
		err = p.out.Close()
	}
	if closeErr := p.file.Close(); err == nil {
		err = closeErr
	}
	p.file, p.out = nil, nil
	return err
}

func (p *parts) remove() {
	for _, name := range p.names {
		os.Remove(filepath.Join(p.dir, name))
	}
}

// rowError says which row and column could not be written.
func rowError(row int64, column string, err error) error {
	return fmt.Errorf("row %d, column %q: %w", row, column, err)
}

// isNull reports whether a value is missing.
func isNull(a arrow.Array, i int) bool { return a.IsNull(i) || a.DataType().ID() == arrow.NULL }
