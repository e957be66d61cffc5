package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/quern-dev/quern/sdk/go/data"
)

type textArgs struct {
	Located
	Encoded
	Rows    string   `quern:"rows" default:"\"document\"" oneof:"document,line,paragraph" doc:"What becomes a row: a whole file ('document'), a line without its end, or a paragraph, which is a run of lines that are not blank."`
	Columns []string `quern:"columns" doc:"The columns to read, in this order. The default is all columns."`
	OnError string   `quern:"on_error" default:"\"fail\"" oneof:"fail,quarantine" doc:"What to do with a row that cannot be read because it has bytes that are invalid in the encoding, or because it is longer than 64 MiB. 'fail' fails the stage and reports the file and line. 'quarantine' sets the row aside, counts it, and continues."`
}

const textDoc = `Reads text files: a row for each file, line, or paragraph. Files may be compressed with gzip, zstd, bzip2, or xz.

The columns are ` + "`path`" + `, the name of the file; ` + "`line`" + `, the number of the row's first line, if rows are lines or paragraphs; and ` + "`text`" + `. Lines end with LF, CRLF, or CR. An empty line is a row with an empty text; an empty file gives no lines and no paragraphs, but one document. The text of a document or paragraph keeps its line ends, except for the last one of a paragraph.

` + "```hcl" + `
source "text" "books" {
  path = "books/**/*.txt"
  rows = "paragraph"
}
` + "```"

func (a *textArgs) selection() selection { return selection{columns: a.Columns} }

func (a *textArgs) check() error {
	_, err := charsetNamed(a.Encoding)
	return err
}

// schema returns all columns.
func (a *textArgs) schema() data.Schema {
	if a.Rows == "document" {
		return data.Schema{{Name: pathColumn, Type: "string"}, {Name: "text", Type: "string"}}
	}
	return data.Schema{{Name: pathColumn, Type: "string"}, {Name: "line", Type: "int64"}, {Name: "text", Type: "string"}}
}

func (a *textArgs) columns(_ context.Context, files []file) (*union, error) {
	found := newUnion()
	for _, f := range a.schema().Arrow().Fields() {
		if err := found.add(files[0].name, f.Name, f.Type); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// count returns the number of files if they are the rows.
func (a *textArgs) count(files []file) (int64, error) {
	if a.Rows == "document" {
		return int64(len(files)), nil
	}
	return -1, nil
}

// named reports whether the names of files are in a column.
func (a *textArgs) named() bool { return a.Columns == nil || slices.Contains(a.Columns, pathColumn) }

func (*textArgs) inferred() string { return "" }

// probed returns the number of rows to check when planning.
func (a *textArgs) probed() int64 {
	if a.OnError == "quarantine" {
		return 0
	}
	return sampledFiles
}

func (a *textArgs) reader(schema data.Schema, w rowWriter) reader {
	return &textFiles{args: a, sink: newSink(w, schema, a.OnError == "quarantine"), row: make([]parsed, len(schema))}
}

// textFiles reads text files.
type textFiles struct {
	args *textArgs
	*sink
	row []parsed
	// whole says that the file is a row that was read.
	whole bool
}

func (r *textFiles) file(ctx context.Context, f file, read *progress) error {
	before := read.read.Load()
	text, err := f.anyText(r.args.Encoding, &read.read)
	if err != nil && r.quarantine {
		return r.out.Quarantine(f.name, "", err)
	}
	if err != nil {
		return err
	}
	defer text.Close()
	w := newWindow(text)
	defer func() { read.pass(before, w, text.file) }()
	r.whole = false
	if err := w.findEnding(0); err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	for {
		n, err := r.next(w)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errLong):
			// Nothing shows where the next row begins.
			return r.refuse(f.name, w.line, nil, malformed{err})
		case err != nil:
			return fmt.Errorf("%s:%d: %w", f.name, w.line, err)
		}
		if err := r.take(f.name, w.line, w.data[:n], text); err != nil {
			return err
		}
		w.take(n)
		if err := read.another(ctx, f.name, r.rows); err != nil {
			return err
		}
	}
}

// next makes sure that the window begins with a whole row, and returns its
// length with its line end.
func (r *textFiles) next(w *window) (int, error) {
	switch r.args.Rows {
	case "line":
		n, err := w.wholeLine()
		if err == nil && n == 0 {
			err = io.EOF
		}
		return n, err
	case "paragraph":
		return paragraph(w)
	}
	if r.whole {
		return 0, io.EOF
	}
	r.whole = true
	for !w.end {
		if err := w.grow(); err != nil {
			return 0, err
		}
	}
	return len(w.data), nil
}

// paragraph skips blank lines and returns the length of the lines up to the next
// blank one.
func paragraph(w *window) (int, error) {
	length := 0
	for {
		n, err := w.lineAfter(length)
		if err != nil {
			return 0, err
		}
		blank := len(bytes.TrimSpace(w.data[length:length+n])) == 0
		switch {
		case n == 0 && length == 0:
			return 0, io.EOF
		case blank && length > 0:
			return length, nil
		case blank:
			w.take(n)
		default:
			length += n
		}
	}
}

// take adds a row with a text at a line.
func (r *textFiles) take(name string, line int, raw []byte, text *decoded) error {
	if err := text.check(raw); err != nil {
		return r.refuse(name, line, raw, malformed{err})
	}
	if r.args.Rows != "document" {
		raw = lineEnd(raw)
	}
	for i, c := range r.schema {
		switch c.Name {
		case pathColumn:
			r.row[i] = parsed{text: []byte(name)}
		case "line":
			r.row[i] = parsed{i: int64(line)}
		default:
			r.row[i] = parsed{text: raw}
		}
	}
	return r.add(r.row, len(raw)+len(name))
}
