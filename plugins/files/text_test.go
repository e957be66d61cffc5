package files

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/data"
)

// readText reads text files and returns their rows and those that were set
// aside.
func readText(t *testing.T, files map[string]string, a *textArgs) *collected {
	t.Helper()
	got, err := tryText(t, files, a)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func tryText(t *testing.T, files map[string]string, a *textArgs) (*collected, error) {
	t.Helper()
	p := folder(t, files)
	a.Path, a.Partitions = "**", "auto"
	if a.Encoding == "" {
		a.Encoding = "utf-8"
	}
	if a.Rows == "" {
		a.Rows = "document"
	}
	s := source[textArgs, *textArgs]{root: func() string { return p.root }}
	columns, _, err := s.schema(t.Context(), a)
	if err != nil {
		return nil, err
	}
	list, err := place{p.root, "**"}.find()
	if err != nil {
		t.Fatal(err)
	}
	var got collected
	return &got, readFiles(t.Context(), a, list, columns, nil, &got)
}

func TestTextFilesAreReadByDocumentLineAndParagraph(t *testing.T) {
	for _, c := range []struct {
		rows, content string
		want          []string
	}{
		{"document", "a\n\nb\n", []string{"a.txt|a\n\nb\n"}},
		{"document", "", []string{"a.txt|"}},
		{"document", "a\rb\r", []string{"a.txt|a\rb\r"}},
		{"line", "a\n\nb", []string{"a.txt|1|a", "a.txt|2|", "a.txt|3|b"}},
		{"line", "a\r\nb\r\n", []string{"a.txt|1|a", "a.txt|2|b"}},
		{"line", "a\rb\r", []string{"a.txt|1|a", "a.txt|2|b"}},
		{"line", "", nil},
		{"line", "\n", []string{"a.txt|1|"}},
		{"line", "\ufeffa\n", []string{"a.txt|1|a"}},
		{"paragraph", "\n a\nb\n \t\n\nc\n\n", []string{"a.txt|2| a\nb", "a.txt|6|c"}},
		{"paragraph", "a\r\nb\r\n\r\nc", []string{"a.txt|1|a\r\nb", "a.txt|4|c"}},
		{"paragraph", "a\rb\r\rc", []string{"a.txt|1|a\rb", "a.txt|4|c"}},
		{"paragraph", " \n\n", nil},
		{"paragraph", "", nil},
		{"document", "<!doctype html><p>a page", []string{"a.txt|<!doctype html><p>a page"}},
	} {
		got := readText(t, map[string]string{"a.txt": c.content}, &textArgs{Rows: c.rows})
		if !reflect.DeepEqual(got.rows, c.want) {
			t.Errorf("%s of %q: got %q, want %q", c.rows, c.content, got.rows, c.want)
		}
	}
}

// Joining lines gives the text again, whatever it is.
func FuzzTextIsNotLost(f *testing.F) {
	for _, text := range []string{"", "a", "a\nb\n", "\r\n\r\n", "é\n\n\xff\n", "a\rb"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if head := []byte(text)[:min(len(text), headLength)]; notText("", head) != nil || wideWithoutMark(head[:min(len(head), 64)]) != "" || strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") || strings.HasPrefix(text, "\x00\x00\xfe\xff") {
			t.Skip()
		}
		if o, err := (file{name: "a", full: write(t, text)}).unpack(nil); err != nil || o.Reader != o.packed {
			t.Skip()
		}
		plain := strings.TrimPrefix(text, "\ufeff")
		lines := 0
		for _, rows := range []string{"line", "paragraph", "document"} {
			got := readText(t, map[string]string{"a": text}, &textArgs{Rows: rows, OnError: "quarantine"})
			all := len(got.rows) + len(got.aside)
			switch rows {
			case "line":
				lines = all
			case "paragraph":
				if all > lines {
					t.Errorf("%d paragraphs, %d lines", all, lines)
				}
			case "document":
				if all != 1 || len(got.rows) == 1 && got.rows[0] != "a|"+plain {
					t.Errorf("got %q", got.rows)
				}
			}
		}
	})
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTextThatCannotBeReadIsSetAside(t *testing.T) {
	got := readText(t, map[string]string{"a.txt": "good\nb\xffd\ngood\n"}, &textArgs{Rows: "line", OnError: "quarantine"})
	if len(got.rows) != 2 || len(got.aside) != 1 || !strings.HasPrefix(got.aside[0], "a.txt:2 ") {
		t.Errorf("got %q and %q", got.rows, got.aside)
	}
	got = readText(t, map[string]string{"a.txt": "good", "b.pdf": "%PDF-1.4\x00"}, &textArgs{OnError: "quarantine"})
	if len(got.rows) != 1 || len(got.aside) != 1 || !strings.Contains(got.aside[0], "b.pdf is a PDF document") {
		t.Errorf("got %q and %q", got.rows, got.aside)
	}
	if _, err := tryText(t, map[string]string{"a.txt": "b\xffd"}, &textArgs{OnError: "fail"}); err == nil || !strings.Contains(err.Error(), "not UTF-8") {
		t.Errorf("got %v", err)
	}
}

