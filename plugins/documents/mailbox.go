package documents

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// errLarge is the error of a message that is larger than a document may be.
var errLarge = errors.New("the message is too large")

// mailbox reads the messages of a file in the mbox format. A message begins with
// a line such as "From ann@example.org Thu Jan  1 00:00:00 2026" that is the
// first one or comes after an empty line. Writers put ">" before a line of a
// message that looks like one; it is removed.
type mailbox struct {
	*bufio.Reader
	max int64
	// begun says that the line that begins the next message was read.
	begun bool
}

// next returns the next message, or io.EOF. After errLarge, the one after it can
// be read.
func (m *mailbox) next() ([]byte, error) {
	var out []byte
	large, empty := false, true
	for {
		line, err := m.line()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		end := errors.Is(err, io.EOF) && len(line) == 0
		if begins := empty && isSeparator(line); begins || end {
			first := !m.begun
			m.begun = begins
			switch {
			case first && end:
				return nil, io.EOF
			case first:
				empty = false
				continue
			case large:
				return nil, errLarge
			}
			return out, nil
		}
		empty = len(bytes.TrimRight(line, "\r\n")) == 0
		if large = large || int64(len(out)+len(line)) > m.max; large {
			out = nil
			continue
		}
		out = append(out, unquoted(line)...)
	}
}

// line returns the next line with its end.
func (m *mailbox) line() ([]byte, error) {
	line, err := m.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) && int64(len(long)) <= m.max {
		line, err = m.ReadSlice('\n')
		long = append(long, line...)
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		err = nil
	}
	return long, err
}

// isSeparator reports whether a line begins a message: it has an address and a
// time.
func isSeparator(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("From "))
	if !ok {
		return false
	}
	for i := 2; i+3 <= len(rest); i++ {
		if rest[i] == ':' && isDigit(rest[i-1]) && isDigit(rest[i+1]) && isDigit(rest[i+2]) {
			return true
		}
	}
	return false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// unquoted removes the ">" before "From " at the beginning of a line.
func unquoted(line []byte) []byte {
	if rest := bytes.TrimLeft(line, ">"); len(rest) < len(line) && bytes.HasPrefix(rest, []byte("From ")) {
		return line[1:]
	}
	return line
}
