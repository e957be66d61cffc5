package files

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// opened is an open file that is read as decompressed bytes.
type opened struct {
	*bufio.Reader
	packed  *bufio.Reader // reads the file itself
	closers []io.Closer
}

// buffer returns the size of a buffer for reading the file: the whole file if it
// is small, so that reading many small files is cheap.
func (f file) buffer(most int64) int {
	if f.size <= 0 {
		return int(most)
	}
	return int(min(max(f.size+1, 4<<10), most))
}

// ahead returns the number of bytes of the file that are waiting to be
// decompressed, and of decompressed bytes that are waiting to be read.
func (o *opened) ahead() (packed, plain int) {
	if o.Reader != o.packed {
		plain = o.Reader.Buffered()
	}
	return o.packed.Buffered(), plain
}

// open opens a file of rows and decompresses it. read counts the bytes that are
// read from the file itself.
func (f file) open(read *atomic.Int64) (*opened, error) {
	o, err := f.unpack(read)
	if err != nil {
		return nil, fmt.Errorf("%s %w", f.name, err)
	}
	if err := f.recognize(o.Reader); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// unpack opens a file of any kind and decompresses it. Its errors continue the
// name of the file.
func (f file) unpack(read *atomic.Int64) (*opened, error) {
	raw, err := f.content()
	if err != nil {
		return nil, fmt.Errorf("cannot be opened: %w", withoutPath(err))
	}
	o := &opened{closers: []io.Closer{raw}}
	packed := &counted{Reader: raw, read: read}
	b := bufio.NewReaderSize(packed, f.buffer(256<<10))
	o.packed = b
	plain, err := decompress(b)
	if err == nil && plain != nil {
		o.closers = append(o.closers, plain)
		b = bufio.NewReaderSize(&unpacking{plain: plain, packed: packed}, 256<<10)
	}
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	o.Reader = b
	return o, nil
}

// Close closes everything that was opened, in reverse order.
func (o *opened) Close() (err error) {
	for i := len(o.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, o.closers[i].Close())
	}
	return err
}

// counted counts the bytes that are read.
type counted struct {
	io.Reader
	own  int64
	read *atomic.Int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.own += int64(n)
	if c.read != nil {
		c.read.Add(int64(n))
	}
	return n, err
}

// decompress detects the compression of a file by its first bytes, not by its
// name. It returns nil if the file is not compressed.
func decompress(b *bufio.Reader) (io.ReadCloser, error) {
	first, err := b.Peek(10)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("cannot be read: %w", withoutPath(err))
	}
	var plain io.Reader
	err = nil
	switch {
	case bytes.HasPrefix(first, []byte{0x1f, 0x8b}):
		plain, err = gzip.NewReader(b)
	case bytes.HasPrefix(first, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		var d *zstd.Decoder
		if d, err = zstd.NewReader(b, zstd.WithDecoderConcurrency(1)); err == nil {
			return d.IOReadCloser(), nil
		}
	case bytes.HasPrefix(first, []byte("BZh")) && len(first) == 10 && (string(first[4:]) == "1AY&SY" || string(first[4:]) == "\x17\x72\x45\x38\x50\x90"):
		plain = bzip2.NewReader(b)
	case bytes.HasPrefix(first, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		plain, err = xz.NewReader(b)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot be decompressed: %w", cutOff(err))
	}
	return io.NopCloser(plain), nil
}

// A compressed file may expand to bombSize, or to bombRatio times its size if
// that is more. Text is typically compressed by a factor of 3 to 30, and
// repetitive logs by 200.
const (
	bombSize  = 1 << 30
	bombRatio = 500
)

// unpacking reads decompressed data. If the data is truncated, it returns an
// error of its own, because the libraries' error, io.ErrUnexpectedEOF, also
// occurs for a short read at the end of a complete file. It stops if the data
// is far larger than a file of that size can reasonably contain.
type unpacking struct {
	plain  io.Reader
	packed *counted
	size   int64
}

func (u *unpacking) Read(b []byte) (int, error) {
	n, err := u.plain.Read(b)
	u.size += int64(n)
	if u.size > bombSize && u.size/bombRatio > u.packed.own {
		return 0, fmt.Errorf("%d MB decompress to more than %d MB, which looks like a decompression bomb\nIf the file is what you expect, decompress it yourself and read the result.", u.packed.own>>20, u.size>>20)
	}
	return n, cutOff(err)
}

func cutOff(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the compressed data ends early: the file is incomplete")
	}
	return err
}
