package results

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/clipperhouse/displaywidth"

	"github.com/quern-dev/quern/internal/printable"
)

// Table contains rows of cells with a header. Cells contain complete texts;
// writers truncate and escape them for their format.
type Table struct {
	Header []string
	Rows   [][]string
	// Numbers says which columns are right-aligned.
	Numbers []bool
}

func (t *Table) add(cells ...string) { t.Rows = append(t.Rows, cells) }

func (t *Table) number(column int) bool { return column < len(t.Numbers) && t.Numbers[column] }

// gap separates the columns of a table in text form.
const gap = "   "

// Text writes the table in columns for a terminal. Cells are truncated to
// longest columns, or not at all if it is 0. Terminal controls are removed.
func (t *Table) Text(w io.Writer, longest int) error {
	lines, widths := t.lines(longest)
	for _, cells := range lines {
		var b strings.Builder
		for c, cell := range cells {
			space := strings.Repeat(" ", widths[c]-printable.Width(cell))
			if t.number(c) {
				cell, space = space+cell, ""
			}
			b.WriteString(cell + space + gap)
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// Width returns how many columns of a terminal Text needs.
func (t *Table) Width(longest int) int {
	_, widths := t.lines(longest)
	total := -len(gap)
	for _, w := range widths {
		total += w + len(gap)
	}
	return total
}

func (t *Table) lines(longest int) ([][]string, []int) {
	widths := make([]int, len(t.Header))
	var lines [][]string
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		cells := make([]string, len(widths))
		for c := range cells {
			if c < len(row) {
				cells[c] = Brief(row[c], longest)
			}
			widths[c] = max(widths[c], printable.Width(cells[c]))
		}
		lines = append(lines, cells)
	}
	return lines, widths
}

// Brief converts a text to one line of at most longest terminal columns, or of
// any length if it is 0. It removes control characters and those that change
// the writing direction.
func Brief(text string, longest int) string {
	line := printable.Line(text)
	if longest <= 0 || printable.Width(line) <= longest {
		return line
	}
	return displaywidth.TruncateString(line, longest, "…")
}

// Markdown writes the table in GitHub's flavor of Markdown.
func (t *Table) Markdown(w io.Writer, longest int) error {
	line := func(cells []string) error {
		escaped := make([]string, len(cells))
		for i, cell := range cells {
			escaped[i] = markdown.Replace(Brief(cell, longest))
		}
		_, err := fmt.Fprintf(w, "| %s |\n", strings.Join(escaped, " | "))
		return err
	}
	if err := line(t.Header); err != nil {
		return err
	}
	rules := make([]string, len(t.Header))
	for c := range rules {
		rules[c] = "---"
		if t.number(c) {
			rules[c] = "---:"
		}
	}
	if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(rules, " | ")); err != nil {
		return err
	}
	for _, row := range t.Rows {
		if err := line(row); err != nil {
			return err
		}
	}
	return nil
}

// markdown escapes Markdown and HTML in a cell.
var markdown = strings.NewReplacer(
	`\`, `\\`, "|", `\|`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "~", `\~`,
)

// CSV writes the table with whole texts, as RFC 4180 specifies. The answers in it
// may come from anywhere, so a cell that a spreadsheet would run as a formula
// gets a leading apostrophe, as OWASP advises.
func (t *Table) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = inert(cell)
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// inert keeps a spreadsheet from running a cell as a formula. Numbers are not
// changed.
func inert(cell string) string {
	if cell == "" || !strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return cell
	}
	if _, err := strconv.ParseFloat(cell, 64); err == nil {
		return cell
	}
	return "'" + cell
}
