package diag

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/lang/value"
	"github.com/zclconf/go-cty/cty"
)

// Snippet is the part of a file that a diagnostic is about.
type Snippet struct {
	// Context is the header of the enclosing block: `variable "x"`; empty if it
	// is outside any block.
	Context string `json:"context,omitempty"`
	// Code consists of whole lines, the first of which has the number StartLine.
	Code      string `json:"code"`
	StartLine int    `json:"start_line"`
	// HighlightStart and HighlightEnd bound the subject: bytes in Code.
	HighlightStart int `json:"highlight_start"`
	HighlightEnd   int `json:"highlight_end"`
	// Values are the values of the references in the faulty expression.
	Values []SnippetValue `json:"values,omitempty"`
}

// SnippetValue is the value of a reference: {"local.x", "is 3"}.
type SnippetValue struct {
	Reference string `json:"reference"`
	Statement string `json:"statement"`
}

// maxLines is the most lines of a subject that are shown.
const maxLines = 12

// snippet cuts a diagnostic's lines from its file; nil if there is no file.
func (p *printer) snippet(d *hcl.Diagnostic) *Snippet {
	if d.Subject == nil {
		return nil
	}
	src, ok := p.src[d.Subject.Filename]
	if !ok {
		return nil
	}
	subject, shown := *d.Subject, *d.Subject
	if d.Context != nil {
		shown = hcl.RangeOver(subject, *d.Context)
	}
	if lines := shown.End.Line - shown.Start.Line; lines >= maxLines {
		shown = subject
	}
	from := lineStart(src, clamp(shown.Start.Byte, src))
	to := lineEnd(src, lastByte(shown, src))
	code := firstLines(string(src[from:to]), maxLines)
	s := &Snippet{
		Context:        p.context(subject),
		Code:           code,
		StartLine:      shown.Start.Line,
		HighlightStart: min(max(0, clamp(subject.Start.Byte, src)-from), len(code)),
		HighlightEnd:   min(max(0, clamp(subject.End.Byte, src)-from), len(code)),
		Values:         values(d),
	}
	s.HighlightEnd = max(s.HighlightStart, s.HighlightEnd)
	switch {
	case has[SecretLines](d):
		s.hideAll()
	case has[Secret](d):
		s.hide()
	}
	if p.redact(s.Code) != s.Code {
		s.hideAll()
	}
	for i := range s.Values {
		s.Values[i].Statement = p.redact(s.Values[i].Statement)
	}
	s.cut()
	return s
}

// cut leaves out code far from the subject if the code is too long to
// read, for example because a program wrote it on one line.
func (s *Snippet) cut() {
	const most, around = 2000, 200 // bytes
	if len(s.Code) <= most {
		return
	}
	const gap = "…"
	if to := runeStart(s.Code, min(s.HighlightEnd, s.HighlightStart+most/2)+around); to < len(s.Code) {
		s.Code = s.Code[:to] + gap
		s.HighlightEnd = min(s.HighlightEnd, to)
	}
	if from := runeStart(s.Code, s.HighlightStart-around); from > 0 {
		s.StartLine += strings.Count(s.Code[:from], "\n")
		s.Code = gap + s.Code[from:]
		s.HighlightStart += len(gap) - from
		s.HighlightEnd += len(gap) - from
	}
}

// runeStart is the start of the character at an offset in a text, or the end of the text.
func runeStart(s string, at int) int {
	at = min(max(0, at), len(s))
	for at > 0 && at < len(s) && !utf8.RuneStart(s[at]) {
		at--
	}
	return at
}

const hidden = "(sensitive)"

// hideAll removes all of the code.
func (s *Snippet) hideAll() {
	s.Code, s.HighlightStart, s.HighlightEnd = hidden, 0, len(hidden)
}

// hide removes the subject from the code.
func (s *Snippet) hide() {
	s.Code = s.Code[:s.HighlightStart] + hidden + s.Code[s.HighlightEnd:]
	s.HighlightEnd = s.HighlightStart + len(hidden)
}

