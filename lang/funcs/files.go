package funcs

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

// fileFunctions returns the functions that read files. Templates may call those
// in functions, and those returned here except templatefile itself.
func fileFunctions(baseDir string, functions map[string]function.Function) []entry {
	dir := folder(baseDir)
	entries := []entry{
		describe("abspath", "Converts a path to an absolute path.", `abspath("prompts")`, ``, stringFunc("path", dir.absolute)),
		describe("basename", "The last part of a path.", `basename("data/a.csv")`, `"a.csv"`, stringFunc("path", func(p string) (string, error) { return filepath.Base(p), nil })),
		describe("dirname", "A path without its last part.", `dirname("data/a.csv")`, `"data"`, stringFunc("path", func(p string) (string, error) { return filepath.Dir(p), nil })),
		describe("file", "The content of a UTF-8 text file, without a byte order mark.", `file("prompts/system.txt")`, ``, stringFunc("path", dir.text)),
		describe("filebase64", "The bytes of a file, as Base64.", `filebase64("logo.png")`, ``, stringFunc("path", dir.base64)),
		describe("filebase64sha256", "The SHA-256 of a file, as Base64.", `filebase64sha256("a.csv")`, ``, dir.digest(sha256.New, inBase64)),
		describe("filebase64sha512", "The SHA-512 of a file, as Base64.", `filebase64sha512("a.csv")`, ``, dir.digest(sha512.New, inBase64)),
		describe("fileexists", "Whether a file exists.", `fileexists("prompts/system.txt")`, ``, dir.exists()),
		describe("filemd5", "The MD5 of a file, in hexadecimal.", `filemd5("a.csv")`, ``, dir.digest(md5.New, hex.EncodeToString)),
		describe("fileset", "The files in a folder that match a pattern, as a set of relative paths. ** matches any number of folders. Files in .quern are left out.", `fileset("prompts", "**/*.txt")`, ``, dir.set()),
		describe("filesha1", "The SHA-1 of a file, in hexadecimal.", `filesha1("a.csv")`, ``, dir.digest(sha1.New, hex.EncodeToString)),
		describe("filesha256", "The SHA-256 of a file, in hexadecimal.", `filesha256("a.csv")`, ``, dir.digest(sha256.New, hex.EncodeToString)),
		describe("filesha512", "The SHA-512 of a file, in hexadecimal.", `filesha512("a.csv")`, ``, dir.digest(sha512.New, hex.EncodeToString)),
		describe("pathexpand", "Replaces a leading ~ in a path with the home folder.", `pathexpand("~/data")`, ``, stringFunc("path", expandHome)),
	}
	for _, e := range entries {
		if functions != nil {
			functions[e.Name] = e.call
		}
	}
	return append(entries, describe("templatefile", "Renders a template file with the given variables.", `templatefile("prompts/user.tmpl", { name = "Ada" })`, ``, dir.template(functions)))
}

// folder is the folder that relative paths start from.
type folder string

func (d folder) join(path string) (string, error) {
	path, err := expandHome(path)
	if err != nil || filepath.IsAbs(path) {
		return path, err
	}
	return filepath.Join(string(d), path), nil
}

func (d folder) absolute(path string) (string, error) {
	path, err := d.join(path)
	if err != nil {
		return "", err
	}
	path, err = filepath.Abs(path)
	return filepath.ToSlash(path), err
}

func expandHome(path string) (string, error) {
	if path != "~" && !strings.HasPrefix(path, "~/") {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("cannot expand ~: %w", err)
	}
	return filepath.Join(home, path[1:]), nil
}

// open opens a file. Its errors contain the path as the user wrote it.
func (d folder) open(path string) (*os.File, error) {
	full, err := d.join(path)
	if err != nil {
		return nil, err
	}
	// Opening a named pipe would block until somebody writes to it.
	info, err := os.Stat(full)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("file %s does not exist%s", path, d.whence(path))
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", path, reason(err))
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder, not a file", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is a %s, not a regular file", path, nature(info.Mode()))
	}
	f, err := os.Open(full)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, reason(err))
	}
	return f, nil
}

func nature(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

// whence describes what a relative path starts from.
func (d folder) whence(path string) string {
	if filepath.IsAbs(path) || strings.HasPrefix(path, "~") {
		return ""
	}
	base, err := filepath.Abs(string(d))
	if err != nil {
		return ""
	}
	return " in " + filepath.ToSlash(base)
}

func reason(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

func (d folder) bytes(path string) ([]byte, error) {
	f, err := d.open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit.Now().Bytes)+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, reason(err))
	}
	if bytes.HasPrefix(b, []byte(lfsPointer)) {
		return nil, fmt.Errorf("%s is a Git LFS pointer; run git lfs pull", path)
	}
	return b, fits(float64(len(b)))
}

