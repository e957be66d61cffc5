package rowwise

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/store/dataset"
)

// block is some rows in a row of one shard on their way: read, asked of the
// plugin, put together, written.
type block struct {
	shard int
	first int64 // its first row in the shard
	rows  int
	ends  bool // it is the shard's last

	stored  arrow.RecordBatch // computed columns; nil: there are none
	request arrow.RecordBatch // what goes to the plugin
	// cells say where each row's result comes from; nil: all rows go to the
	// plugin.
	cells    []cell
	question *question // nil: no row goes to the plugin
	weight   int64     // of its slot

	// Set when it is put together:
	out    arrow.RecordBatch // columns that the plugin makes; nil: there are none
	failed map[int32]string
	fresh  int // rows that the plugin was asked for
}

// cell says where one row's result comes from.
type cell struct {
	kind  cellKind
	row   int32  // in the part or block that it comes from
	part  int32  // known: index of the part
	block *block // same: the block
}

type cellKind uint8

const (
	asked  cellKind = iota // goes to the plugin
	old                    // the definition was applied to it before
	same                   // is equal to a row before it
	broken                 // an expression failed
)

// fetched is a batch of the input.
type fetched struct {
	shard int
	first int64
	rec   arrow.RecordBatch
}

// batchBytes is what a batch that is read should hold, by its files' size.
const batchBytes = 4 << 20

// batchRows is how many rows are read at a time.
func (j *job) batchRows() int {
	bytes := j.Input.Bytes()
	if j.Input.Rows == 0 || bytes == 0 {
		return mostRows
	}
	return int(min(max(batchBytes/max(bytes/j.Input.Rows, 1), 64), mostRows))
}

// prepare makes blocks of a batch: evaluates the arguments, keys the rows and
// looks them up.
func (j *job) prepare(ctx context.Context, f fetched, recent *window, emit func(*block) error) error {
	v, err := j.evaluate(ctx, f.rec)
	if err != nil {
		return err
	}
	rows := f.rec.NumRows()
	var keys [][16]byte
	var request, stored arrow.RecordBatch
	if j.calls() {
		if keys, err = dataset.RowKeys(f.rec, j.Reads, j.Definition); err != nil {
			return err
		}
		request = j.request(f.rec, v)
	}
	if len(j.computed) > 0 {
		stored = j.stored(v, rows)
	}
	perRow := (recordBytes(request) + recordBytes(stored)) / max(rows, 1)
	for from := int64(0); from < rows; {
		to := min(from+j.blockRows(), rows)
		b := &block{shard: f.shard, first: f.first + from, rows: int(to - from)}
		b.weight = min(max(perRow*int64(b.rows), leastSlotRow*int64(b.rows), j.leastSlot()), slotBytes)
		b.ends = b.first+int64(b.rows) == j.Input.Shards[f.shard].Rows
		if stored != nil {
			b.stored = stored.NewSlice(from, to)
		}
		if j.calls() {
			b.request = request.NewSlice(from, to)
			j.classify(b, keys[from:to], recent)
		}
		b.fail(v.failed, from, j.calls())
		if err := emit(b); err != nil {
			return err
		}
		from = to
	}
	return nil
}

func (j *job) leastSlot() int64 {
	if j.BatchRows > 0 {
		return smallSlot
	}
	return leastSlot
}

func (j *job) blockRows() int64 {
	if !j.calls() {
		return mostRows
	}
	if j.BatchRows > 0 {
		return min(j.pace.rows.Load(), j.BatchRows)
	}
	return j.pace.rows.Load()
}

// classify decides for each row where its result comes from.
func (j *job) classify(b *block, keys [][16]byte, recent *window) {
	for i, key := range keys {
		c := cell{kind: asked}
		if at, ok := j.known.find(key); ok {
			c = cell{kind: old, part: at.part, row: at.row}
		} else if p, ok := recent.seen(key, place{b, int32(i)}); ok {
			c = cell{kind: same, block: p.block, row: p.row}
		}
		if c.kind != asked && b.cells == nil {
			b.cells = make([]cell, b.rows)
		}
		if b.cells != nil {
			b.cells[i] = c
		}
	}
}

// fail marks the rows of which an expression failed. from is the block's
// first row in the batch.
func (b *block) fail(failed map[int32]string, from int64, calls bool) {
	for row, message := range failed {
		i := row - int32(from)
		if i < 0 || int(i) >= b.rows {
			continue
		}
		if b.failed == nil {
			b.failed = map[int32]string{}
		}
		b.failed[i] = message
		if calls {
			if b.cells == nil {
				b.cells = make([]cell, b.rows)
			}
			b.cells[i] = cell{kind: broken}
		}
	}
}

// asks returns the rows that go to the plugin, as a batch; nil: none.
func (b *block) asks() (arrow.RecordBatch, error) {
	if b.cells == nil {
		b.fresh = b.rows
		return b.request, nil
	}
	var runs []run
	for i, c := range b.cells {
		if c.kind == asked {
			runs = addRow(runs, b.request, int64(i))
			b.fresh++
		}
	}
	if len(runs) == 0 {
		return nil, nil
	}
	rec, err := gather(b.request.Schema(), runs)
	if err != nil {
		return nil, fmt.Errorf("choose the rows for the plugin: %w", err)
	}
	return rec, nil
}
