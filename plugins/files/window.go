package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	// windowSize is how much of a file is held in memory at a time.
	windowSize = 1 << 20
	// firstWindow is how much is read at first. If there are many files, most
	// are small.
	firstWindow = 16 << 10
	// maxRecord is the maximum size of a record, so that a missing closing
	// quote does not load a whole file into memory.
	maxRecord = 64 << 20
)

var errLong = errors.New("a record is longer")

// window is the current part of a text. Complete records are removed from its
// front, and it grows until it contains one.
type window struct {
	r    io.Reader
	data []byte // not yet consumed
	buf  []byte // the buffer behind data
	end  bool   // there is nothing after data
	line int    // the line of data's first byte, starting at 1
	// taken is the number of bytes that were consumed.
	taken int64
	// ending is the byte that ends lines: '
	// ', possibly after '\r', or only '\r'.
	ending byte
}

func newWindow(r io.Reader) *window { return &window{r: r, line: 1, ending: '\n'} }

// grow reads more text. It can move data.
func (w *window) grow() error {
	if w.end {
		return io.EOF
	}
	if len(w.data) >= maxRecord {
		return fmt.Errorf("%w than %d MB", errLong, maxRecord>>20)
	}
	// The first window is enough to see that a small file has ended.
	small := w.taken+int64(len(w.data)) < firstWindow/2
	if w.buf == nil || !small && cap(w.buf) < 2*len(w.data)+windowSize/2 {
		size := 2*len(w.data) + windowSize
		if w.buf == nil {
			size = firstWindow
		}
		w.buf = make([]byte, size)
	}
	w.buf = w.buf[:cap(w.buf)]
	n := copy(w.buf, w.data)
	// Read at least as much as before, so that a long record is scanned only a
	// few times.
	err := w.read(n, n+max(n, 1))
	if errors.Is(err, io.EOF) {
		w.end = true
		return nil
	}
	return err
}

// read reads at least least bytes after the first n bytes of buf, and sets data
// to all of them.
func (w *window) read(n, least int) (err error) {
	for n < least && err == nil {
		var m int
		m, err = w.r.Read(w.buf[n:])
		n += m
	}
	w.data = w.buf[:n]
	return err
}

// take removes n bytes from the front.
func (w *window) take(n int) {
	w.line += bytes.Count(w.data[:n], []byte{w.ending})
	w.data = w.data[n:]
	w.taken += int64(n)
}

// wholeLine makes sure that data begins with a complete line. It returns the
// length of the line including its end, or 0 at the end of the text.
func (w *window) wholeLine() (int, error) { return w.lineAfter(0) }

// lineAfter is wholeLine for what follows the first n bytes.
func (w *window) lineAfter(n int) (int, error) {
	looked := n
	for {
		if i := bytes.IndexByte(w.data[looked:], w.ending); i >= 0 {
			return looked + i + 1 - n, nil
		}
		if w.end {
			return len(w.data) - n, nil
		}
		looked = len(w.data)
		if err := w.grow(); err != nil {
			return 0, err
		}
	}
}

// lineEnd removes the line break from a line. Windows programs that convert
// line endings twice write two carriage returns.
func lineEnd(line []byte) []byte {
	return bytes.TrimRight(bytes.TrimSuffix(line, []byte{'\n'}), "\r")
}

// findEnding sets ending to the first line break outside quotes. If quote is 0,
// there are no quotes.
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
			// Windows line breaks begin with one or more of them.
			if rest := bytes.TrimLeft(data[i:], "\r"); len(rest) > 0 && rest[0] == '\n' {
				return '\n', true
			}
			return '\r', true
		}
	}
	return '\n', false
}
