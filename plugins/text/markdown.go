package text

import (
	"slices"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// markdown cuts a text into chunks of its sections.
func (l limit) markdown(source string) []chunk {
	var chunks []chunk
	for _, s := range sectionsOf(source) {
		part := source[s.start:s.end]
		pieces := []chunk{{end: len(part)}}
		if l.size > 0 {
			pieces = l.section(part, s)
		}
		for _, p := range pieces {
			chunks = append(chunks, chunk{start: s.start + p.start, end: s.start + p.end, headings: s.headings})
		}
	}
	return chunks
}

// section cuts the text of a section into chunks.
func (l limit) section(part string, s section) []chunk {
	c := l.newCut(part)
	c.part = 4
	c.rankProse(true)
	for i, end := range c.ends {
		b, ok := s.block(s.start + end)
		switch {
		case !ok:
		case b.heading:
			c.ranks[i] = min(c.ranks[i], afterWord)
		case s.start+end == b.end:
			c.ranks[i] = afterParagraph
		case b.verbatim && c.endsLine(i):
			c.ranks[i] = afterWord
		case b.verbatim:
			c.ranks[i] = withinWord
		}
	}
	return c.chunks()
}

// section is a part of a text that is below the same headings, in bytes.
type section struct {
	start, end int
	headings   []string
	blocks     []block
}

// block is a block of Markdown with the empty lines after it, in bytes.
type block struct {
	start, end        int
	heading, verbatim bool
}

// block returns the block that contains the character that ends at an offset.
func (s section) block(offset int) (block, bool) {
	i, _ := slices.BinarySearchFunc(s.blocks, offset, func(b block, offset int) int { return b.end - offset })
	if i < len(s.blocks) && s.blocks[i].start < offset {
		return s.blocks[i], true
	}
	return block{}, false
}

// sectionsOf divides a text at its headings. A heading that directly follows one of
// a lower level does not begin a section.
func sectionsOf(source string) []section {
	if source == "" {
		return nil
	}
	body := frontMatter(source)
	nodes := topLevel(source[body:])
	current := section{start: body}
	var sections []section
	if body > 0 {
		sections = append(sections, section{end: body})
	}
	var path []*ast.Heading
	var titles []string
	alone := false // the last block is a heading
	for i, n := range nodes {
		b := block{start: body + n.start, end: len(source)}
		if i+1 < len(nodes) {
			b.end = body + nodes[i+1].start
		}
		h, isHeading := n.Node.(*ast.Heading)
		b.heading, b.verbatim = isHeading, isVerbatim(n.Node)
		if isHeading {
			above := len(path)
			for above > 0 && path[above-1].Level >= h.Level {
				above--
			}
			if !alone || above < len(path) {
				sections = append(sections, current)
				current = section{start: b.start}
			}
			path, titles = append(path[:above:above], h), append(titles[:above:above], title(h, source[body:]))
			current.headings = titles
		}
		current.blocks = append(current.blocks, b)
		alone = isHeading
	}
	sections = append(sections, current)
	for i := range sections[:len(sections)-1] {
		sections[i].end = sections[i+1].start
	}
	sections[len(sections)-1].end = len(source)
	return slices.DeleteFunc(sections, func(s section) bool { return s.start == s.end })
}

// placed is a block and the beginning of its first line.
type placed struct {
	ast.Node
	start int
}

// topLevel returns the outermost blocks of a text, in order.
func topLevel(source string) []placed {
	blocks := parser.NewParser(parser.WithBlockParsers(parser.DefaultBlockParsers()...), parser.WithParagraphTransformers(parser.DefaultParagraphTransformers()...))
	var out []placed
	for n := blocks.Parse(text.NewReader([]byte(source))).FirstChild(); n != nil; n = n.NextSibling() {
		start := strings.LastIndexByte(source[:n.Pos()], '\n') + 1
		if len(out) == 0 || start > out[len(out)-1].start {
			out = append(out, placed{n, start})
		}
	}
	return out
}

func isVerbatim(n ast.Node) bool {
	switch n.Kind() {
	case ast.KindCodeBlock, ast.KindFencedCodeBlock, ast.KindHTMLBlock:
		return true
	}
	return false
}

// title returns the text of a heading, as it is written.
func title(h *ast.Heading, source string) string {
	var lines []string
	for i := range h.Lines().Len() {
		line := h.Lines().At(i)
		lines = append(lines, strings.TrimSpace(source[line.Start:line.Stop]))
	}
	return strings.Join(lines, " ")
}

// frontMatter returns the end of the metadata between lines of --- at the beginning,
// or 0.
func frontMatter(source string) int {
	for at, first := 0, true; at < len(source); first = false {
		line, _, more := strings.Cut(source[at:], "\n")
		at = min(at+len(line)+1, len(source))
		switch mark := strings.TrimRight(line, " \t\r"); {
		case first && (mark != "---" || !more):
			return 0
		case !first && mark == "---":
			return at
		}
	}
	return 0
}
