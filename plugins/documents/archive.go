package documents

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"golang.org/x/net/html/charset"

	"github.com/quern-dev/quern/plugins/files"
)

// archive is a document that consists of files in a ZIP archive.
type archive struct {
	*zip.Reader
	// left is the number of bytes that may still be decompressed.
	left int64
	// limit is what left was at first.
	limit int64
}

// maxEntries is the maximum number of files in an archive.
const maxEntries = 100_000

// openArchive reads the list of files in an archive.
func openArchive(d *files.Document) (*archive, error) {
	content, err := d.All()
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if errors.Is(err, zip.ErrFormat) {
		return nil, errors.New("it is damaged or incomplete: the list of files at its end is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if len(z.File) > maxEntries {
		return nil, fmt.Errorf("it contains %d files, which is more than a document can have", len(z.File))
	}
	return &archive{z, d.Max(), d.Max()}, nil
}

// file opens a file of the archive. All files together must not be larger than
// a document may be. The error is fs.ErrNotExist if there is no such file.
func (a *archive) file(name string) (io.ReadCloser, error) {
	f, err := a.Open(strings.TrimPrefix(name, "/"))
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || info.IsDir() {
		_ = f.Close() // it was only opened
		return nil, fs.ErrNotExist
	}
	return &entry{f, a}, nil
}

// read returns the content of a file of the archive.
func (a *archive) read(name string) ([]byte, error) {
	f, err := a.file(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// decode decodes a file of the archive that is XML.
func (a *archive) decode(name string, v any) error {
	f, err := a.file(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := newDecoder(f).Decode(v); err != nil {
		return fmt.Errorf("%s is damaged: %w", name, err)
	}
	return nil
}

// entry is a file of an archive that is being read.
type entry struct {
	io.ReadCloser
	archive *archive
}

func (e *entry) Read(b []byte) (int, error) {
	n, err := e.ReadCloser.Read(b)
	if e.archive.left -= int64(n); e.archive.left < 0 {
		return 0, fmt.Errorf("it decompresses to more than %d MiB\nRaise max_size to read it.", e.archive.limit>>20)
	}
	return n, err
}

// newDecoder returns a decoder for XML. It does not expand entities that the
// document defines, so they cannot fill the memory.
func newDecoder(r io.Reader) *xml.Decoder {
	d := xml.NewDecoder(r)
	d.CharsetReader = charset.NewReaderLabel
	return d
}

// notContainer refuses documents that are of another kind than text.
func notContainer(head []byte) error {
	for magic, kind := range map[string]string{
		"PK\x03\x04": "a ZIP archive, or a document in the format of Word, Excel, or EPUB", "%PDF-": "a PDF document", compound: "a document of an old version of Word or Excel, or one that is protected by a password",
	} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return fmt.Errorf("it is %s", kind)
		}
	}
	return nil
}

// compound is the beginning of documents in the format that Office used before
// 2007, and of newer ones that are encrypted.
const compound = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

// notArchive refuses documents that are not in a ZIP archive. kind is what they
// should be, and old what Office wrote before 2007.
func notArchive(head []byte, kind, old string) error {
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return nil
	case bytes.HasPrefix(head, []byte(compound)):
		return fmt.Errorf("it is protected by a password, or it is %s\nSave it without a password in the present format.", old)
	}
	return fmt.Errorf("it is not %s", kind)
}
