package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// dialect is how a CSV file is written. Zero for Quote and Escape: there is
// none.
type dialect struct {
	delimiter, quote, escape byte
}

// field is one field of a record. Its text is valid until the next record.
type field struct {
	text   []byte
	quoted bool
}

// csvReader cuts a text into records.
type csvReader struct {
	*window
	dialect
	fields []field
	// record is the last record as it stands in the file, line its line.
	record []byte
	at     int
	joined []byte // fields that had to be put together
}

// malformed is what is wrong with a record; the reader can go on behind it.
type malformed struct{ error }

func (m malformed) Unwrap() error { return m.error }

var errMore = errors.New("the record goes on")

// next reads a record that is not an empty line. io.EOF: there is none. After
// a malformed error, record is the line it began with, and the next record is
// the one behind that line.
func (r *csvReader) next() error {
	for {
		if len(r.data) == 0 {
			if err := r.grow(); err != nil {
				return err
			}
			if len(r.data) == 0 {
				continue
			}
		}
		n, err := r.scan(r.data)
		if errors.Is(err, errMore) {
			if err = r.grow(); err == nil {
				continue
			}
			if len(r.data) >= maxRecord {
				err = malformed{fmt.Errorf("%w: is a quote opened and not closed?", err)}
			}
		}
		if err != nil {
			return r.cutLine(err)
		}
		r.cut(n)
		if len(lineEnd(r.record)) > 0 {
			return nil
		}
	}
}

func (r *csvReader) cut(n int) {
	r.record, r.at = r.data[:n], r.line
	r.take(n)
}

// cutLine cuts off the line that a malformed record began with.
func (r *csvReader) cutLine(problem error) error {
	if !errors.As(problem, new(malformed)) {
		return problem
	}
	n, err := r.wholeLine()
	if err != nil {
		return err
	}
	r.cut(n)
	return problem
}

// scan finds the fields of the record that data begins with and returns its
// length. errMore: data does not hold all of it.
func (r *csvReader) scan(data []byte) (int, error) {
	r.fields, r.joined = r.fields[:0], r.joined[:0]
	newline := -1 // where the line that i is in ends
	for i := 0; ; {
		if r.quote != 0 && i < len(data) && data[i] == r.quote {
			text, n, err := r.quoted(data[i:])
			if err != nil {
				return 0, err
			}
			i += n
			r.fields = append(r.fields, field{text, true})
			end, n, err := r.after(data[i:])
			if err != nil {
				return 0, err
			}
			i += n
			if end {
				return i, nil
			}
			continue
		}
		if newline < i {
			newline = bytes.IndexByte(data[i:], '\n')
			if newline < 0 && !r.end {
				return 0, errMore
			}
			if newline < 0 {
				newline = len(data)
			} else {
				newline += i
			}
		}
		if d := bytes.IndexByte(data[i:newline], r.delimiter); d >= 0 {
			r.fields = append(r.fields, field{data[i : i+d], false})
			i += d + 1
			continue
		}
		r.fields = append(r.fields, field{bytes.TrimSuffix(data[i:newline], []byte{'\r'}), false})
		return min(newline+1, len(data)), nil
	}
}

// quoted reads a field in quotes and returns its text and its length with the
// quotes.
func (r *csvReader) quoted(data []byte) (text []byte, length int, err error) {
	start := len(r.joined)
	from := 1 // what is behind it was not put into joined yet
	for i := 1; ; {
		i += indexEither(data[i:], r.quote, r.escape)
		if i >= len(data) {
			return nil, 0, r.open()
		}
		if r.escape != 0 && data[i] == r.escape {
			if i+1 >= len(data) && !r.end {
				return nil, 0, errMore
			}
			if i+1 < len(data) && (r.escape != r.quote || data[i+1] == r.quote) {
				r.joined = append(r.joined, data[from:i]...)
				from = i + 1
				i += 2
				continue
			}
			if r.escape != r.quote {
				return nil, 0, r.open()
			}
		}
		if from == 1 {
			return data[1:i], i + 1, nil
		}
		r.joined = append(r.joined, data[from:i]...)
		return r.joined[start:], i + 1, nil
	}
}

func (r *csvReader) open() error {
	if !r.end {
		return errMore
	}
	return malformed{errors.New("a quote is opened and never closed")}
}

// indexEither is the place of the first a or b; len(data): there is none.
func indexEither(data []byte, a, b byte) int {
	i := bytes.IndexByte(data, a)
	if i < 0 {
		i = len(data)
	}
	if b != 0 && b != a {
		if j := bytes.IndexByte(data[:i], b); j >= 0 {
			return j
		}
	}
	return i
}

// after looks at what follows a quoted field: a delimiter, or the record's
// end. It returns how long that is.
func (r *csvReader) after(data []byte) (end bool, length int, err error) {
	switch {
	case len(data) == 0 && r.end:
		return true, 0, nil
	case len(data) == 0:
		return false, 0, errMore
	case data[0] == r.delimiter:
		return false, 1, nil
	case data[0] == '\n':
		return true, 1, nil
	case data[0] == '\r' && len(data) == 1 && !r.end:
		return false, 0, errMore
	case data[0] == '\r' && len(data) == 1:
		return true, 1, nil
	case data[0] == '\r' && data[1] == '\n':
		return true, 2, nil
	}
	return false, 0, malformed{fmt.Errorf("%q stands behind a closing quote, where %q or the line's end should be", head(data, 12), r.delimiter)}
}

func head(text []byte, n int) []byte {
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	return text[:min(n, len(text))]
}

// skip passes over lines, whatever they hold.
func (r *csvReader) skip(lines int) error {
	for range lines {
		n, err := r.wholeLine()
		if err != nil {
			return err
		}
		if n == 0 {
			return io.EOF
		}
		r.take(n)
	}
	return nil
}
