package dataset

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/blob"
)

// Writer turns a stream of batches into a dataset. It splits rows into shards
// by their content, and writes them while the next ones are hashed. Memory is
// bounded by the compressed size of one shard and a few batches. It is not safe
// for concurrent use.
type Writer struct {
	schema data.Schema
	arrow  *arrow.Schema
	out    *shardWriter

	boundary boundary
	columns  []encoded
	hashes   []uint64
	// shard has the columns' digests over this shard. While there is only one shard,
	// those over all rows are the same.
	shard   []*columnHash
	totals  *totals
	rows    int64 // of this shard
	shards  []Shard
	written []int // the shards that this writer writes, among all
	total   int64
	ended   bool

	keeps  bool // whether values has those of each shard that was written, so far
	values []Values
}

// NewWriter starts a dataset. Call exactly one of Close and Abort.
func NewWriter(blobs *blob.Store, schema data.Schema) *Writer {
	return NewContinuation(blobs, schema, nil)
}

// NewContinuation is NewWriter for a dataset that shares shards of an earlier one with
// these checkpoints.
func NewContinuation(blobs *blob.Store, schema data.Schema, points *Checkpoints) *Writer {
	w := &Writer{schema: schema, columns: make([]encoded, len(schema)), totals: newTotals(blobs, schema, points)}
	if err := schema.Check(); err != nil {
		w.out = failedShardWriter(err)
		return w
	}
	w.arrow = schema.Arrow()
	w.shard = newColumnHashes(schema)
	w.out = startShardWriter(blobs, schema)
	return w
}

// NewKeeping is NewWriter for shards that become a part of another dataset: it keeps their
// values for the digests of that one.
func NewKeeping(blobs *blob.Store, schema data.Schema) *Writer {
	w := NewWriter(blobs, schema)
	w.keeps = true
	return w
}

func newColumnHashes(schema data.Schema) []*columnHash {
	out := make([]*columnHash, len(schema))
	for i, c := range schema {
		out[i] = newColumnHash(c.Type)
	}
	return out
}

// Write appends a batch, which must have the schema's columns in order. It
// may keep the batch until later.
func (w *Writer) Write(ctx context.Context, rec arrow.RecordBatch) error {
	if err := w.out.failure(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	rec, err := data.Conform(rec, w.arrow)
	if err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	defer rec.Release()
	n := int(rec.NumRows())
	begun := 0 // first row that was not passed on
	for from := 0; from < n; from += chunkRows {
		to := min(from+chunkRows, n)
		w.encode(rec, from, to)
		hashed := from // first row that is not in any digest
		for i := from; i < to; i++ {
			if !w.boundary.after(w.hashes[i-from], w.size(i-from)) {
				continue
			}
			w.hash(rec, from, hashed, i+1)
			w.out.write(rec, begun, i+1)
			hashed, begun = i+1, i+1
			w.endShard()
		}
		w.hash(rec, from, hashed, to)
	}
	w.out.write(rec, begun, n)
	return w.out.failure()
}

// encode fills w.columns and w.hashes with the rows [from, to).
func (w *Writer) encode(rec arrow.RecordBatch, from, to int) {
	w.hashes = w.hashes[:0]
	for range to - from {
		w.hashes = append(w.hashes, noHash)
	}
	for c := range w.columns {
		e := &w.columns[c]
		e.encode(rec.Column(c), from, to)
		for i := range w.hashes {
			w.hashes[i] = mix(w.hashes[i], e.row(i))
		}
	}
}

func (w *Writer) size(i int) int {
	n := 0
	for c := range w.columns {
		n += w.columns[c].ends[i] - w.columns[c].start(i)
	}
	return n
}

// hash adds the rows [from, to) of the batch to the digests. base is the first
// row in w.columns.
func (w *Writer) hash(rec arrow.RecordBatch, base, from, to int) {
	if from == to {
		return
	}
	w.rows += int64(to - from)
	for c := range w.columns {
		e := &w.columns[c]
		b := e.bytes[e.start(from-base):e.ends[to-base-1]]
		nulls := countNulls(rec.Column(c), from, to)
		w.shard[c].add(b, nulls)
		w.keep(c, b)
		if w.totals.started() {
			w.totals.add(c, b, nulls)
		}
	}
}

// keep keeps values of a column of the shard.
func (w *Writer) keep(column int, b []byte) {
	if !w.keeps {
		return
	}
	if len(w.values) == len(w.shards) {
		w.values = append(w.values, make(Values, len(w.schema)))
	}
	pieces := &w.values[len(w.shards)][column]
	*pieces = append(*pieces, slices.Clone(b))
}

// Values returns the values of the shards, after a call of Close.
func (w *Writer) Values() []Values { return w.values }

func (w *Writer) endShard() {
	shard := Shard{Rows: w.rows, Columns: shardColumns(w.schema, w.shard)}
	w.totals.wrote(shard, w.shard)
	w.written = append(w.written, len(w.shards))
	w.shards = append(w.shards, shard)
	w.total += w.rows
	w.rows = 0
	w.shard = newColumnHashes(w.schema)
	w.out.end()
}

// AtBoundary reports whether the next row begins a shard.
func (w *Writer) AtBoundary() bool { return w.rows == 0 }

// Share appends consecutive shards of an earlier dataset with the same schema, at a
// boundary. They are those that writing their rows would give, if each of them ended
// before other rows, or no row follows.
func (w *Writer) Share(ctx context.Context, shards []Shard) error {
	for _, s := range shards {
		w.totals.share(s, nil)
		w.shards = append(w.shards, s)
		w.total += s.Rows
	}
	if err := w.totals.settle(ctx); err != nil {
		return fmt.Errorf("share shards of an earlier dataset: %w", err)
	}
	return nil
}

func shardColumns(schema data.Schema, hashes []*columnHash) []Column {
	out := make([]Column, len(schema))
	for i, c := range schema {
		out[i] = Column{Name: c.Name, Stored: c.Name, Digest: hashes[i].digest(), Nulls: hashes[i].nulls}
	}
	return out
}

// Close ends the dataset. Its files are committed, but its manifest is not
// stored.
func (w *Writer) Close() (*Manifest, error) {
	if w.ended {
		return nil, fmt.Errorf("close a dataset: it is already closed")
	}
	if w.rows > 0 && w.out.failure() == nil {
		w.endShard()
	}
	w.ended = true
	groups, err := w.out.close()
	if err != nil {
		return nil, err
	}
	for k, i := range w.written {
		w.shards[i].Groups = []Group{}
		if len(w.schema) > 0 {
			w.shards[i].Groups = []Group{groups[k]}
		}
	}
	return &Manifest{Format: Format, Schema: w.schema, Rows: w.total, Columns: w.totals.summaries(w.shards), Shards: w.shards}, nil
}

// Abort discards the dataset. After a Close, it does nothing.
func (w *Writer) Abort() {
	if w.ended {
		return
	}
	w.ended = true
	w.out.abort()
}
