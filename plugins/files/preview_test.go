package files

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// previewSource prepares a source and takes a preview of the given size.
func previewSource[A any, F arguments[A]](t *testing.T, a F, p place, bytes int64) (plugin.RowCount, []string) {
	t.Helper()
	a.located().Path, a.located().Partitions = p.path, "auto"
	schema, _, err := source[A, F]{root: func() string { return p.root }}.schema(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	files, err := p.find()
	if err != nil {
		t.Fatal(err)
	}
	out := &collected{}
	count, err := previewOf(t.Context(), a, files, schema, bytes, out)
	if err != nil {
		t.Fatal(err)
	}
	return count, out.rows
}

// lines returns rows of text with two columns, of different lengths.
func lines(rows int, format string) string {
	var b strings.Builder
	for i := range rows {
		fmt.Fprintf(&b, format, i, strings.Repeat("word ", 1+i*7919%40))
	}
	return b.String()
}

func TestAPreviewOfALargeFileEstimatesItsRows(t *testing.T) {
	const rows = 200_000 // about 20 MB
	csv, jsonl := "id,text\n"+lines(rows, "%d,%s\n"), lines(rows, `{"id": %d, "text": "%s"}`+"\n")
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	if _, err := w.Write([]byte(csv)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	const bound = 4 << 20
	check := func(name string, count plugin.RowCount, seen []string, tolerance float64) {
		t.Helper()
		if count.Exact || len(seen) >= rows/2 || math.Abs(float64(count.Rows)-rows) > tolerance*rows {
			t.Errorf("%s: %+v after %d rows", name, count, len(seen))
		}
	}
	count, seen := previewSource(t, usualCSV(), folder(t, map[string]string{"a.csv": csv}), bound)
	check("CSV", count, seen, 0.02)
	if count.Size != int64(len(csv)) {
		t.Errorf("the size is %d, not %d", count.Size, len(csv))
	}
	count, seen = previewSource(t, usualJSONL(), folder(t, map[string]string{"a.jsonl": jsonl}), bound)
	check("JSONL", count, seen, 0.02)
	count, seen = previewSource(t, usualCSV(), folder(t, map[string]string{"a.csv.gz": gz.String()}), 400_000)
	check("gzip", count, seen, 0.2)
	many := map[string]string{}
	for i := range 20 {
		many[fmt.Sprintf("%02d.csv", i)] = "id,text\n" + lines(rows/20, "%d,%s\n")
	}
	count, seen = previewSource(t, usualCSV(), folder(t, many), bound)
	check("many files", count, seen, 0.02)
}

func TestAPreviewOfASmallSourceHasAllRowsAndCountsThem(t *testing.T) {
	p := folder(t, map[string]string{"a.csv": "id\n1\n2\n", "b.csv": "id\n3\n"})
	count, seen := previewSource(t, usualCSV(), p, 1<<20)
	if !count.Exact || count.Rows != 3 || strings.Join(seen, " ") != "1 2 3" {
		t.Errorf("%+v, rows %v", count, seen)
	}
}

func TestAPreviewOfParquetFilesCountsRowsByTheirFooters(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.parquet")
	var rows strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&rows, `{"id": %d, "text": "%s"}`, i, strings.Repeat("word ", 10))
	}
	parquetFrom(t, path, arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "text", Type: arrow.BinaryTypes.String},
	}, nil), "["+strings.ReplaceAll(rows.String(), "}{", "},{")+"]")
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	count, seen := previewSource(t, &parquetArgs{}, place{dir, "*"}, 100_000)
	if !count.Exact || count.Rows != 50_000 || len(seen) == 0 || len(seen) == 50_000 {
		t.Errorf("%+v after %d rows", count, len(seen))
	}
}
