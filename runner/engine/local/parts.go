package local

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
)

// partsSchema are the columns of the list of parts. Lists of earlier builds have no
// names.
var (
	partsSchema   = append(unnamedSchema[:len(unnamedSchema):len(unnamedSchema)], data.Column{Name: "name", Type: "string"})
	unnamedSchema = data.Schema{{Name: "fingerprint", Type: "string"}, {Name: "rows", Type: "int64"}, {Name: "quarantined", Type: "int64"}}
)

// part is one part of a source.
type part struct {
	fingerprint       string
	rows, quarantined int64
	name              string // empty if it has none
}

// reusable returns the part's fingerprint, or "" if the part has to be read again
// because rows of it were set aside.
func (p part) reusable() string {
	if p.quarantined > 0 {
		return ""
	}
	return p.fingerprint
}

// span is a run of rows of a dataset.
type span struct{ from, to int64 }

// formerRead is an earlier reading of a source, from which a new reading may
// take rows.
type formerRead struct {
	blobs   *blob.Store
	rows    *dataset.Manifest
	starts  []int64 // first row of each shard
	columns []string
	// parts are the spans of rows of each part, by fingerprint. Equal parts
	// have several spans.
	parts map[string][]span

	// next continues in the shard that ends before row end. current is the last
	// batch that it returned, which starts at row base. It is valid until the
	// next call.
	next      func() (arrow.RecordBatch, error, bool)
	stop      func()
	current   arrow.RecordBatch
	base, end int64
}

// formerRead returns the last reading of a source, or nil if it cannot be used.
// The result must be the same as if everything were read again, so the
// definition and the columns must be the same.
func (a *attempt) formerRead(ctx context.Context, columns data.Schema) (*formerRead, error) {
	if stage.Forced(a.Node) {
		return nil, nil
	}
	rows, list := a.prior(""), a.prior(stage.PortParts)
	if rows == nil || !rows.Schema.Equal(columns) || list == nil && a.task.PriorPart == "" || list != nil && !isPartsList(list) {
		return nil, nil
	}
	if slices.ContainsFunc(rows.Blobs(), func(b string) bool { return !a.Store.Blobs.Has(b) }) {
		return nil, nil
	}
	f := &formerRead{blobs: a.Store.Blobs, rows: rows, columns: columns.Names(), parts: map[string][]span{}, stop: func() {}}
	first := int64(0)
	for _, s := range rows.Shards {
		f.starts = append(f.starts, first)
		first += s.Rows
	}
	if list == nil {
		f.parts[a.task.PriorPart] = []span{{0, rows.Rows}}
		return f, nil
	}
	if err := f.load(ctx, a.Store.Blobs, list); err != nil {
		return nil, unlessUnavailable(err)
	}
	return f, nil
}

// isPartsList reports whether a dataset has the columns of a list of parts.
func isPartsList(m *dataset.Manifest) bool {
	return m.Schema.Equal(partsSchema) || m.Schema.Equal(unnamedSchema)
}

// unlessUnavailable drops an error about a missing or damaged file: everything
// is then read again.
func unlessUnavailable(err error) error {
	if blob.Unavailable(err) {
		return nil
	}
	return err
}

// prior returns an output of the stage's last result, a dataset, or nil if
// there is none that can be read.
func (a *attempt) prior(port string) *dataset.Manifest {
	ref, ok := a.task.Prior[port]
	if !ok {
		return nil
	}
	last, err := a.Artifacts.Get(ref)
	if err != nil {
		return nil
	}
	return last.Dataset
}

// load reads the list of parts.
func (f *formerRead) load(ctx context.Context, blobs *blob.Store, list *dataset.Manifest) error {
	files, err := list.Files(blobs, nil)
	if err != nil {
		return err
	}
	at := int64(0)
	for rec, err := range data.Read(ctx, files, unnamedSchema.Names(), 0) {
		if err != nil {
			return err
		}
		names, rows, aside := rec.Column(0).(*array.String), rec.Column(1).(*array.Int64), rec.Column(2).(*array.Int64)
		for i := range int(rec.NumRows()) {
			s := span{at, at + rows.Value(i)}
			at = s.to
			if aside.Value(i) == 0 {
				// names shares the batch's memory.
				name := string([]byte(names.Value(i)))
				f.parts[name] = append(f.parts[name], s)
			}
		}
	}
	return nil
}

