package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"unicode/utf8"
)

// jsonRows yields the values in a file that are rows: one per line, one after
// the other in any layout, or the elements of a list. Only reading shows
// whether a file contains lines or a document. After a line that is not JSON,
// the other lines are read. In a document, nothing shows where the next row
// would begin.
type jsonRows struct {
	*window
	syntax
	name string
	text *decoded
	at   int // line where the last value began
	// lines: a value on a line of its own was read, and nothing else so far.
	lines bool
	// document: a value that spans several lines was read.
	document bool
	// list: the next value is an element of a list, and the first one if fresh
	// is set.
	list, fresh bool
	// inside is the path to lists inside objects, or nil if the rows are not
	// inside objects.
	inside *jsonPath
}

// open opens a file at its first row.
func (a *jsonlArgs) open(f file, read *atomic.Int64) (*jsonRows, error) {
	path, err := a.path()
	if err != nil {
		return nil, err
	}
	text, err := f.text(a.Encoding, read)
	if err != nil {
		return nil, err
	}
	r := &jsonRows{window: newWindow(text), name: f.name, text: text}
	if path != nil {
		r.inside = &jsonPath{keys: path}
	}
	if err := r.findEnding(0); err != nil {
		text.Close()
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return r, nil
}

// next returns the next row as it is in the file. It is valid until the next
// call. With a malformed error, it returns the line that is not JSON. With
// io.EOF, there are no more rows.
func (r *jsonRows) next() ([]byte, error) {
	if err := r.between(); err != nil {
		return nil, err
	}
	r.at = r.line
	n, err := r.whole()
	if err != nil {
		return r.refused(err)
	}
	if !r.list {
		if err := r.restOfLine(n); err != nil {
			return r.refused(err)
		}
	}
	raw := r.data[:n]
	if !r.list {
		over := bytes.IndexByte(raw, r.ending) >= 0
		r.document = r.document || over
		r.lines = !r.document
	}
	r.take(n)
	return raw, nil
}

// between skips what precedes a value: white space, and the brackets and commas
// of lists.
func (r *jsonRows) between() error {
	for {
		if r.inside != nil && !r.list {
			if err := r.enter(r.inside); err != nil {
				return err
			}
			r.list, r.fresh = true, true
		}
		c, err := r.peek()
		if errors.Is(err, io.EOF) && r.list {
			return r.wrong("the list ends early: \"]\" is missing")
		}
		if err != nil {
			return err
		}
		switch {
		case !r.list && c == '[' && !r.lines:
			r.list, r.fresh = true, true
		case r.list && c == ']':
			r.list = false
			r.document = true
		case r.list && c == ',' && !r.fresh:
			r.take(1)
			if c, err = r.peek(); err == nil && (c == ']' || c == ',') {
				return r.wrong(fmt.Sprintf("%q where a row should be", string(c)))
			}
			r.fresh = true
			continue
		case r.list && !r.fresh:
			return r.wrong(fmt.Sprintf("%q where \",\" or \"]\" should be", head(r.data, 12)))
		default:
			r.fresh = false
			return nil
		}
		r.take(1)
	}
}

// wrong returns an error at the position of the next byte.
func (r *jsonRows) wrong(problem string) error {
	return fmt.Errorf("%s:%d: the file is not JSON: %s", r.name, r.line, problem)
}

// peek skips white space and returns the byte after it.
func (r *jsonRows) peek() (byte, error) {
	for {
		r.take(skipSpace(r.data, 0))
		if len(r.data) > 0 {
			return r.data[0], nil
		}
		if r.end {
			return 0, io.EOF
		}
		if err := r.grow(); err != nil {
			return 0, err
		}
	}
}

// whole makes sure that data begins with a complete value, and returns its
// length.
func (r *jsonRows) whole() (int, error) {
	for {
		n, err := r.extent(r.data, r.end)
		if !errors.Is(err, errMore) {
			return n, err
		}
		if err := r.grow(); err != nil {
			return 0, r.tooLong(err)
		}
	}
}

// tooLong returns the error for a value that is too long for memory.
func (r *jsonRows) tooLong(err error) error {
	err = fmt.Errorf("%s:%d: %w", r.name, r.at, err)
	if key, ok := listOfObjects(r.data); ok && !r.list && errors.Is(err, errLong) {
		return fmt.Errorf("%w\nThe file is one object. %s", err, fieldAdvice(key))
	}
	return err
}

// restOfLine makes sure that a value of n bytes is followed by the end of its
// line or by another value.
func (r *jsonRows) restOfLine(n int) error {
	for {
		if i := skipSpace(r.data, n); i < len(r.data) {
			if bytes.IndexByte(r.data[n:i], r.ending) >= 0 || r.data[i] == '{' || r.data[i] == '[' {
				return nil
			}
			return unexpected(r.data, i, "the end of the line")
		}
		if r.end {
			return nil
		}
		if err := r.grow(); err != nil {
			return fmt.Errorf("%s:%d: %w", r.name, r.at, err)
		}
	}
}

// refused handles a value that is not JSON. In a file of lines, only that line
// is lost.
func (r *jsonRows) refused(err error) ([]byte, error) {
	var wrong *syntaxError
	if !errors.As(err, &wrong) {
		return nil, err
	}
	n, lineErr := r.wholeLine()
	if lineErr != nil {
		return nil, fmt.Errorf("%s:%d: %w", r.name, r.at, lineErr)
	}
	beyond := wrong.at >= n && n < len(r.data)
	if r.list || r.document || beyond && !r.lines {
		before := r.data[:wrong.at]
		line := r.line + bytes.Count(before, []byte{r.ending})
		column := utf8.RuneCount(before[bytes.LastIndexByte(before, r.ending)+1:]) + 1
		where := ""
		if line > r.at {
			where = fmt.Sprintf(" The value begins in line %d.", r.at)
		}
		return nil, fmt.Errorf("%s:%d: the file is not JSON: %w (character %d of the line)\nCorrect the file: quern cannot tell where the next row begins.%s", r.name, line, err, column, where)
	}
	if beyond {
		err = errors.New("it ends in the middle of a value")
	}
	line := r.data[:n]
	r.take(n)
	return line, malformed{fmt.Errorf("the line is not valid JSON: %w", err)}
}
