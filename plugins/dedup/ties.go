package dedup

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/zeebo/xxh3"

	"github.com/quern-dev/quern/plugins/rows"
	"github.com/quern-dev/quern/sdk/go/data"
)

// breakTies gives rows that have equal values and equal ranks a hash of all their columns.
func (e *election) breakTies(ctx context.Context, sets [][]uint32) error {
	var tied []uint32
	for _, set := range sets {
		all := e.candidates(set)
		for i := 1; i < len(all); i++ {
			if all[i].value == all[i-1].value && all[i].rank == all[i-1].rank {
				tied = append(tied, all[i-1].row, all[i].row)
			}
		}
	}
	slices.Sort(tied)
	tied = slices.Compact(tied)
	e.content = make(map[uint32]uint64, len(tied))
	columns := data.Columns.Refs(e.in.Schema.Names()...)
	missing, err := e.knownContent(tied, columns)
	if err != nil || len(missing) == 0 {
		return err
	}
	var value []byte
	err = e.each(ctx, missing, columns, func(row uint32, rec arrow.RecordBatch, i int) (err error) {
		e.content[row], value, err = contentOf(rec.Columns(), i, value)
		return err
	})
	if err != nil {
		return err
	}
	return e.keepContent(tied, missing, columns)
}

// contentOf returns a hash of all columns of a row. scratch is memory for the next call.
func contentOf(columns []arrow.Array, i int, scratch []byte) (hash uint64, _ []byte, err error) {
	scratch = scratch[:0]
	for _, c := range columns {
		if scratch, err = rows.AppendValue(scratch, c, i); err != nil {
			return 0, nil, err
		}
	}
	return xxh3.Hash(scratch), scratch, nil
}

// The hashes of rows of a shard are kept, for rows that were tied: the position of the row
// as uint32 and the hash as uint64, little-endian.
const contentSize = 12

// knownContent sets the hashes that the last run kept, and returns the rows without one.
func (e *election) knownContent(tied []uint32, columns []data.Ref) (missing []uint32, err error) {
	err = e.byShard(tied, func(shard data.Shard, first uint32, here []uint32) error {
		name := fileName("content", shard, columns...)
		content, err := e.files.read(name)
		if err != nil {
			return err
		}
		known := map[uint32]uint64{}
		for ; len(content) >= contentSize; content = content[contentSize:] {
			known[binary.LittleEndian.Uint32(content)] = binary.LittleEndian.Uint64(content[4:])
		}
		before := len(missing)
		for _, row := range here {
			if hash, ok := known[row-first]; ok {
				e.content[row] = hash
			} else {
				missing = append(missing, row)
			}
		}
		if len(missing) == before {
			return e.files.keep(name)
		}
		return nil
	})
	return missing, err
}

// keepContent keeps the hashes of rows of those shards of which some were missing.
func (e *election) keepContent(tied, missing []uint32, columns []data.Ref) error {
	return e.byShard(tied, func(shard data.Shard, first uint32, here []uint32) error {
		name := fileName("content", shard, columns...)
		if at, _ := slices.BinarySearch(missing, first); name == "" || at == len(missing) || int64(missing[at]-first) >= shard.Rows {
			return nil
		}
		content := make([]byte, 0, contentSize*len(here))
		for _, row := range here {
			content = binary.LittleEndian.AppendUint32(content, row-first)
			content = binary.LittleEndian.AppendUint64(content, e.content[row])
		}
		return e.files.put(name, content)
	})
}
