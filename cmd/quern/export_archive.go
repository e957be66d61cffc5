package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/registry"
)

// archive writes a tar archive whose bytes depend only on its content, and remembers
// the digests of its files.
type archive struct {
	tar   *tar.Writer
	files []exportedFile
}

// archiveTime is the time of all files. Programs warn about 1970.
var archiveTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// folder writes a folder that only its owner can read.
func (a *archive) folder(name string) error {
	return a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: path.Join(exportFolder, name) + "/", Mode: 0o700, ModTime: archiveTime, Format: tar.FormatPAX})
}

// add writes a file of a known size, which is read once.
func (a *archive) add(ctx context.Context, name string, mode, size int64, r io.Reader) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: path.Join(exportFolder, name), Mode: mode, Size: size, ModTime: archiveTime, Format: tar.FormatPAX}
	if err := a.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(a.tar, sum), reading{ctx, r})
	if err == nil && n != size {
		err = errors.New("it has changed while it was read")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	a.files = append(a.files, exportedFile{Path: name, Size: size, SHA256: hex.EncodeToString(sum.Sum(nil))})
	return nil
}

func (a *archive) text(ctx context.Context, name string, text []byte) error {
	return a.add(ctx, name, 0o644, int64(len(text)), bytes.NewReader(text))
}

// copy writes a file that exists.
func (a *archive) copy(ctx context.Context, name, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	mode := int64(0o644)
	switch {
	case info.Mode()&0o100 != 0:
		mode = 0o755
	case info.Mode()&0o077 == 0:
		mode = 0o600
	}
	return a.add(ctx, name, mode, info.Size(), f)
}

// reading is a reader that ends with a context.
type reading struct {
	ctx context.Context
	io.Reader
}

func (r reading) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

// write writes the archive: the pipeline, its store, the programs, and last what
// describes all of that.
func (e *exporting) write(ctx context.Context, w io.Writer) error {
	a := &archive{tar: tar.NewWriter(w)}
	for _, step := range []func(context.Context, *archive) error{e.writeFiles, e.writeStore, e.writeBlobs, e.writePrograms} {
		if err := step(ctx, a); err != nil {
			return err
		}
	}
	e.about.Files = a.files
	readme := "This archive was written by quern " + version + ". It contains results and all that is needed to reproduce them.\n\n" + e.usage()
	description, err := json.MarshalIndent(e.about, "", "  ")
	if err != nil {
		return err
	}
	err = errors.Join(a.text(ctx, "README.txt", []byte(readme)), a.text(ctx, exportDescription, append(description, '\n')))
	e.about.Files = a.files
	return errors.Join(err, a.tar.Close())
}

func (e *exporting) writeFiles(ctx context.Context, a *archive) error {
	for _, name := range slices.Sorted(maps.Keys(e.files.paths)) {
		if isVariables(path.Base(name)) {
			continue
		}
		if err := e.withoutSecrets(e.files.paths[name]); err != nil {
			return err
		}
		if err := e.writeFile(ctx, a, name, e.files.paths[name]); err != nil {
			return err
		}
	}
	return a.text(ctx, e.inFolder("quern."+e.about.Environment+".vars.json"), e.variables)
}

func (e *exporting) writeFile(ctx context.Context, a *archive, name, at string) error {
	if target, ok := moduleLink(at); ok {
		return a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: path.Join(exportFolder, name), Linkname: target, Mode: 0o777, ModTime: archiveTime, Format: tar.FormatPAX})
	}
	if e.files.settings == "" || name != e.inFolder(e.files.settings) {
		return a.copy(ctx, name, at)
	}
	text, err := os.ReadFile(at)
	if err == nil {
		text, err = ownStore(name, text)
	}
	if err != nil {
		return err
	}
	return a.text(ctx, name, text)
}

// inFolder returns a path in the pipeline's folder.
func (e *exporting) inFolder(parts ...string) string {
	return path.Join(append([]string{e.files.folder}, parts...)...)
}

