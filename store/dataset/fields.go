package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
)

// fields hashes a sequence of fields, each preceded by its length, so that
// no two sequences hash the same bytes.
type fields struct{ h hash.Hash }

func newFields(format string) fields {
	f := fields{h: sha256.New()}
	f.text(format)
	return f
}

func (f fields) text(s string) {
	f.int(int64(len(s)))
	f.h.Write([]byte(s))
}

func (f fields) int(n int64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	f.h.Write(b[:])
}

func (f fields) digest() string { return "sha256:" + hex.EncodeToString(f.h.Sum(nil)) }
