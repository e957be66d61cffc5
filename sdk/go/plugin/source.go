package plugin

import (
	"context"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Source reads rows from outside.
type Source[A any] interface {
	// Prepare declares the columns with AddDataset("", columns). It can read the
	// source to infer them.
	Prepare(context.Context, *Prepare[A]) error
	// Fingerprint identifies the current content at low cost. memo is the Memo
	// that the last call returned, or empty.
	Fingerprint(ctx context.Context, args *A, memo []byte) (Fingerprint, error)
	// Read writes all rows, in the same order whenever the content is the same.
	// A source that consists of parts, such as files, writes each with
	// RowWriter.Part, so that only changed parts are read again.
	Read(ctx context.Context, args *A, w *RowWriter) error
}

// Pinned returns what a name that the source pinned refers to; see Prepare.Pin. It
// is for Source.Fingerprint, with its context. It returns "" if the name is not
// pinned yet, or no longer.
func Pinned(ctx context.Context, name string) string {
	pins, _ := ctx.Value(pinsKey{}).(map[string]string)
	return pins[name]
}

type pinsKey struct{}

// Previewer is an optional interface of a Source that can return some of its
// rows quickly and free of charge. quern uses them to estimate the cost of
// language models before the source is read. Without it, the cost is unknown
// until then.
type Previewer[A any] interface {
	// Preview writes about bytes bytes of rows, or all rows if there are fewer,
	// and returns the total number of rows. Quarantine and Part have no effect
	// on w.
	Preview(ctx context.Context, args *A, bytes int64, w *RowWriter) (RowCount, error)
}

// RowCount is the number of rows in a source.
type RowCount struct {
	Rows int64
	// Exact is true if the rows were counted, false if their number was
	// estimated from the preview.
	Exact bool
	// Size is the size of the source in a unit of its choice, such as bytes; 0
	// if unknown. quern uses it to estimate the number of rows after the source
	// has grown.
	Size int64
}

// Fingerprint identifies the content of a source.
type Fingerprint struct {
	// Value changes if, and only if, the content changes.
	Value string
	// Memo is passed to the next call of Fingerprint and to Read, so that
	// unchanged parts need no hashing.
	Memo []byte
	// Summary is one line for users: "2 files, 10,003 rows".
	Summary string
}

// NewSource returns a type that reads rows from outside.
func NewSource[A any](info Info, impl Source[A]) Type {
	return &source[A]{core[A]{info: info, mode: pluginv1.Mode_MODE_READ, impl: impl}, impl}
}

// RowWriter receives the rows of a source. Use it from one goroutine.
type RowWriter struct {
	fault  func(error) error
	schema data.Schema
	stream readStream
	memo   []byte
	// known holds the fingerprints of parts whose rows quern has.
	known map[string]bool // fingerprints of parts
	// waiting holds small batches to send together.
	waiting      []arrow.RecordBatch
	waitingRows  int64
	waitingBytes uint64
	// rows and aside count the rows that were written and quarantined.
	rows, aside int64
}

// Memo returns the Memo of the latest Fingerprint.
func (w *RowWriter) Memo() []byte { return w.memo }

// Part writes one part of the source, such as a file. read writes the part's
// rows. It is not called if quern has the rows of a part with the same
// fingerprint from an earlier read. The fingerprint must cover everything that
// the part's rows depend on, except the arguments and the columns. If a source
// uses Part, all of its rows must belong to parts.
func (w *RowWriter) Part(fingerprint string, read func() error) error {
	return w.part("", fingerprint, read)
}

// NamedPart is Part with what a person calls the part, such as the name of a file.
// quern names it as the origin of its rows. A source that has only one part, and
// no use for fingerprints, can leave the fingerprint empty.
func (w *RowWriter) NamedPart(name, fingerprint string, read func() error) error {
	return w.part(name, fingerprint, read)
}

// KnownParts returns the fingerprints of the parts whose rows quern has, sorted. A
// source whose parts follow from what was read before, such as ranges of a column
// that grows, begins with them.
func (w *RowWriter) KnownParts() []string { return slices.Sorted(maps.Keys(w.known)) }

// Schema returns the columns that Prepare declared. Batches must have these
// columns in this order.
func (w *RowWriter) Schema() data.Schema { return w.schema }

// Write sends rows. It combines small batches and splits those that are too
// large for one message. The caller keeps its reference to rec.
func (w *RowWriter) Write(rec arrow.RecordBatch) error { return w.write(rec) }

// Quarantine sets aside a row that cannot be read: origin says where it is
// (file and line), content is its text, and problem says what is wrong. Bytes
// that are not valid UTF-8 become U+FFFD.
func (w *RowWriter) Quarantine(origin, content string, problem error) error {
	return w.quarantine(origin, content, problem)
}

// Progress reports how much has been read; total is 0 if unknown. Calls in
// quick succession are combined.
func (w *RowWriter) Progress(done, total int64, unit, message string) {
	w.stream.progress(done, total, unit, message)
}
