package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type parquetArgs struct {
	Located
	Schema  map[string]string `quern:"schema" doc:"The types of columns: 'string', 'int64', 'float64', 'bool', 'binary', 'date', 'timestamp', 'list<T>' or 'struct<name:T,...>'. Other columns have the types from the files."`
	Columns []string          `quern:"columns" doc:"The columns to read, in this order. The default is all columns."`
}

const parquetDoc = `Reads rows from Parquet files.

Types that quern does not have become the nearest one of its own, and no digits are lost: smaller integers and floats become int64 and float64; a decimal or unsigned integer becomes int64 or float64 if that can represent all of the column's values, and otherwise a string with all digits; categories, UUIDs, JSON, intervals, durations, and times of day become strings; times of any unit become timestamps (microseconds in UTC); lists of fixed size become lists; and a map becomes a list of structs with the fields ` + "`key` and `value`" + `. If a time is more precise than a timestamp, the stage fails unless ` + "`schema`" + ` gives the column's type.

` + "```hcl" + `
source "parquet" "events" {
  path    = "warehouse/events/*.parquet"
  columns = ["id", "text"]
}
` + "```"

func (a *parquetArgs) selection() selection { return selection{types: a.Schema, columns: a.Columns} }

func (a *parquetArgs) check() error { return nil }

// columns returns the columns of all files, joined by name.
func (a *parquetArgs) columns(ctx context.Context, files []file) (*union, error) {
	list := make([][]parquetColumn, len(files))
	group, ctx := parallel.WithContext(ctx)
	group.SetLimit(openFooters)
	for i, f := range files {
		group.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err
			}
			list[i], err = a.columnsOf(ctx, f)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	found := newUnion()
	for i, f := range files {
		for _, c := range list[i] {
			if err := found.add(f.name, c.name, c.typ); err != nil {
				return nil, err
			}
		}
	}
	if len(found.columns) == 0 {
		return nil, plugin.ArgumentErrorf("path", "%s has no columns", files[0].name)
	}
	return found, nil
}

// openFooters is the number of files whose footers are read at the same time.
const openFooters = 8

// columnsOf returns the columns of a file. A column that the user does not
// select, or whose type the user sets, has the type null, which is compatible
// with every type.
func (a *parquetArgs) columnsOf(ctx context.Context, f file) ([]parquetColumn, error) {
	o, err := openParquet(f)
	if err != nil {
		return nil, err
	}
	defer o.close()
	columns, problems := o.columnsOf()
	selected := a.selection()
	for i := range columns {
		c := &columns[i]
		given, typed := a.Schema[c.name], selected.typed(c.name)
		switch {
		case typed && given == "":
			c.typ = arrow.Null
			continue
		case checkText([]byte(c.name)) != nil:
			return nil, plugin.ArgumentErrorf("path", "The name of a column of %s is not UTF-8: %q\nList the columns to read in columns.", f.name, c.name)
		case problems[c.name] != nil:
			return nil, plugin.ArgumentErrorf("path", "Column %q of %s cannot be read: %w\nList the columns to read in columns.", c.name, f.name, problems[c.name])
		case typed:
			if err := readableAs(c, given); err != nil {
				return nil, plugin.ArgumentErrorf("schema", "Column %q of %s: %w", c.name, f.name, err)
			}
			c.typ = arrow.Null
			continue
		}
		if err := o.guard(func() error { return o.narrow(ctx, c, i) }); err != nil {
			return nil, fmt.Errorf("read %s: %w", f.name, err)
		}
	}
	return columns, nil
}

// readableAs says why a column cannot be read as a type that the user set.
func readableAs(c *parquetColumn, given string) error {
	to, err := data.ArrowType(given)
	if err != nil {
		return err
	}
	return possible(c, to)
}

