package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type parquetArgs struct {
	Located
	Schema  map[string]string `quern:"schema" doc:"The columns to take, with their types: 'string', 'int64', 'float64', 'bool', 'binary', 'date', 'timestamp', 'list<T>' or 'struct<name:T,...>'. Unless columns names more, columns that are not named here are left out. Without it the types are those of the files."`
	Columns []string          `quern:"columns" doc:"The columns to take, in this order. Without it those of schema are taken, or all."`
}

const parquetDoc = `Reads rows from Parquet files.

All files must have the same columns. Types that quern does not have become the nearest one that it has: smaller integers int64, smaller floats and decimals float64, categories string, times of any unit timestamp (microseconds in UTC), lists of fixed size list.

` + "```hcl" + `
source "parquet" "events" {
  path    = "warehouse/events/*.parquet"
  columns = ["id", "text"]
}
` + "```"

func (a *parquetArgs) selection() selection { return selection{types: a.Schema, columns: a.Columns} }

func (a *parquetArgs) check() error { return nil }

// columns are those of all files, joined by name.
func (a *parquetArgs) columns(_ context.Context, files []file) (*union, error) {
	found := newUnion()
	for _, f := range files {
		o, err := openParquet(f)
		if err != nil {
			return nil, err
		}
		o.close()
		for _, field := range o.reader.Manifest.Fields {
			t, err := nearestType(field.Field.Type)
			if err != nil {
				return nil, plugin.ArgumentErrorf("columns", "Column %q of %s can't be taken: %w\nName in columns those that are to be taken.", field.Field.Name, f.name, err)
			}
			if err := found.add(f.name, field.Field.Name, t); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

type parquetFiles struct {
	schema data.Schema
	out    rowWriter
}

func (a *parquetArgs) reader(schema data.Schema, w rowWriter) reader { return parquetFiles{schema, w} }

func (r parquetFiles) file(ctx context.Context, f file, read *progress) error {
	if err := readParquetFile(ctx, f, r.schema, r.out); err != nil {
		return fmt.Errorf("read %s: %w", f.name, err)
	}
	read.read.Add(f.size)
	read.tell(f.name)
	return nil
}

func (r parquetFiles) flush() error { return nil }
func (r parquetFiles) release()     {}

func readParquetFile(ctx context.Context, f file, schema data.Schema, w rowWriter) (err error) {
	// The library panics on some damaged files.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the file is damaged: %v", r)
		}
	}()
	o, err := openParquet(f)
	if err != nil {
		return err
	}
	defer o.close()
	leaves, places, err := o.locate(schema)
	if err != nil || o.file.NumRows() == 0 {
		return err
	}
	records, err := o.reader.GetRecordReader(ctx, leaves, nil)
	if err != nil {
		return err
	}
	defer records.Release()
	for {
		rec, err := records.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := forward(rec, places, schema, w); err != nil {
			return err
		}
	}
}

// forward converts a batch of the file and sends it on.
func forward(rec arrow.RecordBatch, places []int, schema data.Schema, w rowWriter) error {
	want := schema.Arrow()
	columns := make([]arrow.Array, len(schema))
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, c := range schema {
		var err error
		if columns[i], err = nearest(rec.Column(places[i])); err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
		}
		if got, err := data.TypeName(columns[i].DataType()); err != nil || got != c.Type {
			return fmt.Errorf("column %q is %s here and %s in the first file", c.Name, got, c.Type)
		}
	}
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: schema[i].Name, Type: c.DataType(), Nullable: true}
	}
	loose := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, rec.NumRows())
	defer loose.Release()
	exact, err := data.Conform(loose, want)
	if err != nil {
		return err
	}
	defer exact.Release()
	return w.Write(exact)
}

// parquetFile is an open Parquet file.
type parquetFile struct {
	name   string
	opened *os.File
	file   *pqfile.Reader
	reader *pqarrow.FileReader
}

func openParquet(f file) (o *parquetFile, err error) {
	opened, err := os.Open(f.full)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.name, withoutPath(err))
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s is damaged: %v", f.name, r)
		}
		if err != nil {
			opened.Close()
		}
	}()
	head := make([]byte, headLength)
	n, err := opened.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", f.name, withoutPath(err))
	}
	if !bytes.HasPrefix(head[:n], []byte("PAR1")) {
		return nil, notParquet(f.name, head[:n])
	}
	properties := parquet.NewReaderProperties(memory.DefaultAllocator)
	properties.BufferedStreamEnabled = true
	properties.BufferSize = 256 << 10
	pq, err := pqfile.NewParquetReader(opened, pqfile.WithReadProps(properties))
	if err != nil {
		return nil, fmt.Errorf("%s is damaged or not whole: %w", f.name, err)
	}
	reader, err := pqarrow.NewFileReader(pq, pqarrow.ArrowReadProperties{BatchSize: batchRows}, memory.DefaultAllocator)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.name, err)
	}
	return &parquetFile{f.name, opened, pq, reader}, nil
}

func (o *parquetFile) close() { o.opened.Close() }

func (o *parquetFile) field(name string) *pqarrow.SchemaField {
	fields := o.reader.Manifest.Fields
	if i := slices.IndexFunc(fields, func(f pqarrow.SchemaField) bool { return f.Field.Name == name }); i >= 0 {
		return &fields[i]
	}
	return nil
}

func (o *parquetFile) names() []string {
	var names []string
	for _, f := range o.reader.Manifest.Fields {
		names = append(names, f.Field.Name)
	}
	return names
}

// locate finds the columns of a schema: their leaves in the order of the
// file, and for each column of the schema its place in the batches that come.
func (o *parquetFile) locate(schema data.Schema) (leaves, places []int, err error) {
	places = make([]int, len(schema))
	found, at := 0, 0
	for i := range o.reader.Manifest.Fields {
		field := &o.reader.Manifest.Fields[i]
		_, k, ok := schema.Lookup(field.Field.Name)
		if !ok {
			continue
		}
		places[k] = at
		found++
		at++
		leaves = appendLeaves(leaves, field)
	}
	if found < len(schema) {
		return nil, nil, fmt.Errorf("its columns are %s, and %s are expected", strings.Join(o.names(), ", "), strings.Join(schema.Names(), ", "))
	}
	return leaves, places, nil
}

func appendLeaves(leaves []int, f *pqarrow.SchemaField) []int {
	if f.IsLeaf() {
		return append(leaves, f.ColIndex)
	}
	for i := range f.Children {
		leaves = appendLeaves(leaves, &f.Children[i])
	}
	return leaves
}
