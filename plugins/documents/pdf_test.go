package documents

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klippa-app/go-pdfium"
)

var wordsOf = regexp.MustCompile(`[\pL\pN_]+`)

// share returns the share of words that two texts have in common.
func share(a, b []string) float64 {
	count, common := map[string]int{}, 0
	for _, w := range a {
		count[w]++
	}
	for _, w := range b {
		if count[w]--; count[w] >= 0 {
			common++
		}
	}
	return 2 * float64(common) / float64(len(a)+len(b))
}

func TestPDFDocumentsHaveTheWordsThatOtherToolsRead(t *testing.T) {
	text, err := os.ReadFile("testdata/pdf/words.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]struct{ Poppler, PDFMiner []string }
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]any{}
	for _, row := range rows(t, "pdf", "pdf/{fpdf2,linearized,matplotlib,owner,reportlab,typst,weasyprint}.pdf", nil) {
		got[filepath.Base(row["path"].(string))] = row
	}
	if len(got) != len(want) {
		t.Errorf("%d documents, want %d", len(got), len(want))
	}
	for name, w := range want {
		words := wordsOf.FindAllString(got[name]["text"].(string), -1)
		// In the document of typst, the others do not join words that are divided.
		if best := max(share(words, w.Poppler), share(words, w.PDFMiner)); best < 0.999 && name != "typst.pdf" || best < 0.95 {
			t.Errorf("%s: %.4f of the words of poppler, and %.4f of those of pdfminer: %q", name, share(words, w.Poppler), share(words, w.PDFMiner), words)
		}
	}
	typst := got["typst.pdf"]
	for _, part := range []string{"Heading", "𝑛 + 1 = 2", "conversations?”", "Największa różnica: żółć. Ελληνικά. Русский текст."} {
		if !strings.Contains(oneLine(typst["text"].(string)), part) {
			t.Errorf("%q is not in %q", part, typst["text"])
		}
	}
	if typst["title"] != "Typst" || typst["author"] != "A. Author" || typst["pages"] != int64(1) || !strings.HasPrefix(typst["created"].(string), "2026-01-31T00:00:00") {
		t.Errorf("%v", typst)
	}
}

func TestPagesOfAPDFDocumentAreRows(t *testing.T) {
	got := rows(t, "pdf", "pdf/reportlab.pdf", map[string]any{"rows": "page", "columns": []any{"page", "pages", "title", "text"}})
	if len(got) != 2 || got[1]["page"] != int64(2) || got[1]["pages"] != int64(2) || got[1]["title"] != "Alice & Co" || !strings.HasPrefix(got[1]["text"].(string), "Chapter 2\nAlice was") {
		t.Errorf("%v", got)
	}
}

func TestPDFDocumentsThatCannotBeReadAreSetAside(t *testing.T) {
	whole, err := os.ReadFile("testdata/pdf/reportlab.pdf")
	if err != nil {
		t.Fatal(err)
	}
	protected, err := os.ReadFile("testdata/pdf/protected.pdf")
	if err != nil {
		t.Fatal(err)
	}
	scan, err := os.ReadFile("testdata/pdf/scan.pdf")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	want := map[string]string{}
	for name, c := range map[string]struct {
		content []byte
		problem string
	}{
		"cut.pdf":       {whole[:len(whole)/2], "its end is missing"},
		"empty.pdf":     {nil, "it is empty"},
		"html.pdf":      {[]byte("<html>Log in</html>"), "it is not a PDF document"},
		"noise.pdf":     {slices.Concat([]byte("%PDF-1.7\n"), bytes.Repeat([]byte{0, 255, '<'}, 1000), []byte("%%EOF")), "it is damaged"},
		"protected.pdf": {protected, "it is protected by a password"},
		"scan.pdf":      {scan, "it has no text: its pages are images"},
		"whole.pdf":     {whole, ""},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		want[name] = c.problem
	}
	got, err := read(t, "pdf", filepath.Join(dir, "*.pdf"), map[string]any{"on_error": "quarantine"})
	if err != nil || len(got.Rows) != 1 || len(got.Quarantined) != len(want)-1 {
		t.Fatalf("%v: %v", err, got)
	}
	for _, q := range got.Quarantined {
		if problem := want[filepath.Base(q.Origin)]; problem == "" || !strings.Contains(q.Error, problem) {
			t.Errorf("%s: %s", q.Origin, q.Error)
		}
	}
	null := rows(t, "pdf", filepath.Join(dir, "scan.pdf"), map[string]any{"scanned": "null"})
	if len(null) != 1 || null[0]["text"] != nil || null[0]["pages"] != int64(1) {
		t.Errorf("%v", null)
	}
	for problem, args := range map[string]map[string]any{
		"it has 2 pages, and max_pages is 1":     {"max_pages": 1},
		"Documents cannot be limited to 0 pages": {"max_pages": 0},
	} {
		if _, err := read(t, "pdf", filepath.Join(dir, "whole.pdf"), args); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: %v", problem, err)
		}
	}
}

func TestAPDFParserThatDoesNotEndIsStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan struct{})
	go func() {
		<-begun
		cancel()
	}()
	err := withPDFium(ctx, func(parser pdfium.Pdfium) error {
		close(begun)
		<-ctx.Done()
		for start := time.Now(); time.Since(start) < 30*time.Second; {
			if _, err := parser.FPDF_GetLastError(nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		t.Error("the parser goes on after its context has ended")
	}
}

func TestDatesOfPDFDocumentsAreTimes(t *testing.T) {
	for text, want := range map[string]string{
		"D:20260131120000+01'00'": "2026-01-31T11:00:00Z", "D:20260131120000Z": "2026-01-31T12:00:00Z", "20260131120000Z00'00'": "2026-01-31T12:00:00Z", "D:20260131": "2026-01-31T00:00:00Z", "yesterday": "",
	} {
		got := ""
		if v, ok := pdfTime(text).(time.Time); ok {
			got = v.UTC().Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
