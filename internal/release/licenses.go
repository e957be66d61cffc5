package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// permitted are the licenses, by SPDX identifier, under which a dependency may
// be linked into quern. All of them let anyone distribute quern's programs. The
// MPL requires that changes to its own files stay open.
var permitted = map[string]bool{
	"Apache-2.0": true, "BSD-2-Clause": true, "BSD-3-Clause": true, "BSL-1.0": true, "CC0-1.0": true, "ISC": true,
	"MIT": true, "MIT-0": true, "MPL-2.0": true, "MPL-2.0-no-copyleft-exception": true, "PostgreSQL": true, "Unicode-DFS-2015": true, "Unicode-DFS-2016": true, "Unlicense": true, "Zlib": true,
}

// dependency is a module that is linked into quern's programs, or Go itself.
type dependency struct {
	path, version, dir string
	licenses           []string
	texts              []string
}

// licensesCommand writes the licenses of everything that is linked into the
// programs on any platform. A license that is not permitted or not recognized
// is an error.
func licensesCommand(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("licenses", flag.ContinueOnError)
	out := flags.String("out", "", "the file to write, or /dev/stdout")
	if err := parse(flags, args); err != nil {
		return err
	}
	f, err := os.Create(*out)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := writeLicenses(ctx, f, targets); err != nil {
		return err
	}
	return f.Close()
}

func writeLicenses(ctx context.Context, w io.Writer, platforms []target) error {
	all, err := dependencies(ctx, platforms)
	if err != nil {
		return err
	}
	var report bytes.Buffer
	report.WriteString("quern's programs contain the following software.\n\n")
	var refused []error
	for i := range all {
		refused = append(refused, all[i].license())
		fmt.Fprintf(&report, "%s %s: %s\n", all[i].path, all[i].version, strings.Join(all[i].licenses, ", "))
	}
	if err := errors.Join(refused...); err != nil {
		return err
	}
	for _, d := range all {
		for _, text := range d.texts {
			fmt.Fprintf(&report, "\n%s\n%s %s\n%[1]s\n\n%[4]s\n", strings.Repeat("-", 80), d.path, d.version, strings.TrimSpace(text))
		}
	}
	_, err = w.Write(report.Bytes())
	return err
}

// dependencies returns the modules of the packages that the programs import,
// and Go's standard library.
func dependencies(ctx context.Context, platforms []target) ([]dependency, error) {
	root, err := output(ctx, ".", nil, "go", "env", "GOROOT", "GOVERSION")
	if err != nil {
		return nil, err
	}
	dir, version, _ := strings.Cut(strings.TrimSpace(root), "\n")
	found := map[string]dependency{}
	for _, t := range platforms {
		env := []string{"GOOS=" + t.os, "GOARCH=" + t.arch, "CGO_ENABLED=1", "GOFLAGS="}
		const form = `{{with .Module}}{{.Path}}{{"\t"}}{{.Version}}{{"\t"}}{{.Dir}}{{end}}`
		lines, err := output(ctx, ".", env, "go", "list", "-deps", "-tags", buildTags, "-f", form, "./cmd/...")
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(lines) {
			fields := strings.Split(strings.TrimSpace(line), "\t")
			if len(fields) == 3 && !strings.HasPrefix(fields[0], mainModule) {
				found[fields[0]] = dependency{path: fields[0], version: fields[1], dir: fields[2]}
			}
		}
	}
	all := []dependency{{path: "Go", version: strings.TrimPrefix(version, "go"), dir: dir}}
	for _, path := range slices.Sorted(maps.Keys(found)) {
		all = append(all, found[path])
	}
	return all, nil
}

var licenseFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice)([-_.].*)?$`)

// license reads a dependency's license files and identifies the licenses.
func (d *dependency) license() error {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		// LICENSE.docs is about documentation, which is not linked.
		if entry.IsDir() || !licenseFile.MatchString(name) || strings.HasSuffix(name, ".go") || strings.HasSuffix(name, ".docs") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(d.dir, name))
		if err != nil {
			return err
		}
		d.texts = append(d.texts, string(text))
		for _, match := range licensecheck.Scan(text).Match {
			if !match.IsURL && !slices.Contains(d.licenses, match.ID) {
				d.licenses = append(d.licenses, match.ID)
			}
		}
	}
	if len(d.licenses) == 0 {
		return fmt.Errorf("no known license is in the files of %s %s in %s", d.path, d.version, d.dir)
	}
	for _, license := range d.licenses {
		if !permitted[license] {
			err = errors.Join(err, fmt.Errorf("%s %s has the license %s, which is not one that quern's programs may contain", d.path, d.version, license))
		}
	}
	return err
}
