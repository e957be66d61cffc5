package plugin

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Source brings rows in from outside.
type Source[A any] interface {
	// Prepare declares the columns with AddDataset("", …). It may look at the
	// source to infer them.
	Prepare(context.Context, *Prepare[A]) error
	// Fingerprint says cheaply what the source holds now. Memo is what it
	// returned the last time; empty at first.
	Fingerprint(ctx context.Context, args *A, memo []byte) (Fingerprint, error)
	// Read writes all rows, in an order that is the same for the same content.
	// A source of many parts writes each with RowWriter.Part, so that only
	// those that changed are read again.
	Read(ctx context.Context, args *A, w *RowWriter) error
}

// Previewer is implemented by a source that can give some of its rows quickly
// and free of charge. quern asks for them while planning, to estimate what
// language models will cost; without it that is unknown until the source was
// read.
type Previewer[A any] interface {
	// Preview writes up to about so many bytes of rows, or all rows where there
	// are not as many, and says how many rows there are in all. Quarantine and
	// Part have no effect on it.
	Preview(ctx context.Context, args *A, bytes int64, w *RowWriter) (RowCount, error)
}

// RowCount is how many rows a source has.
type RowCount struct {
	Rows int64
	// Exact: they were counted, not estimated from those of the preview.
	Exact bool
	// Size is how large the source is, in a unit of its own such as the bytes of
	// its files; 0: unknown. By it quern estimates by how many rows a source grew.
	Size int64
}

// Fingerprint is what a source holds.
type Fingerprint struct {
	// Fingerprint changes when, and only when, the content changes.
	Value string
	// Memo is handed back at the next call, so that unchanged parts need no
	// hashing.
	Memo []byte
	// Summary is one line for a person: "2 files, 10,003 rows".
	Summary string
}

// NewSource returns a type that reads rows from outside.
func NewSource[A any](info Info, impl Source[A]) Type {
	return &source[A]{core[A]{info: info, mode: pluginv1.Mode_MODE_READ, impl: impl}, impl}
}

// RowWriter takes a source's rows. It belongs to one goroutine.
type RowWriter struct {
	fault  func(error) error
	schema data.Schema
	stream readStream
	memo   []byte
	known  map[string]bool // fingerprints of parts
	// waiting are small batches that are sent as one.
	waiting      []arrow.RecordBatch
	waitingRows  int64
	waitingBytes uint64
	// rows and aside count what was written and set aside so far.
	rows, aside int64
}

// Memo returns what Fingerprint returned in Memo the last time.
func (w *RowWriter) Memo() []byte { return w.memo }

// Part writes one part of the source, such as a file. Read writes the part's
// rows; it is not called if quern has kept the rows of a part with the same
// fingerprint from an earlier read. Equal fingerprints must stand for equal
// rows: a fingerprint depends on everything that the part's rows depend on,
// except for the arguments and the columns. Rows that belong to no part may not
// be written beside parts.
func (w *RowWriter) Part(fingerprint string, read func() error) error {
	return w.part(fingerprint, read)
}

// Schema returns the columns that Prepare declared. Batches have to have them,
// in their order.
func (w *RowWriter) Schema() data.Schema { return w.schema }

// Write sends rows on, small batches together with those that follow. What is
// too large for one message is sent in several. The caller keeps its reference
// to rec.
func (w *RowWriter) Write(rec arrow.RecordBatch) error { return w.write(rec) }

// Quarantine sets a row aside that can't be taken: where it stands (file and
// line), what it says, and what is wrong with it. Bytes that are not UTF-8 are
// kept as U+FFFD.
func (w *RowWriter) Quarantine(origin, content string, problem error) error {
	return w.quarantine(origin, content, problem)
}

// Progress says how far the reading is; total 0: unknown. Calls that follow
// each other too fast are dropped.
func (w *RowWriter) Progress(done, total int64, unit, message string) {
	w.stream.progress(done, total, unit, message)
}
