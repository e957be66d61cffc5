package documents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/klippa-app/go-pdfium"
	pdferrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type pdfArgs struct {
	files.Documents
	Rows     string `quern:"rows" default:"\"document\"" oneof:"document,page" doc:"What becomes a row: a document, or each of its pages."`
	Scanned  string `quern:"scanned" default:"\"refuse\"" oneof:"refuse,null" doc:"What to do with a document without any text, such as a scan: 'refuse' treats it as a document that cannot be read, and 'null' reads its text as null. Pages without text in other documents have null."`
	MaxPages int64  `quern:"max_pages" default:"10000" doc:"The maximum number of pages of a document. A longer one cannot be read."`
}

const pdfDoc = `Reads the text of PDF documents.

Each document is a row with the columns ` + "`path`, `title`, `author`, `created`, `modified`, `pages`" + ` (their number), and ` + "`text`" + `. With ` + "`rows = \"page\"`" + `, each page is a row, and ` + "`page`" + ` is its number, starting at 1. The text is that of PDFium, the parser of Chrome: lines are as on the page, words that are divided at the end of a line are joined, and pages are separated by an empty line. The order of the text is that in the document, which usually is the order of reading.

Images are not read: the text of a scan needs another tool. Documents that are protected by a password and documents whose end is missing cannot be read.

` + "```hcl" + `
source "pdf" "papers" {
  path     = "papers/**/*.pdf"
  rows     = "page"
  on_error = "quarantine"
}
` + "```"

// Check checks the arguments.
func (a *pdfArgs) Check() error {
	if a.MaxPages < 1 {
		return plugin.ArgumentErrorf("max_pages", "Documents cannot be limited to %d pages\nmax_pages must be a whole number, 1 or more.", a.MaxPages)
	}
	return nil
}

// Columns returns the columns of a document or page.
func (a *pdfArgs) Columns() data.Schema {
	columns := data.Schema{
		{Name: "title", Type: "string"}, {Name: "author", Type: "string"},
		{Name: "created", Type: "timestamp"}, {Name: "modified", Type: "timestamp"}, {Name: "pages", Type: "int64"},
	}
	if a.Rows == "page" {
		columns = append(columns, data.Column{Name: "page", Type: "int64"})
	}
	return append(columns, data.Column{Name: "text", Type: "string"})
}

// pdfMagic is at the beginning of a document, or soon after it.
const pdfMagic = "%PDF-"

// Recognize refuses what is not a PDF document.
func (*pdfArgs) Recognize(head []byte) error {
	if !bytes.Contains(head, []byte(pdfMagic)) {
		return errors.New("it is not a PDF document")
	}
	return nil
}

// pdfEnd is how close to its end a document says that it is complete, in bytes.
const pdfEnd = 2048

// Start starts PDFium, which can take longer than a document may.
func (*pdfArgs) Start() error {
	_, err := pdfParsers()
	return err
}

// Parse reads a document.
func (a *pdfArgs) Parse(ctx context.Context, d *files.Document) error {
	content, err := d.All()
	if err != nil {
		return err
	}
	// PDFium would read what there is of it, and leave out the rest.
	if !bytes.Contains(content[max(0, len(content)-pdfEnd):], []byte("%%EOF")) {
		return errors.New("it is incomplete: its end is missing")
	}
	return withPDFium(ctx, func(parser pdfium.Pdfium) error {
		opened, err := parser.OpenDocument(&requests.OpenDocument{FileReader: bytes.NewReader(content), FileReaderSize: int64(len(content))})
		if err != nil {
			return pdfProblem(err)
		}
		p := &pdfDocument{parser, opened.Document}
		texts, err := p.texts(ctx, a.MaxPages)
		if err != nil {
			return err
		}
		if a.Scanned == "refuse" && strings.Join(texts, "") == "" {
			return errors.New("it has no text: its pages are images, or empty\nTo read its text as null, set scanned = \"null\".")
		}
		return a.rows(d, p.properties(), texts)
	})
}

// rows adds the rows of a document.
func (a *pdfArgs) rows(d *files.Document, properties []any, texts []string) error {
	values := append(properties, int64(len(texts)))
	if a.Rows == "document" {
		return d.Row(append(values, orNil(joined(texts)))...)
	}
	for i, text := range texts {
		if err := d.Row(append(values[:len(values):len(values)], int64(i+1), orNil(text))...); err != nil {
			return err
		}
	}
	return nil
}

