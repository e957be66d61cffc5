package documents

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// read reads the documents in testdata that match a pattern, or those at an
// absolute path.
func read(t testing.TB, typ, path string, more map[string]any) (*plugintest.ReadResult, error) {
	t.Helper()
	if !filepath.IsAbs(path) {
		var err error
		if path, err = filepath.Abs(filepath.Join("testdata", path)); err != nil {
			t.Fatal(err)
		}
	}
	args := map[string]any{"path": path}
	for key, value := range more {
		args[key] = value
	}
	return plugintest.Read(t, Plugin("0.0.0"), plugintest.Case{Type: typ, Args: args})
}

// rows reads documents without any problem.
func rows(t *testing.T, typ, path string, more map[string]any) []map[string]any {
	t.Helper()
	got, err := read(t, typ, path, more)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Quarantined) > 0 {
		t.Fatalf("set aside: %v", got.Quarantined)
	}
	return got.Rows
}

// oracle returns what another program has read in a document of testdata.
func oracle[T any](t *testing.T, name string) T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "oracle.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(all[name], &v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

// file writes a file and returns its path.
func file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if raw, ok := got.(json.RawMessage); ok {
		text, err := json.Marshal(want)
		if err != nil || json.Unmarshal(raw, &got) != nil || json.Unmarshal(text, &want) != nil {
			t.Fatal(string(raw), want)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\ngot  %#v\nwant %#v", what, got, want)
	}
}

const when = "2026-01-31T12:30:00Z"

func TestWordDocumentsHaveTheTextThatPythonDocxReads(t *testing.T) {
	got := rows(t, "docx", "alice.docx", nil)
	if len(got) != 1 {
		t.Fatal(got)
	}
	same(t, "title", got[0]["title"], "Alice & the Rabbit")
	same(t, "author", got[0]["author"], "Lewis Carroll")
	same(t, "created", got[0]["created"], when)
	var paragraphs []string
	for _, p := range strings.Split(got[0]["text"].(string), "\n\n") {
		if !strings.HasPrefix(p, "name\t") {
			paragraphs = append(paragraphs, p)
		} else {
			same(t, "table", p, "name\tsize\nAlice\t10 inches")
		}
	}
	same(t, "paragraphs", paragraphs, oracle[[]string](t, "alice.docx"))
}

func TestBooksAreReadByChapterOrAsAWhole(t *testing.T) {
	chapters := rows(t, "epub", "alice.epub", map[string]any{"rows": "chapter"})
	if len(chapters) != 3 {
		t.Fatal(chapters)
	}
	same(t, "title", chapters[0]["title"], "Alice")
	same(t, "author", chapters[0]["author"], "Lewis Carroll")
	same(t, "language", chapters[0]["language"], "en")
	same(t, "chapter", chapters[2]["chapter"], int64(3))
	if text := chapters[2]["text"].(string); !strings.HasPrefix(text, "Chapter 3\n\nThere was nothing") || !strings.HasSuffix(text, "\n\nIt’s late.") {
		t.Errorf("got %q", text)
	}
	whole := rows(t, "epub", "alice.epub", nil)
	var texts []string
	for _, c := range chapters {
		texts = append(texts, c["text"].(string))
	}
	same(t, "book", whole[0]["text"], strings.Join(texts, "\n\n"))
}

func TestMailboxesHaveTheMessagesThatPythonReads(t *testing.T) {
	type message struct {
		Subject, From, Text string
		To                  []string
	}
	got := rows(t, "email", "three.mbox", nil)
	want := oracle[[]message](t, "three.mbox")
	if len(got) != len(want) {
		t.Fatalf("got %d messages, want %d", len(got), len(want))
	}
	for i, w := range want {
		to := []any{}
		for _, a := range w.To {
			to = append(to, a)
		}
		same(t, "subject", got[i]["subject"], w.Subject)
		same(t, "from", got[i]["from"], w.From)
		same(t, "to", got[i]["to"], to)
		// Python does not remove the quote before From, and does not convert HTML.
		text := strings.ReplaceAll(strings.TrimRight(w.Text, "\n"), ">From", "From")
		if strings.HasPrefix(text, "<html>") {
			text = "News\n\nFirst\nsecond"
		}
		same(t, "text", got[i]["text"], text)
	}
	same(t, "attachments", got[0]["attachments"], []any{map[string]any{"name": "Größe.pdf", "type": "application/pdf", "size": int64(16)}})
	same(t, "date", got[0]["date"], when)
	same(t, "identifier", got[0]["message_id"], "first@example.org")
	single := rows(t, "email", "alice.eml", nil)
	same(t, "subject", single[0]["subject"], "Grüße from Alice")
	same(t, "text", single[0]["text"], got[0]["text"])
}

