package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// watermark reads rows by ranges of a column.
//
// The rows of a source are a chain of ranges: the first one begins below all
// values, and each begins where the one before ends. A read keeps the ranges of
// the read before whose number of rows and checksum are still the same, reads the
// others again, and adds a range for the values above the last one. A range with
// its number of rows and its checksum is the fingerprint of a part, so nothing
// else has to remember what was read.
type watermark struct {
	*connection
	columns []column
	column  column
	quoted  string
}

// span is a range of values: above From, and up to To. nil means no limit. Values
// are in the form of dialect.text.
type span struct {
	From *string `json:"from"`
	To   *string `json:"to"`
}

// counted is what is known about the rows in a span.
type counted struct {
	rows     int64
	min, max *string
	checksum string
}

func (c counted) text() string {
	return fmt.Sprintf("%d rows %s to %s, %s", c.rows, quoted(c.min), quoted(c.max), c.checksum)
}

func (c counted) summary() string {
	if c.max == nil {
		return count(c.rows)
	}
	return count(c.rows) + " up to " + *c.max
}

func quoted(s *string) string {
	if s == nil {
		return "null"
	}
	return strconv.Quote(*s)
}

// part is a span that was read, as the fingerprint of a part.
type part struct {
	Database string `json:"database"`
	span
	Rows     int64  `json:"rows"`
	Checksum string `json:"checksum"`
}

// watermark checks the column of the watermark.
func (c *connection) watermark(columns []column) (*watermark, error) {
	i := slices.IndexFunc(columns, func(col column) bool { return col.Name == c.args.Watermark })
	if i < 0 {
		return nil, plugin.ArgumentErrorf("watermark", "The query has no column %q\nAdd it to the columns of the query.", c.args.Watermark)
	}
	switch columns[i].Type {
	case "int64", "timestamp", "date", "string":
	default:
		return nil, plugin.ArgumentErrorf("watermark", "The column %q is %s, which cannot be a watermark\nUse a column of whole numbers, times, or text.", c.args.Watermark, columns[i].Type)
	}
	return &watermark{connection: c, columns: columns, column: columns[i], quoted: c.dialect.quote(columns[i].Name)}, nil
}

// where returns the condition of a span. It adds its parameters to s.
func (w *watermark) where(of span, s *statement) string {
	var all []string
	for _, bound := range []struct {
		operator string
		value    *string
	}{{">", of.From}, {"<=", of.To}} {
		if bound.value == nil {
			continue
		}
		s.parameters = append(s.parameters, w.parameter(*bound.value))
		all = append(all, w.quoted+" "+bound.operator+" "+w.dialect.placeholder(len(s.parameters)))
	}
	if len(all) == 0 {
		return "1 = 1"
	}
	return strings.Join(all, " AND ")
}

// parameter returns a value as a parameter of its type. Some databases would
// compare a number with text as floats.
func (w *watermark) parameter(value string) any {
	if w.column.Type == "int64" {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return n
		}
	}
	return value
}

// summary counts the rows in a span.
func (w *watermark) summary(ctx context.Context, of span) (counted, error) {
	s := &statement{}
	condition := w.where(of, s)
	s.text = fmt.Sprintf("SELECT count(*), count(%[1]s), %[2]s, %[3]s, %[4]s FROM %[5]s WHERE %[6]s OR %[1]s IS NULL",
		w.quoted, w.dialect.text("min("+w.quoted+")"), w.dialect.text("max("+w.quoted+")"), w.dialect.checksum(w.quoted), w.args.from(), condition)
	var all int64
	var c counted
	var sum *string
	if err := w.tx.QueryRowContext(ctx, s.text, s.parameters...).Scan(&all, &c.rows, &c.min, &c.max, &sum); err != nil {
		return c, w.explain(ctx, err)
	}
	if sum != nil {
		c.checksum = *sum
	}
	if all > c.rows {
		return c, plugin.ArgumentErrorf("watermark", "The watermark %q is null in %s\nLeave these rows out in the query, or give them a value with COALESCE.", w.args.Watermark, count(all-c.rows))
	}
	return c, nil
}

// mostParts is how many spans a source has at most. When there would be more,
// the newest ones become one.
const mostParts = 64

// read writes the rows up to a cut. Each span is a part.
func (w *watermark) read(ctx context.Context, cut *string, to *plugin.RowWriter) error {
	if cut == nil { // the query had no rows
		return nil
	}
	chain := chainOf(w.identity, to.KnownParts())
	if len(chain) >= mostParts {
		chain = chain[:mostParts/2]
	}
	out := newSink(to)
	var last *string
	for _, s := range chain {
		if err := w.part(ctx, s, to, out); err != nil {
			return err
		}
		last = s.To
	}
	if last != nil && *last == *cut {
		return nil
	}
	return w.part(ctx, span{From: last, To: cut}, to, out)
}

// part writes a span, unless quern has its rows.
func (w *watermark) part(ctx context.Context, s span, to *plugin.RowWriter, out *sink) error {
	now, err := w.summary(ctx, s)
	if err != nil || now.rows == 0 {
		return err
	}
	fingerprint, err := json.Marshal(part{w.identity, s, now.rows, now.checksum})
	if err != nil {
		return err
	}
	name := "rows up to " + *s.To
	return to.NamedPart(name, string(fingerprint), func() error {
		before := out.done
		if err := w.rows(ctx, w.ordered(s), w.columns, out); err != nil {
			return err
		}
		if read := out.done - before; read != now.rows {
			return errors.New("the database returned another number of rows than it counted")
		}
		return nil
	})
}

// ordered returns the query for the rows of a span in the order of the watermark.
// Rows with equal watermarks are in the order of the other columns.
func (w *watermark) ordered(of span) statement {
	s := statement{}
	condition := w.where(of, &s)
	order := []string{w.quoted}
	for _, c := range w.columns {
		if c.Name != w.column.Name && w.dialect.sortable(c.native) {
			order = append(order, w.dialect.quote(c.Name))
		}
	}
	s.text = "SELECT * FROM " + w.args.from() + " WHERE " + condition + " ORDER BY " + strings.Join(order, ", ")
	return s
}

// chainOf returns the spans of parts that were read before, in order. It ends
// where the next one is missing.
func chainOf(identity string, parts []string) []span {
	next := map[string]span{}
	for _, text := range parts {
		var p part
		if json.Unmarshal([]byte(text), &p) == nil && p.Database == identity && p.To != nil {
			next[quoted(p.From)] = p.span
		}
	}
	var out []span
	var at *string
	for len(out) < len(next) {
		s, ok := next[quoted(at)]
		if !ok {
			break
		}
		out = append(out, s)
		at = s.To
	}
	return out
}
