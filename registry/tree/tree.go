// Package tree determines which files of a plugin's folder are the plugin, and
// their digest. Two folders with the same digest contain the same plugin.
//
// All files count but those that a package or a program never consists of:
// hidden files and folders, what Python and build tools generate, virtual
// environments, tests, documentation, and quern's stores. docs/plugins.md lists
// them for users.
package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// MaxFiles is the maximum number of files in a plugin's folder. A folder with
// more of them contains something other than a plugin.
const MaxFiles = 10_000

// generated are the names of folders that tools create at any depth, and topmost
// those that are not part of a package if they are in its topmost folder.
var (
	generated = []string{"__pycache__", "__pypackages__", "node_modules"}
	topmost   = []string{"build", "dist", "doc", "docs", "test", "tests", "venv"}
)

// Files returns the files in dir that belong to a plugin: their paths relative
// to dir, with slashes, sorted. keep further restricts them, unless it is nil.
// Symbolic links are followed.
func Files(dir string, keep func(name string) bool) ([]string, error) {
	w := &walk{dir: dir, keep: keep}
	if err := w.folder("", nil); err != nil {
		return nil, err
	}
	slices.Sort(w.files)
	return w.files, nil
}

// Digest returns the digest of files in dir: sha256:… over their paths and
// contents. of returns the digest of one file.
func Digest(dir string, files []string, of func(path string) (string, error)) (string, error) {
	h := sha256.New()
	for _, name := range files {
		digest, err := of(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s\x00%s\n", name, digest)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

type walk struct {
	dir   string
	keep  func(string) bool
	files []string
}

// folder adds the files in a folder. above are the real paths of the folders that
// contain it: a link to one of them would never end.
func (w *walk) folder(name string, above []string) error {
	full := filepath.Join(w.dir, filepath.FromSlash(name))
	here, err := filepath.EvalSymlinks(full)
	if err != nil {
		return err
	}
	if slices.Contains(above, here) {
		return fmt.Errorf("%s is a symbolic link to a folder that contains it", full)
	}
	entries, err := os.ReadDir(full)
	if err != nil {
		return err
	}
	if name != "" && isForeign(entries) {
		return nil
	}
	above = append(slices.Clip(above), here)
	for _, e := range entries {
		if err := w.entry(path.Join(name, e.Name()), e, above); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) entry(name string, e fs.DirEntry, above []string) error {
	if isHidden(path.Base(name)) {
		return nil
	}
	kind := e.Type()
	if kind&fs.ModeSymlink != 0 {
		info, err := os.Stat(filepath.Join(w.dir, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		kind = info.Mode().Type()
	}
	switch {
	case kind.IsDir():
		if isGenerated(name) {
			return nil
		}
		return w.folder(name, above)
	case !kind.IsRegular(), isCompiled(name), w.keep != nil && !w.keep(name):
		return nil
	case len(w.files) == MaxFiles:
		return fmt.Errorf("%s has more than %d files; put the plugin into a folder of its own", w.dir, MaxFiles)
	}
	w.files = append(w.files, name)
	return nil
}

func isHidden(base string) bool { return strings.HasPrefix(base, ".") }

// isGenerated reports whether a folder is the output of a tool, or not part of a
// package.
func isGenerated(name string) bool {
	base := path.Base(name)
	return slices.Contains(generated, base) || slices.Contains(topmost, name) || strings.HasSuffix(base, ".egg-info")
}

func isCompiled(name string) bool { return slices.Contains([]string{".pyc", ".pyo"}, path.Ext(name)) }

// isForeign reports whether a folder is a virtual environment or a store of quern.
func isForeign(entries []fs.DirEntry) bool {
	has := func(name string) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name })
	}
	return has("pyvenv.cfg") || has("format") && has("blobs") && has("actions")
}