// lastByte is the offset by which a range's last line is found: a range that ends
// after a line break does not show the line after it.
func lastByte(r hcl.Range, src []byte) int {
	start, end := clamp(r.Start.Byte, src), clamp(r.End.Byte, src)
	if end > start && src[end-1] == '\n' {
		end--
	}
	return max(start, end)
}

func clamp(at int, src []byte) int { return min(max(0, at), len(src)) }

func lineStart(src []byte, at int) int { return bytes.LastIndexByte(src[:at], '\n') + 1 }

func lineEnd(src []byte, at int) int {
	if n := bytes.IndexByte(src[at:], '\n'); n >= 0 {
		return at + n
	}
	return len(src)
}

func firstLines(s string, n int) string {
	lines := strings.SplitAfterN(s, "\n", n+1)
	if len(lines) > n {
		return strings.TrimSuffix(strings.Join(lines[:n], ""), "\n")
	}
	return s
}

// context is the header of the block that contains a range.
func (p *printer) context(r hcl.Range) string {
	f, ok := p.parsed[r.Filename]
	if !ok {
		f, _ = limit.ParseConfig(p.src[r.Filename], r.Filename, hcl.InitialPos)
		p.parsed[r.Filename] = f
	}
	if f == nil {
		return ""
	}
	body, ok := f.Body.(*hclsyntax.Body)
	if !ok {
		return ""
	}
	for _, b := range body.Blocks {
		if b.Range().ContainsPos(r.Start) {
			return header(b)
		}
	}
	return ""
}

func header(b *hclsyntax.Block) string {
	s := b.Type
	for _, label := range b.Labels {
		s += fmt.Sprintf(" %q", label)
	}
	return s
}

// values returns the values of the references in a diagnostic's expression.
func values(d *hcl.Diagnostic) []SnippetValue {
	if parts, ok := hcl.DiagnosticExtra[Parts](d); ok {
		return slices.Clone(parts)
	}
	if d.Expression == nil || d.EvalContext == nil {
		return nil
	}
	var found []SnippetValue
	for _, t := range d.Expression.Variables() {
		v, diags := t.TraverseAbs(d.EvalContext)
		if diags.HasErrors() {
			continue
		}
		s := SnippetValue{Reference: Traversal(t), Statement: statement(v)}
		if s.Statement != "" && !slices.Contains(found, s) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b SnippetValue) int { return strings.Compare(a.Reference, b.Reference) })
	return found
}

// statement describes a value in a few words.
func statement(v cty.Value) string {
	switch {
	case value.IsSensitive(v):
		return "is sensitive"
	case v.IsMarked():
		v, _ = v.Unmark()
	}
	t := v.Type()
	switch {
	case t == cty.DynamicPseudoType && !v.IsKnown():
		return "is not known yet"
	case !v.IsKnown():
		return "is a " + t.FriendlyName() + ", not known yet"
	case v.IsNull():
		return "is null"
	case t == cty.Bool, t == cty.Number, t == cty.String:
		return "is " + shorten(value.Format(v))
	case t.IsCapsuleType():
		return "is a " + t.FriendlyName()
	case t.IsObjectType():
		return "is " + counted("object", len(t.AttributeTypes()), "attribute")
	}
	if v.LengthInt() == 0 {
		return "is an empty " + t.FriendlyName()
	}
	return "is " + counted(t.FriendlyName(), v.LengthInt(), "element")
}

func counted(what string, n int, part string) string {
	article := "a "
	if strings.HasPrefix(what, "o") {
		article = "an "
	}
	return article + what + " with " + english.Count(n, part)
}

// shorten cuts long text so that it fits on a line.
func shorten(s string) string {
	const most = 100
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// Traversal writes a traversal as the user did: evaluate.student["a"].n.
func Traversal(t hcl.Traversal) string {
	var b strings.Builder
	for _, step := range t {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(step.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + step.Name)
		case hcl.TraverseIndex:
			b.WriteString("[" + value.Format(step.Key) + "]")
		case hcl.TraverseSplat:
			b.WriteString("[*]")
		}
	}
	return b.String()
}
