package documents

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// maxNesting is the maximum depth of elements, as in package html.
const maxNesting = 512

// parseXHTML parses a page that is XML. A parser of HTML would take what follows
// an empty element such as <title/> as its content.
func parseXHTML(content []byte) (*html.Node, error) {
	d := newDecoder(bytes.NewReader(content))
	d.Strict = false
	d.Entity = xml.HTMLEntity
	root := &html.Node{Type: html.DocumentNode}
	at, depth := root, 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return root, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth++; depth > maxNesting {
				return nil, fmt.Errorf("elements are nested more than %d deep", maxNesting)
			}
			n := &html.Node{Type: html.ElementNode, Data: t.Name.Local, DataAtom: atom.Lookup([]byte(t.Name.Local))}
			for _, a := range t.Attr {
				n.Attr = append(n.Attr, html.Attribute{Key: a.Name.Local, Val: a.Value})
			}
			at.AppendChild(n)
			at = n
		case xml.EndElement:
			if at.Parent != nil {
				at, depth = at.Parent, depth-1
			}
		case xml.CharData:
			at.AppendChild(&html.Node{Type: html.TextNode, Data: string(t)})
		}
	}
}
