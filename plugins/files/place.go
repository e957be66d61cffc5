package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// place is the location of files: a path or glob pattern below a root.
type place struct {
	root, path string
}

// file is one of the files at a place.
type file struct {
	// name is what users see: relative to the root if path is.
	name string
	// full is the full path.
	full string
	size int64
	// modified is in nanoseconds since 1970.
	modified int64
	// version identifies the content of an object that is elsewhere. It is empty
	// for a file, whose bytes are hashed.
	version string
	// remote opens an object that is elsewhere. It is nil for a file.
	remote func() (Content, error)
	// transfer brings an object onto this machine. It can be nil.
	transfer func(ctx context.Context, progress func(done int64)) error
}

// here brings an object onto this machine, if that is how it is read.
func (f file) here(ctx context.Context, w rowWriter) error {
	if f.transfer == nil {
		return nil
	}
	return f.transfer(ctx, func(done int64) { w.Progress(done, f.size, "bytes", "downloading "+f.name) })
}

// content opens the bytes of a file, as they are stored.
func (f file) content() (Content, error) {
	if f.remote != nil {
		return f.remote()
	}
	return os.Open(f.full)
}

// find returns the files at the place, sorted by name. It is an error if there
// are none.
func (p place) find() ([]file, error) {
	if p.path == "" {
		return nil, errors.New("path is empty\nSet it to a file, or to a pattern such as \"data/*.csv\".")
	}
	pattern := p.path
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(p.root, pattern)
	}
	names, err := p.match(pattern)
	if err != nil {
		return nil, err
	}
	infos, errs := make([]fs.FileInfo, len(names)), make([]error, len(names))
	parallel.For(len(names), runtime.GOMAXPROCS(0), func(i int) { infos[i], errs[i] = os.Stat(names[i]) })
	out := make([]file, 0, len(names))
	for i, full := range names {
		if errs[i] != nil {
			return nil, fmt.Errorf("look at %s: %w", p.display(full), withoutPath(errs[i]))
		}
		info := infos[i]
		if info.IsDir() {
			if full == pattern {
				return nil, fmt.Errorf("%s is a folder\nUse a pattern to read its files, such as %q.", p.path, strings.TrimSuffix(p.path, "/")+"/*")
			}
			continue
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is %s, not a file\nA source is read more than once, so it must be a file. Write the data to a file, and set path to that file.", p.display(full), special(info.Mode()))
		}
		out = append(out, file{name: p.display(full), full: full, size: info.Size(), modified: info.ModTime().UnixNano()})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no file matches %q\nPaths are relative to the folder of the configuration. * matches any part of a name, and ** matches any folders.", p.path)
	}
	slices.SortFunc(out, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// special names the kind of a path that is neither a file nor a folder.
func special(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "special"
}

// match expands a pattern. It also finds a file whose own name contains special
// characters of patterns.
func (p place) match(pattern string) ([]string, error) {
	if _, err := os.Lstat(pattern); err == nil {
		return []string{pattern}, nil
	}
	names, err := doublestar.FilepathGlob(pattern, doublestar.WithFailOnIOErrors())
	if err != nil {
		return nil, fmt.Errorf("%q is not a valid path or pattern: %w", p.path, err)
	}
	return names, nil
}

func (p place) display(full string) string {
	if filepath.IsAbs(p.path) {
		return full
	}
	if name, ok := strings.CutPrefix(full, p.root+string(filepath.Separator)); ok {
		return filepath.ToSlash(name)
	}
	if name, err := filepath.Rel(p.root, full); err == nil {
		return filepath.ToSlash(name)
	}
	return full
}

// withoutPath removes the path from an error of package os, because messages
// contain it as the user wrote it.
func withoutPath(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
