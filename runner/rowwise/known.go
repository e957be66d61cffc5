package rowwise

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/memo"
)

// lookup finds the shards whose results are completely known.
func (j *job) lookup() error {
	for i, sh := range j.Input.Shards {
		j.shards[i].key = dataset.ShardKey(j.Definition, sh, j.ShardReads)
		if j.Fresh {
			continue
		}
		part, err := j.Memo.Lookup(j.Definition, j.shards[i].key)
		// A damaged part was set aside, so its shard is computed again.
		if err != nil && !isDamaged(err) {
			return fmt.Errorf("look up shard %d: %w", i+1, err)
		}
		if part != nil && len(part.Failed) == 0 && j.usable(part) {
			j.shards[i].results = &part.Results
			j.count.Reused += sh.Rows
			j.count.Done += sh.Rows
		}
	}
	return nil
}

// usable reports whether a part's results exist and contain the required
// columns. Damage to a file is detected when it is read.
func (j *job) usable(p *memo.Part) bool {
	if (p.Expansion != nil) != j.Expands {
		return false
	}
	groups := p.Groups()
	if len(groups) == 0 || slices.ContainsFunc(groups, func(g dataset.Group) bool { return !j.Blobs.Has(g.Blob) }) {
		return false
	}
	return !slices.ContainsFunc(j.fresh, func(c data.Column) bool { return !p.Has(c.Name) })
}

// readsSame reports whether a part was computed from the columns that are read
// now. A stage that reads all columns may have had an input with different
// ones.
func (j *job) readsSame(p *memo.Part) bool {
	names := map[string]bool{}
	for _, in := range p.Inputs {
		for _, c := range in.Columns {
			names[c.Name] = true
		}
	}
	for _, name := range j.Reads {
		if !names[name] {
			return false
		}
	}
	return len(names) == len(j.Reads)
}

// missing returns the shards that have to be processed.
func (j *job) missing() []int {
	var out []int
	for i := range j.shards {
		if j.shards[i].results == nil {
			out = append(out, i)
		}
	}
	return out
}

// known finds rows that the definition has been applied to before.
type known struct {
	job   *job
	parts []*memo.Part
	rows  map[rowKey]at
	files []*partFiles // by part; nil if not opened
	held  []file       // files that are in memory, oldest first
	bytes int64        // their total size
}

// file is one of the files that contain the results of a part.
type file struct{ part, shard int32 }

// partFiles are the files of a part's results, and which of their rows came
// from which row of the part. read is the part of a file that is in memory.
type partFiles struct {
	shards []data.Shard
	read   []arrow.RecordBatch
	spans  spans
}

// at is a row of a part.
type at struct{ part, row int32 }

const (
	// leastRemembered and rememberFactor bound the number of rows of earlier
	// results that are keyed: rememberFactor times the number of rows to find,
	// or leastRemembered if that is more. The rows of the stage's last result
	// come first, then those that an unfinished run left, then the rest.
	leastRemembered = 1 << 22
	rememberFactor  = 4
	// cacheBytes bounds the earlier results in memory.
	cacheBytes = 64 << 20
)

func (k *known) find(key rowKey) (at, bool) {
	if k == nil {
		return at{}, false
	}
	a, ok := k.rows[key]
	return a, ok
}

// remember keys the rows of earlier parts, for the shards that have to be
// processed. It does nothing if that is useless: a stage without a plugin
// computes a row faster than it finds one.
func (j *job) remember(ctx context.Context, missing []int) error {
	if j.Fresh || !j.calls() {
		return nil
	}
	wanted := int64(0)
	for _, i := range missing {
		wanted += j.Input.Shards[i].Rows
	}
	parts, err := j.candidates(max(leastRemembered, rememberFactor*wanted))
	if err != nil {
		return err
	}
	k := &known{job: j, parts: parts, rows: map[rowKey]at{}, files: make([]*partFiles, len(parts))}
	for i, p := range parts {
		err := k.index(ctx, int32(i), p)
		// Earlier results whose files are missing are useless but harmless.
		if err != nil && !blob.Unavailable(err) {
			return fmt.Errorf("key the rows of an earlier result: %w", err)
		}
	}
	j.known = k
	return nil
}

