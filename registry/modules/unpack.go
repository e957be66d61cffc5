package modules

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// unpack writes the files of an archive. Its content says what format it has.
func unpack(archive *os.File, to *writer) error {
	head := make([]byte, 512)
	n, err := io.ReadFull(archive, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	head = head[:n]
	if _, err := archive.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		return unzip(archive, to)
	}
	content, err := decompress(head, bufio.NewReader(archive))
	if err != nil {
		return err
	}
	return untar(content, to)
}

// decompress returns the tar archive in a compressed one. It reads no more than a
// package may have, so that a small archive cannot become an endless one.
func decompress(head []byte, archive io.Reader) (io.Reader, error) {
	content := archive
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		r, err := gzip.NewReader(archive)
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
		content = r
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		r, err := zstd.NewReader(archive, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
		content = r
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		r, err := xz.NewReader(archive)
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
		content = r
	case len(head) < 512 || string(head[257:262]) != "ustar":
		return nil, errors.New("it is not an archive in a format that quern can read: zip, tar, tar.gz, tar.xz, or tar.zst")
	}
	return &bounded{content, maxBytes + maxFiles*1024}, nil
}

// bounded is a reader that fails if there is more than it may return.
type bounded struct {
	io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

func untar(content io.Reader, to *writer) error {
	r := tar.NewReader(content)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the archive: %w", err)
		}
		switch h.Typeflag {
		case tar.TypeReg:
			err = to.file(h.Name, h.Mode&0o100 != 0, r)
		case tar.TypeSymlink:
			err = to.link(h.Name, h.Linkname)
		case tar.TypeDir, tar.TypeXGlobalHeader:
		default:
			err = fmt.Errorf("%q is neither a file, a folder, nor a symbolic link", h.Name)
		}
		if err != nil {
			return err
		}
	}
}

func unzip(archive *os.File, to *writer) error {
	info, err := archive.Stat()
	if err != nil {
		return err
	}
	r, err := zip.NewReader(archive, info.Size())
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return fmt.Errorf("read the archive: %w", err)
	}
	for _, f := range r.File {
		if err := unzipEntry(f, to); err != nil {
			return err
		}
	}
	return nil
}

func unzipEntry(f *zip.File, to *writer) error {
	mode := f.Mode()
	if mode.IsDir() {
		return nil
	}
	content, err := f.Open()
	if err != nil {
		return fmt.Errorf("read %q in the archive: %w", f.Name, err)
	}
	defer content.Close()
	switch {
	case mode.IsRegular():
		return to.file(f.Name, mode&0o100 != 0, content)
	case mode&fs.ModeSymlink != 0:
		target, err := io.ReadAll(io.LimitReader(content, maxLength))
		if err != nil {
			return fmt.Errorf("read %q in the archive: %w", f.Name, err)
		}
		return to.link(f.Name, string(target))
	}
	return fmt.Errorf("%q is neither a file, a folder, nor a symbolic link", f.Name)
}

// Within returns the folder of a module in a package: dir joined with the folder
// of its source, in which a part * stands for the only folder at its place.
func Within(dir, folder string) (string, error) {
	for part := range strings.SplitSeq(folder, "/") {
		if part == "*" {
			only, err := onlyFolder(dir)
			if err != nil {
				return "", err
			}
			part = only
		}
		dir = path.Join(dir, part)
	}
	info, err := os.Stat(dir)
	if err == nil && info.IsDir() {
		return dir, nil
	}
	return "", fmt.Errorf("the package has no folder %q", folder)
}

func onlyFolder(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !e.IsDir() })
	if len(entries) != 1 {
		return "", fmt.Errorf("* stands for the only folder at its place, but there are %d", len(entries))
	}
	return entries[0].Name(), nil
}
