package files

import (
	"path"
	"slices"
	"strings"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Format contains the arguments of a source of objects that say how the content
// of the objects becomes rows. They are those of the sources that read files.
type Format struct {
	Format     string            `quern:"format" oneof:"avro,csv,json,jsonl,parquet,text" doc:"The format of the objects: 'avro', 'csv', 'json', 'jsonl', 'parquet', or 'text'. The source of that name says how the format is read, and what the other arguments mean. The default follows from the objects' names, such as '.csv', '.tsv', '.jsonl.gz', or '.parquet'."`
	Partitions string            `quern:"partitions" default:"\"auto\"" oneof:"auto,none" doc:"How to treat folders named KEY=VALUE in the objects' names. 'auto' makes each key a column, whose type is inferred from the values unless 'schema' gives it. 'none' ignores them."`
	Schema     map[string]string `quern:"schema" doc:"The types of columns, such as { id = \"int64\" }. The types of other columns are inferred from the first rows, or are those of the Avro or Parquet files."`
	Columns    []string          `quern:"columns" doc:"The columns to read, in this order. The default is all columns. Of Parquet files, only these columns are transferred."`
	OnError    *string           `quern:"on_error" oneof:"fail,quarantine" doc:"What to do with a malformed row, except of Parquet files: 'fail', the default, fails the stage and reports the place. 'quarantine' sets the row aside, counts it, and continues."`
	SampleRows *int64            `quern:"sample_rows" doc:"The number of rows that columns of text formats are inferred from. The default is 20480."`
	Encoding   *string           `quern:"encoding" doc:"The encoding of text formats, such as 'windows-1252' or 'utf-16le'. The default is 'utf-8'."`
	Delimiter  *string           `quern:"delimiter" doc:"For 'csv': the character between fields. Without it, quern detects it for each object."`
	Quote      *string           `quern:"quote" doc:"For 'csv': the character around fields that contain delimiters or line breaks. \"\" turns quoting off."`
	Escape     *string           `quern:"escape" doc:"For 'csv': the character that escapes a quote inside a quoted field."`
	Header     *bool             `quern:"header" doc:"For 'csv': whether each object begins with a header of column names. The default is true."`
	NullValues []string          `quern:"null_values" doc:"For 'csv': the values that mean null. The default is [\"\"]."`
	Skip       *int64            `quern:"skip" doc:"For 'csv': the number of lines to skip at the beginning of each object."`
	Field      *string           `quern:"field" doc:"For 'json' and 'jsonl': the key of the list of rows inside an object, as in the source 'json'."`
	Rows       *string           `quern:"rows" oneof:"document,line,paragraph" doc:"For 'text': what becomes a row. The default is a whole object, 'document'."`

	// What Prepare found, for the Read or Preview that follows it.
	objects []file
	parsed  format
}

func (f *Format) rows() *Format { return f }

// formatArguments are the arguments of Format that must be known when planning.
var formatArguments = []string{
	"format", "partitions", "schema", "columns", "on_error", "sample_rows", "encoding", "delimiter", "quote", "escape", "header", "null_values", "skip", "field", "rows",
}

// formatExtensions are the formats of names that end in them.
var formatExtensions = map[string]string{
	".avro": "avro", ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet", ".txt": "text",
}

// compressions are the extensions of compressed files.
var compressions = []string{".gz", ".zst", ".zstd", ".bz2", ".xz"}

// named returns the format that an object's name implies, or "".
func named(name string) string {
	ext := strings.ToLower(path.Ext(name))
	if slices.Contains(compressions, ext) {
		ext = strings.ToLower(path.Ext(name[:len(name)-len(ext)]))
	}
	return formatExtensions[ext]
}

// reading returns the arguments of the format of some objects.
func (f *Format) reading(objects []file) (format, error) {
	name := f.Format
	if name == "" {
		var err error
		if name, err = commonFormat(objects); err != nil {
			return nil, err
		}
	}
	if err := f.refuseForeign(name); err != nil {
		return nil, err
	}
	located := Located{Partitions: f.Partitions}
	encoded := Encoded{given(f.Encoding, "utf-8")}
	onError, sample := given(f.OnError, "fail"), given(f.SampleRows, defaultSample)
	switch name {
	case "avro":
		return &avroArgs{Located: located, Schema: f.Schema, Columns: f.Columns, OnError: onError}, nil
	case "csv":
		null := f.NullValues
		if null == nil {
			null = []string{""}
		}
		return &csvArgs{
			Located: located, Encoded: encoded, Schema: f.Schema, Columns: f.Columns, OnError: onError, SampleRows: sample,
			Delimiter: f.Delimiter, Quote: given(f.Quote, `"`), Escape: given(f.Escape, ""), Header: given(f.Header, true), NullValues: null, Skip: given(f.Skip, 0),
		}, nil
	case "text":
		return &textArgs{Located: located, Encoded: encoded, Columns: f.Columns, OnError: onError, Rows: given(f.Rows, "document")}, nil
	case "parquet":
		return &parquetArgs{Located: located, Schema: f.Schema, Columns: f.Columns}, nil
	}
	return &jsonlArgs{
		Located: located, Encoded: encoded, Schema: f.Schema, Columns: f.Columns, OnError: onError, SampleRows: sample, Field: given(f.Field, ""),
	}, nil
}

// defaultSample is the default of sample_rows.
const defaultSample = 20480

// given returns the value of an optional argument.
func given[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}

// commonFormat returns the format that the names of all objects imply.
func commonFormat(objects []file) (string, error) {
	first := objects[0]
	name := named(first.name)
	for _, o := range objects {
		switch other := named(o.name); {
		case other == "":
			return "", plugin.ArgumentErrorf("format", "The name of %s does not show its format\nSet format to one of %s.", o.name, strings.Join(formatNames, ", "))
		case other != name:
			return "", plugin.ArgumentErrorf("format", "%s and %s have different formats\nRead them as two sources, or set format if their content has the same format.", first.name, o.name)
		}
	}
	return name, nil
}

var formatNames = []string{"avro", "csv", "json", "jsonl", "parquet", "text"}

// refuseForeign reports an argument that is set and that the format does not
// have.
func (f *Format) refuseForeign(name string) error {
	csv, inferring, text := []string{"csv"}, []string{"csv", "json", "jsonl"}, []string{"csv", "json", "jsonl", "text"}
	set := map[string]struct {
		set     bool
		formats []string
	}{
		"on_error": {f.OnError != nil, append([]string{"avro"}, text...)}, "sample_rows": {f.SampleRows != nil, inferring}, "encoding": {f.Encoding != nil, text},
		"delimiter": {f.Delimiter != nil, csv}, "quote": {f.Quote != nil, csv}, "escape": {f.Escape != nil, csv},
		"header": {f.Header != nil, csv}, "null_values": {f.NullValues != nil, csv}, "skip": {f.Skip != nil, csv},
		"schema": {f.Schema != nil && name == "text", []string{"avro", "csv", "json", "jsonl", "parquet"}}, "rows": {f.Rows != nil, []string{"text"}},
		"field": {f.Field != nil, []string{"json", "jsonl"}},
	}
	for _, argument := range ordered.Keys(set) {
		if a := set[argument]; a.set && !slices.Contains(a.formats, name) {
			return plugin.ArgumentErrorf(argument, "The format %q has no argument %s\nIt belongs to %s. Remove it, or set another format.", name, argument, strings.Join(a.formats, ", "))
		}
	}
	return nil
}
