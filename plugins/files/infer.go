package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// sampledFiles bounds how many files are looked into to infer types.
const sampledFiles = 20

// columns are those of the dataset: what the schema names, in the order of
// the first file, or all that the first file has, with inferred types.
func (a *csvArgs) columns(ctx context.Context, files []file) (data.Schema, error) {
	if a.Schema != nil {
		return a.chosen(files[0])
	}
	var names []string
	guesses := map[string]*guess{}
	sampled := files[:min(len(files), sampledFiles)]
	for i, f := range sampled {
		rows := share(a.SampleRows, i, len(sampled))
		seen, err := a.sample(ctx, f, rows, guesses)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			names = seen
		}
	}
	if len(names) == 0 {
		return nil, plugin.ArgumentErrorf("path", "%s has no columns\nThere is nothing in it to infer them from; give schema, or columns.", files[0].name)
	}
	out := make(data.Schema, len(names))
	for i, name := range names {
		out[i] = data.Column{Name: name, Type: guesses[name].typ()}
	}
	return out, nil
}

// share is how many of n rows the i-th of several files gives.
func share(n int64, i, files int) int64 {
	n = max(n, int64(files))
	return n*int64(i+1)/int64(files) - n*int64(i)/int64(files)
}

// chosen are the columns of a schema in the order of a file.
func (a *csvArgs) chosen(f file) (data.Schema, error) {
	names, err := a.sample(context.Background(), f, 1, map[string]*guess{})
	if err != nil {
		return nil, err
	}
	var out data.Schema
	for _, name := range names {
		if typ, ok := a.Schema[name]; ok {
			out = append(out, data.Column{Name: name, Type: typ})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Schema)) {
		if _, _, ok := out.Lookup(name); !ok {
			return nil, plugin.ArgumentErrorf("schema", "%s has no column %q\nIts columns are %s.", f.name, name, strings.Join(names, ", "))
		}
	}
	if len(out) == 0 {
		return nil, plugin.ArgumentErrorf("schema", "The schema names no column\nName at least one, or leave schema out to take all of them.")
	}
	return out, nil
}

// sample looks at the first rows of a file and returns its columns. Malformed
// rows are left to the reading.
func (a *csvArgs) sample(ctx context.Context, f file, rows int64, guesses map[string]*guess) ([]string, error) {
	o, err := a.open(f, nil)
	if err != nil {
		return nil, err
	}
	defer o.closer.Close()
	for rows > 0 {
		err := o.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.As(err, new(malformed)) {
			return nil, fmt.Errorf("%s:%d: %w", f.name, o.line, err)
		}
		if rows--; err != nil || checkText(o.record) != nil || o.width() != nil {
			continue
		}
		for i, field := range o.fields {
			if !a.null(field, "") {
				guessOf(guesses, o.names[i]).add(field.text)
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	for _, name := range o.names {
		guessOf(guesses, name)
	}
	return o.names, nil
}

func guessOf(guesses map[string]*guess, name string) *guess {
	g := guesses[name]
	if g == nil {
		g = &guess{}
		guesses[name] = g
	}
	return g
}
