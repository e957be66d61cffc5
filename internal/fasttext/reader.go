package fasttext

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// reader decodes little-endian values. After the first error, all values are
// zero. It knows how many bytes are left, so that a damaged file cannot cause
// large allocations.
type reader struct {
	in   *bufio.Reader
	left int64
	buf  [8]byte
	err  error
}

func newReader(r io.Reader, size int64) *reader {
	return &reader{in: bufio.NewReaderSize(r, 1<<16), left: size}
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// full fills a slice.
func (r *reader) full(b []byte) {
	if r.err != nil {
		clear(b)
		return
	}
	n, err := io.ReadFull(r.in, b)
	r.left -= int64(n)
	if err != nil {
		clear(b)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = damaged("it ends too early")
		}
		r.fail(err)
	}
}

func (r *reader) int32() int32 {
	r.full(r.buf[:4])
	return int32(binary.LittleEndian.Uint32(r.buf[:4]))
}

func (r *reader) int64() int64 {
	r.full(r.buf[:8])
	return int64(binary.LittleEndian.Uint64(r.buf[:8]))
}

func (r *reader) bool() bool {
	r.full(r.buf[:1])
	return r.buf[0] != 0
}

// text reads bytes up to a zero byte.
func (r *reader) text() string {
	if r.err != nil {
		return ""
	}
	b, err := r.in.ReadBytes(0)
	r.left -= int64(len(b))
	if err != nil {
		r.fail(damaged("it ends in a word"))
		return ""
	}
	return string(b[:len(b)-1])
}

// fits checks that n elements of width bytes are left.
func (r *reader) fits(n, width int64) bool {
	if r.err == nil && (n < 0 || n > r.left/width) {
		r.fail(damaged("it has %d bytes left, but needs %d values of %d bytes", r.left, n, width))
	}
	return r.err == nil
}

func (r *reader) bytes(n int64) []byte {
	if !r.fits(n, 1) {
		return nil
	}
	out := make([]byte, n)
	r.full(out)
	return out
}

func (r *reader) floats(n int64) []float32 {
	if !r.fits(n, 4) {
		return nil
	}
	out := make([]float32, n)
	var chunk [1 << 12]byte
	for rest := out; len(rest) > 0 && r.err == nil; {
		part := chunk[:min(len(chunk), 4*len(rest))]
		r.full(part)
		for i := range len(part) / 4 {
			rest[i] = math.Float32frombits(binary.LittleEndian.Uint32(part[4*i:]))
		}
		rest = rest[len(part)/4:]
	}
	return out
}
