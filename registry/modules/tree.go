package modules

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// The limits of a package. One that exceeds them contains something other than
// modules.
const (
	maxFiles  = 20_000
	maxBytes  = 256 << 20 // of all files
	maxLength = 1024      // of a path
)

var errTooLarge = fmt.Errorf("it has more than %d MB; keep data out of the package, and read it with a source", maxBytes>>20)

// writer writes the files of a package into a new folder. Nothing can be written
// outside of it.
type writer struct {
	dir   string
	root  *os.Root
	files int
	bytes int64
	links []string
	made  map[string]bool
}

func newWriter(dir string) (*writer, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &writer{dir: dir, root: root, made: map[string]bool{".": true}}, nil
}

func (w *writer) close(keep bool) {
	_ = w.root.Close()
	if !keep {
		os.RemoveAll(w.dir)
	}
}

// file writes a file. Its content may not exceed the limit of the package.
func (w *writer) file(name string, executable bool, content io.Reader) error {
	name, err := w.entry(name)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	f, err := w.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the package contains %q twice, or two names that differ only in case", name)
	}
	if err != nil {
		return fmt.Errorf("write %q: %w", name, err)
	}
	left := maxBytes - w.bytes
	n, err := io.Copy(f, io.LimitReader(content, left+1))
	w.bytes += n
	if closed := f.Close(); err == nil {
		err = closed
	}
	switch {
	case err != nil:
		return fmt.Errorf("write %q: %w", name, err)
	case n > left:
		return errTooLarge
	case isPointer(w, name, n):
		return fmt.Errorf("%q is stored in Git LFS, which quern does not fetch; keep it in the repository itself, or read it with a source", name)
	}
	return nil
}

const pointer = "version https://git-lfs.github.com/spec/"

// isPointer reports whether a file stands for one that is stored in Git LFS.
func isPointer(w *writer, name string, size int64) bool {
	if size < int64(len(pointer)) || size > 1024 {
		return false
	}
	text, err := w.root.ReadFile(name)
	return err == nil && bytes.HasPrefix(text, []byte(pointer))
}

// link writes a symbolic link, which must lead to a place in the package.
func (w *writer) link(name, target string) error {
	name, err := w.entry(name)
	if err != nil {
		return err
	}
	if path.IsAbs(target) || !filepath.IsLocal(path.Join(path.Dir(name), target)) {
		return leadsOut(name, target)
	}
	w.links = append(w.links, name)
	if err := w.root.Symlink(target, name); err != nil {
		return fmt.Errorf("write %q: %w", name, err)
	}
	return nil
}

func leadsOut(name, target string) error {
	return fmt.Errorf("the symbolic link %q leads out of the package, to %q", name, target)
}

// entry checks the name of an entry and creates its folder.
func (w *writer) entry(name string) (string, error) {
	clean := path.Clean(name)
	if !filepath.IsLocal(clean) || clean == "." || path.IsAbs(name) || strings.ContainsAny(name, "\\\x00") {
		return "", fmt.Errorf("the path %q leads out of the package", name)
	}
	if len(clean) > maxLength {
		return "", fmt.Errorf("the path %.40q… has more than %d bytes", clean, maxLength)
	}
	if w.files++; w.files > maxFiles {
		return "", fmt.Errorf("it has more than %d files", maxFiles)
	}
	return clean, w.folder(path.Dir(clean))
}

// folder creates a folder. A link is not one: nothing is written through links.
func (w *writer) folder(name string) error {
	if w.made[name] {
		return nil
	}
	if err := w.folder(path.Dir(name)); err != nil {
		return err
	}
	if err := w.root.Mkdir(name, 0o755); err != nil {
		return fmt.Errorf("the package has both a folder %q and a file of that name: %w", name, err)
	}
	w.made[name] = true
	return nil
}

// check reports links that, followed to their end, lead out of the package.
func (w *writer) check() error {
	if w.files == 0 {
		return errors.New("the package is empty")
	}
	for _, name := range w.links {
		if _, err := w.root.Stat(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			target, _ := w.root.Readlink(name)
			return leadsOut(name, target)
		}
	}
	return nil
}

// Digest returns the digest of a package's tree: sha256:… over the sorted paths of
// its files and links, each with the digest of its content or its target. Neither
// times nor permissions count.
func Digest(dir string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(dir, func(full string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, full)
		if err != nil {
			return err
		}
		digest, err := entryDigest(full, e)
		if err == nil {
			fmt.Fprintf(h, "%s\x00%s\n", filepath.ToSlash(name), digest)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

func entryDigest(full string, e fs.DirEntry) (string, error) {
	switch mode := e.Type(); {
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(full)
		return "link:" + target, err
	case !mode.IsRegular():
		return "", fmt.Errorf("%s is neither a file nor a link", full)
	}
	f, err := os.Open(full)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", full, err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}
