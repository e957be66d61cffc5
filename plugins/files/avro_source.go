package files

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type avroArgs struct {
	Located
	Schema  map[string]string `quern:"schema" doc:"The types of columns: 'string', 'int64', 'float64', 'bool', 'binary', 'date', 'timestamp', 'list<T>' or 'struct<name:T,...>'. Other columns have the types from the files."`
	Columns []string          `quern:"columns" doc:"The columns to read, in this order. The default is all columns."`
	OnError string            `quern:"on_error" default:"\"fail\"" oneof:"fail,quarantine" doc:"What to do with a row that has a value which its column cannot represent, such as text that is not UTF-8. 'fail' fails the stage and reports the file and the number of the row. 'quarantine' sets the row aside, counts it, and continues. A damaged file always fails the stage."`
}

const avroDoc = `Reads rows from Avro files (object container files), such as those of Kafka, Hadoop, and BigQuery. Blocks may be compressed with deflate, snappy, zstandard, bzip2, or xz.

Each record is a row, and the fields of the records are the columns. A union of null and another type is that type. Any other union is a struct with a field for each type, named after it, of which one has a value. A map is a list of structs with the fields ` + "`key` and `value`" + `, ordered by key. Enums and UUIDs are strings, and so are durations and times of day, in ISO 8601. Times are timestamps (microseconds in UTC). A decimal is int64 or float64 if that can represent all numbers of its precision, and otherwise a string with all digits. Fields of types that contain themselves cannot be read: list the other columns in ` + "`columns`" + `.

` + "```hcl" + `
source "avro" "events" {
  path    = "events/*.avro"
  columns = ["id", "text"]
}
` + "```"

func (a *avroArgs) selection() selection { return selection{types: a.Schema, columns: a.Columns} }

func (*avroArgs) check() error { return nil }

// columns returns the columns of all files, joined by name.
func (a *avroArgs) columns(ctx context.Context, files []file) (*union, error) {
	found := newUnion()
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		columns, err := a.columnsOf(f)
		if err != nil {
			return nil, err
		}
		for _, c := range columns {
			if err := found.add(f.name, c.name, c.typ); err != nil {
				return nil, err
			}
		}
	}
	if len(found.columns) == 0 {
		return nil, plugin.ArgumentErrorf("path", "%s has no columns\nIts records have no fields.", files[0].name)
	}
	return found, nil
}

// columnsOf returns the columns of a file, from its header. A column that the user
// does not select, or whose type the user sets, has the type null, which is
// compatible with every type.
func (a *avroArgs) columnsOf(f file) ([]avroColumn, error) {
	in, err := f.unpack(nil)
	if err != nil {
		return nil, fmt.Errorf("%s %w", f.name, err)
	}
	defer func() { _ = in.Close() }() // it was only read
	reader, err := openAvro(f.name, in, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = reader.Close() }()
	columns, problems, err := avroColumns(reader.Schema())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	selected := a.selection()
	for i := range columns {
		c := &columns[i]
		given, typed := a.Schema[c.name], selected.typed(c.name)
		if typed && given == "" {
			c.typ = arrow.Null
			continue
		}
		if err := problems[c.name]; err != nil {
			return nil, plugin.ArgumentErrorf("path", "Column %q of %s cannot be read: %w\nList the columns to read in columns.", c.name, f.name, err)
		}
		if !typed {
			continue
		}
		to, err := data.ArrowType(given)
		if err == nil {
			_, err = c.reader(to, &conversion{asked: true})
		}
		if err != nil {
			return nil, plugin.ArgumentErrorf("schema", "Column %q of %s: %w", c.name, f.name, err)
		}
		c.typ = arrow.Null
	}
	return columns, nil
}

// openAvro reads the header of a file. If columns is not nil, only these are decoded.
func openAvro(name string, in *opened, columns data.Schema) (*ocf.Reader, error) {
	head, err := in.Peek(headLength)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s cannot be read: %w", name, withoutPath(err))
	}
	if !bytes.HasPrefix(head, []byte(avroMagic)) {
		return nil, notAvro(name, head)
	}
	reader, err := ocf.NewReader(withName(in), append(avroCodecs(),
		ocf.WithSchemaOpts(avroOptions()...), ocf.WithDecodeOpts(avro.TaggedUnions()),
		ocf.WithMaxBlockBytes(maxAvroBlock), ocf.WithMaxDecompressedBlockBytes(maxAvroBlock),
		ocf.WithReaderSchemaFunc(func(r *ocf.Reader) (*avro.Schema, error) { return projected(r.Schema(), columns) }),
	)...)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", name, err)
	}
	return reader, nil
}