func TestALineThatIsTooLongIsSetAside(t *testing.T) {
	p := folder(t, map[string]string{"a.txt": "", "b.txt": "good"})
	if err := os.Truncate(filepath.Join(p.root, "a.txt"), 3*maxRecord); err != nil {
		t.Fatal(err)
	}
	list, err := place{p.root, "*.txt"}.find()
	if err != nil {
		t.Fatal(err)
	}
	var got collected
	a := &textArgs{Located: Located{Path: "*.txt"}, Encoded: Encoded{Encoding: "utf-8"}, Rows: "line", OnError: "quarantine"}
	if err := readFiles(t.Context(), a, list, a.schema(), nil, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.rows) != 1 || len(got.aside) != 1 || !strings.Contains(got.aside[0], "longer than 64 MB") {
		t.Errorf("got %d rows, and %.100q", len(got.rows), got.aside)
	}
}

func TestTextIsDecompressedAndDecoded(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte("caf\xe9\n")); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	got := readText(t, map[string]string{"lang=fr/a.txt.gz": packed.String()}, &textArgs{Rows: "line", Encoded: Encoded{Encoding: "latin-1"}, Columns: []string{"text", "lang"}})
	if want := []string{"café|fr"}; !reflect.DeepEqual(got.rows, want) {
		t.Errorf("got %q, want %q", got.rows, want)
	}
}

// Rows with the name of their file are read again when the file is renamed.
func TestNamesOfFilesArePartOfFingerprints(t *testing.T) {
	p := folder(t, map[string]string{"a.txt": "same", "b.txt": "same"})
	s := source[textArgs, *textArgs]{root: func() string { return p.root }}
	fingerprintOf := func(columns []string) string {
		a := &textArgs{Located: Located{Path: "*.txt"}, Columns: columns, Rows: "document"}
		print, err := s.Fingerprint(t.Context(), a, nil)
		if err != nil {
			t.Fatal(err)
		}
		return print.Value
	}
	withName, without := fingerprintOf(nil), fingerprintOf([]string{"text"})
	if err := os.Rename(filepath.Join(p.root, "b.txt"), filepath.Join(p.root, "c.txt")); err != nil {
		t.Fatal(err)
	}
	if fingerprintOf(nil) == withName {
		t.Error("the fingerprint does not depend on the names, which are in a column")
	}
	if fingerprintOf([]string{"text"}) != without {
		t.Error("the fingerprint depends on the names, which are in no column")
	}
	var parts []string
	list, err := place{p.root, "*.txt"}.find()
	if err != nil {
		t.Fatal(err)
	}
	a := &textArgs{Located: Located{Path: "*.txt"}, Rows: "document", Encoded: Encoded{Encoding: "utf-8"}}
	if err := readFiles(t.Context(), a, list, data.Schema{{Name: "text", Type: "string"}}, nil, naming{partNames{all: &parts}}); err != nil {
		t.Fatal(err)
	}
	if len(parts) != 2 || parts[0] == parts[1] {
		t.Errorf("got %q", parts)
	}
}

// partNames is a rowWriter that keeps the fingerprints of parts.
type partNames struct {
	nowhere
	all *[]string
}

func (p partNames) NamedPart(_, fingerprint string, _ func() error) error {
	*p.all = append(*p.all, fingerprint)
	return nil
}
