package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type jsonlArgs struct {
	Located
	Encoded
	Schema     map[string]string `quern:"schema" doc:"The types of keys: 'string', 'int64', 'float64', 'bool', 'date' (2026-01-31), 'timestamp' (ISO 8601; UTC if no time zone is given), 'binary' (base64), 'list<T>' or 'struct<name:T,...>'. A key that an object does not have is null, and a key that no object has gives a column of nulls. A string column accepts any value: values that are not strings become their JSON. The types of other keys are inferred from the first rows."`
	Columns    []string          `quern:"columns" doc:"The keys to read, in this order. The default is all keys."`
	Field      string            `quern:"field" doc:"Where to find the rows if they are a list inside an object: the object's key, such as 'data' for {\"data\": [...]}, or several keys separated by dots, from the outermost to the innermost. Write a dot that is part of a key as '\\\\.'."`
	OnError    string            `quern:"on_error" default:"\"fail\"" oneof:"fail,quarantine" doc:"What to do with a malformed row: a line that is not a JSON object, a value that does not fit its column's type, a key that the inferred columns do not include, or a key with two values. 'fail' fails the stage and reports the file and line. 'quarantine' sets the row aside, counts it, and continues."`
	SampleRows int64             `quern:"sample_rows" default:"20480" doc:"The number of rows that columns are inferred from."`

	sampled *object // the sample that columns were inferred from; nil: none
}

// The sources json and jsonl are the same. People look for either name.
const (
	jsonDoc  = "Reads rows from JSON files. " + layoutDoc + jsonExample
	jsonlDoc = "Reads rows from files of JSON lines, and like the source `json` from any other JSON files. " + layoutDoc + jsonlExample
)

const jsonExample = `

` + "```hcl" + `
source "json" "squad" {
  path  = "train-v2.0.json" # {"version": "v2.0", "data": [...]}
  field = "data"
}
` + "```"

const layoutDoc = `The rows are JSON lines, with one object a line; a list of objects; objects one after another, however they are laid out; or a list that lies inside an object, which ` + "`field`" + ` names. Files may be compressed with gzip, zstd, bzip2, or xz.

Columns are inferred from the first ` + "`sample_rows`" + ` rows, in the order in which keys appear, unless ` + "`schema`" + ` gives their types:

- A key whose values have nothing in common becomes a string column: strings as they are, other values as their JSON. A warning names the first row that differs.
- In a string column that was inferred, a later row may have only the kinds of values (text, number, true or false, list, object) that the first rows have in that place, and only text if they have only nulls. A row with any other kind is malformed, so that no value changes its type silently.
- Numbers whose digits neither int64 nor float64 holds become strings too, with all their digits, and so do whole numbers beyond 2^53 next to fractions. NaN and infinities, as Python writes them, are float64.
- An object becomes a string that holds its JSON if its keys are data rather than names: more than 1,000 fields in all, or more than 100 keys of which a single object has less than a tenth on average. So does an object with the key "", and what is nested more than 16 deep. ` + "`jsondecode(row.x)`" + ` reads it.

Half of a surrogate pair, such as ` + "`\\ud83d`" + ` alone, makes a row malformed. Empty lines and empty files are passed over. If malformed rows are not set aside, the first rows are checked when planning.`

