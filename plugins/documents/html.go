package documents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"codeberg.org/readeck/go-readability/v2"
	htmltomarkdown "github.com/JohannesKaufmann/html-to-markdown/v2"
	"github.com/markusmobius/go-trafilatura"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/html/charset"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/data"
)

type htmlArgs struct {
	files.Documents
	Engine string `quern:"engine" default:"\"readability\"" oneof:"readability,trafilatura,markdown,text" doc:"How the text is found. 'readability' keeps the main part of the page, as the reader view of Firefox does. 'trafilatura' also keeps the main part; it is slower, and finds more of pages that are not articles. 'markdown' is the whole page as Markdown. 'text' is the whole visible text."`
}

const htmlDoc = `Reads the text of web pages.

Each page is a row with the columns ` + "`path`, `title`, `language`" + ` (of the html element), ` + "`author`, `description`, `text`, and `links`" + ` (the addresses of all links, as they are in the page). The encoding is the one that the page declares. ` + "`text`" + ` is null if the engine finds no text, as in a page without a main part.

` + "```hcl" + `
source "html" "pages" {
  path     = "pages/**/*.html"
  engine   = "trafilatura"
  on_error = "quarantine"
}
` + "```"

// Check has nothing to check.
func (*htmlArgs) Check() error { return nil }

// Columns returns the columns of a page.
func (*htmlArgs) Columns() data.Schema {
	return data.Schema{
		{Name: "title", Type: "string"}, {Name: "language", Type: "string"}, {Name: "author", Type: "string"},
		{Name: "description", Type: "string"}, {Name: "text", Type: "string"}, {Name: "links", Type: "list<string>"},
	}
}

// Recognize refuses what is not text.
func (*htmlArgs) Recognize(head []byte) error {
	if i := bytes.IndexByte(head, 0); i >= 0 && !bytes.HasPrefix(head, []byte("\xff\xfe")) && !bytes.HasPrefix(head, []byte("\xfe\xff")) {
		return errors.New("it is not a web page: it contains bytes that are not text")
	}
	return notContainer(head)
}

// Parse reads a page.
func (a *htmlArgs) Parse(_ context.Context, d *files.Document) error {
	content, err := d.All()
	if err != nil {
		return err
	}
	p, err := parsePage(content, "")
	if err != nil {
		return err
	}
	text, err := p.text(a.Engine)
	if err != nil {
		return err
	}
	return d.Row(orNil(p.title), orNil(p.language), orNil(p.author), orNil(p.description), orNil(text), p.links)
}

// page is a parsed web page.
type page struct {
	root *html.Node

	title, language, author, description string
	links                                []any
}

// parsePage parses a page. contentType is the one that a server gave, or "".
func parsePage(content []byte, contentType string) (*page, error) {
	r, err := charset.NewReader(bytes.NewReader(content), contentType)
	if err != nil {
		return nil, err
	}
	root, err := html.Parse(r)
	if err != nil {
		return nil, fmt.Errorf("it is not a web page: %w", err)
	}
	p := &page{root: root, links: []any{}}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			p.notice(n)
		}
	}
	return p, nil
}

// notice takes from an element what describes the page.
func (p *page) notice(n *html.Node) {
	switch n.DataAtom {
	case atom.Html:
		p.language = attribute(n, "lang")
	case atom.Title:
		if p.title == "" && !inside(n, atom.Svg) {
			p.title = oneLine(visibleText(n))
		}
	case atom.Meta:
		switch strings.ToLower(attribute(n, "name")) {
		case "author":
			p.author = oneLine(attribute(n, "content"))
		case "description":
			p.description = oneLine(attribute(n, "content"))
		}
	case atom.A:
		if target := attribute(n, "href"); target != "" {
			p.links = append(p.links, strings.ToValidUTF8(target, "\ufffd"))
		}
	}
}

// text returns the text that an engine finds, or "". It changes the page.
func (p *page) text(engine string) (string, error) {
	switch engine {
	case "markdown":
		text, err := htmltomarkdown.ConvertNode(p.root)
		return strings.TrimSpace(string(text)), err
	case "text":
		return visibleText(p.root), nil
	case "trafilatura":
		found, err := trafilatura.ExtractDocument(p.root, trafilatura.Options{EnableFallback: true})
		if err != nil || found == nil {
			// It fails only if a page has too little text.
			return "", nil
		}
		return strings.TrimSpace(found.ContentText), nil
	}
	article, err := readability.FromDocument(p.root, nil)
	if err != nil || article.Node == nil {
		return "", err
	}
	var text strings.Builder
	err = article.RenderText(&text)
	return strings.TrimSpace(text.String()), err
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name && a.Namespace == "" {
			return strings.TrimSpace(a.Val)
		}
	}
	return ""
}

// inside reports whether a node is inside an element.
func inside(n *html.Node, element atom.Atom) bool {
	for a := range n.Ancestors() {
		if a.DataAtom == element {
			return true
		}
	}
	return false
}

// oneLine returns text with each run of white space as one space.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// orNil returns nil for an empty text, which becomes null.
func orNil(text string) any {
	if text == "" {
		return nil
	}
	return text
}
