package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
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

// window is the part of a text that is looked at: whole records are cut off
// its front, and it grows until it holds one.
type window struct {
	r    io.Reader
	data []byte // not yet taken
	buf  []byte // what data lies in
	end  bool   // there is nothing behind data
	line int    // of data's first byte, from 1
}

func newWindow(r io.Reader) *window { return &window{r: r, line: 1} }

// grow adds what comes next. It may move data.
func (w *window) grow() error {
	if w.end {
		return io.EOF
	}
	if len(w.data) >= maxRecord {
		return fmt.Errorf("a record is longer than %d MB", maxRecord>>20)
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
	w.line += bytes.Count(w.data[:n], []byte{'\n'})
	w.data = w.data[n:]
}

// wholeLine makes sure that data begins with a whole line and returns its
// length with its end; 0: the text is over.
func (w *window) wholeLine() (int, error) {
	looked := 0
	for {
		if i := bytes.IndexByte(w.data[looked:], '\n'); i >= 0 {
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

// lineEnd takes the line break off a line.
func lineEnd(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'})
}

// checkText says where text is not UTF-8.
func checkText(text []byte) error {
	if utf8.Valid(text) {
		return nil
	}
	at := 0
	for at < len(text) {
		r, n := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && n <= 1 {
			break
		}
		at += n
	}
	return fmt.Errorf("the text is not UTF-8: byte 0x%02X behind %q", text[at], tail(text[:at], 20))
}

func tail(text []byte, n int) []byte {
	if len(text) <= n {
		return text
	}
	text = text[len(text)-n:]
	for len(text) > 0 && !utf8.RuneStart(text[0]) {
		text = text[1:]
	}
	return text
}
