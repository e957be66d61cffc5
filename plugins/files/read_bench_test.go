package files

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
)

// discard is a rowWriter that drops everything.
type discard struct{}

func (discard) Write(arrow.RecordBatch) error                  { return nil }
func (discard) Quarantine(_, _ string, err error) error        { return err }
func (discard) Progress(_, _ int64, _ string, _ string)        {}
func (discard) NamedPart(_, _ string, read func() error) error { return read() }

func benchmarkFile(b *testing.B, name string, line func(i int) string) place {
	b.Helper()
	var text strings.Builder
	if strings.HasSuffix(name, ".csv") {
		text.WriteString("id,price,created,text\n")
	}
	for i := range 100_000 {
		text.WriteString(line(i))
	}
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text.String()), 0o644); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(text.Len()))
	return place{dir, name}
}

func schemaOf[A any, F arguments[A]](b *testing.B, a F, p place) (data.Schema, error) {
	a.located().Path, a.located().Partitions = p.path, "auto"
	schema, _, err := source[A, F]{root: func() string { return p.root }}.schema(b.Context(), a)
	return schema, err
}

func BenchmarkReadingCSV(b *testing.B) {
	p := benchmarkFile(b, "a.csv", func(i int) string {
		return fmt.Sprintf("%d,%d.25,2026-01-31T10:00:00Z,\"a message, and %s\"\n", i, i, strings.Repeat("more ", 30))
	})
	a := usualCSV()
	list, err := p.find()
	if err != nil {
		b.Fatal(err)
	}
	schema, err := schemaOf(b, a, p)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := readFiles(b.Context(), a, list, schema, nil, discard{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadingJSONLines(b *testing.B) {
	p := benchmarkFile(b, "a.jsonl", func(i int) string {
		return fmt.Sprintf(`{"id": %d, "price": %d.25, "text": "a \"message\", and %s"}`+"\n", i, i, strings.Repeat("more ", 30))
	})
	a := usualJSONL()
	list, err := p.find()
	if err != nil {
		b.Fatal(err)
	}
	schema, err := schemaOf(b, a, p)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := readFiles(b.Context(), a, list, schema, nil, discard{}); err != nil {
			b.Fatal(err)
		}
	}
}
