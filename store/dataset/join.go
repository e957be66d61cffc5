package dataset

import (
	"context"
	"fmt"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/blob"
)

// Values are the values of a shard in their canonical encoding, in pieces, by column of the
// schema. They are about as large as the rows in memory.
type Values [][][]byte

// Joining joins shards that are already written to a dataset. It is not safe for
// concurrent use.
type Joining struct {
	totals *totals
	m      *Manifest
}

// StartJoin starts a dataset with these columns.
func StartJoin(blobs *blob.Store, schema data.Schema, points *Checkpoints) *Joining {
	return &Joining{newTotals(blobs, schema, points), &Manifest{Format: Format, Schema: schema}}
}

// Add adds the next shard. It has the schema's columns, in any order. If its values are
// given, in the order of the schema, the shard is not read for the digests of the columns
// over the whole dataset, but those before it that were added without may be.
func (j *Joining) Add(ctx context.Context, s Shard, values Values) error {
	out := Shard{Rows: s.Rows, Groups: s.Groups, Columns: make([]Column, len(j.m.Schema))}
	for k, c := range j.m.Schema {
		column, ok := s.Column(c.Name)
		if !ok {
			return fmt.Errorf("join shards: shard %d has no column %q", len(j.m.Shards)+1, c.Name)
		}
		out.Columns[k] = column
	}
	j.m.Shards = append(j.m.Shards, out)
	j.m.Rows += s.Rows
	j.totals.share(out, values)
	if values == nil {
		return nil
	}
	return j.settle(ctx)
}

// End returns the manifest. Shards that were added without values are read, from the last
// checkpoint on.
func (j *Joining) End(ctx context.Context) (*Manifest, error) {
	if err := j.m.Schema.Check(); err != nil {
		return nil, fmt.Errorf("join shards: %w", err)
	}
	if len(j.m.Shards) > 1 {
		if err := j.settle(ctx); err != nil {
			return nil, err
		}
	}
	j.m.Columns = j.totals.summaries(j.m.Shards)
	return j.m, nil
}

func (j *Joining) settle(ctx context.Context) error {
	if err := j.totals.settle(ctx); err != nil {
		return fmt.Errorf("join shards: %w", err)
	}
	return nil
}

// Join joins shards without their values.
func Join(ctx context.Context, blobs *blob.Store, schema data.Schema, shards []Shard, points *Checkpoints) (*Manifest, error) {
	j := StartJoin(blobs, schema, points)
	for _, s := range shards {
		if err := j.Add(ctx, s, nil); err != nil {
			return nil, err
		}
	}
	return j.End(ctx)
}
