package dataset

import (
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/apache/arrow-go/v18/arrow"
)

// columnHash computes the digest of a column's values.
type columnHash struct {
	h     hash.Hash
	nulls int64
}

func newColumnHash(typeName string) *columnHash {
	f := newFields("quern.column/v1")
	f.text(typeName)
	return &columnHash{h: f.h}
}

// clone returns a hash that has seen the same values.
func (c *columnHash) clone() *columnHash {
	out := c.checkpoint("").restore()
	if out == nil {
		panic("the state of SHA-256 cannot be restored")
	}
	return out
}

// checkpoint returns the state of the hash after the values that a key identifies.
func (c *columnHash) checkpoint(after string) Checkpoint {
	state, err := c.h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(fmt.Sprintf("the state of SHA-256 cannot be saved: %v", err))
	}
	return Checkpoint{After: after, State: state, Nulls: c.nulls}
}

// restore returns a hash with that state, or nil if it cannot be read.
func (p Checkpoint) restore() *columnHash {
	h := sha256.New()
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(p.State); err != nil {
		return nil
	}
	return &columnHash{h: h, nulls: p.Nulls}
}

// add adds the values whose encoding is b.
func (c *columnHash) add(b []byte, nulls int64) {
	c.h.Write(b)
	c.nulls += nulls
}

func (c *columnHash) digest() string { return "sha256:" + hex.EncodeToString(c.h.Sum(nil)) }

// countNulls counts the nulls among the rows [from, to).
func countNulls(a arrow.Array, from, to int) int64 {
	switch a.NullN() {
	case 0:
		return 0
	case a.Len():
		return int64(to - from)
	}
	n := int64(0)
	for i := from; i < to; i++ {
		if a.IsNull(i) {
			n++
		}
	}
	return n
}
