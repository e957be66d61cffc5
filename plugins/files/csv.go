package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// dialect is the way a CSV file is written. Zero for Quote or Escape means that
// there is none.
type dialect struct {
	delimiter, quote, escape byte
}

// field is a field of a record. Its text is valid until the next record.
type field struct {
	text   []byte
	quoted bool
}

// csvReader splits a text into records.
type csvReader struct {
	*window
	dialect
	fields []field
	// record is the last record as it is in the file, and line is its line.
	record []byte
	at     int
	joined []byte // for fields that have to be joined from pieces
}

// malformed is the error of a malformed record. The reader can continue after
// it.
type malformed struct{ error }

func (m malformed) Unwrap() error { return m.error }

var errMore = errors.New("the record continues")

// next reads the next record, skipping empty lines. It returns io.EOF if there
// is none. After a malformed error, record is the line where that record began,
// and the next record starts on the line after it.
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
			if errors.Is(err, errLong) {
				err = malformed{fmt.Errorf("%w\nA quote may have been opened but not closed. %s", err, quoteAdvice)}
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

// cutLine skips the line where a malformed record began.
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

// scan finds the fields of the record at the beginning of data, and returns its
// length. It returns errMore if data does not contain the whole record.
func (r *csvReader) scan(data []byte) (int, error) {
	r.fields, r.joined = r.fields[:0], r.joined[:0]
	newline := -1 // end of the line that contains i
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
			newline = bytes.IndexByte(data[i:], r.ending)
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
		text := data[i:newline]
		if r.ending == '\n' {
			text = bytes.TrimRight(text, "\r")
		}
		r.fields = append(r.fields, field{text, false})
		return min(newline+1, len(data)), r.unmixed()
	}
}

// unmixed makes sure that no unquoted field contains a line break of a kind
// that does not end lines in this file, because it was probably meant to.
func (r *csvReader) unmixed() error {
	other := byte('\r')
	if r.ending == '\r' {
		other = '\n'
	}
	for i, f := range r.fields {
		if f.quoted || bytes.IndexByte(f.text, other) < 0 {
			continue
		}
		names := [2]string{"carriage return (CR)", "line feed (LF)"}
		if other == '\n' {
			names[0], names[1] = names[1], names[0]
		}
		return malformed{fmt.Errorf("field %d, %q, contains a lone %s, but lines of this file end with a %s\nIf it is meant to end a line, convert the line breaks, for instance with dos2unix or mac2unix. If it is part of the text, put the field in quotes.", i+1, f.text[:min(len(f.text), 60)], names[0], names[1])}
	}
	return nil
}

// quoted reads a quoted field. It returns its text, and its length including
// the quotes.
func (r *csvReader) quoted(data []byte) (text []byte, length int, err error) {
	start := len(r.joined)
	from := 1 // data from here on has not been added to joined
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
	return malformed{fmt.Errorf("a quote is opened and never closed\n%s", quoteAdvice)}
}

// quoteAdvice is the advice for text whose quotes may not be what they seem.
const quoteAdvice = "If quotes are part of the text in this file, set quote = \"\". If a quote inside a quoted field has a sign before it, name that sign in escape."

// indexEither returns the index of the first a or b, or len(data) if there is
// none.
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

// after checks what follows a quoted field: a delimiter or the end of the
// record. It returns the length of that.
func (r *csvReader) after(data []byte) (end bool, length int, err error) {
	switch {
	case len(data) == 0 && r.end:
		return true, 0, nil
	case len(data) == 0:
		return false, 0, errMore
	case data[0] == r.delimiter:
		return false, 1, nil
	case data[0] == r.ending:
		return true, 1, nil
	case data[0] == '\r':
		rest := bytes.TrimLeft(data, "\r")
		if len(rest) == 0 && !r.end {
			return false, 0, errMore
		}
		if len(rest) == 0 {
			return true, len(data), nil
		}
		if rest[0] == '\n' && r.ending == '\n' {
			return true, len(data) - len(rest) + 1, nil
		}
	}
	return false, 0, malformed{fmt.Errorf("%q comes after a closing quote, where %q or the end of the line should be\n%s", head(data, 12), r.delimiter, quoteAdvice)}
}

func head(text []byte, n int) []byte {
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	return text[:min(n, len(text))]
}

// skip skips lines, regardless of their content.
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
