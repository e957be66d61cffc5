package rowwise

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/memo"
)

// These decide when a part of a shard is committed; see docs/decisions/0003.
const (
	partRows  = 1000
	partPause = time.Second
	partLast  = 15 * time.Second
)

// writer writes the output of the pipeline: the results of each shard and,
// until the shard is complete, parts.
type writer struct {
	*pipeline
	shard    int   // the shard that is being written, or -1
	out      *sink // nil if nothing is written yet
	offset   int64 // first row of the shard that out covers
	asked    bool  // out contains rows that the plugin was asked for
	begun    time.Time
	failed   []memo.RowFailure // of the shard
	parts    []*memo.Part      // of the shard, committed
	failures []Failure         // the first failures of the stage, for TooManyErrors
}

// write writes blocks until the channel is closed. It then commits what it has,
// even if the shard is incomplete.
func (p *pipeline) write(ctx context.Context, in <-chan *block) error {
	w := &writer{pipeline: p, shard: -1}
	defer func() {
		if w.out != nil {
			w.out.abort()
		}
	}()
	for b := range in {
		if err := w.block(ctx, b); err != nil {
			// The group's context tells the sender.
			w.slots.Release(b.weight)
			return errors.Join(err, w.keep())
		}
		w.slots.Release(b.weight)
		b.request, b.stored, b.cells, b.question, b.keys = nil, nil, nil, nil, nil
	}
	w.progress.write(w.count, 0, true)
	return w.keep()
}

func (w *writer) block(ctx context.Context, b *block) error {
	if w.shard != b.shard {
		w.shard, w.offset, w.failed, w.parts = b.shard, 0, nil, nil
	}
	if w.out == nil {
		w.out = w.newSink()
		w.begun, w.asked = time.Now(), false
	}
	if err := w.rows(ctx, b); err != nil {
		return err
	}
	w.asked = w.asked || b.fresh > 0
	w.tally(b)
	switch {
	case b.ends:
		if err := w.endShard(ctx); err != nil {
			return err
		}
	case w.due():
		if err := w.commitPart(); err != nil {
			return err
		}
	}
	w.progress.write(w.count, int64(b.fresh), false)
	if w.count.Failed > w.MaxErrors {
		return &TooManyErrors{Failed: w.count.Failed, Allowed: w.MaxErrors, Failures: w.failures}
	}
	return nil
}

// rows writes the results of a block's rows.
func (w *writer) rows(ctx context.Context, b *block) error {
	if !w.Expands {
		if err := w.write(ctx, b.out, b.stored, int64(b.rows)); err != nil {
			return err
		}
		w.out.covers(int64(b.rows), nil)
		return nil
	}
	total, step := b.spans.total(b.rows), b.expansionRows()
	row := 0 // the input row of the next output row
	for from := int64(0); from < total; from += step {
		to := min(from+step, total)
		stored := b.stored
		if stored != nil {
			var err error
			if stored, row, err = b.repeat(row, from, to); err != nil {
				return err
			}
		}
		if err := w.write(ctx, b.out.NewSlice(from, to), stored, to-from); err != nil {
			return err
		}
	}
	w.out.covers(int64(b.rows), b.spans)
	return nil
}

// write writes rows: the plugin's columns joined with the computed ones.
func (w *writer) write(ctx context.Context, made, stored arrow.RecordBatch, rows int64) (err error) {
	var columns []arrow.Array
	for _, rec := range []arrow.RecordBatch{made, stored} {
		if rec != nil {
			columns = append(columns, rec.Columns()...)
		}
	}
	rec := array.NewRecordBatch(w.fresh.Arrow(), columns, rows)
	if w.Guard != nil {
		if rec, err = w.Guard(ctx, rec); err != nil {
			return err
		}
	}
	return w.out.write(ctx, rec)
}

// tally counts a block's rows and records which failed.
func (w *writer) tally(b *block) {
	rows := make([]int32, 0, len(b.failed))
	for row := range b.failed {
		rows = append(rows, row)
	}
	slices.Sort(rows)
	made, waiting := int64(b.fresh), int64(len(b.waiting))
	for _, row := range rows {
		f := memo.RowFailure{Row: b.first + int64(row), Message: b.failed[row], Pending: b.waiting[row]}
		if w.Redact != nil {
			f.Message = w.Redact(f.Message)
		}
		w.failed = append(w.failed, f)
		if f.Pending {
			known, _ := w.log.Get(b.keys[row])
			w.waiting.Add(known)
		} else if len(w.failures) < 10 {
			w.failures = append(w.failures, Failure{Row: w.starts[b.shard] + f.Row, Message: f.Message})
		}
		if b.cells == nil || b.cells[row].kind == asked {
			made--
		}
	}
	if !w.calls() {
		made = int64(b.rows - len(rows))
	}
	w.settled(b)
	w.count.New += max(made, 0)
	w.count.Pending += waiting
	w.count.Failed += int64(len(rows)) - waiting
	w.count.Reused += int64(b.rows) - int64(len(rows)) - max(made, 0)
	w.count.Done += int64(b.rows)
}