// lfsPointer is how a file begins that Git LFS has not replaced with its
// content.
const lfsPointer = "version https://git-lfs.github.com/spec/"

func (d folder) text(path string) (string, error) {
	b, err := d.bytes(path)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", fmt.Errorf("%s is not valid UTF-8; filebase64 reads any file", path)
	}
	return withoutMark(string(b)), nil
}

func (d folder) base64(path string) (string, error) {
	b, err := d.bytes(path)
	return base64.StdEncoding.EncodeToString(b), err
}

// digest hashes a file as a stream, because it may be large.
func (d folder) digest(algorithm func() hash.Hash, encode func([]byte) string) function.Function {
	return stringFunc("path", func(path string) (string, error) {
		f, err := d.open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		h := algorithm()
		late := deadline()
		for {
			const part = 1 << 20
			_, err := io.CopyN(h, f, part)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return "", fmt.Errorf("read %s: %w", path, reason(err))
			}
			if err := late("reading " + path); err != nil {
				return "", err
			}
		}
		return encode(h.Sum(nil)), nil
	})
}

func (d folder) exists() function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: "path", Type: cty.String}},
		Type:         function.StaticReturnType(cty.Bool),
		RefineResult: notNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			path, err := d.join(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			info, err := os.Stat(path)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return cty.False, nil
			case err != nil:
				return cty.NilVal, function.NewArgError(0, reason(err))
			case info.IsDir():
				return cty.NilVal, function.NewArgErrorf(0, "%s is a folder, not a file", args[0].AsString())
			}
			return cty.True, nil
		},
	})
}

func (d folder) set() function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: "path", Type: cty.String}, {Name: "pattern", Type: cty.String}},
		Type:         function.StaticReturnType(cty.Set(cty.String)),
		RefineResult: notNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			root, err := d.join(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			found, err := match(root, args[1].AsString())
			if err != nil {
				return cty.NilVal, err
			}
			if len(found) == 0 {
				return cty.SetValEmpty(cty.String), nil
			}
			paths := make([]cty.Value, len(found))
			for i, path := range found {
				paths[i] = verbatim.Text(path)
			}
			return cty.SetVal(paths), nil
		},
	})
}

// match returns the files in a folder, or in a folder above it, that match a
// pattern, by their paths from the folder. It leaves out quern's own folder,
// which changes with every apply.
func match(root, pattern string) ([]string, error) {
	rest, above := strings.TrimLeft(filepath.ToSlash(filepath.Clean(pattern)), "/"), ""
	for strings.HasPrefix(rest, "../") {
		rest, above, root = rest[len("../"):], above+"../", filepath.Join(root, "..")
	}
	if rest == ".." {
		return nil, nil // a folder
	}
	files := &boundedFS{FS: os.DirFS(root), late: deadline()}
	found, err := doublestar.Glob(files, rest, doublestar.WithFilesOnly())
	switch {
	case files.failed != nil:
		return nil, files.failed
	case err != nil:
		return nil, function.NewArgErrorf(1, "%q is not a valid pattern", pattern)
	}
	var paths []string
	for _, path := range found {
		if !slices.Contains(strings.Split(path, "/"), ownFolder) {
			paths = append(paths, above+path)
		}
	}
	return paths, nil
}

// ownFolder is the folder in which quern keeps its results.
const ownFolder = ".quern"

// boundedFS is a file system that limits how much is listed.
type boundedFS struct {
	fs.FS
	late    func(what string) error
	entries int
	failed  error
}

func (b *boundedFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if b.failed != nil {
		return nil, b.failed
	}
	entries, err := fs.ReadDir(b.FS, name)
	b.entries += len(entries)
	if b.failed = elementsFit(float64(b.entries)); b.failed == nil {
		b.failed = b.late("listing the files")
	}
	if b.failed != nil {
		return nil, b.failed
	}
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() && e.Name() == ownFolder }), err
}

func (d folder) template(functions map[string]function.Function) function.Function {
	evaluate := func(args []cty.Value) (cty.Value, error) {
		path := args[0].AsString()
		text, err := d.text(path)
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		expr, err := parseTemplate(path, text)
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		return render(expr, args[1], functions)
	}
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}, {Name: "vars", Type: cty.DynamicPseudoType}},
		Type: func(args []cty.Value) (cty.Type, error) {
			if !args[0].IsKnown() || !args[1].IsKnown() {
				return cty.DynamicPseudoType, nil
			}
			v, err := evaluate(args)
			if err != nil {
				return cty.NilType, err
			}
			return v.Type(), nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return evaluate(args) },
	})
}
