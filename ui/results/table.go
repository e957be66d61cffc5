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

// Table is rows of cells under a header. Cells hold whole texts; writers cut
// and escape them as their format needs.
type Table struct {
	Header []string
	Rows   [][]string
	// Numbers says which columns are set to the right.
	Numbers []bool
}

func (t *Table) add(cells ...string) { t.Rows = append(t.Rows, cells) }

func (t *Table) number(column int) bool { return column < len(t.Numbers) && t.Numbers[column] }

// gap separates the columns of a text.
const gap = "   "

// Text writes the table in columns for a terminal. Cells are cut to so many
// columns; 0: not at all. What could steer a terminal is taken out of them.
func (t *Table) Text(w io.Writer, longest int) error {
	lines, widths := t.lines(longest)
	for _, cells := range lines {
		var b strings.Builder
		for c, cell := range cells {
			space := strings.Repeat(" ", widths[c]-displaywidth.String(cell))
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

// Width is how many columns of a terminal Text takes.
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
			widths[c] = max(widths[c], displaywidth.String(cells[c]))
		}
		lines = append(lines, cells)
	}
	return lines, widths
}

// Brief makes one line of a text, of so many columns of a terminal at most; 0:
// of any length. Control characters and those that change the direction of
// writing do not come through.
func Brief(text string, longest int) string {
	line := printable.Line(text)
	if longest <= 0 || displaywidth.String(line) <= longest {
		return line
	}
	return displaywidth.TruncateString(line, longest, "…")
}

// Markdown writes the table as GitHub and others read it.
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

// markdown keeps what a cell holds from being read as Markdown or HTML.
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

// inert keeps a spreadsheet from running a cell as a formula. Numbers stay as they
// are.
func inert(cell string) string {
	if cell == "" || !strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return cell
	}
	if _, err := strconv.ParseFloat(cell, 64); err == nil {
		return cell
	}
	return "'" + cell
}
