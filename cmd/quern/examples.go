package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/quern-dev/quern/lang/diag"
)

// examples are the first pipelines that quern init can write, by folder. They
// run without a network.
//
//go:embed examples
var examples embed.FS

// exampleNames returns their names.
func exampleNames() []string {
	entries, _ := examples.ReadDir("examples")
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// writeExample writes an example to the working folder and returns the names of
// its files, none of which may exist.
func writeExample(name string) ([]string, error) {
	folder := path.Join("examples", name)
	files, err := examples.ReadDir(folder)
	if err != nil || name == "" {
		return nil, diag.Failed(fmt.Sprintf("example %q does not exist", name), "The examples are %s.%s", strings.Join(exampleNames(), ", "), diag.Suggest(name, exampleNames()))
	}
	for _, f := range files {
		if _, err := os.Lstat(f.Name()); !errors.Is(err, fs.ErrNotExist) {
			return nil, diag.Failed(fmt.Sprintf("%s already exists", f.Name()), "Examples are written to an empty folder. Create one, or choose one with -chdir.")
		}
	}
	var written []string
	for _, f := range files {
		content, err := examples.ReadFile(path.Join(folder, f.Name()))
		if err == nil {
			err = os.WriteFile(f.Name(), content, 0o666)
		}
		if err != nil {
			return nil, diag.Failed(fmt.Sprintf("the example %q cannot be written", name), "%w", err)
		}
		written = append(written, f.Name())
	}
	return written, nil
}
