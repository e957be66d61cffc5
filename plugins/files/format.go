package files

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// magics contains the first bytes of formats that are not text, and what to do
// with such a file.
var magics = []struct {
	magic, name, advice string
}{
	{"PAR1", "a Parquet file", `Read it with source "parquet".`},
	{"PARE", "an encrypted Parquet file", "Decrypt it first."},
	{"ARROW1", "an Arrow IPC (Feather) file", "Write it as Parquet, for instance with pyarrow, and read it with source \"parquet\"."},
	{"ORC", "an ORC file", "Write it as Parquet, for instance with pyarrow, and read it with source \"parquet\"."},
	{"Obj\x01", "an Avro file", "Read it with source \"avro\"."},
	{"SQLite format 3\x00", "an SQLite database", "Read it with source \"sql\"."},
	{"\x89HDF\r\n\x1a\n", "an HDF5 file", "Write it as Parquet and read it with source \"parquet\"."},
	{"\x93NUMPY", "a NumPy array", "Write it as Parquet or CSV."},
	{"PK\x03\x04", "a ZIP archive, or a document in the format of Word, Excel, or EPUB", "Unpack it, or read it with source \"docx\", \"excel\", or \"epub\"."},
	{"%PDF-", "a PDF document", "Read it with source \"pdf\"."},
	{"\xd0\xcf\x11\xe0", "an old Excel or Word document", "Save it as CSV."},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it."},
	{"Rar!", "a RAR archive", "Unpack it."},
	{"\x80\x04\x95", "a Python pickle", "Write it as Parquet or CSV."},
	{"\x1f\x8b", "compressed with gzip", "Decompress it."},
	{"\x28\xb5\x2f\xfd", "compressed with zstd", "Decompress it."},
	{"BZh", "compressed with bzip2", "Decompress it."},
	{"\xfd7zXZ\x00", "compressed with xz", "Decompress it."},
	{"\x04\x22\x4d\x18", "compressed with lz4", "Decompress it, or compress it with gzip or zstd."},
}

// headLength is how much of a file is read to recognize its format.
const headLength = 512

// LFSPointer is the beginning of a file that Git LFS has put in place of
// another.
const LFSPointer = "version https://git-lfs.github.com/spec/"

// foreign explains what a file is that begins with head, if it is neither
// Parquet nor text with rows. It returns nil if it may be either.
func foreign(name string, head []byte) error {
	if err := notText(name, head); err != nil {
		return err
	}
	start := strings.ToLower(string(bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\ufeff")))))
	if strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html") {
		return fmt.Errorf("%s is an HTML page\nIt may be an error or login page that was downloaded in place of the data. To read the text of pages, use source \"html\".", name)
	}
	return nil
}

// notText explains what a file is that begins with head, if it is not text.
func notText(name string, head []byte) error {
	if bytes.HasPrefix(head, []byte(LFSPointer)) {
		return fmt.Errorf("%s is a Git LFS pointer; run git lfs pull\nThe file itself has not been downloaded.", name)
	}
	for _, m := range magics {
		// ORC may also be the beginning of "ORCID,name".
		word := strings.IndexFunc(m.magic, func(r rune) bool { return r < ' ' || r > '~' }) < 0
		if bytes.HasPrefix(head, []byte(m.magic)) && !(word && printable(head)) {
			return fmt.Errorf("%s is %s\n%s", name, m.name, m.advice)
		}
	}
	if len(head) > 257+5 && string(head[257:262]) == "ustar" {
		return fmt.Errorf("%s is a tar archive\nUnpack it.", name)
	}
	return nil
}

// recognize refuses a decompressed file that is not text.
func (f file) recognize(b *bufio.Reader) error {
	head, err := b.Peek(headLength)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s cannot be read: %w", f.name, withoutPath(err))
	}
	return foreign(f.name, head)
}

// notParquet explains what a file is that is not a Parquet file.
func notParquet(name string, head []byte) error {
	if err := foreign(name, head); err != nil {
		return err
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\ufeff")))
	switch {
	case len(head) == 0:
		return fmt.Errorf("%s is empty\nA Parquet file without rows still has a schema.", name)
	case len(text) > 0 && (text[0] == '{' || text[0] == '[') && printable(text):
		return fmt.Errorf("%s is a JSON file, not a Parquet file\nRead it with source \"jsonl\".", name)
	case len(text) > 0 && printable(text):
		return fmt.Errorf("%s is a text file, not a Parquet file\nRead it with source \"csv\", or source \"jsonl\".", name)
	}
	return fmt.Errorf("%s is not a Parquet file", name)
}

// printable reports whether the beginning of a file looks like text.
func printable(head []byte) bool {
	// A character may be cut off at the end.
	for range utf8.UTFMax - 1 {
		if r, _ := utf8.DecodeLastRune(head); r != utf8.RuneError || len(head) == 0 {
			break
		}
		head = head[:len(head)-1]
	}
	return bytes.IndexByte(head, 0) < 0 && utf8.Valid(head)
}