// writeStore writes everything in the new store but blobs.
func (e *exporting) writeStore(ctx context.Context, a *archive) error {
	return filepath.WalkDir(e.store, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(e.store, at)
		if err != nil {
			return err
		}
		name := e.inFolder(localDir, filepath.ToSlash(rel))
		switch {
		case rel == "." || d.IsDir() && filepath.Dir(rel) == ".":
			return a.folder(name)
		case d.IsDir() || d.Name() == "LOCK" || strings.HasSuffix(d.Name(), ".lock"):
			return nil
		}
		return a.copy(ctx, name, at)
	})
}

// writeBlobs copies the blobs from the store, verified.
func (e *exporting) writeBlobs(ctx context.Context, a *archive) error {
	for _, digest := range e.part.Blobs {
		if err := e.writeBlob(ctx, a, digest); err != nil {
			return err
		}
	}
	return nil
}

func (e *exporting) writeBlob(ctx context.Context, a *archive, digest string) error {
	at, err := e.from.Blobs.Local(digest)
	if err != nil {
		return err
	}
	info, err := os.Stat(at)
	if err != nil {
		return err
	}
	r, err := e.from.Blobs.Open(digest)
	if err != nil {
		return err
	}
	defer r.Close()
	hex := strings.TrimPrefix(digest, "sha256:")
	return a.add(ctx, e.inFolder(localDir, "blobs", "sha256", hex[:1], hex), 0o444, info.Size(), r)
}

// addPlugins finds the programs of the plugins that a plan uses.
func (e *exporting) addPlugins(p *plan.Plan, w *workspace) {
	e.about.Plugins, e.plugins = map[string]exportedPlugin{}, map[string]string{}
	used := map[string]bool{registry.Builtin: true}
	quern, _ := w.plugins.Program(registry.Builtin)
	for _, n := range p.Nodes {
		used[n.Plugin] = true
	}
	for _, m := range p.Models {
		used[m.Plugin] = true
	}
	for name, plugin := range p.Plugins {
		if !used[name] && !offersFunctions(w, name) {
			continue
		}
		about := exportedPlugin{Source: plugin.Source, Version: plugin.Version, Digest: plugin.Digest}
		if program, required := w.plugins.Program(name); program != "" && e.args.Programs.Value {
			about.Program = path.Join("bin", filepath.Base(program))
			if required {
				folder := "."
				if strings.Contains(plugin.Source, "/") {
					folder = plugin.Source
				}
				about.Program = e.inFolder(localDir, "plugins", folder, filepath.Base(program))
			}
			if program == quern {
				about.Program = "bin/quern"
			}
			e.plugins[name] = program
			e.about.Platform = registry.Platform()
		}
		e.about.Plugins[name] = about
	}
}

// offersFunctions reports whether expressions may call functions of a plugin. A plugin
// that cannot be started was not needed for the plan.
func offersFunctions(w *workspace, plugin string) bool {
	functions, err := w.plugins.Functions(plugin)
	return err == nil && len(functions) > 0
}

func (e *exporting) writePrograms(ctx context.Context, a *archive) error {
	written := map[string]bool{}
	for _, name := range sortedNames(e.about.Plugins) {
		at := e.about.Plugins[name].Program
		if at == "" || written[at] {
			continue
		}
		written[at] = true
		if err := a.copy(ctx, at, e.plugins[name]); err != nil {
			return err
		}
	}
	return nil
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// plainVariables returns the values of the variables that are not sensitive, as a
// variables file.
func plainVariables(p *plan.Plan) ([]byte, error) {
	plain := map[string]json.RawMessage{}
	for name, v := range p.Variables {
		if v.IsNull() || value.IsSensitive(v.Value) {
			continue
		}
		text, err := ctyjson.Marshal(v.Value, v.Type())
		if err != nil {
			return nil, fmt.Errorf("var.%s: %w", name, err)
		}
		plain[name] = text
	}
	text, err := json.MarshalIndent(plain, "", "  ")
	return append(text, '\n'), err
}