// possible is readableAs for a column and its children.
func possible(c *parquetColumn, to arrow.DataType) error {
	switch to := to.(type) {
	case *arrow.ListType:
		if c.typ.ID() == arrow.LIST {
			return possible(&c.children[0], to.Elem())
		}
	case *arrow.StructType:
		if c.typ.ID() == arrow.STRUCT {
			for i := range c.children {
				if k, ok := to.FieldIdx(c.children[i].name); ok {
					if err := possible(&c.children[i], to.Field(k).Type); err != nil {
						return fmt.Errorf("field %q: %w", c.children[i].name, err)
					}
				}
			}
			return nil
		}
	}
	switch {
	case c.typ.ID() == arrow.NULL || to.ID() == arrow.STRING:
		return nil
	case arrow.IsNested(c.typ.ID()) || arrow.IsNested(to.ID()):
		return mismatch(c.typ, to)
	}
	_, err := (&conversion{asked: true}).caster(c.typ, to)
	return err
}

func (*parquetArgs) inferred() string { return "" }

// count adds up the row counts in the files' footers.
func (a *parquetArgs) count(files []file) (int64, error) {
	sum := int64(0)
	for _, f := range files {
		o, err := openParquet(f)
		if err != nil {
			return 0, err
		}
		sum += o.rows()
		o.close()
	}
	return sum, nil
}

// probed returns 0, because the schema of a Parquet file shows what is wrong with
// it.
func (a *parquetArgs) probed() int64 { return 0 }

// parquetFiles reads Parquet files.
type parquetFiles struct {
	types  map[string]string // that the user set
	schema data.Schema
	out    rowWriter
}

func (a *parquetArgs) reader(schema data.Schema, w rowWriter) reader {
	return &parquetFiles{a.Schema, schema, w}
}

func (r *parquetFiles) file(ctx context.Context, f file, read *progress) error {
	o, err := openParquet(f)
	if err != nil {
		return err
	}
	defer o.close()
	if err := o.guard(func() error { return r.rows(ctx, o) }); err != nil {
		return fmt.Errorf("read %s: %w", f.name, err)
	}
	read.read.Add(f.size)
	read.tell(f.name)
	return nil
}

func (r *parquetFiles) flush() error { return nil }
func (r *parquetFiles) release()     {}

// rows reads the rows of a file.
func (r *parquetFiles) rows(ctx context.Context, o *parquetFile) error {
	all, _ := o.columnsOf()
	taken := make([]*parquetColumn, len(r.schema)) // nil: the file lacks it
	places := make([]int, len(r.schema))           // indexes in the batches
	var leaves []int
	next := 0
	for i := range all {
		if _, k, ok := r.schema.Lookup(all[i].name); ok {
			taken[k], places[k] = &all[i], next
			leaves = appendLeaves(leaves, &o.reader.Manifest.Fields[i])
			next++
		}
	}
	want := r.schema.Arrow()
	if next == 0 {
		return r.nulls(want, o.rows())
	}
	done := 0
	return o.each(ctx, leaves, func(rec arrow.RecordBatch) error {
		columns := make([]arrow.Array, len(r.schema))
		defer releaseAll(columns)
		for i, c := range r.schema {
			var err error
			columns[i], err = r.column(rec, taken[i], places[i], want.Field(i).Type)
			if at := (*valueError)(nil); errors.As(err, &at) {
				return fmt.Errorf("column %q, row %d: %w", c.Name, done+at.row, err)
			}
			if err != nil {
				return fmt.Errorf("column %q: %w", c.Name, err)
			}
		}
		done += int(rec.NumRows())
		return r.write(want, columns, rec.NumRows())
	})
}

// column converts a column of a batch.
func (r *parquetFiles) column(rec arrow.RecordBatch, c *parquetColumn, place int, to arrow.DataType) (arrow.Array, error) {
	if c == nil {
		return array.MakeArrayOfNull(memory.DefaultAllocator, to, int(rec.NumRows())), nil
	}
	_, asked := r.types[c.name]
	return (&conversion{asked: asked}).convert(rec.Column(place), c, to)
}

// write passes on columns.
func (r *parquetFiles) write(schema *arrow.Schema, columns []arrow.Array, rows int64) error {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: r.schema[i].Name, Type: c.DataType(), Nullable: true}
	}
	loose := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, rows)
	defer loose.Release()
	exact, err := data.Conform(loose, schema)
	if err != nil {
		return err
	}
	defer exact.Release()
	return r.out.Write(exact)
}