// settled forgets what rows waited for that are done now.
func (w *writer) settled(b *block) {
	if w.log == nil || w.log.Empty() {
		return
	}
	for i, key := range b.keys {
		if _, without := b.failed[int32(i)]; !without && b.cell(i).kind == asked {
			w.log.Done(key)
		}
	}
}

// due reports whether the written rows should be committed as a part. Rows that
// were known before are not worth a part of their own.
func (w *writer) due() bool {
	since := time.Since(w.begun)
	return w.asked && (since >= partLast || since >= partPause && w.out.rows >= partRows)
}

// keep commits the rows of an unfinished shard.
func (w *writer) keep() error {
	if w.out == nil || !w.asked {
		return nil
	}
	return w.commitPart()
}

func (w *writer) commitPart() error {
	rows := w.out.rows
	results, err := w.close()
	if err != nil {
		return err
	}
	part := &memo.Part{
		Definition: w.Definition, Offset: w.offset, Rows: rows,
		InputRows: w.Input.Shards[w.shard].Rows, Inputs: w.inputGroups(w.shard), Results: *results,
		Failed: slices.DeleteFunc(slices.Clone(w.failed), func(f memo.RowFailure) bool { return f.Row < w.offset }),
	}
	if err := w.Memo.Put(part); err != nil {
		return err
	}
	w.parts = append(w.parts, part)
	w.offset += rows
	return nil
}

func (w *writer) close() (*memo.Results, error) {
	out := w.out
	w.out = nil
	return out.close()
}

// endShard commits the shard as a whole and joins its parts.
func (w *writer) endShard(ctx context.Context) error {
	results, err := w.close()
	if err != nil {
		return err
	}
	if len(w.parts) > 0 {
		if results, err = w.join(ctx, results); err != nil {
			return err
		}
	}
	s := &w.shards[w.shard]
	s.results = results
	for _, f := range w.failed {
		s.failures = append(s.failures, Failure{f.Row, f.Message})
	}
	if !w.worthKeeping() {
		return nil
	}
	rows := w.Input.Shards[w.shard].Rows
	err = w.Memo.Put(&memo.Part{
		Definition: w.Definition, ShardKey: s.key, Rows: rows, InputRows: rows,
		Inputs: w.inputGroups(w.shard), Results: *results, Failed: w.failed,
	})
	if err != nil {
		return err
	}
	return w.dropParts()
}

// worthKeeping reports whether the memo is useful. If no plugin is called and
// there is only one shard, it is not, because the action key finds the same
// result.
func (w *writer) worthKeeping() bool { return w.calls() || len(w.shards) > 1 }

// dropParts removes the parts of the shard, including those that an earlier run
// left.
func (w *writer) dropParts() error {
	parts := w.parts
	if w.known != nil {
		inputs := w.inputGroups(w.shard)
		for _, p := range w.known.parts {
			if p.ShardKey == "" && reflect.DeepEqual(p.Inputs, inputs) {
				parts = append(parts, p)
			}
		}
	}
	for _, p := range parts {
		if err := w.Memo.Drop(p); err != nil {
			return err
		}
	}
	w.parts = nil
	return nil
}

// join writes the parts of a shard as one result. last contains the rows that
// were not committed as a part.
func (w *writer) join(ctx context.Context, last *memo.Results) (*memo.Results, error) {
	tail := &memo.Part{Rows: w.Input.Shards[w.shard].Rows - w.offset, Results: *last}
	out := w.newSink()
	defer out.abort()
	for _, p := range append(slices.Clone(w.parts), tail) {
		if err := w.append(ctx, out, p); err != nil {
			return nil, fmt.Errorf("join the parts of a shard: %w", err)
		}
	}
	return out.close()
}

// append appends the results of a part to out.
func (w *writer) append(ctx context.Context, out *sink, p *memo.Part) error {
	files, err := p.Files(w.Blobs)
	if err != nil {
		return err
	}
	for rec, err := range data.Read(ctx, files, w.fresh.Names(), mostRows) {
		if err != nil {
			return err
		}
		if err := out.write(ctx, rec); err != nil {
			return err
		}
	}
	var counts []int64
	if p.Expansion != nil {
		if counts, err = readCounts(w.Blobs, p); err != nil {
			return err
		}
	}
	out.covers(p.Rows, spans{}.add(counts))
	return nil
}

// inputGroups returns the locations of the columns that row keys are computed
// from.
func (j *job) inputGroups(shard int) []memo.InputGroup {
	s := j.Input.Shards[shard]
	var out []memo.InputGroup
	place := map[int]int{}
	for _, name := range j.Reads {
		c, ok := s.Column(name)
		if !ok {
			continue
		}
		i, ok := place[c.Group]
		if !ok {
			i = len(out)
			place[c.Group] = i
			out = append(out, memo.InputGroup{Blob: s.Groups[c.Group].Blob})
		}
		out[i].Columns = append(out[i].Columns, memo.InputColumn{Stored: c.Stored, Name: name})
	}
	return out
}

func isDamaged(err error) bool {
	var damaged *document.Damaged
	return errors.As(err, &damaged)
}
