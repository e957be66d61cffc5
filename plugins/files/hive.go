package files

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// partition is a folder named KEY=VALUE in a file's path, as Hive, Spark,
// DuckDB, and pandas write partitioned datasets. It is a column that has the
// same value in all rows of the file.
type partition struct {
	key, value string
	null       bool
}

// nullPartition means null in the name of a folder.
const nullPartition = "__HIVE_DEFAULT_PARTITION__"

// partitions returns the partitions in a file's path as the user sees it,
// starting with the outermost folder. If several have the same key, the
// innermost counts.
func (f file) partitions() []partition {
	var out []partition
	for _, folder := range strings.Split(path.Dir(f.name), "/") {
		key, value, ok := strings.Cut(folder, "=")
		if !ok || key == "" {
			continue
		}
		p := partition{key: unescaped(key), value: unescaped(value), null: value == nullPartition || value == ""}
		out = slices.DeleteFunc(out, func(o partition) bool { return o.key == p.key })
		out = append(out, p)
	}
	return out
}

// unescaped decodes %XX, which writers use for characters that names of folders
// cannot contain.
func unescaped(text string) string {
	if plain, err := url.PathUnescape(text); err == nil && checkText([]byte(plain)) == nil {
		return plain
	}
	return text
}

// addPartitions adds the columns of the files' partitions to those found in the
// files. Their types are inferred from all values, as in CSV files.
func addPartitions(found *union, files []file) error {
	keys, guesses := []string(nil), map[string]*guess{}
	for _, f := range files {
		for _, p := range f.partitions() {
			if column := found.lookup(p.key); column != nil {
				return plugin.ArgumentErrorf("path", "%q is both a column of %s and a folder of %s\nSet partitions = \"none\" to use the column and ignore the folder names, or select other columns.", p.key, column.file, f.name)
			}
			if guesses[p.key] == nil {
				keys, guesses[p.key] = append(keys, p.key), &guess{}
			}
			if !p.null {
				guesses[p.key].add([]byte(p.value))
			}
		}
	}
	for _, key := range keys {
		t, err := data.ArrowType(guesses[key].typ())
		if err != nil {
			return err
		}
		if err := found.add("the names of folders", key, t); err != nil {
			return err
		}
	}
	return nil
}

// partitionKeys returns the keys of all files.
func partitionKeys(files []file) map[string]bool {
	keys := map[string]bool{}
	for _, f := range files {
		for _, p := range f.partitions() {
			keys[p.key] = true
		}
	}
	return keys
}

// partitioned is a rowWriter that adds the columns of partitions to the rows of
// files.
type partitioned struct {
	rowWriter
	schema data.Schema
	keys   map[string]bool
	values map[string]parsed // of the current file
}

// inner returns the columns that the files contain.
func (p *partitioned) inner() data.Schema {
	return slices.DeleteFunc(slices.Clone(p.schema), func(c data.Column) bool { return p.keys[c.Name] })
}

// partitionText returns a file's partitions as text.
func partitionText(f file) string {
	var text strings.Builder
	for _, part := range f.partitions() {
		text.WriteString(url.QueryEscape(part.key) + "=")
		if part.null {
			text.WriteString("\x00")
		}
		text.WriteString(url.QueryEscape(part.value) + "/")
	}
	return text.String()
}

// enter sets the values for the rows of a file.
func (p *partitioned) enter(f file) error {
	p.values = map[string]parsed{}
	for _, part := range f.partitions() {
		c, _, ok := p.schema.Lookup(part.key)
		if !ok || part.null {
			continue
		}
		v, err := parseText(c.Type, []byte(part.value))
		if err != nil {
			return plugin.ArgumentErrorf("path", "The folder %q of %s: %w", part.key+"="+part.value, f.name, err)
		}
		p.values[part.key] = v
	}
	return nil
}

// Write adds the columns.
func (p *partitioned) Write(rec arrow.RecordBatch) error {
	columns := make([]arrow.Array, len(p.schema))
	at := 0
	for i, c := range p.schema {
		if !p.keys[c.Name] {
			columns[i] = rec.Column(at)
			at++
			continue
		}
		constant, err := repeat(c.Type, p.values, c.Name, int(rec.NumRows()))
		if err != nil {
			return err
		}
		defer constant.Release()
		columns[i] = constant
	}
	whole := array.NewRecordBatch(p.schema.Arrow(), columns, rec.NumRows())
	defer whole.Release()
	return p.rowWriter.Write(whole)
}

// repeat returns a column in which every value is the same, or null if there is
// no value.
func repeat(typ string, values map[string]parsed, key string, rows int) (arrow.Array, error) {
	t, err := data.ArrowType(typ)
	if err != nil {
		return nil, err
	}
	v, ok := values[key]
	if !ok {
		return array.MakeArrayOfNull(memory.DefaultAllocator, t, rows), nil
	}
	b := array.NewBuilder(memory.DefaultAllocator, t)
	defer b.Release()
	b.Reserve(rows)
	for range rows {
		if err := put(b, v); err != nil {
			return nil, err
		}
	}
	return b.NewArray(), nil
}