func TestEnginesFindTheTextOfAPage(t *testing.T) {
	for engine, want := range map[string]struct{ has, lacks string }{
		"readability": {"once or twice she had peeped", "Copyright"},
		"trafilatura": {"once or twice she had peeped", "Copyright"},
		"markdown":    {"# Down the Rabbit-Hole", "hidden script"},
		"text":        {"name\tsize\nAlice\t10 inches\n\n  kept\n    as it is", "hidden script"},
	} {
		got := rows(t, "html", "alice.html", map[string]any{"engine": engine})[0]
		text := got["text"].(string)
		if !strings.Contains(text, want.has) || strings.Contains(text, want.lacks) {
			t.Errorf("%s: %s", engine, text)
		}
		same(t, "title", got["title"], "Alice in Wonderland")
		same(t, "language", got["language"], "en")
		same(t, "author", got["author"], "Lewis Carroll")
		same(t, "description", got["description"], "A book.")
		same(t, "links", got["links"], []any{"/", "/books", "https://example.org/terms"})
	}
	latin := rows(t, "html", "latin.html", map[string]any{"engine": "text"})[0]
	same(t, "title", latin["title"], "Café")
	same(t, "text", latin["text"], "Un café, s'il vous plaît.")
	none := rows(t, "html", file(t, "a.html", "<html><body></body></html>"), nil)[0]
	same(t, "text", none["text"], nil)
}

func TestDocumentsThatCannotBeReadAreSetAside(t *testing.T) {
	word, err := os.ReadFile("testdata/alice.docx")
	if err != nil {
		t.Fatal(err)
	}
	main := bytes.Index(word, []byte("word/document.xml")) + 100
	damaged := slices.Concat(word[:main], []byte(strings.Repeat("x", 100)), word[main+100:])
	for _, c := range []struct{ typ, content, want string }{
		{"docx", "", "it is empty"},
		{"docx", "hello", "it is not a Word document (.docx)"},
		{"docx", compound + "rest", "it is protected by a password, or it is in the older format of Word (.doc)"},
		{"docx", string(word[:len(word)/2]), "it is damaged or incomplete"},
		{"docx", string(damaged), "word/document.xml is damaged"},
		{"epub", string(word), "it is not an EPUB book: META-INF/container.xml is missing"},
		{"epub", "version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"},
		{"html", "%PDF-1.4", "it is a PDF document"},
		{"html", "a\x00b", "it is not a web page"},
		{"html", strings.Repeat("<div>", 10_000), "512"},
		{"email", "no header here\n", "it does not begin with a header"},
		{"email", "Content-Type: multipart/mixed; boundary=x\n\n--x\n\nhello", ""},
		{"email", "Subject: x\nContent-Transfer-Encoding: base64\n\n!!!", ""},
		{"html", "\x1f\x8bxx", "it cannot be decompressed"},
	} {
		path := file(t, "a", c.content)
		got, err := read(t, c.typ, path, map[string]any{"on_error": "quarantine"})
		if err != nil {
			t.Errorf("%s %q: %v", c.typ, head(c.content), err)
			continue
		}
		if len(got.Rows) != 0 || len(got.Quarantined) != 1 || !strings.Contains(got.Quarantined[0].Error, c.want) || got.Quarantined[0].Origin != path {
			t.Errorf("%s %q: got %v and %v", c.typ, head(c.content), got.Rows, got.Quarantined)
		}
		if _, err := read(t, c.typ, path, nil); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s %q: got %v", c.typ, head(c.content), err)
		}
	}
}

