package documents

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bomb returns a copy of an archive in which one file is followed by white space that
// takes 20 MiB.
func bomb(t *testing.T, path, name string) string {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range z.File {
		from, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		to, err := w.Create(f.Name)
		if err != nil {
			t.Fatal(err)
		}
		if f.Name == name {
			_, err = io.Copy(to, io.MultiReader(strings.NewReader(strings.Repeat(" ", 20<<20)), from))
		} else {
			_, err = io.Copy(to, from)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file(t, "bomb"+filepath.Ext(path), out.String())
}

func TestDocumentsThatDecompressToTooMuchAreSetAside(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write(bytes.Repeat([]byte(" "), 20<<20)) // it is in memory
	_ = w.Close()
	answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n%s", packed.String())
	record := fmt.Sprintf("WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://example.org/\r\nWARC-Date: 2026-01-31T12:30:00Z\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000001>\r\nContent-Type: application/http;msgtype=response\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n", len(answer), answer)
	for _, c := range []struct{ typ, path string }{
		{"docx", bomb(t, "testdata/alice.docx", "word/document.xml")},
		{"epub", bomb(t, "testdata/alice.epub", "META-INF/container.xml")},
		{"excel", bomb(t, "testdata/orders.xlsx", "xl/workbook.xml")},
		{"html", file(t, "bomb.html", packed.String())},
		{"warc", file(t, "bomb.warc", record)},
	} {
		got, err := read(t, c.typ, c.path, map[string]any{"max_size": 1, "on_error": "quarantine"})
		if err != nil {
			t.Errorf("%s: %v", c.typ, err)
			continue
		}
		if len(got.Rows) != 0 || len(got.Quarantined) != 1 || !strings.Contains(got.Quarantined[0].Error, "1 MiB") {
			t.Errorf("%s: %d rows, set aside: %v", c.typ, len(got.Rows), got.Quarantined)
		}
	}
}

// pages returns the content of a PDF document of many equal pages.
func pages(n int) string {
	var out strings.Builder
	var offsets []int
	object := func(format string, args ...any) {
		offsets = append(offsets, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n"+format+"\nendobj\n", append([]any{len(offsets)}, args...)...)
	}
	out.WriteString("%PDF-1.4\n")
	content := "BT /F1 12 Tf 72 720 Td " + strings.Repeat("(Alice was beginning to get very tired) Tj 0 -14 Td ", 40) + "ET"
	object("<< /Type /Catalog /Pages 2 0 R >>")
	var kids strings.Builder
	for i := range n {
		fmt.Fprintf(&kids, "%d 0 R ", 5+i)
	}
	object("<< /Type /Pages /Count %d /Kids [ %s] >>", n, kids.String())
	object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
	object("<< /Length %d >>\nstream\n%s\nendstream", len(content), content)
	for range n {
		object("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 3 0 R >> >> >>")
	}
	start := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, offset := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, start)
	return out.String()
}

func TestADocumentThatTakesTooLongIsSetAside(t *testing.T) {
	path := file(t, "a.html", strings.Repeat("<table><tr><td>", 500)+strings.Repeat("<p>word <b>", 50_000))
	for _, engine := range []string{"readability", "trafilatura"} {
		got, err := read(t, "html", path, map[string]any{"document_timeout": "1ms", "engine": engine, "on_error": "quarantine"})
		if err != nil || len(got.Quarantined) != 1 || !strings.Contains(got.Quarantined[0].Error, "it takes longer than 1ms") && !strings.Contains(got.Quarantined[0].Error, "512") {
			t.Errorf("%s: %v, %v", engine, got, err)
		}
	}
	book := file(t, "a.pdf", pages(200))
	if got, err := read(t, "pdf", book, nil); err != nil || len(got.Rows) != 1 {
		t.Errorf("without a limit: %v, %v", got, err)
	}
	got, err := read(t, "pdf", book, map[string]any{"document_timeout": "1ms", "on_error": "quarantine"})
	if err != nil || len(got.Rows) != 0 || len(got.Quarantined) != 1 || !strings.Contains(got.Quarantined[0].Error, "it takes longer than 1ms") {
		t.Errorf("%v, %v", got, err)
	}
}

// fuzz reads any content as documents of a kind. Whatever it is, reading it succeeds,
// and what cannot be read is set aside.
func fuzz(f *testing.F, typ string, more map[string]any, seeds ...string) {
	for _, name := range seeds {
		seed, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	args := map[string]any{"on_error": "quarantine"}
	for key, value := range more {
		args[key] = value
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		// The columns of a workbook that cannot be read are unknown.
		if _, err := read(t, typ, file(t, "a", string(content)), args); err != nil && !strings.Contains(err.Error(), "schema") {
			t.Errorf("%v", err)
		}
	})
}

func FuzzWordDocuments(f *testing.F) { fuzz(f, "docx", nil, "alice.docx") }

func FuzzBooks(f *testing.F) { fuzz(f, "epub", map[string]any{"rows": "chapter"}, "alice.epub") }

func FuzzWorkbooks(f *testing.F) { fuzz(f, "excel", nil, "orders.xlsx") }

func FuzzEmail(f *testing.F) { fuzz(f, "email", nil, "alice.eml", "three.mbox") }

func FuzzWebArchives(f *testing.F) {
	fuzz(f, "warc", map[string]any{"engine": "text"}, "pages.warc", "pages.warc.gz")
}

func FuzzPages(f *testing.F) {
	fuzz(f, "html", map[string]any{"engine": "trafilatura"}, "alice.html", "latin.html")
}

func FuzzPagesAsMarkdown(f *testing.F) {
	fuzz(f, "html", map[string]any{"engine": "markdown"}, "alice.html", "latin.html")
}

func FuzzPDFDocuments(f *testing.F) {
	fuzz(f, "pdf", map[string]any{"rows": "page", "document_timeout": "10s"}, "pdf/matplotlib.pdf", "pdf/protected.pdf", "pdf/scan.pdf", "pdf/linearized.pdf")
}
