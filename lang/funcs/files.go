package funcs

import (
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
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// fileFunctions are the functions of files. Templates may call those of
// functions, and the ones given here but templatefile itself.
func fileFunctions(baseDir string, functions map[string]function.Function) []entry {
	dir := folder(baseDir)
	entries := []entry{
		describe("abspath", "The absolute path of a path.", `abspath("prompts")`, ``, stringFunc("path", dir.absolute)),
		describe("basename", "The last part of a path.", `basename("data/a.csv")`, `"a.csv"`, stringFunc("path", func(p string) (string, error) { return filepath.Base(p), nil })),
		describe("dirname", "A path without its last part.", `dirname("data/a.csv")`, `"data"`, stringFunc("path", func(p string) (string, error) { return filepath.Dir(p), nil })),
		describe("file", "The text of a UTF-8 file.", `file("prompts/system.txt")`, ``, stringFunc("path", dir.text)),
		describe("filebase64", "The bytes of a file, in Base64.", `filebase64("logo.png")`, ``, stringFunc("path", dir.base64)),
		describe("filebase64sha256", "The SHA-256 of a file, in Base64.", `filebase64sha256("a.csv")`, ``, dir.digest(sha256.New, inBase64)),
		describe("filebase64sha512", "The SHA-512 of a file, in Base64.", `filebase64sha512("a.csv")`, ``, dir.digest(sha512.New, inBase64)),
		describe("fileexists", "Whether there is a file.", `fileexists("prompts/system.txt")`, ``, dir.exists()),
		describe("filemd5", "The MD5 of a file, in hexadecimal digits.", `filemd5("a.csv")`, ``, dir.digest(md5.New, hex.EncodeToString)),
		describe("fileset", "The files below a folder that match a pattern, as a set of relative paths. ** stands for any folders.", `fileset("prompts", "**/*.txt")`, ``, dir.set()),
		describe("filesha1", "The SHA-1 of a file, in hexadecimal digits.", `filesha1("a.csv")`, ``, dir.digest(sha1.New, hex.EncodeToString)),
		describe("filesha256", "The SHA-256 of a file, in hexadecimal digits.", `filesha256("a.csv")`, ``, dir.digest(sha256.New, hex.EncodeToString)),
		describe("filesha512", "The SHA-512 of a file, in hexadecimal digits.", `filesha512("a.csv")`, ``, dir.digest(sha512.New, hex.EncodeToString)),
		describe("pathexpand", "A path with the home folder in the place of a ~ at its beginning.", `pathexpand("~/data")`, ``, stringFunc("path", expandHome)),
	}
	for _, e := range entries {
		if functions != nil {
			functions[e.Name] = e.call
		}
	}
	return append(entries, describe("templatefile", "Renders a file as a template, with the given variables.", `templatefile("prompts/user.tmpl", { name = "Ada" })`, ``, dir.template(functions)))
}

// folder is where relative paths start from.
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
		return "", fmt.Errorf("~ has no meaning here: %w", err)
	}
	return filepath.Join(home, path[1:]), nil
}

// open opens a file; its errors name the path as the user wrote it.
func (d folder) open(path string) (*os.File, error) {
	full, err := d.join(path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(full)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file %s%s", path, d.whence(path))
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", path, reason(err))
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return nil, fmt.Errorf("%s is a folder, not a file", path)
	}
	return f, nil
}

// whence says from where a relative path starts.
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
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, reason(err))
	}
	return b, nil
}

func (d folder) text(path string) (string, error) {
	b, err := d.bytes(path)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", fmt.Errorf("%s is not UTF-8; filebase64 reads any file", path)
	}
	return string(b), nil
}

func (d folder) base64(path string) (string, error) {
	b, err := d.bytes(path)
	return base64.StdEncoding.EncodeToString(b), err
}

// digest hashes a file as a stream: it may be large.
func (d folder) digest(algorithm func() hash.Hash, encode func([]byte) string) function.Function {
	return stringFunc("path", func(path string) (string, error) {
		f, err := d.open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		h := algorithm()
		if _, err := io.Copy(h, f); err != nil {
			return "", fmt.Errorf("read %s: %w", path, reason(err))
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
			pattern := filepath.ToSlash(filepath.Clean(args[1].AsString()))
			found, err := doublestar.Glob(os.DirFS(root), pattern, doublestar.WithFilesOnly())
			if err != nil {
				return cty.NilVal, function.NewArgErrorf(1, "%q is not a pattern", args[1].AsString())
			}
			if len(found) == 0 {
				return cty.SetValEmpty(cty.String), nil
			}
			paths := make([]cty.Value, len(found))
			for i, path := range found {
				paths[i] = cty.StringVal(path)
			}
			return cty.SetVal(paths), nil
		},
	})
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
