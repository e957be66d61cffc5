package files

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// place is where files stand: a path or glob pattern below a root.
type place struct {
	root, path string
}

// file is one of the files of a place.
type file struct {
	// name is what users see: relative to the root where path is.
	name string
	// full is where it stands.
	full string
	size int64
	// modified is in nanoseconds since 1970.
	modified int64
}

// find returns the files of the place, sorted by name. That there are none is
// an error.
func (p place) find() ([]file, error) {
	if p.path == "" {
		return nil, errors.New("path is empty\nName a file, or a pattern such as \"data/*.csv\".")
	}
	pattern := p.path
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(p.root, pattern)
	}
	names, err := p.match(pattern)
	if err != nil {
		return nil, err
	}
	var out []file
	for _, full := range names {
		info, err := os.Stat(full)
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", p.display(full), withoutPath(err))
		}
		if info.IsDir() {
			if full == pattern {
				return nil, fmt.Errorf("%s is a folder\nName its files with a pattern, such as %q.", p.path, strings.TrimSuffix(p.path, "/")+"/*")
			}
			continue
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is %s, not a file\nA source is read more than once, so it has to be a file. Write the data to a file and name that.", p.display(full), special(info.Mode()))
		}
		out = append(out, file{p.display(full), full, info.Size(), info.ModTime().UnixNano()})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there is no file %q\nPaths are relative to the folder of the configuration; * stands for any part of a name, ** for any folders.", p.path)
	}
	slices.SortFunc(out, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// special names what a path leads to that is neither a file nor a folder.
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

// match expands a pattern. A file whose own name has the signs of a pattern
// is found all the same.
func (p place) match(pattern string) ([]string, error) {
	if _, err := os.Lstat(pattern); err == nil {
		return []string{pattern}, nil
	}
	names, err := doublestar.FilepathGlob(pattern, doublestar.WithFailOnIOErrors())
	if err != nil {
		return nil, fmt.Errorf("%q is no path or pattern: %w", p.path, err)
	}
	return names, nil
}

func (p place) display(full string) string {
	if filepath.IsAbs(p.path) {
		return full
	}
	if name, err := filepath.Rel(p.root, full); err == nil {
		return filepath.ToSlash(name)
	}
	return full
}

// withoutPath takes the path out of an error of package os: messages name it
// as the user wrote it.
func withoutPath(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// encodings by the name that users write; nil: UTF-8.
var encodings = map[string]encoding.Encoding{
	"utf-8":        nil,
	"utf-16":       unicode.UTF16(unicode.LittleEndian, unicode.UseBOM),
	"latin-1":      charmap.ISO8859_1,
	"windows-1252": charmap.Windows1252,
}

// text opens a file for reading as text: decompressed, decoded to UTF-8,
// without byte order mark. read counts the bytes taken from the file itself.
func (f file) text(encodingName string, read *atomic.Int64) (io.ReadCloser, error) {
	opened, err := os.Open(f.full)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.name, withoutPath(err))
	}
	plain, err := decompress(counted{opened, read})
	if err != nil {
		opened.Close()
		return nil, fmt.Errorf("open %s: %w", f.name, err)
	}
	if plain, err = f.recognize(plain); err != nil {
		opened.Close()
		return nil, err
	}
	text, err := decode(plain, encodingName)
	if err != nil {
		plain.Close()
		opened.Close()
		return nil, fmt.Errorf("open %s: %w", f.name, err)
	}
	return &stack{text, []io.Closer{plain, opened}}, nil
}

// decompress looks at the first bytes, not at the name, to tell gzip and zstd
// from plain text.
func decompress(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 256<<10)
	first, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(first, []byte{0x1f, 0x8b}):
		d, err := gzip.NewReader(b)
		return intact{d}, cutOff(err)
	case bytes.HasPrefix(first, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		d, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return intact{d.IOReadCloser()}, nil
	}
	return io.NopCloser(b), nil
}

// intact reads decompressed data and says in words that it breaks off. The
// error of the libraries for that, io.ErrUnexpectedEOF, is also what reading
// less than was asked for gives at the end of a whole file.
type intact struct{ io.ReadCloser }

func (i intact) Read(b []byte) (int, error) {
	n, err := i.ReadCloser.Read(b)
	return n, cutOff(err)
}

func cutOff(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the compressed data breaks off: the file is not whole")
	}
	return err
}

var errUTF16 = errors.New("it is UTF-16")

func decode(r io.Reader, name string) (io.Reader, error) {
	if e := encodings[name]; e != nil {
		return transform.NewReader(r, e.NewDecoder()), nil
	}
	b := bufio.NewReader(r)
	first, err := b.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(first, []byte{0xef, 0xbb, 0xbf}):
		_, err := b.Discard(3)
		return b, err
	case bytes.HasPrefix(first, []byte{0xff, 0xfe}), bytes.HasPrefix(first, []byte{0xfe, 0xff}):
		return nil, errUTF16
	}
	return b, nil
}

type counted struct {
	io.Reader
	read *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if c.read != nil {
		c.read.Add(int64(n))
	}
	return n, err
}

type stack struct {
	io.Reader
	closers []io.Closer
}

func (s *stack) Close() (err error) {
	for _, c := range s.closers {
		if e := c.Close(); err == nil {
			err = e
		}
	}
	return err
}
