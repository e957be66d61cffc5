package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	// windowSize is how much of a file is held at a time.
	windowSize = 1 << 20
	// firstWindow is how much is read at first: most of many files are small.
	firstWindow = 64 << 10
	// maxRecord bounds a record, so that a quote that is never closed does
	// not pull a whole file into memory.
	maxRecord = 64 << 20
)

var errLong = errors.New("a record is longer")

// window is the part of a text that is looked at: whole records are cut off
// its front, and it grows until it holds one.
type window struct {
	r    io.Reader
	data []byte // not yet taken
	buf  []byte // what data lies in
	end  bool   // there is nothing behind data
	line int    // of data's first byte, from 1
	// taken is how many bytes were cut off.
	taken int64
	// ending is the byte that ends lines: '\n', perhaps after '\r', or '\r'
	// alone.
	ending byte
}

func newWindow(r io.Reader) *window { return &window{r: r, line: 1, ending: '\n'} }

// grow adds what comes next. It may move data.
func (w *window) grow() error {
	if w.end {
		return io.EOF
	}
	if len(w.data) >= maxRecord {
		return fmt.Errorf("%w than %d MB", errLong, maxRecord>>20)
	}
	if cap(w.buf) < 2*len(w.data)+windowSize/2 {
		size := 2*len(w.data) + windowSize
		if w.buf == nil {
			size = firstWindow
		}
		w.buf = make([]byte, size)
	}
	w.buf = w.buf[:cap(w.buf)]
	n := copy(w.buf, w.data)
	// Twice as much as before, so that a long record is looked at but a few
	// times.
	err := w.read(n, n+max(n, 1))
	if errors.Is(err, io.EOF) {
		w.end = true
		return nil
	}
	return err
}

// read reads behind the first n bytes of buf until there are least, and makes
// data of them.
func (w *window) read(n, least int) (err error) {
	for n < least && err == nil {
		var m int
		m, err = w.r.Read(w.buf[n:])
		n += m
	}
	w.data = w.buf[:n]
	return err
}

// take cuts n bytes off the front.
func (w *window) take(n int) {
	w.line += bytes.Count(w.data[:n], []byte{w.ending})
	w.data = w.data[n:]
	w.taken += int64(n)
}

// wholeLine makes sure that data begins with a whole line and returns its
// length with its end; 0: the text is over.
func (w *window) wholeLine() (int, error) {
	looked := 0
	for {
		if i := bytes.IndexByte(w.data[looked:], w.ending); i >= 0 {
			return looked + i + 1, nil
		}
		if w.end {
			return len(w.data), nil
		}
		looked = len(w.data)
		if err := w.grow(); err != nil {
			return 0, err
		}
	}
}

// lineEnd takes the line break off a line. Windows programs that end lines
// twice write two carriage returns.
func lineEnd(line []byte) []byte {
	return bytes.TrimRight(bytes.TrimSuffix(line, []byte{'\n'}), "\r")
}

// findEnding sets ending by the first line break that is not between quotes;
// quote 0: there are none.
func (w *window) findEnding(quote byte) error {
	for {
		ending, found := firstBreak(w.data, quote)
		if !found {
			// A quote may be part of the text.
			ending, found = firstBreak(w.data, 0)
		}
		if found && (ending == '\n' || w.end) || w.end || len(w.data) >= windowSize/2 {
			w.ending = ending
			return nil
		}
		if err := w.grow(); err != nil {
			return err
		}
	}
}

func firstBreak(data []byte, quote byte) (ending byte, found bool) {
	quoted := false
	for i, c := range data {
		switch {
		case c == quote && quote != 0:
			quoted = !quoted
		case quoted:
		case c == '\n':
			return '\n', true
		case c == '\r':
			// Line breaks of Windows begin with one or more of them.
			if rest := bytes.TrimLeft(data[i:], "\r"); len(rest) > 0 && rest[0] == '\n' {
				return '\n', true
			}
			return '\r', true
		}
	}
	return '\n', false
}
