package results

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/state"
)

// Profile says what the columns of a dataset contain.
type Profile struct {
	Address string
	*measurement.Profile
}

// ReadProfile reads a profile. The error is measurement.ErrNoProfile if the
// instance is something else.
func ReadProfile(s *store.Store, inst *state.Instance) (*Profile, error) {
	text, err := ReportFile(s, inst, measurement.File)
	if err != nil {
		return nil, err
	}
	p, err := measurement.ReadProfile(text)
	return &Profile{inst.Address, p}, err
}

// Extent says how large the dataset is.
func (p *Profile) Extent() string {
	text := fmt.Sprintf("%s, %s", english.Count(p.Rows, "row"), english.Count(len(p.Columns), "column"))
	if p.DuplicateRows > 0 {
		text += fmt.Sprintf("; %s equal an earlier one", english.Count(p.DuplicateRows, "row"))
	}
	if p.Sampled < p.Rows {
		text += fmt.Sprintf("; tokens, languages, personal data, and associations are from a sample of %s", english.Count(p.Sampled, "row"))
	}
	return text
}

// ColumnTable describes each column in a line.
func (p *Profile) ColumnTable() *Table {
	t := &Table{Header: []string{"COLUMN", "TYPE", "NULLS", "DISTINCT", "VALUES"}, Numbers: []bool{false, false, true, true, false}}
	for i := range p.Columns {
		c := &p.Columns[i]
		t.add(c.Name, c.Type, ShareText(c.Nulls, c.Nulls+c.Values), DistinctText(c), Summary(c))
	}
	return t
}

// DriftTable compares each column with the baseline. It returns nil without one.
func (p *Profile) DriftTable() *Table {
	if p.Drift == nil {
		return nil
	}
	return DriftTable(p.Drift)
}

// ColumnDrift says how the values of a column differ from those of a baseline, of
// which c and was are the descriptions.
func ColumnDrift(d *measurement.ColumnDrift, c, was *measurement.ProfileColumn) string {
	var parts []string
	for _, f := range []struct {
		name string
		of   measurement.Figure
	}{{"PSI", d.PSI}, {"distance", d.Distance}} {
		if text := shortFigure(f.of); text != "" {
			if d.Of != "values" {
				text = "of " + d.Of + " " + text
			}
			parts = append(parts, f.name+" "+text)
		}
	}
	if d.PAdjusted != nil {
		parts = append(parts, fmt.Sprintf("%s (%s)", CorrectedP(d.PAdjusted), d.Test))
	}
	for _, f := range []struct{ name, was, is string }{
		{"nulls", ShareText(was.Nulls, was.Nulls+was.Values), ShareText(c.Nulls, c.Nulls+c.Values)},
		{"distinct", DistinctText(was), DistinctText(c)},
	} {
		if f.was != f.is {
			parts = append(parts, fmt.Sprintf("%s %s → %s", f.name, f.was, f.is))
		}
	}
	return strings.Join(parts, ", ")
}

// DriftTable says how columns differ from those of a baseline.
func DriftTable(d *measurement.Drift) *Table {
	t := &Table{Header: []string{"COLUMN", "COMPARED", "PSI", "DISTANCE", "P", "TEST"}, Numbers: []bool{false, false, true, true, true}}
	for _, c := range d.Columns {
		p := ""
		if c.PAdjusted != nil {
			p = Probability(c.PAdjusted)
		}
		t.add(c.Name, c.Of, shortFigure(c.PSI), shortFigure(c.Distance), p, c.Test)
	}
	for _, of := range []struct {
		names []string
		what  string
	}{{d.Added, "added"}, {d.Removed, "removed"}, {d.Retyped, "has another type"}} {
		for _, name := range of.names {
			t.add(name, of.what)
		}
	}
	return t
}

func shortFigure(f measurement.Figure) string {
	switch {
	case f.Value == nil:
		return ""
	case f.Low == nil || f.High == nil:
		return fmt.Sprintf("%.3f", *f.Value)
	}
	return fmt.Sprintf("%.3f [%.3f, %.3f]", *f.Value, *f.Low, *f.High)
}

// Notes lists what may be wrong.
func (p *Profile) Notes() []string {
	var notes []string
	for _, w := range p.Warnings {
		notes = append(notes, strings.TrimPrefix(w.Column+": "+w.Text, ": "))
	}
	return notes
}

// ShareText formats the share of n in all.
func ShareText(n, all int64) string {
	if n == 0 || all == 0 {
		return "0"
	}
	return fmt.Sprintf("%.3g%%", 100*float64(n)/float64(all))
}

// DistinctText formats the number of distinct values, with ~ before an estimate.
func DistinctText(c *measurement.ProfileColumn) string {
	text := english.Number(c.Distinct.Value)
	if !c.Distinct.Exact() {
		text = "~" + text
	}
	return text
}

// fewClasses is the number of distinct values up to which a summary lists the most
// frequent ones.
const fewClasses = 50

// Summary describes the values of a column in a few words.
func Summary(c *measurement.ProfileColumn) string {
	switch n := c.Numbers; {
	case c.Values == 0:
		return ""
	case n != nil && (c.Type == "date" || c.Type == "timestamp"):
		return TimeText(c.Type, n.Quantile(0)) + " to " + TimeText(c.Type, n.Quantile(1))
	case n != nil:
		return fmt.Sprintf("%s to %s, median %s, mean %s ± %s", NumberText(n.Quantile(0)), NumberText(n.Quantile(1)), NumberText(n.Quantile(0.5)), NumberText(n.Mean), NumberText(n.Std))
	case len(c.Top) > 0 && c.Distinct.Value <= fewClasses:
		return classesText(c)
	case c.Texts != nil:
		return textsText(c.Texts)
	case c.Items != nil:
		return fmt.Sprintf("lengths %s to %s, mean %s", NumberText(c.Items.Quantile(0)), NumberText(c.Items.Quantile(1)), NumberText(c.Items.Mean))
	}
	return ""
}

func classesText(c *measurement.ProfileColumn) string {
	var parts []string
	for _, t := range c.Top[:min(len(c.Top), 4)] {
		parts = append(parts, fmt.Sprintf("%s %s", Brief(t.Value, 24), ShareText(t.Count, c.Values)))
	}
	return strings.Join(parts, ", ")
}

func textsText(t *measurement.Texts) string {
	text := fmt.Sprintf("%s characters, %s words", NumberText(t.Characters.Mean), NumberText(t.Words.Mean))
	if t.Tokens != nil {
		text += fmt.Sprintf(", %s tokens", NumberText(t.Tokens.Mean.Value))
	}
	if len(t.Languages) > 0 {
		text += fmt.Sprintf("; %s %.3g%%", t.Languages[0].Name, 100**t.Languages[0].Value)
	}
	return text
}

// NumberText formats a number that may not be known: 12, 1,000, 1,235, 0.5, 1.2e+10.
func NumberText(v *float64) string {
	switch {
	case v == nil:
		return "–"
	case math.Abs(*v) < 1e9 && (*v == math.Trunc(*v) || math.Abs(*v) >= 1000):
		return english.Number(int64(math.Round(*v)))
	}
	return fmt.Sprintf("%.4g", *v)
}

// TimeText formats a date in days, or a timestamp in microseconds, since 1970.
func TimeText(typ string, v *float64) string {
	switch {
	case v == nil:
		return "–"
	case typ == "date":
		return time.Unix(int64(math.Floor(*v))*24*60*60, 0).UTC().Format(time.DateOnly)
	}
	return time.UnixMicro(int64(math.Round(*v))).UTC().Format("2006-01-02 15:04:05")
}
