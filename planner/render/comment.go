package render

import (
	"fmt"
	"html"
	"io"
	"regexp"
	"strings"
	"sync"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/printable"
)

// CommentSize is the most bytes that Markdown writes. A comment on GitHub has at
// most 65,536 characters, and a text never has more characters than bytes.
const CommentSize = 65_000

const (
	// tableSize is the part of a comment that its tables may take.
	tableSize = 45_000
	// foldSize is the most bytes of one folded text, and cellSize of one cell.
	foldSize, cellSize = 12_000, 400
	// noteSize is reserved for the note about what was left out.
	noteSize = 400
	// openRows is how many rows are shown without a fold.
	openRows = 40
)

// comment is a text for a pull request. What does not fit is left out as a whole,
// and counted in a note at the end.
type comment struct {
	b     strings.Builder
	notes []string
}

func (c *comment) printf(format string, args ...any) { fmt.Fprintf(&c.b, format, args...) }

// row is a row of a table. An urgent one is shown before others are.
type row struct {
	cells  []string
	urgent bool
}

// table writes as many rows as fit. noun is the name of a row.
func (c *comment) table(noun string, header []string, rows []row) {
	if len(rows) == 0 {
		return
	}
	head := line(header) + strings.Repeat("| --- ", len(header)) + "|\n"
	shown := c.fitting(rows, tableSize-c.b.Len()-len(head)-noteSize)
	fold := len(rows) > openRows
	c.printf("\n")
	if fold {
		c.printf("<details><summary>%s</summary>\n\n", english.Count(len(rows), noun))
	}
	c.printf("%s", head)
	left := 0
	for i, r := range rows {
		if shown[i] {
			c.printf("%s", line(r.cells))
		} else {
			left++
		}
	}
	if fold {
		c.printf("\n</details>\n")
	}
	c.omitted(left, "more "+noun)
}

// fitting chooses the rows that fit into a number of bytes: urgent ones first.
func (c *comment) fitting(rows []row, size int) []bool {
	shown := make([]bool, len(rows))
	for _, urgent := range []bool{true, false} {
		for i, r := range rows {
			if n := len(line(r.cells)); r.urgent == urgent && n <= size {
				shown[i] = true
				size -= n
			} else if r.urgent == urgent {
				size = 0 // the others are left out, too, so that the first ones are shown
			}
		}
	}
	return shown
}

func line(cells []string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

// omitted notes that something was left out.
func (c *comment) omitted(n int, noun string) {
	if n > 0 {
		c.notes = append(c.notes, english.Count(n, noun))
	}
}

// folds writes as many texts as fit, each under its title and folded.
func (c *comment) folds(all []fold) {
	left := 0
	for _, f := range all {
		text := f.markdown()
		if left > 0 || c.b.Len()+len(text)+noteSize > CommentSize {
			left++
			continue
		}
		c.printf("%s", text)
	}
	c.omitted(left, "more difference")
}

// write writes the comment with a note about what was left out.
func (c *comment) write(w io.Writer, complete string) error {
	if len(c.notes) > 0 {
		c.printf("\n… %s. %s\n", english.And(c.notes), complete)
	}
	if _, err := io.WriteString(w, c.b.String()); err != nil {
		return fmt.Errorf("write Markdown: %w", err)
	}
	return nil
}

// fold is a text under a title.
type fold struct {
	// subjects are what the text is about, such as stages, and title what it is.
	subjects []string
	title    string
	text     string
}

// difference returns the fold that shows two values.
func difference(subject, title, before, after string) fold {
	text := orNothing(before) + " → " + orNothing(after)
	if !isShort(before) || !isShort(after) {
		text = strings.Join(diffLines(before, after, plainMark), "\n")
	}
	return fold{subjects: []string{subject}, title: title, text: text}
}

// merged joins folds with the same title and text, such as those of all stages
// that use one prompt.
func merged(all []fold) []fold {
	var out []fold
	at := map[[2]string]int{}
	for _, f := range all {
		key := [2]string{f.title, f.text}
		if i, again := at[key]; again {
			out[i].subjects = append(out[i].subjects, f.subjects...)
			continue
		}
		at[key] = len(out)
		out = append(out, f)
	}
	return out
}

func (f fold) markdown() string {
	title := f.subjects[0]
	if more := len(f.subjects) - 1; more > 0 {
		title += fmt.Sprintf(" and %s more", english.Number(more))
	}
	title = shortened(printable.Line(title+": "+f.title), cellSize)
	// Within HTML, nothing is Markdown, and within code, nothing is a mention.
	return fmt.Sprintf("\n<details><summary><code>%s</code></summary>\n\n%s\n</details>\n", html.EscapeString(title), block(f.text))
}

// block shows a text as it is. Lines that do not fit are counted.
func block(s string) string {
	s = printable.Text(s)
	lines := strings.Split(s, "\n")
	size, kept := 0, 0
	for _, l := range lines {
		if size += len(l) + 1; size > foldSize {
			break
		}
		kept++
	}
	switch left := len(lines) - kept; {
	case kept == 0:
		s = shortened(lines[0], foldSize/4)
		if left > 1 {
			s += "\n… " + english.Count(left-1, "more line")
		}
	case left > 0:
		s = strings.Join(lines[:kept], "\n") + "\n… " + english.Count(left, "more line")
	}
	if strings.Contains(s, "```") {
		return "<pre>\n" + html.EscapeString(s) + "\n</pre>\n"
	}
	return "```text\n" + s + "\n```\n"
}

// plainText matches text that Markdown shows as it is.
var plainText = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\pL\pN _.,:;()'"/+=?→–—-]*$`) })

// active matches what becomes a link, emphasis, or an emoji without any other markup.
var active = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)://|www\.|\bGH-\d|__|\b_|_\b|:\w+:`) })

// cell shows a text in a table. Text that could be markup becomes code.
func cell(s string) string {
	s = shortened(printable.Line(s), cellSize)
	if plainText().MatchString(s) && !active().MatchString(s) {
		return s
	}
	return code(s)
}

// code shows a text in a table as code, in which nothing is markup, a link, or a
// mention.
func code(s string) string {
	s = shortened(printable.Line(s), cellSize)
	switch {
	case s == "":
		return ""
	case !strings.ContainsAny(s, "`\\"):
		return "`" + strings.ReplaceAll(s, "|", `\|`) + "`"
	}
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("&<>\"'`|\\*_[]{}()#+-.!~@:^$=", r) {
			fmt.Fprintf(&b, "&#%d;", r)
		} else {
			b.WriteRune(r)
		}
	}
	return "<code>" + b.String() + "</code>"
}

// shortened removes the middle of a text that has more than a number of
// characters.
func shortened(s string, most int) string {
	if r := []rune(s); len(r) > most {
		half := (most - len(" … ")) / 2
		return string(r[:half]) + " … " + string(r[len(r)-half:])
	}
	return s
}