const jsonlExample = `

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

func (a *jsonlArgs) check() error {
	if _, err := charsetNamed(a.Encoding); err != nil {
		return err
	}
	if _, err := a.path(); err != nil {
		return err
	}
	return checkSample(a.SampleRows)
}

// path returns the keys that lead to the list of rows.
func (a *jsonlArgs) path() ([]string, error) {
	if a.Field == "" {
		return nil, nil
	}
	var keys []string
	var key []byte
	for i := 0; i < len(a.Field); i++ {
		switch c := a.Field[i]; {
		case c == '.':
			keys, key = append(keys, string(key)), nil
		case c == '\\' && i+1 < len(a.Field):
			i++
			key = append(key, a.Field[i])
		default:
			key = append(key, c)
		}
	}
	keys = append(keys, string(key))
	if slices.Contains(keys, "") {
		return nil, plugin.ArgumentErrorf("field", "%q has an empty key\nSeparate keys with single dots, as in \"result.items\".", a.Field)
	}
	return keys, nil
}

// fieldAdvice says how to read the list at a key.
func fieldAdvice(key string) string {
	argument := strings.NewReplacer(`\`, `\\`, `.`, `\.`).Replace(key)
	return fmt.Sprintf("If the rows are the elements of the list %q in it, set field = %q.", key, argument)
}

// maxColumns is the maximum number of columns that are inferred. If there are
// more keys, they are data rather than names.
const maxColumns = 2000

// columns returns the keys of the sampled objects. If the arguments name all
// columns and types, files are sampled only for keys that are also partitions.
func (a *jsonlArgs) columns(ctx context.Context, files []file) (*union, error) {
	found := newUnion()
	if a.selection().complete() && (a.Partitions == "none" || len(partitionKeys(files)) == 0) {
		return found, nil
	}
	all := &jsonSample{object: newObject(), mixed: map[string]mixture{}}
	sampled := files[:min(len(files), sampledFiles)]
	for i, f := range sampled {
		if err := a.sample(ctx, f, share(a.SampleRows, i, len(sampled)), all); err != nil {
			return nil, err
		}
	}
	if err := a.checkKeys(all, files); err != nil {
		return nil, err
	}
	a.sampled = all.object
	for _, key := range all.object.keys {
		if key == "" && a.selection().typed("") {
			continue
		}
		t, _ := all.object.fields[key].arrow(0)
		if m, ok := all.mixed[key]; ok && !a.selection().typed(key) {
			found.warnings = append(found.warnings, m.warning(key, describeType(t)))
		}
		if err := found.add(files[0].name, key, t); err != nil {
			return nil, err
		}
	}
	if all.object.objects == 1 && len(files) == 1 && a.Field == "" {
		if key, ok := listOfObjects(all.first); ok {
			found.warnings = append(found.warnings, fmt.Sprintf("%s contains a single object, and so a single row\n%s", files[0].name, fieldAdvice(key)))
		}
	}
	return found, nil
}

// jsonSample is what was seen in the rows from which columns are inferred.
type jsonSample struct {
	object *object
	// first is the first row, as it is in the file.
	first []byte
	// mixed contains keys whose values have no common type, by their paths.
	mixed map[string]mixture
	// refused is the number of malformed rows, and problem is the error of the
	// first one.
	refused int
	problem error
}

// checkKeys makes sure that the keys can be columns.
func (a *jsonlArgs) checkKeys(all *jsonSample, files []file) error {
	chosen := a.selection().columns != nil
	keys := len(all.object.keys)
	switch {
	case a.selection().complete(), keys == 0 && a.Schema != nil && a.Columns == nil:
		return nil
	case keys == 0 && all.problem != nil:
		return plugin.ArgumentErrorf("path", "None of the first %s can be read as a row\nThe first problem: %w", plural(all.refused, "value"), all.problem)
	case keys == 0 && all.object.objects > 0:
		return plugin.ArgumentErrorf("path", "The objects of %s are empty\nSet schema to name the columns.", files[0].name)
	case keys == 0:
		return plugin.ArgumentErrorf("path", "%s\nThere is nothing to infer columns from. If that is correct, set schema.", emptyFiles(files))
	case chosen:
		return nil
	case keys > maxColumns:
		return plugin.ArgumentErrorf("path", "The objects of %s have %d different keys, such as %q\nKeys become columns, but these look like data. List the columns to read in columns, or write rows that have the keys as values.", files[0].name, keys, all.object.keys[keys-1])
	case all.object.fields[""] != nil:
		return plugin.ArgumentErrorf("path", "The objects of %s have a key \"\", but a column needs a name\nList the columns to read in columns, without this one.", files[0].name)
	}
	return nil
}

// sample reads the first rows of a file.
func (a *jsonlArgs) sample(ctx context.Context, f file, rows int64, all *jsonSample) error {
	r, err := a.open(f, nil)
	if err != nil {
		return err
	}
	defer r.text.Close()
	var list []member
	for ; rows > 0; rows-- {
		raw, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			if err = r.text.check(raw); err == nil {
				list, err = r.members(raw, list[:0])
			}
			if err == nil {
				err = all.add(list, raw, fmt.Sprintf("%s:%d", f.name, r.at))
			}
			if err != nil {
				err = malformed{err}
			}
		}
		if err != nil && !errors.As(err, new(malformed)) {
			return err
		}
		if err != nil {
			if all.refused++; all.problem == nil {
				all.problem = fmt.Errorf("%s:%d: %w", f.name, r.at, err)
			}
			if a.OnError != "quarantine" {
				return failed(f.name, r.at, err)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// jsonlFiles reads files of JSON.
type jsonlFiles struct {
	*objects
	*sink
	args *jsonlArgs
}

// probed returns 0 if malformed rows are set aside, because they are then not
// errors.
func (a *jsonlArgs) probed() int64 {
	if a.OnError == "quarantine" {
		return 0
	}
	return a.SampleRows
}

func (a *jsonlArgs) reader(schema data.Schema, w rowWriter) reader {
	return &jsonlFiles{newObjects(schema, a.selection(), a.sampled), newSink(w, schema, a.OnError == "quarantine"), a}
}

// inferred returns the kinds of values that string columns were inferred from.
func (a *jsonlArgs) inferred() string { return a.sampled.fingerprint("") }

func (*jsonlArgs) count([]file) (int64, error) { return -1, nil }

func (r *jsonlFiles) file(ctx context.Context, f file, read *progress) error {
	before := read.read.Load()
	rows, err := r.args.open(f, &read.read)
	if err != nil {
		return err
	}
	defer rows.text.Close()
	defer func() { read.pass(before, rows.window, rows.text.file) }()
	for {
		raw, err := rows.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			if err = rows.text.check(raw); err == nil {
				err = r.parse(&rows.syntax, raw)
			}
			if err != nil {
				err = malformed{err}
			}
		}
		switch {
		case err == nil:
			err = r.add(r.row, len(raw))
		case errors.As(err, new(malformed)):
			err = r.refuse(f.name, rows.at, raw, err)
		}
		if err == nil {
			err = read.another(ctx, f.name, r.rows)
		}
		if err != nil {
			return err
		}
	}
}

// objects converts JSON objects to rows.
type objects struct {
	types  []arrow.DataType
	names  []string
	values []jsonValues
	shapes []*shape // the shapes that types were inferred from; nil: the user set the type
	places map[string]int
	// all says that a key without a column is an error.
	all     bool
	members []member
	row     []parsed
	raw     [][]byte
}

func newObjects(schema data.Schema, chosen selection, sampled *object) *objects {
	o := &objects{
		names: schema.Names(), places: map[string]int{}, all: chosen.columns == nil,
		row: make([]parsed, len(schema)), raw: make([][]byte, len(schema)), shapes: make([]*shape, len(schema)),
	}
	for i, f := range schema.Arrow().Fields() {
		_, given := chosen.types[f.Name]
		o.types = append(o.types, f.Type)
		o.values = append(o.values, jsonValues{inferred: !given})
		if !given && sampled != nil {
			o.shapes[i] = sampled.fields[f.Name]
		}
		o.places[f.Name] = i
	}
	return o
}

// parse parses raw, the value that from scanned last.
func (o *objects) parse(from *syntax, raw []byte) (err error) {
	if o.members, err = from.members(raw, o.members[:0]); err != nil {
		return err
	}
	clear(o.raw)
	for i := range o.row {
		o.row[i] = parsed{null: true}
	}
	for _, m := range o.members {
		i, ok := o.places[string(m.key)]
		if !ok && o.all {
			return fmt.Errorf("%w\nRaise sample_rows to infer columns from more rows, set the key's type in schema, or list the columns to read in columns.", unheardOf(m.key))
		}
		if !ok {
			continue
		}
		if err := once(&o.raw[i], m); err != nil {
			return err
		}
		if o.row[i], err = o.values[i].parse(o.types[i], o.shapes[i], m.value); err != nil {
			return o.explain(i, err)
		}
	}
	return nil
}

// explain adds the column of a value to an error, and says how to correct an
// inferred type, unless the value fits no type.
func (o *objects) explain(column int, err error) error {
	name := o.names[column]
	err = fmt.Errorf("column %q: %w", name, err)
	var damaged unpaired
	if !o.values[column].inferred || errors.As(err, &damaged) {
		return err
	}
	return fmt.Errorf("%w\nThe type was inferred from the first rows. %s", err, typeAdvice(name))
}
