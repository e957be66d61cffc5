package documents

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"strings"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/data"
)

type epubArgs struct {
	files.Documents
	Rows string `quern:"rows" default:"\"document\"" oneof:"document,chapter" doc:"What becomes a row: a book ('document'), or each of its text files, which are usually chapters."`
}

const epubDoc = `Reads the text of EPUB books.

The columns are ` + "`path`, `title`, `author`, `language`, `chapter`" + ` (the position of the text file in the book, starting at 1; only if rows are chapters), and ` + "`text`" + `, the visible text in reading order. Text files without text, such as those of covers, give no row. Books that are protected by DRM cannot be read.

` + "```hcl" + `
source "epub" "books" {
  path = "books/*.epub"
  rows = "chapter"
}
` + "```"

// Check has nothing to check.
func (*epubArgs) Check() error { return nil }

// Columns returns the columns of a book or chapter.
func (a *epubArgs) Columns() data.Schema {
	columns := data.Schema{{Name: "title", Type: "string"}, {Name: "author", Type: "string"}, {Name: "language", Type: "string"}}
	if a.Rows == "chapter" {
		columns = append(columns, data.Column{Name: "chapter", Type: "int64"})
	}
	return append(columns, data.Column{Name: "text", Type: "string"})
}

// Recognize refuses what is not in a ZIP archive.
func (*epubArgs) Recognize(head []byte) error {
	return notArchive(head, "an EPUB book", "a document of an old version of Word or Excel")
}

// Parse reads a book.
func (a *epubArgs) Parse(_ context.Context, d *files.Document) error {
	z, err := openArchive(d)
	if err != nil {
		return err
	}
	b, err := openBook(z)
	if err != nil {
		return err
	}
	var whole []string
	for i, name := range b.chapters {
		content, err := z.read(name)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("it is damaged: %s is missing", name)
		}
		if err != nil {
			return fmt.Errorf("%s is damaged: %w", name, err)
		}
		root, err := parseXHTML(content)
		if err != nil {
			return fmt.Errorf("%s is damaged: %w", name, err)
		}
		text := visibleText(root)
		switch {
		case text == "":
		case a.Rows == "document":
			whole = append(whole, text)
		default:
			if err := d.Row(orNil(b.title), orNil(b.author), orNil(b.language), int64(i+1), text); err != nil {
				return err
			}
		}
	}
	if a.Rows == "document" {
		return d.Row(orNil(b.title), orNil(b.author), orNil(b.language), strings.Join(whole, "\n\n"))
	}
	return nil
}

// book is what a book says about itself.
type book struct {
	title, author, language string
	// chapters are the names of its text files, in reading order.
	chapters []string
}

// opf is the package document of a book.
type opf struct {
	Metadata struct {
		Titles    []string `xml:"title"`
		Creators  []string `xml:"creator"`
		Languages []string `xml:"language"`
	} `xml:"metadata"`
	Manifest []struct {
		ID   string `xml:"id,attr"`
		Href string `xml:"href,attr"`
		Type string `xml:"media-type,attr"`
	} `xml:"manifest>item"`
	Spine []struct {
		ID string `xml:"idref,attr"`
	} `xml:"spine>itemref"`
}

func openBook(z *archive) (*book, error) {
	var container struct {
		Roots []struct {
			Path string `xml:"full-path,attr"`
		} `xml:"rootfiles>rootfile"`
	}
	err := z.decode("META-INF/container.xml", &container)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(container.Roots) == 0 {
		return nil, errors.New("it is not an EPUB book: META-INF/container.xml is missing or empty")
	}
	if err != nil {
		return nil, err
	}
	root := container.Roots[0].Path
	var o opf
	if err := z.decode(root, &o); err != nil {
		return nil, fmt.Errorf("it is damaged: %s: %w", root, err)
	}
	b := &book{
		title: oneLine(first(o.Metadata.Titles)), author: oneLine(strings.Join(o.Metadata.Creators, ", ")), language: oneLine(first(o.Metadata.Languages)),
	}
	names := map[string]string{}
	for _, item := range o.Manifest {
		if item.Type == "application/xhtml+xml" || item.Type == "text/html" {
			names[item.ID] = resolve(root, item.Href)
		}
	}
	for _, item := range o.Spine {
		if name := names[item.ID]; name != "" {
			b.chapters = append(b.chapters, name)
		}
	}
	if len(b.chapters) == 0 {
		return nil, errors.New("it contains no text files")
	}
	return b, b.protected(z)
}

// protected returns an error if text files are encrypted. Encrypted fonts do not
// matter.
func (b *book) protected(z *archive) error {
	var encryption struct {
		Data []struct {
			Reference struct {
				URI string `xml:"URI,attr"`
			} `xml:"CipherData>CipherReference"`
		} `xml:"EncryptedData"`
	}
	err := z.decode("META-INF/encryption.xml", &encryption)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range encryption.Data {
		for _, name := range b.chapters {
			if resolve("", e.Reference.URI) == name {
				return errors.New("it is protected by DRM")
			}
		}
	}
	return err
}

// resolve returns the name of a file that another file refers to.
func resolve(from, to string) string {
	if plain, err := url.PathUnescape(to); err == nil {
		to = plain
	}
	return strings.TrimPrefix(path.Join(path.Dir(from), to), "/")
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
