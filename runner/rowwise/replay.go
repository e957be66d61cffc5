package rowwise

import (
	"context"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
)

// Replay sends one row of the input to the plugin, counted from 0, as Run does for a
// row that is not known. It drops the answer, and stores nothing. Of the services, it
// needs only Blobs and Map.
func Replay(ctx context.Context, s Stage, svc Services, row int64) error {
	j, err := newJob(s, svc)
	if err != nil || !j.calls() {
		return err
	}
	rec, err := j.rowAt(ctx, row)
	if err != nil {
		return err
	}
	v, err := j.evaluate(ctx, j.args, rec)
	if err != nil || len(v.failed) > 0 { // the plugin does not get a row whose expressions fail
		return err
	}
	client, err := j.Map(ctx)
	if err != nil {
		return err
	}
	to := &stream{client: client, made: j.made.Arrow(), expands: j.Expands, pace: j.pace, finished: func(int64) {}, failing: func(int64, string) {}}
	if err := to.start(j.Start); err != nil {
		return err
	}
	q, err := to.ask(j.requestOf(rec, v), make([]rowKey, 1))
	if err != nil {
		return err
	}
	if _, err := to.wait(ctx, q); err != nil {
		return err
	}
	return to.close()
}

// rowAt reads one row of the input.
func (j *job) rowAt(ctx context.Context, row int64) (arrow.RecordBatch, error) {
	for i, shard := range j.Input.Shards {
		if row >= shard.Rows {
			row -= shard.Rows
			continue
		}
		for rec, err := range j.readShard(ctx, i) {
			if err != nil {
				return nil, err
			}
			if row < rec.NumRows() {
				return rec.NewSlice(row, row+1), nil
			}
			row -= rec.NumRows()
		}
	}
	return nil, &InputError{errors.New("it has no such row")}
}