// candidates returns the parts in which rows are looked up.
func (j *job) candidates(rows int64) ([]*memo.Part, error) {
	whole := map[string]bool{} // shards that are reused completely
	for _, s := range j.shards {
		if s.results != nil {
			whole[s.key] = true
		}
	}
	var parts []*memo.Part
	for p, err := range j.Memo.Parts(j.Definition) {
		if err != nil {
			if isDamaged(err) {
				continue
			}
			return nil, fmt.Errorf("list earlier results: %w", err)
		}
		if !whole[p.ShardKey] && j.usable(p) && j.readsSame(p) {
			parts = append(parts, p)
		}
	}
	last := j.priorGroups()
	rank := func(p *memo.Part) int {
		switch {
		case slices.ContainsFunc(p.Groups(), func(g dataset.Group) bool { return last[g.Blob] }):
			return 0
		case p.ShardKey == "":
			return 1
		}
		return 2
	}
	slices.SortStableFunc(parts, func(a, b *memo.Part) int { return cmp.Compare(rank(a), rank(b)) })
	for i, p := range parts {
		if rows -= p.Rows; rows < 0 && i > 0 {
			return parts[:i], nil
		}
	}
	return parts, nil
}

func (j *job) priorGroups() map[string]bool {
	groups := map[string]bool{}
	if j.Prior != nil {
		for _, s := range j.Prior.Shards {
			for _, g := range s.Groups {
				groups[g.Blob] = true
			}
		}
	}
	return groups
}

// index keys the rows of a part. If several parts contain a row, the first one
// counts.
func (k *known) index(ctx context.Context, part int32, p *memo.Part) error {
	input, err := p.Input(k.job.Blobs)
	if err != nil {
		return err
	}
	failed := map[int64]bool{}
	for _, f := range p.Failed {
		failed[f.Row] = true
	}
	row := int64(0) // in the input shard
	for rec, err := range readOne(ctx, input, k.job.Reads) {
		if err != nil {
			return err
		}
		if row+rec.NumRows() > p.Offset && row < p.Offset+p.Rows {
			keys, err := dataset.RowKeys(rec, k.job.Reads, k.job.Definition)
			if err != nil {
				return err
			}
			for i, key := range keys {
				r := row + int64(i)
				if r < p.Offset || r >= p.Offset+p.Rows || failed[r] {
					continue
				}
				if _, ok := k.rows[key]; !ok {
					k.rows[key] = at{part, int32(r - p.Offset)}
				}
			}
		}
		row += rec.NumRows()
	}
	return nil
}

// origin returns the location of the result for a row of a part.
func (k *known) origin(part int32, row int) (origin, error) {
	files, err := k.open(part)
	if err != nil {
		return origin{}, fmt.Errorf("read an earlier result: %w", err)
	}
	start, n := files.spans.of(row)
	if n == 0 {
		return origin{}, nil
	}
	shard := 0
	for ; start >= files.shards[shard].Rows; shard++ {
		start -= files.shards[shard].Rows
	}
	return k.rowsFrom(file{part, int32(shard)}, start, n)
}

// rowsFrom returns n rows of a part's files, starting at a row of one of them.
func (k *known) rowsFrom(at file, start, n int64) (origin, error) {
	rec, err := k.results(at)
	if err != nil {
		return origin{}, fmt.Errorf("read an earlier result: %w", err)
	}
	o := origin{rec: rec, start: start, n: min(n, rec.NumRows()-start)}
	if o.n < n {
		more, err := k.rowsFrom(file{at.part, at.shard + 1}, 0, n-o.n)
		if err != nil {
			return origin{}, err
		}
		o.more = &more
	}
	return o, nil
}

