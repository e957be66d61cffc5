package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type jsonlArgs struct {
	Located
	Schema     map[string]string `quern:"schema" doc:"The keys to take, with their types: 'string', 'int64', 'float64', 'bool', 'date' (2026-01-31), 'timestamp' (ISO 8601; UTC where no zone is given), 'binary' (base64), 'list<T>' or 'struct<name:T,...>'. The columns are sorted by name; other keys are left out, and a key that an object does not have is null. Into a string column any value goes: what is not a string as its JSON. Without it all keys are taken, and their types are inferred from the first rows."`
	Columns    []string          `quern:"columns" doc:"The columns to take, in this order. Without it those of schema are taken, or all."`
	OnError    string            `quern:"on_error" default:"\"fail\"" oneof:"fail,quarantine" doc:"What becomes of a malformed row: a line that is no JSON object, a value that is not of its column's type, a key that the inferred columns do not have. 'fail' ends the reading with its file and line; 'quarantine' sets the row aside, counts it and goes on."`
	SampleRows int64             `quern:"sample_rows" default:"20480" doc:"How many rows columns are inferred from."`
}

const jsonlDoc = `Reads rows from JSON lines files: one JSON object a line.

Columns are inferred from the first ` + "`sample_rows`" + ` rows, in the order in which keys appear, unless ` + "`schema`" + ` gives them. A key whose values have nothing in common becomes a string column that holds their JSON. Empty lines are passed over.

` + "```hcl" + `
source "jsonl" "chats" {
  path     = "logs/**/*.jsonl.zst"
  schema   = { id = "int64", messages = "list<struct<role:string,content:string>>" }
  on_error = "quarantine"
}
` + "```"

func (a *jsonlArgs) selection() selection {
	return selection{types: a.Schema, columns: a.Columns, open: true}
}

func (a *jsonlArgs) check() error { return checkSample(a.SampleRows) }

// columns are the keys of the objects that are looked at. Where the arguments
// say all, files are looked at only for keys that are folders too.
func (a *jsonlArgs) columns(ctx context.Context, files []file) (*union, error) {
	found := newUnion()
	if a.selection().complete() && (a.Partitions == "none" || len(partitionKeys(files)) == 0) {
		return found, nil
	}
	all := &object{fields: map[string]*shape{}}
	sampled := files[:min(len(files), sampledFiles)]
	for i, f := range sampled {
		if err := a.sample(ctx, f, share(a.SampleRows, i, len(sampled)), all); err != nil {
			return nil, err
		}
	}
	if len(all.keys) == 0 && !a.selection().complete() {
		return nil, plugin.ArgumentErrorf("path", "%s has no columns\nThere is nothing in it to infer them from; give schema.", files[0].name)
	}
	for _, key := range all.keys {
		if err := found.add(files[0].name, key, all.fields[key].arrow(0)); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// sample looks at the first rows of a file. Malformed ones are left to the
// reading.
func (a *jsonlArgs) sample(ctx context.Context, f file, rows int64, all *object) error {
	lines, err := openLines(f, nil)
	if err != nil {
		return err
	}
	defer lines.Close()
	for ; rows > 0; rows-- {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", f.name, lines.line, err)
		}
		if list, err := members(line, nil); err == nil && checkText(line) == nil {
			if err := all.add(list); err != nil {
				return fmt.Errorf("%s:%d: %w", f.name, lines.at, err)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// jsonlFiles reads JSON lines files.
type jsonlFiles struct {
	*objects
	*sink
}

// probed: where malformed rows are set aside, none is an error.
func (a *jsonlArgs) probed() int64 {
	if a.OnError == "quarantine" {
		return 0
	}
	return a.SampleRows
}

func (a *jsonlArgs) reader(schema data.Schema, w rowWriter) reader {
	strict := a.Schema == nil && a.Columns == nil
	return &jsonlFiles{newObjects(schema, strict), newSink(w, schema, a.OnError == "quarantine")}
}

func (r *jsonlFiles) file(ctx context.Context, f file, read *progress) error {
	lines, err := openLines(f, &read.read)
	if err != nil {
		return err
	}
	defer lines.Close()
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", f.name, lines.line, err)
		}
		if problem := r.parse(line); problem != nil {
			err = r.refuse(f.name, lines.at, line, problem)
		} else {
			err = r.add(r.row, len(line))
		}
		if err == nil {
			err = read.another()
		}
		if err != nil {
			return err
		}
		if r.rows == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			read.tell(f.name)
		}
	}
}

// lines gives a text line by line.
type lines struct {
	*window
	io.Closer
	at int // line of the last one
}

func openLines(f file, read *atomic.Int64) (*lines, error) {
	text, err := f.text("utf-8", read)
	if err != nil {
		return nil, err
	}
	return &lines{window: newWindow(text), Closer: text}, nil
}

// next returns the next line that is not empty; it is valid until the next
// call.
func (l *lines) next() ([]byte, error) {
	for {
		n, err := l.wholeLine()
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, io.EOF
		}
		line := l.data[:n]
		l.at = l.line
		l.take(n)
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line, nil
		}
	}
}

// objects turns JSON objects into rows.
type objects struct {
	jsonValues
	types   []arrow.DataType
	names   []string
	places  map[string]int
	members []member
	row     []parsed
}

func newObjects(schema data.Schema, strict bool) *objects {
	o := &objects{jsonValues: jsonValues{strict}, names: schema.Names(), places: map[string]int{}, row: make([]parsed, len(schema))}
	for i, f := range schema.Arrow().Fields() {
		o.types = append(o.types, f.Type)
		o.places[f.Name] = i
	}
	return o
}

func (o *objects) parse(line []byte) (err error) {
	if err := checkText(line); err != nil {
		return err
	}
	if o.members, err = members(line, o.members[:0]); err != nil {
		return err
	}
	for i := range o.row {
		o.row[i] = parsed{null: true}
	}
	for _, m := range o.members {
		i, ok := o.places[string(m.key)]
		if !ok && o.strict {
			return unheardOf(m.key)
		}
		if !ok {
			continue
		}
		if o.row[i], err = o.jsonValues.parse(o.types[i], m.value); err != nil {
			return fmt.Errorf("column %q: %w", o.names[i], err)
		}
	}
	return nil
}
