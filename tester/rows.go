package tester

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/clipperhouse/displaywidth"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/testfile"
	"github.com/quern-dev/quern/lang/value"
)

// rows compares the rows of datasets with the expected ones.
func (e *execution) rows(ctx context.Context) {
	if e.result == nil {
		return
	}
	for _, x := range e.config.Expects {
		e.failures = append(e.failures, e.expect(ctx, x)...)
	}
}

func (e *execution) expect(ctx context.Context, x *testfile.Expect) hcl.Diagnostics {
	columns, want, diags := e.expectedRows(ctx, x)
	if diags.HasErrors() {
		return diags
	}
	schema, got, err := e.dataset(ctx, x.Name())
	if err != nil {
		return hcl.Diagnostics{diag.Errorf(&x.Range, "Rows cannot be compared", "%s", diag.Sentence(err))}
	}
	for _, c := range columns {
		if _, _, ok := schema.Lookup(c); !ok {
			return hcl.Diagnostics{diag.Errorf(&x.Range, "Column is missing", "%s has no column %q.%s Its columns are %s.", x.Name(), c, diag.Suggest(c, schema.Names()), english.And(schema.Names()))}
		}
	}
	c := &comparison{columns: columns, types: rowType(schema)}
	wanted, err := c.cells(want)
	if err != nil {
		return hcl.Diagnostics{diag.Errorf(&x.Range, "Rows cannot be compared", "%s", diag.Sentence(err))}
	}
	found, err := c.cells(got)
	if err != nil {
		return hcl.Diagnostics{diag.Errorf(&x.Range, "Rows cannot be compared", "%s", diag.Sentence(err))}
	}
	if text := c.difference(wanted, found, x); text != "" {
		return hcl.Diagnostics{diag.Errorf(&x.Range, "Rows are not as expected", "%s", text)}
	}
	return nil
}

// expectedRows returns the rows of an expect block, and the columns that they have.
func (e *execution) expectedRows(ctx context.Context, x *testfile.Expect) ([]string, []cty.Value, hcl.Diagnostics) {
	if x.Rows == nil {
		return e.mocks.Table(ctx, &x.Table)
	}
	rows, diags := e.mocks.Rows(x.Rows)
	var columns []string
	for _, row := range rows {
		for name := range row.AsValueMap() {
			if !slices.Contains(columns, name) {
				columns = append(columns, name)
			}
		}
	}
	slices.Sort(columns)
	return columns, rows, diags
}

// comparison compares rows by some of their columns.
type comparison struct {
	columns []string
	types   cty.Type
}

// cells returns the values of the columns as text, by row. A column that a row does not
// have is null.
func (c *comparison) cells(rows []cty.Value) ([][]string, error) {
	out := make([][]string, len(rows))
	for i, row := range rows {
		given := row.AsValueMap()
		out[i] = make([]string, len(c.columns))
		for j, name := range c.columns {
			v, ok := given[name]
			if !ok {
				v = cty.NullVal(cty.DynamicPseudoType)
			}
			converted, err := convert.Convert(v, c.types.AttributeType(name))
			if err != nil {
				return nil, fmt.Errorf("row %d, column %q: %w", i, name, err)
			}
			out[i][j] = oneLine(value.Format(converted))
		}
	}
	return out, nil
}

// line is a line of a difference: a row that is missing, one that is unexpected, or one that
// is as expected.
type line struct {
	sign  string
	cells []string
}

// difference describes how rows differ, or is empty if they do not.
func (c *comparison) difference(want, got [][]string, x *testfile.Expect) string {
	lines := unordered(want, got)
	if x.Ordered {
		lines = ordered(want, got)
	}
	differs := func(l line) bool { return l.sign == "-" || l.sign == "+" && !x.Subset }
	if !slices.ContainsFunc(lines, differs) {
		return ""
	}
	if x.Subset {
		lines = slices.DeleteFunc(lines, func(l line) bool {
			return l.sign == "+" && !slices.ContainsFunc(lines, func(m line) bool { return m.sign == "-" && alike(m.cells, l.cells) })
		})
	}
	missing, unexpected := signed(lines, "-"), signed(lines, "+")
	var parts []string
	if missing > 0 {
		parts = append(parts, english.Count(missing, "row")+" "+english.Agree(missing, "is", "are")+" missing (-)")
	}
	if unexpected > 0 && !x.Subset {
		parts = append(parts, english.Count(unexpected, "row")+" "+english.Agree(unexpected, "is", "are")+" unexpected (+)")
	}
	return fmt.Sprintf("%s has %s, and %s %s expected: %s.\n\n%s", x.Name(), english.Count(len(got), "row"),
		english.Number(len(want)), english.Agree(len(want), "is", "are"), english.And(parts), c.print(lines))
}