// open opens the files of a part's results.
func (k *known) open(part int32) (*partFiles, error) {
	if f := k.files[part]; f != nil {
		return f, nil
	}
	p, f := k.parts[part], &partFiles{}
	var err error
	if f.shards, err = p.Files(k.job.Blobs); err != nil {
		return nil, err
	}
	if p.Expansion != nil {
		counts, err := readCounts(k.job.Blobs, p)
		if err != nil {
			return nil, err
		}
		f.spans = spans{}.add(counts)
	}
	if rows := f.spans.total(int(p.Rows)); rows != totalRows(f.shards) {
		return nil, fmt.Errorf("its files have %d rows, and %d are expected", totalRows(f.shards), rows)
	}
	f.read = make([]arrow.RecordBatch, len(f.shards))
	k.files[part] = f
	return f, nil
}

func totalRows(shards []data.Shard) int64 {
	total := int64(0)
	for _, s := range shards {
		total += s.Rows
	}
	return total
}

// countSchema is the schema in which the counts of an expansion are stored.
var countSchema = data.Schema{{Name: "rows", Type: "int64"}}

// readCounts reads how many rows came from each row of a part.
func readCounts(blobs *blob.Store, p *memo.Part) ([]int64, error) {
	shard, err := p.Counts(blobs)
	if err != nil {
		return nil, err
	}
	rec, err := readWhole(shard, countSchema)
	if err != nil {
		return nil, err
	}
	return rec.Column(0).(*array.Int64).Int64Values(), nil
}

// results returns the plugin's columns in a file and keeps them for its next
// rows.
func (k *known) results(at file) (arrow.RecordBatch, error) {
	f := k.files[at.part]
	if rec := f.read[at.shard]; rec != nil {
		return rec, nil
	}
	rec, err := readWhole(f.shards[at.shard], k.job.made)
	if err != nil {
		return nil, err
	}
	f.read[at.shard] = rec
	k.held = append(k.held, at)
	for k.bytes += recordBytes(rec); k.bytes > cacheBytes && len(k.held) > 1; k.held = k.held[1:] {
		oldest := k.held[0]
		read := k.files[oldest.part].read
		k.bytes -= recordBytes(read[oldest.shard])
		read[oldest.shard] = nil
	}
	return rec, nil
}

func recordBytes(rec arrow.RecordBatch) int64 {
	if rec == nil {
		return 0
	}
	total := int64(0)
	for _, c := range rec.Columns() {
		total += int64(c.Data().SizeInBytes())
	}
	return total
}

// readWhole reads some columns of a shard as one batch.
func readWhole(s data.Shard, columns data.Schema) (arrow.RecordBatch, error) {
	schema := columns.Arrow()
	var parts []arrow.RecordBatch
	for rec, err := range readOne(context.Background(), s, columns.Names()) {
		if err != nil {
			return nil, err
		}
		conformed, err := data.Conform(rec, schema)
		if err != nil {
			return nil, err
		}
		parts = append(parts, conformed)
	}
	return data.Concat(schema, parts)
}

func readOne(ctx context.Context, s data.Shard, columns []string) iter.Seq2[arrow.RecordBatch, error] {
	return data.Read(ctx, []data.Shard{s}, columns, mostRows)
}

// readShard reads the columns that the stage needs from one shard of the input.
func (j *job) readShard(ctx context.Context, shard int) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		files, err := j.Input.Shards[shard].Files(j.Blobs, j.columns)
		if err != nil {
			yield(nil, &InputError{err})
			return
		}
		for rec, err := range data.Read(ctx, []data.Shard{files}, j.columns, j.batchRows()) {
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// InputError is the error for an input that cannot be read, because its files
// are missing or damaged.
type InputError struct{ Err error }

func (e *InputError) Error() string { return "read the input: " + e.Err.Error() }
func (e *InputError) Unwrap() error { return e.Err }
