package dedup

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/data"
)

// rank reads what "keep" ranks rows by, as numbers that compare alike. Those of a shard
// are kept: eight bytes for each row, little-endian.
func (e *election) rank(ctx context.Context) error {
	if !e.run.Args.Keep.IsSet() {
		return nil
	}
	keep := data.Ref{Namespace: data.Arguments, Name: e.run.Args.Keep.Key}
	e.ranks = make([]uint64, 0, e.rows.rows())
	for _, shard := range e.in.Shards() {
		name := fileName("ranks", shard, keep)
		content, err := e.files.read(name)
		if err != nil {
			return err
		}
		if int64(len(content)) != 8*shard.Rows {
			if content, err = readRanks(ctx, shard, keep); err != nil {
				return err
			}
			if err := e.files.put(name, content); err != nil {
				return err
			}
		}
		if err := e.files.keep(name); err != nil {
			return err
		}
		for ; len(content) > 0; content = content[8:] {
			e.ranks = append(e.ranks, binary.LittleEndian.Uint64(content))
		}
	}
	return nil
}

func readRanks(ctx context.Context, shard data.Shard, keep data.Ref) ([]byte, error) {
	out := make([]byte, 0, 8*shard.Rows)
	for rec, err := range data.ReadRefs(ctx, []data.Shard{shard}, []data.Ref{keep}, 0) {
		if err != nil {
			return nil, err
		}
		for i := range int(rec.NumRows()) {
			rank, err := ordered(rec.Column(0), i)
			if err != nil {
				return nil, err
			}
			out = binary.LittleEndian.AppendUint64(out, rank)
		}
	}
	return out, nil
}

// ordered returns a number that is larger for a larger value. Null and NaN are lowest.
func ordered(a arrow.Array, i int) (uint64, error) {
	if a.IsNull(i) {
		return 0, nil
	}
	switch a := a.(type) {
	case *array.Int64:
		return max(1, uint64(a.Value(i))^1<<63), nil
	case *array.Float64:
		v := a.Value(i) + 0 // no negative zero
		if math.IsNaN(v) {
			return 0, nil
		}
		if n := math.Float64bits(v); n>>63 == 0 {
			return n | 1<<63, nil
		}
		return max(1, ^math.Float64bits(v)), nil
	}
	return 0, fmt.Errorf("keep has values of type %s", a.DataType())
}
