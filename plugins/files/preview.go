package files

import (
	"context"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// previewedFiles is the number of files from which the rows of a preview are
// taken, if the files are too large to be read completely.
const previewedFiles = 8

// Preview writes the rows of all files or, if the files are larger than bytes,
// the first rows of some files. It then estimates the number of rows from the
// number of bytes.
func (s source[A, F]) Preview(ctx context.Context, args *A, bytes int64, w *plugin.RowWriter) (plugin.RowCount, error) {
	return previewOf(ctx, F(args), F(args).located().found, w.Schema(), bytes, w)
}

func previewOf(ctx context.Context, a format, files []file, schema data.Schema, bytes int64, w rowWriter) (plugin.RowCount, error) {
	count := plugin.RowCount{Exact: true}
	for _, f := range files {
		count.Size += f.size
	}
	some := files
	if count.Size > bytes {
		some = spread(files, previewedFiles)
	}
	out := &bounded{rowWriter: w, each: bytes / int64(len(some))}
	passed, err := previewFiles(ctx, a, files, some, schema, out)
	if err != nil {
		return plugin.RowCount{}, err
	}
	if count.Rows, err = a.count(files); err != nil || count.Rows >= 0 {
		return count, err
	}
	count.Rows = out.rows
	if out.reached || len(some) < len(files) {
		count.Exact = false
		count.Rows = int64(float64(out.rows) * float64(count.Size) / max(passed, 1))
	}
	return count, nil
}

// spread returns some of the files, spaced evenly.
func spread(files []file, most int) []file {
	n := min(len(files), most)
	some := make([]file, n)
	for i := range some {
		some[i] = files[i*len(files)/n]
	}
	return some
}

// previewFiles writes the first rows of some files, and returns how many bytes
// of the files these rows take.
func previewFiles(ctx context.Context, a format, files, some []file, schema data.Schema, w *bounded) (passed float64, err error) {
	outer, out := withPartitions(a, files, schema, w)
	r := a.reader(outer.inner(), out)
	defer r.release()
	p := &progress{out: nowhere{}}
	for _, f := range some {
		w.left = w.each
		if err := outer.enter(f); err != nil {
			return 0, err
		}
		err := r.file(ctx, f, p)
		if err == nil {
			err = r.flush()
		}
		if err != nil && !errors.Is(err, errEnough) {
			return 0, err
		}
	}
	return p.passed, nil
}

// bounded takes a limited number of bytes of each file's rows.
type bounded struct {
	rowWriter
	each, left int64
	rows       int64
	reached    bool
}

// Write writes rows. It returns errEnough after the last rows that are needed.
func (b *bounded) Write(rec arrow.RecordBatch) error {
	if err := b.rowWriter.Write(rec); err != nil {
		return err
	}
	b.rows += rec.NumRows()
	for _, c := range rec.Columns() {
		b.left -= int64(c.Data().SizeInBytes())
	}
	if b.left <= 0 {
		b.reached = true
		return errEnough
	}
	return nil
}

// Quarantine ignores a malformed row.
func (b *bounded) Quarantine(string, string, error) error { return nil }

// Progress does nothing.
func (b *bounded) Progress(int64, int64, string, string) {}
