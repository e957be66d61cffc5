package rowwise

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/memo"
)

// sink receives the results of some rows of a shard: a column group with as
// many rows or, with Expands, shards of their own and the number of rows that
// came from each row. Call exactly one of close and abort; a further abort does
// nothing.
type sink struct {
	job   *job
	rows  int64 // number of input rows that it covers
	group *dataset.GroupWriter
	// With Expands:
	shards *dataset.Writer
	counts *array.Int64Builder
}

func (j *job) newSink() *sink {
	if j.Expands {
		return &sink{job: j, shards: dataset.NewWriter(j.Blobs, j.fresh), counts: array.NewInt64Builder(memory.DefaultAllocator)}
	}
	return &sink{job: j, group: dataset.NewGroup(j.Blobs, j.fresh)}
}

func (s *sink) write(ctx context.Context, rec arrow.RecordBatch) error {
	if s.shards != nil {
		return s.shards.Write(ctx, rec)
	}
	return s.group.Write(ctx, rec)
}

// covers records that the results of further rows were written.
func (s *sink) covers(rows int64, of spans) {
	s.rows += rows
	if s.shards == nil {
		return
	}
	for i := range of {
		_, n := of.of(i)
		s.counts.Append(n)
	}
}

// close commits the files.
func (s *sink) close() (*memo.Results, error) {
	if s.shards == nil {
		group, columns, err := s.group.Close()
		if err != nil {
			return nil, err
		}
		return &memo.Results{Output: &dataset.Added{Group: group, Columns: columns}}, nil
	}
	m, err := s.shards.Close()
	if err != nil {
		return nil, err
	}
	group := dataset.NewGroup(s.job.Blobs, countSchema)
	defer group.Abort()
	rec := array.NewRecordBatch(countSchema.Arrow(), []arrow.Array{s.counts.NewArray()}, s.rows)
	// The files committed so far are useless without the counts.
	if err := group.Write(context.Background(), rec); err != nil {
		return nil, err
	}
	counts, columns, err := group.Close()
	if err != nil {
		return nil, err
	}
	return &memo.Results{Expansion: &memo.Expansion{Counts: dataset.Added{Group: counts, Columns: columns}, Shards: m.Shards}}, nil
}

func (s *sink) abort() {
	if s.shards != nil {
		s.shards.Abort()
		return
	}
	s.group.Abort()
}

// expansionRows bounds how many output rows of a block are written at a time,
// so that the repeated columns stay small.
func (b *block) expansionRows() int64 {
	if b.stored == nil {
		return mostRows
	}
	widest := int64(1)
	for _, c := range b.stored.Columns() {
		widest += widestValue(c)
	}
	return min(max(batchBytes/widest, 1), mostRows)
}

// widestValue is the size of the longest value, or the mean size for a type
// with lists or structs.
func widestValue(a arrow.Array) int64 {
	texts, ok := a.(interface{ ValueLen(int) int })
	if !ok {
		return int64(a.Data().SizeInBytes()) / int64(max(a.Len(), 1))
	}
	widest := 0
	for i := range a.Len() {
		widest = max(widest, texts.ValueLen(i))
	}
	return int64(widest)
}

// repeat returns the columns that quern fills for output rows from to to-1 of
// the block: the columns of the input row that each came from. The first one
// came from row or a later one. repeat returns the input row of the last one.
func (b *block) repeat(row int, from, to int64) (arrow.RecordBatch, int, error) {
	var runs []run
	for at := from; ; row++ {
		start, n := b.spans.of(row)
		last := min(start+n, to)
		for ; at < last; at++ {
			runs = addRow(runs, b.stored, int64(row))
		}
		if at == to {
			break
		}
	}
	rec, err := gather(b.stored.Schema(), runs)
	return rec, row, err
}
