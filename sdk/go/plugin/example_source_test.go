package plugin_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

type linesArgs struct {
	Path string `quern:"path,required" doc:"The text file to read."`
}

// lines is a source that reads the lines of a text file.
type lines struct{}

// Prepare declares the columns.
func (lines) Prepare(_ context.Context, p *plugin.Prepare[linesArgs]) error {
	p.AddDataset("", data.Schema{{Name: "number", Type: "int64"}, {Name: "line", Type: "string"}})
	return nil
}

// Fingerprint changes if, and only if, the file's content changes.
func (lines) Fingerprint(_ context.Context, a *linesArgs, _ []byte) (plugin.Fingerprint, error) {
	content, err := os.ReadFile(a.Path)
	if err != nil {
		return plugin.Fingerprint{}, plugin.ArgumentErrorf("path", "%w", err)
	}
	return plugin.Fingerprint{Value: fmt.Sprintf("%x", sha256.Sum256(content)), Summary: fmt.Sprintf("%d bytes", len(content))}, nil
}

// Read writes the rows and sets empty lines aside.
func (lines) Read(_ context.Context, a *linesArgs, w *plugin.RowWriter) error {
	f, err := os.Open(a.Path)
	if err != nil {
		return plugin.ArgumentErrorf("path", "%w", err)
	}
	defer f.Close()
	rows := array.NewRecordBuilder(memory.DefaultAllocator, w.Schema().Arrow())
	defer rows.Release()
	in := bufio.NewScanner(f)
	for number := int64(1); in.Scan(); number++ {
		if in.Text() == "" {
			if err := w.Quarantine(fmt.Sprintf("line %d", number), "", errors.New("the line is empty")); err != nil {
				return err
			}
			continue
		}
		rows.Field(0).(*array.Int64Builder).Append(number)
		rows.Field(1).(*array.StringBuilder).Append(in.Text())
	}
	if err := in.Err(); err != nil {
		return err
	}
	rec := rows.NewRecordBatch()
	defer rec.Release()
	return w.Write(rec)
}

// A source reads rows from outside.
func ExampleNewSource() {
	acme := plugin.Plugin{Name: "acme", Version: "1.0.0", Types: []plugin.Type{
		plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "acme_lines", BehaviorVersion: 1}, lines{}),
	}}
	plugintest.Example(func(t testing.TB) {
		path := filepath.Join(t.TempDir(), "poem.txt")
		if err := os.WriteFile(path, []byte("one\n\nthree\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := plugintest.Read(t, acme, plugintest.Case{Type: "acme_lines", Args: map[string]any{"path": path}})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(got.Column("number"), got.Column("line"))
		fmt.Println(got.Quarantined)
	})
	// Output:
	// [1 3] [one three]
	// [{line 2  the line is empty}]
}
