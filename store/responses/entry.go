package responses

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/zeebo/xxh3"
)

// An entry's value is a header and the answer. The header is a byte with the
// version, the XXH3 of key, time, and answer, and the time of Put in seconds.
const (
	entryVersion = 1
	headBytes    = 1 + 8 + 8
)

type entry struct {
	put    time.Time
	answer []byte
}

// Damaged is the error for a cached answer that has changed since it was
// stored.
type Damaged struct {
	Key    Key
	Reason string
}

func (e *Damaged) Error() string {
	return fmt.Sprintf("the cached answer %x is damaged: %s", e.Key[:8], e.Reason)
}

func encode(key Key, now time.Time, answer []byte) []byte {
	out := make([]byte, headBytes, headBytes+len(answer))
	out[0] = entryVersion
	binary.LittleEndian.PutUint64(out[9:], uint64(now.Unix()))
	out = append(out, answer...)
	binary.LittleEndian.PutUint64(out[1:], checksum(key, out[9:]))
	return out
}

// decode returns an entry that does not share the value's memory. The error is
// *Damaged.
func decode(key Key, value []byte) (*entry, error) {
	switch {
	case len(value) < headBytes:
		return nil, &Damaged{key, "it is truncated"}
	case value[0] != entryVersion:
		return nil, &Damaged{key, fmt.Sprintf("it has the version %d, which this version of quern does not support", value[0])}
	case binary.LittleEndian.Uint64(value[1:]) != checksum(key, value[9:]):
		return nil, &Damaged{key, "its checksum does not match its content"}
	}
	return &entry{
		put:    time.Unix(int64(binary.LittleEndian.Uint64(value[9:])), 0),
		answer: append([]byte{}, value[headBytes:]...),
	}, nil
}

func checksum(key Key, rest []byte) uint64 {
	h := xxh3.New()
	h.Write(key[:])
	h.Write(rest)
	return h.Sum64()
}
