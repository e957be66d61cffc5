package files

import (
	"context"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Documents contains the arguments that all sources of documents have. The
// arguments of a format embed it.
type Documents struct {
	Located
	Columns []string      `quern:"columns" doc:"The columns to read, in this order. The default is all columns."`
	OnError string        `quern:"on_error" default:"\"fail\"" oneof:"fail,quarantine" doc:"What to do with a document, or a part of one, that cannot be read. 'fail' fails the stage and reports the file. 'quarantine' sets it aside as a row, counts it, and continues."`
	MaxSize int64         `quern:"max_size" default:"256" doc:"The maximum size of a document in MiB, after decompression. A larger one cannot be read. In a file that contains many documents, the limit applies to each of them."`
	Timeout time.Duration `quern:"document_timeout,operational" default:"\"60s\"" doc:"The maximum time that a document may take. One that takes longer cannot be read. In a file that contains many documents, the limit applies to each of them."`
}

func (d *Documents) documents() *Documents { return d } //nolint:unused // DocumentFormat requires it

// DocumentFormat reads documents of one kind. Its methods belong to the arguments of a
// source, which embed Documents.
type DocumentFormat[A any] interface {
	*A
	documents() *Documents
	// Check checks the arguments on their own.
	Check() error
	// Recognize returns an error if a document that begins with head, which is
	// its first 512 bytes at most, is certainly of another kind.
	Recognize(head []byte) error
	// Columns returns the columns of each row after the column 'path'. A format
	// that implements Inferrer returns nil.
	Columns() data.Schema
	// Parse reads the document and calls Row for each of its rows. If Row or
	// Refuse returns an error, Parse returns it. Any other error, and a panic,
	// mean that the rest of the document cannot be read. Parse is abandoned when
	// the context ends or the document takes too long.
	Parse(ctx context.Context, d *Document) error
}

// Inferrer is a DocumentFormat whose columns depend on the documents.
type Inferrer interface {
	// Infer returns the columns of a document. A column that contains only nulls
	// has the type arrow.Null.
	Infer(ctx context.Context, d *Document) (*arrow.Schema, error)
	// Types returns the types that the user set, by column.
	Types() map[string]string
}

// Starter is a DocumentFormat whose parser takes a while to start.
type Starter interface {
	// Start starts the parser unless it was started before. It is called before the
	// first document is parsed, and its time is not part of that of a document.
	Start() error
}

// NewDocumentSource returns the type of a source of documents. root returns the
// folder that relative paths start from.
func NewDocumentSource[A any, F DocumentFormat[A]](info plugin.Info, root func() string) plugin.Type {
	info.Kind = plugin.KindSource
	return plugin.NewSource(info, documentSource[A, F]{root})
}

// documentSource implements a source of documents in one format.
type documentSource[A any, F DocumentFormat[A]] struct {
	root func() string
}

func (s documentSource[A, F]) inner() source[documentFormat[A, F], *documentFormat[A, F]] {
	return source[documentFormat[A, F], *documentFormat[A, F]]{root: s.root}
}

// Prepare declares the columns.
func (s documentSource[A, F]) Prepare(ctx context.Context, p *plugin.Prepare[A]) error {
	for _, argument := range []string{"path", "schema", "columns", "partitions"} {
		if !p.Known(argument) {
			p.Errorf(argument, "The %s of a source must be known when planning\nIt depends on a stage that has not been applied yet. Use a value that does not come from another stage.", argument)
			return nil
		}
	}
	columns, warnings, err := s.inner().schema(ctx, &documentFormat[A, F]{p.Args})
	if err != nil {
		return err
	}
	for _, w := range warnings {
		p.Warnf("path", "%s", w)
	}
	p.AddDataset("", columns)
	return nil
}

// Fingerprint hashes the files that changed.
func (s documentSource[A, F]) Fingerprint(ctx context.Context, args *A, memo []byte) (plugin.Fingerprint, error) {
	return s.inner().Fingerprint(ctx, &documentFormat[A, F]{args}, memo)
}

// Read streams the rows of all files.
func (s documentSource[A, F]) Read(ctx context.Context, args *A, w *plugin.RowWriter) error {
	return s.inner().Read(ctx, &documentFormat[A, F]{args}, w)
}

// Preview writes the rows of some files.
func (s documentSource[A, F]) Preview(ctx context.Context, args *A, bytes int64, w *plugin.RowWriter) (plugin.RowCount, error) {
	return s.inner().Preview(ctx, &documentFormat[A, F]{args}, bytes, w)
}

// documentFormat makes a DocumentFormat one of the formats of files.
type documentFormat[A any, F DocumentFormat[A]] struct{ args *A }

func (a *documentFormat[A, F]) format() F { return a.args }

func (a *documentFormat[A, F]) located() *Located { return &a.format().documents().Located }

func (a *documentFormat[A, F]) selection() selection {
	s := selection{columns: a.format().documents().Columns}
	if i, ok := any(a.args).(Inferrer); ok {
		s.types, s.open = i.Types(), true
	}
	return s
}

func (a *documentFormat[A, F]) check() error {
	d := a.format().documents()
	if d.MaxSize < 1 || d.MaxSize > maxDocument {
		return plugin.ArgumentErrorf("max_size", "Documents cannot be limited to %d MiB\nmax_size must be a whole number from 1 to %d.", d.MaxSize, int64(maxDocument))
	}
	if d.Timeout <= 0 {
		return plugin.ArgumentErrorf("document_timeout", "Documents cannot be read in %s\ndocument_timeout must be longer than 0s.", d.Timeout)
	}
	return a.format().Check()
}

// columns returns the columns of the format, or those of the first files if
// they depend on the files. It also makes sure that the first files are of the
// right kind.
func (a *documentFormat[A, F]) columns(ctx context.Context, files []file) (*union, error) {
	found := newUnion()
	if err := found.add(files[0].name, pathColumn, stringType); err != nil {
		return nil, err
	}
	for _, f := range files[:min(len(files), sampledFiles)] {
		if err := a.inspect(ctx, f, found); err != nil {
			return nil, err
		}
	}
	for _, f := range a.format().Columns().Arrow().Fields() {
		if err := found.add(files[0].name, f.Name, f.Type); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// inspect adds the columns of a file. If documents that cannot be read are set
// aside, such a file has none.
func (a *documentFormat[A, F]) inspect(ctx context.Context, f file, found *union) error {
	var columns *arrow.Schema
	r := a.reader(nil, nowhere{}).(*documentReader)
	defer r.release()
	err := r.open(ctx, f, &progress{out: nowhere{}}, func(ctx context.Context, d *Document) (err error) {
		if i, ok := any(a.args).(Inferrer); ok {
			columns, err = i.Infer(ctx, d)
		}
		return err
	})
	if err != nil || columns == nil {
		return err
	}
	for _, c := range columns.Fields() {
		if c.Name == pathColumn {
			return plugin.ArgumentErrorf("path", "%s has a column %q, which is also the column for the name of the file\nRename it in the file.", f.name, pathColumn)
		}
		if err := found.add(f.name, c.Name, c.Type); err != nil {
			return err
		}
	}
	return nil
}

func (*documentFormat[A, F]) count([]file) (int64, error) { return -1, nil }

func (*documentFormat[A, F]) inferred() string { return "" }

// probed returns 0: a document takes too long to be read when planning.
func (*documentFormat[A, F]) probed() int64 { return 0 }

func (a *documentFormat[A, F]) reader(schema data.Schema, w rowWriter) reader {
	d := a.format().documents()
	columns := append(data.Schema{{Name: pathColumn, Type: "string"}}, a.format().Columns()...)
	if _, ok := any(a.args).(Inferrer); ok {
		// The columns of such a format are in the schema, except those that are
		// not selected.
		columns = append(columns, slices.DeleteFunc(slices.Clone(schema), func(c data.Column) bool { return c.Name == pathColumn })...)
	}
	r := &documentReader{
		sink: newSink(w, schema, d.OnError == "quarantine"), parse: a.format().Parse, recognize: a.format().Recognize,
		columns: columns, max: d.MaxSize << 20, timeout: d.Timeout,
	}
	if s, ok := any(a.args).(Starter); ok {
		r.start = s.Start
	}
	for _, c := range schema {
		r.places = append(r.places, slices.IndexFunc(columns, func(o data.Column) bool { return o.Name == c.Name }))
	}
	r.types = schema.Arrow().Fields()
	return r
}

// named reports whether the names of files are in a column.
func (a *documentFormat[A, F]) named() bool {
	columns := a.format().documents().Columns
	return columns == nil || slices.Contains(columns, pathColumn)
}