// withName gives the records of a file a name if they have none, as in files that polars
// writes. The library refuses such a schema.
func withName(in *opened) io.Reader {
	before, metadata := avroHeader(in)
	var schema map[string]any
	d := json.NewDecoder(bytes.NewReader(metadata[schemaKey]))
	d.UseNumber()
	if err := d.Decode(&schema); err != nil || schema["type"] != "record" || schema["name"] != "" {
		return in
	}
	schema["name"] = "Row"
	renamed, err := json.Marshal(schema)
	if err != nil {
		return in
	}
	metadata[schemaKey] = renamed
	header, err := avroMetadata().AppendEncode([]byte(avroMagic), metadata)
	if err != nil {
		return in
	}
	_, _ = in.Discard(before) // it was peeked at
	return io.MultiReader(bytes.NewReader(header), in)
}

// avroHeader returns the metadata of a file and the number of bytes up to its end, or
// nothing if the metadata is damaged or longer than the buffer.
func avroHeader(in *opened) (length int, metadata map[string][]byte) {
	for n := 4 << 10; ; n *= 4 {
		n = min(n, in.Size())
		head, err := in.Peek(n)
		if len(head) < len(avroMagic) {
			return 0, nil
		}
		rest, failed := avroMetadata().Decode(head[len(avroMagic):], &metadata)
		if failed == nil {
			return len(head) - len(rest), metadata
		}
		if err != nil || n == in.Size() {
			return 0, nil
		}
	}
}

// avroMetadata is the schema of the metadata in a file's header, and schemaKey the key
// of the schema in it.
var avroMetadata = sync.OnceValue(func() *avro.Schema { return avro.MustParse(`{"type": "map", "values": "bytes"}`) })

const (
	schemaKey = "avro.schema"
	avroMagic = "Obj\x01"
)

// maxAvroBlock is the maximum size of a block of a file, compressed or not, in bytes.
const maxAvroBlock = 256 << 20

// notAvro explains what a file is that is not an Avro file.
func notAvro(name string, head []byte) error {
	if len(head) == 0 {
		return fmt.Errorf("%s is empty\nAn Avro file without rows still has a schema.", name)
	}
	if err := foreign(name, head); err != nil {
		return err
	}
	return fmt.Errorf("%s is not an Avro file\nAn object container file is needed. A single message, as in Kafka, has no schema.", name)
}

func (*avroArgs) inferred() string { return "" }

// count returns -1: the header does not state the number of rows.
func (*avroArgs) count([]file) (int64, error) { return -1, nil }

// probed returns 0, because the schema of a file shows what is wrong with it.
func (*avroArgs) probed() int64 { return 0 }

func (a *avroArgs) reader(schema data.Schema, w rowWriter) reader {
	return &avroFiles{sink: newSink(w, schema, a.OnError == "quarantine"), types: a.Schema, row: make([]parsed, len(schema))}
}

// avroFiles reads Avro files.
type avroFiles struct {
	*sink
	types map[string]string // that the user set
	row   []parsed
}

func (r *avroFiles) file(ctx context.Context, f file, read *progress) error {
	before := read.read.Load()
	in, err := f.unpack(&read.read)
	if err != nil {
		return fmt.Errorf("%s %w", f.name, err)
	}
	defer func() { _ = in.Close() }() // it was only read
	defer func() { read.passed += float64(read.read.Load() - before) }()
	reader, err := openAvro(f.name, in, r.schema)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	columns, err := r.readers(reader.Schema())
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	for n := 0; ; n++ {
		var record any
		err := reader.Decode(&record)
		if errors.Is(err, io.EOF) {
			read.tell(f.name)
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s is damaged or incomplete: row %d: %w", f.name, n, err)
		}
		fields, ok := record.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is damaged: row %d is not a record", f.name, n)
		}
		if err := r.take(f.name, n, fields, columns); err != nil {
			return err
		}
		if err := read.another(ctx, f.name, r.rows); err != nil {
			return err
		}
	}
}

// readers returns functions that convert the values of each column, or nil for
// a column that the file lacks.
func (r *avroFiles) readers(schema *avro.Schema) ([]avroReader, error) {
	all, _, err := avroColumns(schema)
	if err != nil {
		return nil, err
	}
	out := make([]avroReader, len(r.schema))
	for i, f := range r.schema.Arrow().Fields() {
		for k := range all {
			if all[k].name != f.Name {
				continue
			}
			_, asked := r.types[f.Name]
			if out[i], err = all[k].reader(f.Type, &conversion{asked: asked}); err != nil {
				return nil, fmt.Errorf("column %q: %w", f.Name, err)
			}
		}
	}
	return out, nil
}

// take adds a record as a row, or sets it aside.
func (r *avroFiles) take(name string, n int, record map[string]any, columns []avroReader) (err error) {
	size := 0
	for i, read := range columns {
		if r.row[i] = (parsed{null: true}); read == nil {
			continue
		}
		if r.row[i], err = read(record[r.schema[i].Name], &size); err != nil {
			return r.refuse(name, n, nil, fmt.Errorf("column %q: %w", r.schema[i].Name, err))
		}
	}
	return r.add(r.row, size)
}