func head(text string) string { return text[:min(len(text), 60)] }

func TestAMessageThatCannotBeReadIsSetAsideByItself(t *testing.T) {
	box := "From a@b Sat Jan 31 12:30:00 2026\nSubject: one\n\nOne\n\n" +
		"From a@b Sat Jan 31 12:30:00 2026\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\ncut off\n\n" +
		"From a@b Sat Jan 31 12:30:00 2026\nSubject: three\n\nFrom nobody\n\n>From here\n"
	got, err := read(t, "email", file(t, "a.mbox", box), map[string]any{"on_error": "quarantine", "columns": []any{"subject", "text"}})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "rows", got.Rows, []map[string]any{{"subject": "one", "text": "One"}, {"subject": "three", "text": "From nobody\n\nFrom here"}})
	if len(got.Quarantined) != 1 || !strings.HasSuffix(got.Quarantined[0].Origin, "a.mbox, message 2") {
		t.Errorf("got %v", got.Quarantined)
	}
}

func TestLimitsApplyToEachDocument(t *testing.T) {
	path := file(t, "a.html", "<p>"+strings.Repeat("word ", 300_000))
	if _, err := read(t, "html", path, map[string]any{"max_size": 1}); err == nil || !strings.Contains(err.Error(), "it is larger than 1 MiB") {
		t.Errorf("got %v", err)
	}
	message := "From a@b Sat Jan 31 12:30:00 2026\nSubject: x\n\n" + strings.Repeat("line\n", 100_000) + "\n"
	got := rows(t, "email", file(t, "a.mbox", strings.Repeat(message, 5)), map[string]any{"max_size": 1, "columns": []any{"subject"}})
	if len(got) != 5 {
		t.Errorf("got %d messages", len(got))
	}
	for _, args := range []map[string]any{{"max_size": 0}, {"document_timeout": "0s"}} {
		if _, err := read(t, "html", path, args); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}

func TestWebArchivesHaveWhatServersAnswered(t *testing.T) {
	plain, packed := rows(t, "warc", "pages.warc", nil), rows(t, "warc", "pages.warc.gz", nil)
	if len(plain) != 6 || len(packed) != 6 {
		t.Fatalf("got %d and %d records", len(plain), len(packed))
	}
	for i, r := range plain {
		for _, column := range []string{"url", "status", "content_type", "body"} {
			same(t, column, packed[i][column], r[column])
		}
	}
	same(t, "date", plain[0]["date"], when)
	same(t, "url", plain[3]["url"], "https://example.org/gone")
	same(t, "status", plain[3]["status"], int64(404))
	same(t, "body", plain[3]["body"], []byte("gone"))
	same(t, "record", plain[5]["record"], "conversion")
	same(t, "id", plain[5]["id"], "urn:uuid:00000000-0000-0000-0000-000000000006")
	for _, i := range []int{1, 2} { // packed, and in chunks
		same(t, "body", plain[i]["body"], plain[0]["body"])
	}
	texts := rows(t, "warc", "pages.warc.gz", map[string]any{"engine": "text"})
	page := rows(t, "html", "alice.html", map[string]any{"engine": "text"})[0]["text"]
	for i := range 3 {
		same(t, "text", texts[i]["text"], page)
	}
	same(t, "text", texts[3]["text"], "gone")
	same(t, "text", texts[4]["text"], nil)
	same(t, "text", texts[5]["text"], "converted – text")
	if got := rows(t, "warc", "pages.warc", map[string]any{"records": []any{"conversion"}}); len(got) != 1 {
		t.Errorf("got %v", got)
	}
	if _, err := read(t, "warc", "pages.warc", map[string]any{"records": []any{"request"}}); err == nil || !strings.Contains(err.Error(), "request") {
		t.Errorf("got %v", err)
	}
}

func TestADamagedWebArchiveGivesTheRecordsBeforeTheDamage(t *testing.T) {
	whole, err := os.ReadFile("testdata/pages.warc")
	if err != nil {
		t.Fatal(err)
	}
	got, err := read(t, "warc", file(t, "a.warc", string(whole[:len(whole)/2])), map[string]any{"on_error": "quarantine"})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Rows) == 0 || len(got.Quarantined) != 1 {
		t.Errorf("got %d rows, and %v", len(got.Rows), got.Quarantined)
	}
}

