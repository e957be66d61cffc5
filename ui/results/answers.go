package results

import (
	"iter"
	"strconv"
	"strings"
)

// Listing is a table of individual answers, possibly truncated.
type Listing struct {
	*Table
	// Shown of All are in the table.
	Shown, All int64
}

// full reports whether the listing has reached most rows. 0 means no limit.
func (l *Listing) full(most int) bool { return most > 0 && l.Shown >= int64(most) }

// Failures lists the answers that failed, at most most (0 for all).
func (e *Evaluation) Failures(rows iter.Seq2[*Row, error], most int) (*Listing, error) {
	l := &Listing{Table: &Table{Header: []string{"row"}, Numbers: []bool{true}}}
	repeated, targets := e.Repeats > 1, e.Type == "classification"
	l.Header = append(l.Header, "id", "subject")
	if repeated {
		l.Header = append(l.Header, "draw")
	}
	l.Header = append(l.Header, "given")
	if targets {
		l.Header = append(l.Header, "right")
	}
	l.Header = append(l.Header, "answer", "why")
	anyID := false
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		for i := range row.Answers {
			a := &row.Answers[i]
			if !a.Failed() {
				continue
			}
			if l.All++; l.full(most) {
				continue
			}
			l.Shown++
			anyID = anyID || row.ID != ""
			cells := []string{strconv.FormatInt(row.Row, 10), row.ID, a.Subject}
			if repeated {
				cells = append(cells, strconv.FormatInt(a.Draw, 10))
			}
			cells = append(cells, row.Summary())
			if targets {
				cells = append(cells, row.Target)
			}
			l.add(append(cells, Predicted(a.Text), e.Why(a))...)
		}
	}
	if !anyID {
		l.drop(1)
	}
	return l, nil
}

// drop removes a column.
func (t *Table) drop(column int) {
	cut := func(cells []string) []string { return append(cells[:column:column], cells[column+1:]...) }
	t.Header = cut(t.Header)
	if len(t.Numbers) > column {
		t.Numbers = append(t.Numbers[:column:column], t.Numbers[column+1:]...)
	}
	for i := range t.Rows {
		t.Rows[i] = cut(t.Rows[i])
	}
}

// Summary describes a row in a line, without its name and its right label,
// which are shown next to it.
func (r *Row) Summary() string {
	var parts []string
	for _, f := range r.Given {
		if text := f.Text(); text != "" && text != "null" && text != r.Target && text != r.ID {
			parts = append(parts, f.Name+": "+text)
		}
	}
	if len(parts) == 1 {
		_, text, _ := strings.Cut(parts[0], ": ")
		return text
	}
	return strings.Join(parts, " · ")
}

// Why says what is wrong with an answer that failed.
func (e *Evaluation) Why(a *Answer) string {
	switch {
	case a.Error != "":
		return a.Error
	case a.Refused:
		return "refused"
	case e.Type == "classification" && a.Text == nil:
		return "no label"
	case e.Type == "classification":
		return "wrong"
	}
	var parts []string
	for _, name := range e.Misses(a) {
		m, _ := e.Metric(name)
		if m.Share {
			parts = append(parts, name)
			continue
		}
		parts = append(parts, name+" "+Short(a.Values[name]))
	}
	return strings.Join(parts, ", ")
}

// Partings are the rows on which two subjects have different outcomes.
type Partings struct {
	Listing
	A, B string
	// Numbers of rows by outcome. Each draw of a row counts.
	Both, OnlyA, OnlyB, Neither int64
}

// Diff compares two subjects' answers, draw by draw, and lists the rows that
// only one of the two passes, at most most (0 for all).
func (e *Evaluation) Diff(rows iter.Seq2[*Row, error], a, b string, most int) (*Partings, error) {
	p := &Partings{A: a, B: b, Listing: Listing{Table: &Table{
		Header: []string{"row", "id", "given", "right", "passes", a, b}, Numbers: []bool{true},
	}}}
	ids, targets := false, e.Type == "classification"
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		for i := range row.Answers {
			first := &row.Answers[i]
			second := row.answer(b, first.Draw)
			if first.Subject != a || second == nil || !p.counts(first, second) || p.full(most) {
				continue
			}
			p.Shown++
			ids = ids || row.ID != ""
			better := a
			if first.Failed() {
				better = b
			}
			p.add(strconv.FormatInt(row.Row, 10), row.ID, row.Summary(), row.Target, better, Predicted(first.Text), Predicted(second.Text))
		}
	}
	if !targets {
		p.drop(3)
	}
	if !ids {
		p.drop(1)
	}
	p.All = p.OnlyA + p.OnlyB
	return p, nil
}

// counts counts a pair of answers, and reports whether they differ.
func (p *Partings) counts(a, b *Answer) bool {
	switch {
	case !a.Failed() && !b.Failed():
		p.Both++
	case !a.Failed():
		p.OnlyA++
		return true
	case !b.Failed():
		p.OnlyB++
		return true
	default:
		p.Neither++
	}
	return false
}

func (r *Row) answer(subject string, draw int64) *Answer {
	for i := range r.Answers {
		if a := &r.Answers[i]; a.Subject == subject && a.Draw == draw {
			return a
		}
	}
	return nil
}

// Selected yields the rows with those answers for which keep is true, without
// rows that have none.
func Selected(rows iter.Seq2[*Row, error], keep func(*Answer) bool) iter.Seq2[*Row, error] {
	return narrowed(rows, func(row *Row) []Answer {
		var kept []Answer
		for i := range row.Answers {
			if keep(&row.Answers[i]) {
				kept = append(kept, row.Answers[i])
			}
		}
		return kept
	})
}

// Parting yields the rows that only one of two subjects passes, with their
// answers.
func Parting(rows iter.Seq2[*Row, error], a, b string) iter.Seq2[*Row, error] {
	return narrowed(rows, func(row *Row) []Answer {
		var parting []Answer
		for i := range row.Answers {
			first := &row.Answers[i]
			if second := row.answer(b, first.Draw); first.Subject == a && second != nil && first.Failed() != second.Failed() {
				parting = append(parting, *first, *second)
			}
		}
		return parting
	})
}

// narrowed yields the rows with the answers that pick returns, without rows for
// which it returns none.
func narrowed(rows iter.Seq2[*Row, error], pick func(*Row) []Answer) iter.Seq2[*Row, error] {
	return func(yield func(*Row, error) bool) {
		for row, err := range rows {
			if err != nil {
				yield(nil, err)
				return
			}
			part := *row
			if part.Answers = pick(row); len(part.Answers) > 0 && !yield(&part, nil) {
				return
			}
		}
	}
}
