package export

import (
	"compress/gzip"
	"context"
	"io"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// FormatOf returns the format that a file's extension names, which may be
// followed by one for its compression: "a.csv" and "a.csv.gz" are CSV.
func FormatOf(file string) Format {
	if Compressed(file) {
		file = strings.TrimSuffix(file, filepath.Ext(file))
	}
	return Format(strings.TrimPrefix(filepath.Ext(file), "."))
}

// Compressed reports whether a file with this name is compressed.
func Compressed(file string) bool {
	ext := filepath.Ext(file)
	return ext == ".gz" || ext == ".zst"
}

// WriteFile writes all rows to w, the content of the named file. If the name
// ends in .gz or .zst, the content is compressed with gzip or Zstandard.
func WriteFile(ctx context.Context, w io.Writer, file string, format Format, d Dataset) error {
	out, err := compressor(w, file)
	if err != nil {
		return err
	}
	if err := Write(ctx, out, format, d); err != nil {
		_ = out.Close() // its content is incomplete, whether this fails or not
		return err
	}
	return out.Close()
}

// compressor returns a writer to w that compresses as the file's extension
// says, if it does. Closing it does not close w.
func compressor(w io.Writer, file string) (io.WriteCloser, error) {
	switch filepath.Ext(file) {
	case ".gz":
		return gzip.NewWriter(w), nil
	case ".zst":
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	}
	return plain{w}, nil
}

// plain does not compress.
type plain struct{ io.Writer }

func (plain) Close() error { return nil }
