// Package hcltext writes pipelines as text.
package hcltext

import "strings"

// Writer writes blocks.
type Writer struct {
	strings.Builder
	depth int
}

// Line writes a line at the depth of the open blocks.
func (w *Writer) Line(text string) {
	if text == "" {
		w.WriteByte('\n')
		return
	}
	w.WriteString(strings.Repeat("  ", w.depth) + text + "\n")
}

// Comment writes a text as lines of a comment.
func (w *Writer) Comment(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		w.Line(strings.TrimRight("# "+line, " "))
	}
}

// Block writes a block. body writes its content.
func (w *Writer) Block(header string, body func()) {
	w.Line(header + " {")
	w.depth++
	body()
	w.depth--
	w.Line("}")
}

// Attr writes an attribute. text is its expression.
func (w *Writer) Attr(name, text string) { w.Line(name + " = " + text) }