// nulls writes the rows of a file that has none of the columns.
func (r *parquetFiles) nulls(schema *arrow.Schema, rows int64) error {
	for rows > 0 {
		n := min(rows, batchRows)
		columns := make([]arrow.Array, len(r.schema))
		for i, f := range schema.Fields() {
			columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, int(n))
		}
		err := r.write(schema, columns, n)
		releaseAll(columns)
		if err != nil {
			return err
		}
		rows -= n
	}
	return nil
}

func releaseAll(arrays []arrow.Array) {
	for _, a := range arrays {
		if a != nil {
			a.Release()
		}
	}
}

// parquetFile is an open Parquet file.
type parquetFile struct {
	name   string
	opened Content
	file   *pqfile.Reader
	reader *pqarrow.FileReader
	// origin contains the types that the writer meant, or nil if they are
	// unknown.
	origin *pqarrow.SchemaManifest
}

// A column of a file is read through a buffer of this size, in bytes. Each time it
// is filled from an object that is elsewhere, that is a request.
const (
	parquetBuffer       = 256 << 10
	remoteParquetBuffer = 4 << 20
)

func openParquet(f file) (o *parquetFile, err error) {
	opened, err := f.content()
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
	properties.BufferSize = parquetBuffer
	if f.remote != nil {
		properties.BufferSize = remoteParquetBuffer
	}
	properties.MaxCompressedPageSize, properties.MaxUncompressedPageSize = f.pageSizes()
	pq, err := pqfile.NewParquetReader(io.NewSectionReader(opened, 0, f.size), pqfile.WithReadProps(properties))
	if err != nil {
		return nil, fmt.Errorf("%s is damaged or incomplete: %w", f.name, err)
	}
	o = &parquetFile{name: f.name, opened: opened, file: pq}
	if err := o.open(); err != nil {
		return nil, fmt.Errorf("open %s: %w", f.name, err)
	}
	return o, nil
}

// pageSizes returns how large a page of a file can be, compressed and decompressed.
// DuckDB, for example, writes a single page for the 122,880 rows of a row group, so
// that long texts make pages of gigabytes.
func (f file) pageSizes() (compressed, plain int64) {
	const usual = 256 << 20
	return min(f.size, math.MaxInt32), min(max(usual, f.size*bombRatio), math.MaxInt32)
}

// open opens the file for reading as Arrow. The library is not told which Arrow
// types the writer meant, because it cannot read all of them.
func (o *parquetFile) open() (err error) {
	properties := pqarrow.ArrowReadProperties{BatchSize: batchRows}
	m := o.file.MetaData()
	// If the types are not understood, those of the file itself are used.
	o.origin, _ = pqarrow.NewSchemaManifest(m.Schema, m.KeyValueMetadata(), &properties)
	m.FileMetaData.KeyValueMetadata = nil
	o.reader, err = pqarrow.NewFileReader(o.file, properties, memory.DefaultAllocator)
	return err
}

func (o *parquetFile) close() { o.opened.Close() }

// guard calls f and turns a panic into an error. The library panics on some
// damaged files.
func (o *parquetFile) guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the file is damaged: %v", r)
		}
	}()
	return f()
}

// errEnough stops reading when enough rows were read.
var errEnough = errors.New("enough was read")

// rows returns the total number of rows of the row groups. The number for the
// whole file is not always correct.
func (o *parquetFile) rows() (n int64) {
	for i := range o.file.NumRowGroups() {
		n += o.file.MetaData().RowGroup(i).NumRows()
	}
	return n
}

// each calls f with the rows of some leaves, batch by batch.
func (o *parquetFile) each(ctx context.Context, leaves []int, f func(arrow.RecordBatch) error) error {
	rows := o.rows()
	if rows == 0 {
		return nil
	}
	records, err := o.reader.GetRecordReader(ctx, leaves, nil)
	if err != nil {
		return err
	}
	defer records.Release()
	for {
		rec, err := records.Read()
		if err != nil && strings.Contains(err.Error(), "INT96") {
			err = fmt.Errorf("%w\nWrite the file with microseconds: in Spark, spark.sql.parquet.outputTimestampType = TIMESTAMP_MICROS.", err)
		}
		if errors.Is(err, io.EOF) && rows != 0 {
			return fmt.Errorf("the file is damaged: %d of its %d rows are missing", rows, o.rows())
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			rows -= rec.NumRows()
			err = f(rec)
		}
		if errors.Is(err, errEnough) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
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
