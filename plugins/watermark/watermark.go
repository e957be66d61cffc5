// Package watermark reads the rows of a query by ranges of a column that grows.
//
// The rows of a source are a chain of ranges: the first one begins below all
// values, and each begins where the one before ends. A read keeps the ranges of
// the read before whose number of rows and checksum are still the same, reads the
// others again, and adds a range for the values above the last one. A range with
// its number of rows and its checksum is the fingerprint of a part, so nothing
// else has to remember what was read.
package watermark

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Rows are the rows of a query in one snapshot of a database.
type Rows interface {
	// Count counts the rows in a span. It is an error if the watermark of any row
	// is null.
	Count(context.Context, Span) (Counted, error)
	// Write writes the rows in a span, and returns their number. They are in the
	// order of the watermark, and rows with equal watermarks in that of the other
	// columns.
	Write(context.Context, Span, *plugin.RowWriter) (int64, error)
}

// Span is a range of values: above From, and up to To. nil means no limit. Values
// are in the form in which the database writes them as text.
type Span struct {
	From *string `json:"from"`
	To   *string `json:"to"`
}

// Condition returns the SQL condition of a span of a column. bind returns a value
// as an expression.
func (s Span) Condition(column string, bind func(value string) string) string {
	var all []string
	for _, bound := range []struct {
		operator string
		value    *string
	}{{">", s.From}, {"<=", s.To}} {
		if bound.value != nil {
			all = append(all, column+" "+bound.operator+" "+bind(*bound.value))
		}
	}
	if len(all) == 0 {
		return "1 = 1"
	}
	return strings.Join(all, " AND ")
}

// Counted is what is known about the rows in a span.
type Counted struct {
	Rows     int64
	Min, Max *string
	// Checksum differs for most other sets of watermarks.
	Checksum string
}

func (c Counted) text() string {
	return fmt.Sprintf("%d rows %s to %s, %s", c.Rows, quoted(c.Min), quoted(c.Max), c.Checksum)
}

func (c Counted) summary() string {
	if c.Max == nil {
		return RowCount(c.Rows)
	}
	return RowCount(c.Rows) + " up to " + *c.Max
}

// RowCount writes a number of rows.
func RowCount(n int64) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}

func quoted(s *string) string {
	if s == nil {
		return "null"
	}
	return strconv.Quote(*s)
}

// Usable reports whether a column of a type can be a watermark.
func Usable(typ string) bool {
	switch typ {
	case "int64", "timestamp", "date", "string":
		return true
	}
	return false
}

// NullError says that the watermark of some rows is null.
func NullError(column string, rows int64) error {
	return plugin.ArgumentErrorf("watermark", "The watermark %q is null in %s\nLeave these rows out in the query, or give them a value with COALESCE.", column, RowCount(rows))
}

// memo is what a fingerprint leaves for the next call.
type memo struct {
	// Cut is the highest watermark that is read.
	Cut *string `json:"cut,omitempty"`
	// Planned says that the rows up to the cut are still to be read. The next
	// fingerprint is then that of these rows, after they were read, and not of rows
	// that have been added since.
	Planned bool `json:"planned,omitempty"`
}

// Fingerprint counts the rows. identity identifies the database: a count of rows
// says nothing about the rows of another one.
func Fingerprint(ctx context.Context, identity string, rows Rows, former []byte) (plugin.Fingerprint, error) {
	var before memo
	_ = json.Unmarshal(former, &before)
	cut := before.Cut
	if !before.Planned {
		cut = nil
	}
	all, err := rows.Count(ctx, Span{To: cut})
	if err != nil {
		return plugin.Fingerprint{}, err
	}
	if cut == nil {
		cut = all.Max
	}
	text, err := json.Marshal(memo{Cut: cut, Planned: !before.Planned})
	return plugin.Fingerprint{Value: identity + " " + all.text(), Memo: text, Summary: all.summary()}, err
}

// Part is a span with its rows.
type Part struct {
	Span
	Rows int64
	// Fingerprint identifies the rows.
	Fingerprint string
}

// print is what the fingerprint of a part contains.
type print struct {
	Database string `json:"database"`
	Span
	Rows     int64  `json:"rows"`
	Checksum string `json:"checksum"`
}

// mostParts is how many spans a source has at most. When there would be more,
// the newest ones become one.
const mostParts = 64

// Parts returns the parts up to the value that a fingerprint saw. memo is what that
// fingerprint left, and known are the fingerprints of the parts that were read
// before.
func Parts(ctx context.Context, identity string, rows Rows, former []byte, known []string) ([]Part, error) {
	var seen memo
	_ = json.Unmarshal(former, &seen)
	if seen.Cut == nil { // the query had no rows
		return nil, nil
	}
	chain := chainOf(identity, known)
	if len(chain) >= mostParts {
		chain = chain[:mostParts/2]
	}
	var last *string
	if len(chain) > 0 {
		last = chain[len(chain)-1].To
	}
	if last == nil || *last != *seen.Cut {
		chain = append(chain, Span{From: last, To: seen.Cut})
	}
	var out []Part
	for _, s := range chain {
		now, err := rows.Count(ctx, s)
		if err != nil {
			return nil, err
		}
		if now.Rows == 0 {
			continue
		}
		text, err := json.Marshal(print{identity, s, now.Rows, now.Checksum})
		if err != nil {
			return nil, err
		}
		out = append(out, Part{s, now.Rows, string(text)})
	}
	return out, nil
}

// Read writes the rows up to the value that the fingerprint saw. Those of parts
// that quern has are not read.
func Read(ctx context.Context, identity string, rows Rows, w *plugin.RowWriter) error {
	parts, err := Parts(ctx, identity, rows, w.Memo(), w.KnownParts())
	if err != nil {
		return err
	}
	for _, p := range parts {
		err := w.NamedPart("rows up to "+*p.To, p.Fingerprint, func() error {
			read, err := rows.Write(ctx, p.Span, w)
			if err == nil && read != p.Rows {
				err = errors.New("the database returned another number of rows than it counted")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// chainOf returns the spans of parts that were read before, in order. It ends
// where the next one is missing.
func chainOf(identity string, parts []string) []Span {
	next := map[string]Span{}
	for _, text := range parts {
		var p print
		if json.Unmarshal([]byte(text), &p) == nil && p.Database == identity && p.To != nil {
			next[quoted(p.From)] = p.Span
		}
	}
	var out []Span
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