func signed(lines []line, sign string) int {
	n := 0
	for _, l := range lines {
		if l.sign == sign {
			n++
		}
	}
	return n
}

// alike reports whether two rows agree in at least half of their cells.
func alike(a, b []string) bool {
	equal := 0
	for i := range a {
		if a[i] == b[i] {
			equal++
		}
	}
	return 2*equal >= len(a)
}

func key(cells []string) string { return strings.Join(cells, "\x00") }

// unordered matches equal rows, whatever their order. A missing row comes before the
// unexpected row that is most like it.
func unordered(want, got [][]string) []line {
	remaining := map[string]int{}
	for _, row := range got {
		remaining[key(row)]++
	}
	var lines []line
	var missing [][]string
	for _, row := range want {
		if remaining[key(row)] > 0 {
			remaining[key(row)]--
			lines = append(lines, line{" ", row})
			continue
		}
		missing = append(missing, row)
	}
	var unexpected [][]string
	for _, row := range slices.Backward(got) {
		if remaining[key(row)] > 0 {
			remaining[key(row)]--
			unexpected = append(unexpected, row)
		}
	}
	slices.Reverse(unexpected)
	for _, row := range missing {
		lines = append(lines, line{"-", row})
		if i := slices.IndexFunc(unexpected, func(other []string) bool { return alike(row, other) }); i >= 0 {
			lines = append(lines, line{"+", unexpected[i]})
			unexpected = slices.Delete(unexpected, i, i+1)
		}
	}
	for _, row := range unexpected {
		lines = append(lines, line{"+", row})
	}
	return lines
}

// ordered compares rows in their order. It finds the longest common subsequence.
func ordered(want, got [][]string) []line {
	lengths := make([][]int, len(want)+1)
	for i := range lengths {
		lengths[i] = make([]int, len(got)+1)
	}
	for i := len(want) - 1; i >= 0; i-- {
		for j := len(got) - 1; j >= 0; j-- {
			if slices.Equal(want[i], got[j]) {
				lengths[i][j] = lengths[i+1][j+1] + 1
			} else {
				lengths[i][j] = max(lengths[i+1][j], lengths[i][j+1])
			}
		}
	}
	var lines []line
	i, j := 0, 0
	for i < len(want) || j < len(got) {
		switch {
		case i < len(want) && j < len(got) && slices.Equal(want[i], got[j]):
			lines = append(lines, line{" ", want[i]})
			i, j = i+1, j+1
		case j >= len(got) || i < len(want) && lengths[i+1][j] >= lengths[i][j+1]:
			lines = append(lines, line{"-", want[i]})
			i++
		default:
			lines = append(lines, line{"+", got[j]})
			j++
		}
	}
	return lines
}

// The most lines of a difference, and the widest cell, that are printed.
const (
	mostLines  = 30
	widestCell = 60
)

// print prints a difference as a table. Rows that are as expected are left out if there are
// many lines.
func (c *comparison) print(lines []line) string {
	left := 0
	if len(lines) > mostLines {
		all := len(lines)
		lines = slices.DeleteFunc(slices.Clone(lines), func(l line) bool { return l.sign == " " })
		lines = lines[:min(len(lines), mostLines)]
		left = all - len(lines)
	}
	table := []line{{" ", c.columns}}
	table = append(table, lines...)
	widths := make([]int, len(c.columns))
	for i := range table {
		table[i].cells = slices.Clone(table[i].cells)
		for j, cell := range table[i].cells {
			table[i].cells[j] = shortened(cell)
			widths[j] = max(widths[j], displaywidth.String(table[i].cells[j]))
		}
	}
	var b strings.Builder
	for _, l := range table {
		text := "  " + l.sign
		for j, cell := range l.cells {
			text += " " + cell + strings.Repeat(" ", widths[j]-displaywidth.String(cell)) + " "
		}
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	if left > 0 {
		fmt.Fprintf(&b, "  … and %s\n", english.Count(left, "more row"))
	}
	return strings.TrimRight(b.String(), "\n")
}

func shortened(s string) string {
	if r := []rune(s); len(r) > widestCell {
		return string(r[:widestCell-1]) + "…"
	}
	return s
}