// known returns the fingerprints of the parts whose rows can be copied.
func (f *formerRead) known() []string {
	if f == nil {
		return nil
	}
	out := make([]string, 0, len(f.parts))
	for name := range f.parts {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// take returns the span of a part's rows. For equal parts, it returns their
// spans in turn, so that rows are read in order.
func (f *formerRead) take(fingerprint string) (span, bool) {
	if f == nil || len(f.parts[fingerprint]) == 0 {
		return span{}, false
	}
	all := f.parts[fingerprint]
	if len(all) > 1 {
		f.parts[fingerprint] = append(all[1:], all[0])
	}
	return all[0], true
}

// copy adds a span of rows to a dataset: shards that are in the span as a whole, and the
// rows of others. last is set if no rows follow.
func (f *formerRead) copy(ctx context.Context, s span, last bool, to *dataset.Writer) error {
	for s.from < s.to {
		n, err := f.share(ctx, s, last, to)
		if n == 0 && err == nil {
			n, err = f.copyRows(ctx, s, to)
		}
		if err != nil {
			return fmt.Errorf("reuse rows of the previous read: %w", err)
		}
		s.from += n
	}
	return nil
}

// share adds the shards at the beginning of a span, and returns the number of their
// rows. Where the last shard ended, the rows ended: other rows would continue it.
func (f *formerRead) share(ctx context.Context, s span, last bool, to *dataset.Writer) (rows int64, err error) {
	first, ok := slices.BinarySearch(f.starts, s.from)
	if !ok || !to.AtBoundary() {
		return 0, nil
	}
	end := first
	for ; end < len(f.starts); end++ {
		n := rows + f.rows.Shards[end].Rows
		if n > s.to-s.from || end == len(f.starts)-1 && !last {
			break
		}
		rows = n
	}
	if rows == 0 {
		return 0, nil
	}
	return rows, to.Share(ctx, f.rows.Shards[first:end])
}

// copyRows writes the rows at the beginning of a span, of one batch and one shard, and
// returns their number.
func (f *formerRead) copyRows(ctx context.Context, s span, to *dataset.Writer) (int64, error) {
	if err := f.seek(ctx, s.from); err != nil {
		return 0, err
	}
	until := min(s.to, f.base+f.current.NumRows())
	rec := f.current.NewSlice(s.from-f.base, until-f.base)
	defer rec.Release()
	return until - s.from, to.Write(ctx, rec)
}

// seek makes the batch that contains a row current.
func (f *formerRead) seek(ctx context.Context, row int64) error {
	if f.next == nil || row < f.base || row >= f.end {
		if err := f.open(ctx, row); err != nil {
			return err
		}
	}
	for f.current == nil || row >= f.base+f.current.NumRows() {
		if f.current != nil {
			f.base += f.current.NumRows()
			f.current = nil
		}
		rec, err, ok := f.next()
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("row %d is missing", row)
		}
		f.current = rec
	}
	return nil
}

// open opens the shard that contains a row.
func (f *formerRead) open(ctx context.Context, row int64) error {
	f.stop()
	f.next, f.stop, f.current = nil, func() {}, nil
	i, ok := slices.BinarySearch(f.starts, row)
	if !ok {
		i--
	}
	files, err := f.rows.Shards[i].Files(f.blobs, f.columns)
	if err != nil {
		return err
	}
	f.base, f.end = f.starts[i], f.starts[i]+f.rows.Shards[i].Rows
	f.next, f.stop = iter.Pull2(data.Read(ctx, []data.Shard{files}, f.columns, 0))
	return nil
}

func (f *formerRead) close() {
	if f != nil {
		f.stop()
	}
}

// parts combines a source's rows from the parts that were read and those that
// are known.
type parts struct {
	former *formerRead
	all    []part
	// read is the number of rows in the parts that were read.
	read int64
	// waiting are the known rows that have not been copied yet.
	waiting span
}

// add adds a part. received is the number of rows that the plugin has sent so
// far.
func (p *parts) add(ctx context.Context, received int64, e *pluginv1.Part, to *dataset.Writer) (fault string, err error) {
	if !e.GetKnown() {
		p.read += e.GetRows()
		p.all = append(p.all, part{e.GetFingerprint(), e.GetRows(), e.GetQuarantined(), e.GetName()})
		return "", nil
	}
	s, ok := p.former.take(e.GetFingerprint())
	switch {
	case !ok:
		return fmt.Sprintf("it reports the part %q of its source as known, but quern did not list it as known", e.GetFingerprint()), nil
	case received != p.read:
		return fmt.Sprintf("it sent %d rows before the known part %q, but the parts before it have %d", received, e.GetFingerprint(), p.read), nil
	}
	p.all = append(p.all, part{e.GetFingerprint(), s.to - s.from, 0, e.GetName()})
	if s.from != p.waiting.to {
		if err := p.flush(ctx, false, to); err != nil {
			return "", err
		}
		p.waiting = s
	}
	p.waiting.to = s.to
	return "", nil
}

// flush adds the waiting rows to a dataset. last is set if no rows follow.
func (p *parts) flush(ctx context.Context, last bool, to *dataset.Writer) error {
	s := p.waiting
	p.waiting = span{s.to, s.to}
	return p.former.copy(ctx, s, last, to)
}

// partsDataset returns the list of parts, or nil if there is only one, which is in the
// action entry.
func partsDataset(ctx context.Context, blobs *blob.Store, all []part) (*dataset.Manifest, error) {
	if len(all) < 2 {
		return nil, nil
	}
	w := dataset.NewWriter(blobs, partsSchema)
	defer w.Abort()
	b := array.NewRecordBuilder(memory.DefaultAllocator, partsSchema.Arrow())
	defer b.Release()
	for _, p := range all {
		b.Field(0).(*array.StringBuilder).Append(p.fingerprint)
		b.Field(1).(*array.Int64Builder).Append(p.rows)
		b.Field(2).(*array.Int64Builder).Append(p.quarantined)
		b.Field(3).(*array.StringBuilder).Append(p.name)
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	if err := w.Write(ctx, rec); err != nil {
		return nil, err
	}
	return w.Close()
}