// joined joins the texts of pages.
func joined(texts []string) string {
	var out []string
	for _, text := range texts {
		if text != "" {
			out = append(out, text)
		}
	}
	return strings.Join(out, "\n\n")
}

// pdfProblem explains why a document cannot be opened.
func pdfProblem(err error) error {
	switch {
	case errors.Is(err, pdferrors.ErrPassword), errors.Is(err, pdferrors.ErrSecurity):
		return errors.New("it is protected by a password, or by an encryption that is not supported")
	case errors.Is(err, pdferrors.ErrFormat), errors.Is(err, pdferrors.ErrFile):
		return errors.New("it is damaged")
	}
	return fmt.Errorf("it cannot be parsed: %w", err)
}

// pdfDocument is an open document.
type pdfDocument struct {
	pdfium.Pdfium
	document references.FPDF_DOCUMENT
}

// texts returns the text of each page.
func (p *pdfDocument) texts(ctx context.Context, most int64) ([]string, error) {
	count, err := p.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: p.document})
	if err != nil {
		return nil, fmt.Errorf("its pages cannot be counted: %w", err)
	}
	if int64(count.PageCount) > most {
		return nil, fmt.Errorf("it has %d pages, and max_pages is %d", count.PageCount, most)
	}
	if count.PageCount == 0 {
		return nil, errors.New("it is damaged: it has no pages")
	}
	texts := make([]string, count.PageCount)
	for i := range texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		text, err := p.page(i)
		if err != nil {
			return nil, fmt.Errorf("page %d cannot be read: %w", i+1, err)
		}
		texts[i] = pdfText(text)
	}
	return texts, nil
}

// page returns the text of a page as PDFium gives it. Its whole text is read at once,
// because single characters outside the basic plane are halves of surrogate pairs.
func (p *pdfDocument) page(i int) (string, error) {
	page, err := p.FPDFText_LoadPage(&requests.FPDFText_LoadPage{Page: requests.Page{ByIndex: &requests.PageByIndex{Document: p.document, Index: i}}})
	if err != nil {
		return "", err
	}
	defer func() { _, _ = p.FPDFText_ClosePage(&requests.FPDFText_ClosePage{TextPage: page.TextPage}) }()
	count, err := p.FPDFText_CountChars(&requests.FPDFText_CountChars{TextPage: page.TextPage})
	if err != nil || count.Count <= 0 {
		return "", err
	}
	text, err := p.FPDFText_GetText(&requests.FPDFText_GetText{TextPage: page.TextPage, Count: count.Count})
	if err != nil {
		return "", err
	}
	return text.Text, nil
}

// pdfText returns the text of a page with plain line ends. PDFium marks hyphens that
// divide a word at the end of a line.
func pdfText(text string) string {
	return strings.TrimSpace(pdfMarks.Replace(strings.ToValidUTF8(text, "\ufffd")))
}

var pdfMarks = strings.NewReplacer("\ufffe\r\n", "", "\x02\r\n", "", " \r\n", "\n", "\ufffe", "", "\x02", "", "\r\n", "\n", "\r", "\n", "\x00", "")

// properties returns title, author, and the times of creation and last change.
func (p *pdfDocument) properties() []any {
	out := make([]any, 4)
	tags := []string{"Title", "Author", "CreationDate", "ModDate"}
	found, err := p.GetMetaData(&requests.GetMetaData{Document: p.document, Tags: &tags})
	if err != nil {
		return out // they are not needed
	}
	for _, tag := range found.Tags {
		switch tag.Tag {
		case "Title":
			out[0] = valid(oneLine(tag.Value))
		case "Author":
			out[1] = valid(oneLine(tag.Value))
		case "CreationDate":
			out[2] = pdfTime(tag.Value)
		case "ModDate":
			out[3] = pdfTime(tag.Value)
		}
	}
	return out
}

// pdfTime returns the time of a date such as D:20260131120000+01'00', or nil.
func pdfTime(text string) any {
	text = strings.ReplaceAll(strings.TrimPrefix(strings.TrimSpace(text), "D:"), "'", "")
	text = strings.ReplaceAll(text, "Z0000", "Z")
	for _, layout := range []string{"20060102150405-0700", "20060102150405Z0700", "20060102150405", "200601021504", "20060102"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	return nil
}
