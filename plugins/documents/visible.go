package documents

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// visibleText returns the text of a node as a browser shows it without style
// sheets: blocks are on lines of their own, and paragraphs, headings, and the
// like are separated by an empty line.
func visibleText(n *html.Node) string {
	var t textBuilder
	t.node(n, false)
	return strings.TrimSpace(t.String())
}

// textBuilder builds text from the parts of a document. Line breaks are written
// before the next text, so that none are written twice.
type textBuilder struct {
	strings.Builder
	// lines is the number of line breaks before the next text, and space
	// reports whether white space precedes it.
	lines int
	space bool
}

// hidden elements have no visible text.
var hidden = map[atom.Atom]bool{
	atom.Script: true, atom.Style: true, atom.Template: true, atom.Noscript: true, atom.Iframe: true, atom.Object: true,
	atom.Svg: true, atom.Math: true, atom.Select: true, atom.Textarea: true, atom.Audio: true, atom.Video: true, atom.Canvas: true,
}

// breaks is the number of line breaks before and after an element.
var breaks = map[atom.Atom]int{
	atom.P: 2, atom.H1: 2, atom.H2: 2, atom.H3: 2, atom.H4: 2, atom.H5: 2, atom.H6: 2, atom.Ul: 2, atom.Ol: 2, atom.Dl: 2,
	atom.Table: 2, atom.Blockquote: 2, atom.Pre: 2, atom.Hr: 2, atom.Figure: 2,
	atom.Address: 1, atom.Article: 1, atom.Aside: 1, atom.Div: 1, atom.Section: 1, atom.Nav: 1, atom.Header: 1, atom.Footer: 1,
	atom.Main: 1, atom.Form: 1, atom.Fieldset: 1, atom.Li: 1, atom.Dt: 1, atom.Dd: 1, atom.Tr: 1, atom.Caption: 1,
	atom.Figcaption: 1, atom.Details: 1, atom.Summary: 1, atom.Title: 1, atom.Body: 1,
}

// node writes a node and those in it. plain says that white space is text.
func (t *textBuilder) node(n *html.Node, plain bool) {
	switch n.Type {
	case html.TextNode:
		if plain {
			t.exact(n.Data)
		} else {
			t.words(n.Data)
		}
		return
	case html.ElementNode:
		if hidden[n.DataAtom] || n.DataAtom == atom.Head && n.Parent != nil {
			return
		}
		plain = plain || n.DataAtom == atom.Pre
	case html.CommentNode, html.DoctypeNode:
		return
	}
	t.breakLine(breaks[n.DataAtom])
	switch n.DataAtom {
	case atom.Br:
		t.lines++
	case atom.Td, atom.Th:
		if previousCell(n) {
			t.exact("\t")
		}
	}
	for c := range n.ChildNodes() {
		t.node(c, plain)
	}
	t.breakLine(breaks[n.DataAtom])
}

// previousCell reports whether a cell is not the first one of its row.
func previousCell(n *html.Node) bool {
	for s := n.PrevSibling; s != nil; s = s.PrevSibling {
		if s.DataAtom == atom.Td || s.DataAtom == atom.Th {
			return true
		}
	}
	return false
}

// breakLine makes sure that at least n line breaks precede the next text.
func (t *textBuilder) breakLine(n int) { t.lines = max(t.lines, n) }

// words writes text in which white space only separates words.
func (t *textBuilder) words(text string) {
	for text != "" {
		rest := strings.TrimLeft(text, " \t\r\n\f")
		if len(rest) < len(text) {
			t.space = true
		}
		if rest == "" {
			return
		}
		n := strings.IndexAny(rest, " \t\r\n\f")
		if n < 0 {
			n = len(rest)
		}
		t.exact(rest[:n])
		text = rest[n:]
	}
}

// exact writes text as it is.
func (t *textBuilder) exact(text string) {
	if text == "" {
		return
	}
	switch {
	case t.Len() == 0:
	case t.lines > 0:
		t.WriteString(strings.Repeat("\n", min(t.lines, 2)))
	case t.space && text != "\t":
		t.WriteByte(' ')
	}
	t.lines, t.space = 0, false
	t.WriteString(strings.ToValidUTF8(text, "\ufffd"))
}