func TestSheetsHaveTheTypesOfTheirCells(t *testing.T) {
	got, err := read(t, "excel", "orders.xlsx", nil)
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]string{}
	for _, c := range got.Columns {
		types[c.Name] = c.Type
	}
	same(t, "types", types, map[string]string{
		"path": "string", "id": "int64", "name": "string", "price": "float64", "paid": "bool", "day": "date", "at": "timestamp", "empty": "string", "mixed": "string",
	})
	for _, r := range got.Rows {
		delete(r, "path")
	}
	same(t, "rows", got.Rows, []map[string]any{
		{"id": int64(1), "name": "Alice", "price": 2.5, "paid": true, "day": "2026-01-31", "at": "2026-01-31T12:30:00Z", "empty": nil, "mixed": "1"},
		{"id": int64(2), "name": "Bob & Öz", "price": 3.0, "paid": false, "day": "1900-03-01", "at": "1999-12-31T23:59:59Z", "empty": nil, "mixed": "x"},
		{"id": int64(9007199254740992), "name": " spaced ", "price": 1e300, "paid": nil, "day": nil, "at": nil, "empty": nil, "mixed": nil},
	})
	texts := rows(t, "excel", "orders.xlsx", map[string]any{"columns": []any{"day", "id"}, "schema": map[string]any{"day": "string", "id": "string"}})
	same(t, "texts", texts[0], map[string]any{"day": "2026-01-31", "id": "1"})
	if _, err := read(t, "excel", "orders.xlsx", map[string]any{"sheet": "Other"}); err == nil || !strings.Contains(err.Error(), "formula whose result is not stored") || strings.Contains(err.Error(), "sample_rows") {
		t.Errorf("got %v", err)
	}
	if _, err := read(t, "excel", "orders.xlsx", map[string]any{"sheet": "None"}); err == nil || !strings.Contains(err.Error(), `Its sheets are "Orders", "Other"`) {
		t.Errorf("got %v", err)
	}
	plain := rows(t, "excel", "orders.xlsx", map[string]any{"header": false, "skip": 1, "columns": []any{"column1"}})
	same(t, "rows without a header", plain[0], map[string]any{"column1": "Alice"})
	bad, err := read(t, "excel", "orders.xlsx", map[string]any{"schema": map[string]any{"mixed": "int64"}, "on_error": "quarantine"})
	if err != nil {
		t.Fatal(err)
	}
	if len(bad.Rows) != 2 || len(bad.Quarantined) != 1 || !strings.HasSuffix(bad.Quarantined[0].Origin, "orders.xlsx, row 3") || !strings.Contains(bad.Quarantined[0].Error, `column "mixed" (H): "x" is not a valid int64`) {
		t.Errorf("got %v and %v", bad.Rows, bad.Quarantined)
	}
}

func TestFormatsOfNumbersSayWhatIsADate(t *testing.T) {
	for code, want := range map[string]numberStyle{
		"General": plainNumber, "0.00": plainNumber, "#,##0 \"days\"": plainNumber, "[Red]0": plainNumber, "0E+00": plainNumber, "@": plainNumber,
		"yyyy-mm-dd": dateNumber, "mmm-yy": dateNumber, "d. mmmm": dateNumber, "[$-409]d-mmm-yy;@": dateNumber,
		"h:mm": timeNumber, "h:mm AM/PM": timeNumber, "[h]:mm": plainNumber, "yyyy\\-mm\\-dd hh:mm": momentNumber,
	} {
		if got := styleOf(code); got != want {
			t.Errorf("%q: got %d, want %d", code, got, want)
		}
	}
}
