package files

import (
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/avro/ocf"
	"github.com/ulikunitz/xz"
)

// avroCodecs returns the codecs of blocks that the library does not have.
func avroCodecs() []ocf.ReaderOpt {
	return []ocf.ReaderOpt{
		ocf.WithCodec(avroCodec{"bzip2", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }}),
		ocf.WithCodec(avroCodec{"xz", func(r io.Reader) (io.Reader, error) { return xz.NewReader(r) }}),
	}
}

// avroCodec decompresses blocks.
type avroCodec struct {
	name  string
	plain func(io.Reader) (io.Reader, error)
}

func (c avroCodec) Name() string { return c.name }

// Compress fails: no file is written.
func (avroCodec) Compress([]byte) ([]byte, error) { return nil, errors.ErrUnsupported }

func (c avroCodec) Decompress(block []byte) ([]byte, error) {
	return c.DecompressBounded(block, maxAvroBlock)
}

// DecompressBounded decompresses a block up to a maximum size.
func (c avroCodec) DecompressBounded(block []byte, most int64) ([]byte, error) {
	r, err := c.plain(bytes.NewReader(block))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(plain)) > most {
		err = fmt.Errorf("a block decompresses to more than %d MiB", most>>20)
	}
	return plain, err
}

func (avroCodec) Close() error { return nil }
