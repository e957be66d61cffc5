package files

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// sampledFiles is the maximum number of files that are sampled to infer types.
const sampledFiles = 20

// columns returns the columns of all files, joined by name. Types are inferred
// from the first rows of the first files. Only the names are read from the
// other files.
func (a *csvArgs) columns(ctx context.Context, files []file) (*union, error) {
	var names []string
	guesses := map[string]*guess{}
	first := map[string]string{} // the file in which a column was first seen
	sampled := min(len(files), sampledFiles)
	for i, f := range files {
		rows := int64(1)
		if i < sampled {
			rows = share(a.SampleRows, i, sampled)
		}
		seen, err := a.sample(ctx, f, rows, guesses)
		if err != nil {
			return nil, err
		}
		for _, name := range seen {
			if _, ok := first[name]; !ok {
				names, first[name] = append(names, name), f.name
			}
		}
	}
	if len(names) == 0 {
		return nil, plugin.ArgumentErrorf("path", "%s\nA file must begin with a header of column names. If the files have no header, set header = false, and columns to the names.", emptyFiles(files))
	}
	found := newUnion()
	for _, name := range names {
		t, err := data.ArrowType(guesses[name].typ())
		if err != nil {
			return nil, err
		}
		if err := found.add(first[name], name, t); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// emptyFiles says that the only file, or all files, are empty.
func emptyFiles(files []file) string {
	if len(files) == 1 {
		return files[0].name + " is empty"
	}
	return fmt.Sprintf("All %d files are empty", len(files))
}

// share returns how many of n rows the i-th of several files contributes.
func share(n int64, i, files int) int64 {
	n = max(n, int64(files))
	return n*int64(i+1)/int64(files) - n*int64(i)/int64(files)
}

// sample reads the first rows of a file and returns its columns. It leaves
// malformed rows to the actual read.
func (a *csvArgs) sample(ctx context.Context, f file, rows int64, guesses map[string]*guess) ([]string, error) {
	o, err := a.open(f, nil)
	if err != nil {
		return nil, err
	}
	defer o.text.Close()
	for rows > 0 && !o.empty {
		err := o.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.As(err, new(malformed)) {
			return nil, fmt.Errorf("%s:%d: %w", f.name, o.line, err)
		}
		if rows--; err != nil || o.text.check(o.record) != nil || o.width() != nil {
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
