package rowwise

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/store/dataset"
)

// block is a range of consecutive rows of one shard on their way through the
// pipeline: read, sent to the plugin, assembled, written.
type block struct {
	shard int
	first int64 // its first row in the shard
	rows  int
	ends  bool // set for the last block of the shard

	stored  arrow.RecordBatch // columns that quern fills, or nil
	request arrow.RecordBatch // the rows that go to the plugin, or nil
	// cells say where each row's result comes from. If cells is nil, all rows
	// go to the plugin.
	cells    []cell
	question *question // nil if no row goes to the plugin
	weight   int64     // the weight of its slot
	keys     []rowKey  // of its rows; nil if the plugin is not called

	// Set when the block is assembled:
	out    arrow.RecordBatch // columns that the plugin computes, or nil
	spans  spans             // rows of out by input row
	failed map[int32]string
	// waiting are the rows that are pending. They count as failed, too.
	waiting map[int32]bool
	fresh   int // rows that the plugin was asked for
}

// cell says where one row's result comes from.
type cell struct {
	kind  cellKind
	row   int32  // in the part or block that the result comes from
	part  int32  // if known: index of the part
	block *block // if same: the block
}

type cellKind uint8

const (
	asked  cellKind = iota // goes to the plugin
	old                    // the definition has been applied to it before
	same                   // it equals an earlier row
	broken                 // an expression failed
)

// fetched is a batch of the input.
type fetched struct {
	shard int
	first int64
	rec   arrow.RecordBatch
}

// batchBytes is the intended size of a batch that is read, measured in the
// files.
const batchBytes = 4 << 20

// batchRows is the number of rows that are read at a time.
func (j *job) batchRows() int {
	bytes := j.Input.Bytes()
	if j.Input.Rows == 0 || bytes == 0 {
		return mostRows
	}
	return int(min(max(batchBytes/max(bytes/j.Input.Rows, 1), 64), mostRows))
}

// prepare splits a batch into blocks: it computes the keys of the rows, looks
// them up, and evaluates the arguments of the unknown ones. It works in chunks,
// so that the first rows are on their way to the plugin while the next ones are
// prepared.
func (j *job) prepare(ctx context.Context, f fetched, recent *window, emit func(*block) error) error {
	rows := f.rec.NumRows()
	kept, err := j.evaluate(ctx, j.kept, f.rec)
	if err != nil {
		return err
	}
	var keys []rowKey
	if j.calls() {
		if keys, err = dataset.RowKeys(f.rec, j.Reads, j.Definition); err != nil {
			return err
		}
	}
	perRow := (recordBytes(f.rec) + kept.bytes) / max(rows, 1)
	for from := int64(0); from < rows; {
		to := min(from+j.chunkRows(), rows)
		blocks, weight := j.cut(f, from, to, kept), perRow
		if j.calls() {
			for _, b := range blocks {
				b.keys = keys[b.first-f.first:][:b.rows]
				j.classify(b, recent)
			}
			asked, err := j.request(ctx, f.rec.NewSlice(from, to), blocks)
			if err != nil {
				return err
			}
			weight += asked
		}
		for _, b := range blocks {
			b.weight = min(max(weight*int64(b.rows), j.leastSlot(int64(b.rows))), slotBytes)
			if err := emit(b); err != nil {
				return err
			}
		}
		from = to
	}
	return nil
}

// cut returns blocks for rows from to to-1 of a batch. kept are the values of
// computed columns for all of its rows.
func (j *job) cut(f fetched, from, to int64, kept *values) []*block {
	var blocks []*block
	for from < to {
		n := j.blockRows(to - from)
		b := &block{shard: f.shard, first: f.first + from, rows: int(n)}
		b.ends = b.first+n == j.Input.Shards[f.shard].Rows
		if len(j.computed) > 0 {
			b.stored = j.stored(kept, f.rec).NewSlice(from, from+n)
		}
		b.fail(kept.failed, from, j.calls())
		blocks = append(blocks, b)
		from += n
	}
	return blocks
}

