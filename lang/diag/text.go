package diag

import (
	"fmt"
	"strings"

	"github.com/clipperhouse/displaywidth"
	"github.com/hashicorp/hcl/v2"
	"github.com/mitchellh/go-wordwrap"
	"github.com/quern-dev/quern/internal/printable"
)

// printer contains what the diagnostics of one Print have in common.
type printer struct {
	src    map[string][]byte
	opts   PrintOptions
	parsed map[string]*hcl.File
}

// redact removes secrets from a text.
func (p *printer) redact(text string) string {
	if p.opts.Redact == nil {
		return text
	}
	return p.opts.Redact(text)
}

const (
	reset     = "\x1b[0m"
	bold      = "\x1b[1m"
	red       = "\x1b[31m"
	yellow    = "\x1b[33m"
	underline = "\x1b[4m"
)

// style puts text between an escape sequence and its end.
func (p *printer) style(codes, text string) string {
	if !p.opts.Color || text == "" {
		return text
	}
	return codes + text + reset
}

// text is a diagnostic in its frame.
func (p *printer) text(d *hcl.Diagnostic) string {
	d = printed(d)
	word, color := "Error", red
	if d.Severity == hcl.DiagWarning {
		word, color = "Warning", yellow
	}
	var body strings.Builder
	fmt.Fprintf(&body, "%s%s\n", p.style(bold+color, word+": "), p.style(bold, p.redact(d.Summary)))
	if d.Subject != nil {
		body.WriteString("\n" + p.place(d))
	}
	if d.Detail != "" {
		body.WriteString("\n" + p.wrap(p.redact(d.Detail)) + "\n")
	}
	var out strings.Builder
	out.WriteString(p.style(color, "╷") + "\n")
	for line := range strings.Lines(body.String()) {
		out.WriteString(strings.TrimRight(p.style(color, "│")+" "+line, " \n") + "\n")
	}
	out.WriteString(p.style(color, "╵") + "\n")
	return out.String()
}

// printed returns d with text that is safe to print, because messages quote data and answers.
func printed(d *hcl.Diagnostic) *hcl.Diagnostic {
	safe := *d
	safe.Summary, safe.Detail = printable.Text(d.Summary), printable.Text(d.Detail)
	return &safe
}

// place describes the place of a diagnostic, with the lines of the file.
func (p *printer) place(d *hcl.Diagnostic) string {
	s, file := p.snippet(d), printable.Line(d.Subject.Filename)
	if s == nil {
		return fmt.Sprintf("  on %s line %d:\n  (the text of this file is not available)\n", file, d.Subject.Start.Line)
	}
	var b strings.Builder
	if address := Address(d); strings.HasPrefix(address, "module.") { // several instances may share the file
		fmt.Fprintf(&b, "  with %s,\n", printable.Line(address))
	}
	fmt.Fprintf(&b, "  on %s line %d", file, d.Subject.Start.Line)
	if s.Context != "" {
		b.WriteString(", in " + printable.Line(s.Context))
	}
	b.WriteString(":\n")
	p.code(&b, s)
	for i, v := range s.Values {
		if i == 0 {
			b.WriteString("    ├────────────────\n")
		}
		fmt.Fprintf(&b, "    │ %s %s\n", p.style(bold, printable.Line(v.Reference)), printable.Line(v.Statement))
	}
	return b.String()
}

// code writes numbered lines, the subject underlined: by the terminal where
// it can, otherwise by a line of carets below it.
func (p *printer) code(b *strings.Builder, s *Snippet) {
	at, number := 0, s.StartLine
	for line := range strings.Lines(s.Code) {
		text := strings.TrimRight(line, "\r\n")
		from := min(max(0, s.HighlightStart-at), len(text))
		to := min(max(from, s.HighlightEnd-at), len(text))
		before, subject, after := printable.Text(text[:from]), printable.Text(text[from:to]), printable.Text(text[to:])
		fmt.Fprintf(b, "%4d: %s%s%s\n", number, before, p.style(underline, subject), after)
		if carets := underlined(before+subject, len(before), len(before)+len(subject)); s.marks(at, len(text)) && !p.opts.Color && carets != "" {
			b.WriteString("      " + carets + "\n")
		}
		at += len(line)
		number++
	}
}

// marks reports whether the subject has a part in the line of n bytes at at. One
// that ends where the line begins has none, unless it is empty.
func (s *Snippet) marks(at, n int) bool {
	if s.HighlightStart == s.HighlightEnd {
		return s.HighlightStart >= at && s.HighlightStart <= at+n
	}
	return s.HighlightStart <= at+n && s.HighlightEnd > at
}

// underlined returns the line of carets below text[from:to]. Spaces at the
// subject's ends have none; an empty subject has one.
func underlined(text string, from, to int) string {
	part := text[from:to]
	from += len(part) - len(strings.TrimLeft(part, " \t"))
	part = strings.TrimSpace(part)
	if part == "" && from < to {
		return ""
	}
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, widened(text[:from]))
	return pad + strings.Repeat("^", max(1, displaywidth.String(part)))
}

// widened doubles runes that take two cells, so that one space per rune is as
// wide as the text.
func widened(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch displaywidth.Rune(r) {
		case 0:
			if r == '\t' {
				b.WriteRune(r)
			}
		case 2:
			b.WriteString("  ")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// wrap wraps a detail to the width of the terminal. Lines that begin with a
// space are already laid out and stay unchanged.
func (p *printer) wrap(detail string) string {
	if p.opts.Width <= 0 {
		return detail
	}
	lines := strings.Split(strings.TrimRight(detail, "\n"), "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, " ") {
			lines[i] = wordwrap.WrapString(line, uint(max(20, p.opts.Width-2)))
		}
	}
	return strings.Join(lines, "\n")
}
