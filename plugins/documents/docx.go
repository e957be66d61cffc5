package documents

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/data"
)

type docxArgs struct{ files.Documents }

const docxDoc = `Reads the text of Word documents (.docx).

Each document is a row with the columns ` + "`path`, `title`, `author`, `created`, `modified`, and `text`" + `. Paragraphs are separated by an empty line, the rows of a table by a line break, and its cells by a tab. Headers, footers, comments, and deleted text are left out; footnotes follow the text. Documents in the older format (.doc) and documents that are protected by a password cannot be read.

` + "```hcl" + `
source "docx" "contracts" {
  path     = "contracts/**/*.docx"
  on_error = "quarantine"
}
` + "```"

// Check has nothing to check.
func (*docxArgs) Check() error { return nil }

// Columns returns the columns of a document.
func (*docxArgs) Columns() data.Schema {
	return data.Schema{
		{Name: "title", Type: "string"}, {Name: "author", Type: "string"},
		{Name: "created", Type: "timestamp"}, {Name: "modified", Type: "timestamp"}, {Name: "text", Type: "string"},
	}
}

// Recognize refuses what is not in a ZIP archive.
func (*docxArgs) Recognize(head []byte) error {
	return notArchive(head, "a Word document (.docx)", "in the older format of Word (.doc)")
}

// Parse reads a document.
func (*docxArgs) Parse(_ context.Context, d *files.Document) error {
	a, err := openArchive(d)
	if err != nil {
		return err
	}
	p, err := a.properties()
	if err != nil {
		return err
	}
	text, err := wordText(a)
	if err != nil {
		return err
	}
	return d.Row(orNil(p.Title), orNil(p.Creator), moment(p.Created), moment(p.Modified), text)
}

// properties are those of a document that Office wrote.
type properties struct {
	Title    string `xml:"title"`
	Creator  string `xml:"creator"`
	Created  string `xml:"created"`
	Modified string `xml:"modified"`
}

func (a *archive) properties() (p properties, err error) {
	err = a.decode("docProps/core.xml", &p)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return p, err
}

// moment returns the time that a document states, or nil.
func moment(text string) any {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			return t
		}
	}
	return nil
}

// wordText returns the text of a document and its footnotes.
func wordText(a *archive) (string, error) {
	var text strings.Builder
	for _, name := range []string{"word/document.xml", "word/footnotes.xml", "word/endnotes.xml"} {
		f, err := a.file(name)
		if errors.Is(err, fs.ErrNotExist) && name != "word/document.xml" {
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			return "", errors.New("it is not a Word document: word/document.xml is missing")
		}
		if err != nil {
			return "", err
		}
		w := word{Decoder: newDecoder(f), out: &text}
		err = w.read()
		f.Close()
		if err != nil {
			return "", fmt.Errorf("%s is damaged: %w", name, err)
		}
	}
	return strings.TrimSpace(text.String()), nil
}

// word reads a part of a Word document.
type word struct {
	*xml.Decoder
	out *strings.Builder
	// cells is the number of cells in the current row of each table that is open.
	cells []int
	// begun says that the current cell has a paragraph.
	begun bool
}

// skipped elements contain text that is not visible, or a second version of it.
var skipped = map[string]bool{"del": true, "moveFrom": true, "instrText": true, "delText": true, "Fallback": true, "separator": true, "continuationSeparator": true}

func (w *word) read() error {
	for {
		token, err := w.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			err = w.start(t)
		case xml.EndElement:
			w.end(t.Name.Local)
		}
		if err != nil {
			return err
		}
	}
}

func (w *word) start(t xml.StartElement) error {
	switch name := t.Name.Local; {
	case skipped[name]:
		return w.Skip()
	case name == "t":
		var text string
		if err := w.DecodeElement(&text, &t); err != nil {
			return err
		}
		w.out.WriteString(text)
	case name == "tab":
		// It is also the name of an element that defines where tabs stop.
		if len(t.Attr) == 0 {
			w.out.WriteByte('\t')
		}
	case name == "br", name == "cr":
		w.out.WriteByte('\n')
	case name == "noBreakHyphen":
		w.out.WriteRune('\u2011')
	case name == "tbl":
		w.cells = append(w.cells, 0)
	case name == "tr" && len(w.cells) > 0:
		w.cells[len(w.cells)-1] = 0
	case name == "tc" && len(w.cells) > 0:
		if w.cells[len(w.cells)-1] > 0 {
			w.out.WriteByte('\t')
		}
		w.cells[len(w.cells)-1]++
		w.begun = false
	case name == "p":
		if w.begun && len(w.cells) > 0 {
			w.out.WriteByte(' ')
		}
		w.begun = true
	}
	return nil
}

func (w *word) end(name string) {
	switch {
	case name == "p" && len(w.cells) == 0:
		w.out.WriteString("\n\n")
	case name == "tr" && len(w.cells) > 0:
		w.out.WriteByte('\n')
	case name == "tbl" && len(w.cells) > 0:
		if w.cells = w.cells[:len(w.cells)-1]; len(w.cells) == 0 {
			w.out.WriteByte('\n')
		}
	}
}