// request evaluates the arguments of the rows that are sent to the plugin, for
// all blocks at once, and gives each block its request rows. rec contains the
// blocks' rows. It returns how many bytes were computed per row.
func (j *job) request(ctx context.Context, rec arrow.RecordBatch, blocks []*block) (perRow int64, err error) {
	var runs []run
	row := int64(0) // of rec
	for _, b := range blocks {
		for i := range b.rows {
			if b.cell(i).kind == asked {
				runs = addRow(runs, rec, row)
				b.fresh++
			}
			row++
		}
	}
	if len(runs) == 0 {
		return 0, nil
	}
	if rec, err = gather(rec.Schema(), runs); err != nil {
		return 0, fmt.Errorf("choose the rows for the plugin: %w", err)
	}
	v, err := j.evaluate(ctx, j.args, rec)
	if err != nil {
		return 0, err
	}
	whole := j.requestOf(rec, v)
	from := int64(0)
	for _, b := range blocks {
		n := int64(b.fresh)
		if b.request, err = b.drop(whole.NewSlice(from, from+n), v.failed, from); err != nil {
			return 0, err
		}
		from += n
	}
	return v.bytes / rec.NumRows(), nil
}

// chunkRows is the number of rows that are prepared at a time.
func (j *job) chunkRows() int64 {
	switch {
	case !j.calls():
		return mostRows
	case j.BatchRows > 0:
		return min(j.pace.rows.Load(), firstRows)
	}
	return j.pace.rows.Load()
}

// blockRows is the number of rows in a block, out of rows that were prepared
// together.
func (j *job) blockRows(rows int64) int64 {
	if j.calls() && j.BatchRows > 0 {
		return min(rows, j.BatchRows)
	}
	return rows
}

// leastSlot limits the number of blocks of this size in flight.
func (j *job) leastSlot(rows int64) int64 {
	switch {
	case j.OpenRows > 0:
		return slotBytes / j.OpenRows * rows
	case j.BatchRows > 0:
		return max(leastSlotRow*rows, smallSlot)
	}
	return max(leastSlotRow*rows, leastSlot)
}

// classify decides for each row where its result comes from.
func (j *job) classify(b *block, recent *window) {
	for i := range b.rows {
		if b.cell(i).kind == broken {
			continue
		}
		if at, ok := j.known.find(b.keys[i]); ok {
			b.set(i, cell{kind: old, part: at.part, row: at.row})
		} else if p, ok := recent.seen(b.keys[i], place{b, int32(i)}); ok {
			b.set(i, cell{kind: same, block: p.block, row: p.row})
		}
	}
}

// cell returns where a row's result comes from.
func (b *block) cell(row int) cell {
	if b.cells == nil {
		return cell{kind: asked}
	}
	return b.cells[row]
}

func (b *block) set(row int, c cell) {
	if b.cells == nil {
		b.cells = make([]cell, b.rows)
	}
	b.cells[row] = c
}

// fail marks the rows for which an expression failed. from is the block's first
// row in the batch.
func (b *block) fail(failed map[int32]string, from int64, calls bool) {
	for row, message := range failed {
		i := int(row) - int(from)
		if i < 0 || i >= b.rows {
			continue
		}
		if b.failed == nil {
			b.failed = map[int32]string{}
		}
		b.failed[int32(i)] = message
		if calls {
			b.set(i, cell{kind: broken})
		}
	}
}

// drop removes the rows for which an expression failed from those to be sent.
// from is the first row's position in the batch that was evaluated. It returns
// nil if no rows are left.
func (b *block) drop(request arrow.RecordBatch, failed map[int32]string, from int64) (arrow.RecordBatch, error) {
	var runs []run
	at := map[int32]string{} // by row of the block
	for i, row := range b.askedRows() {
		if message, ok := failed[int32(from)+int32(i)]; ok {
			at[row] = message
		} else {
			runs = addRow(runs, request, int64(i))
		}
	}
	b.fail(at, 0, true)
	b.fresh -= len(at)
	if len(runs) == 0 {
		return nil, nil
	}
	rec, err := gather(request.Schema(), runs)
	if err != nil {
		return nil, fmt.Errorf("choose the rows for the plugin: %w", err)
	}
	return rec, nil
}

// askedKeys returns the keys of the rows that were sent to the plugin, in order.
func (b *block) askedKeys() []rowKey {
	if b.cells == nil {
		return b.keys
	}
	rows := b.askedRows()
	keys := make([]rowKey, len(rows))
	for i, row := range rows {
		keys[i] = b.keys[row]
	}
	return keys
}

// askedRows returns the rows of the block that were sent to the plugin, in
// order.
func (b *block) askedRows() []int32 {
	var at []int32
	for i := range b.rows {
		if b.cell(i).kind == asked {
			at = append(at, int32(i))
		}
	}
	return at
}
