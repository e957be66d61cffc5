package files

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/wlynxg/chardet"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode/utf32"
	"golang.org/x/text/transform"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Encoded contains the argument for the encoding of the files' text.
type Encoded struct {
	Encoding string `quern:"encoding" default:"\"utf-8\"" doc:"The encoding of the text, by its IANA, WHATWG, or Python name, such as 'windows-1252', 'latin-1', 'utf-16le', 'gbk', 'shift_jis', or 'macintosh'. A file that begins with a byte order mark of UTF-8, UTF-16, or UTF-32 is read in the encoding that the mark gives. A row with bytes that are invalid in the encoding is malformed."`
}

// charset is a character encoding.
type charset struct {
	// name is the name that the user gave.
	name string
	// decoder is nil for UTF-8.
	decoder func() transform.Transformer
	// lossy says that the decoder replaces invalid bytes with U+FFFD. The
	// decoders of other encodings turn them into text that is not valid UTF-8.
	lossy bool
}

// aliases contains names of encodings that Python and others use but IANA and
// WHATWG do not define, and names that those two define differently.
var aliases = map[string]string{
	"cp936": "gbk", "gb2312": "gbk", "cp932": "shift_jis", "cp949": "euc-kr", "uhc": "euc-kr", "cp950": "big5",
	"mac-roman": "macintosh", "macroman": "macintosh", "mac-cyrillic": "x-mac-cyrillic", "ascii": "us-ascii",
}

// charsetNamed returns the encoding with a name.
func charsetNamed(name string) (charset, error) {
	plain := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), "_", "-")
	if alias, ok := aliases[plain]; ok {
		plain = alias
	}
	switch plain {
	case "utf-8", "utf8", "utf-8-sig":
		return charset{name: "utf-8"}, nil
	case "utf-16", "utf16", "utf-16le", "utf-16-le":
		return charset{name: name, decoder: utf16Decoder(false)}, nil
	case "utf-16be", "utf-16-be":
		return charset{name: name, decoder: utf16Decoder(true)}, nil
	case "utf-32", "utf-32le", "utf-32-le", "utf-32be", "utf-32-be":
		order := utf32.LittleEndian
		if strings.HasSuffix(plain, "be") {
			order = utf32.BigEndian
		}
		return legacy(name, utf32.UTF32(order, utf32.IgnoreBOM)), nil
	case "latin-1":
		return legacy(name, charmap.ISO8859_1), nil
	}
	for _, spelling := range []string{plain, strings.ReplaceAll(plain, "-", "_")} {
		if e, err := ianaindex.IANA.Encoding(spelling); err == nil && e != nil {
			return legacy(name, e), nil
		}
		if e, err := htmlindex.Get(spelling); err == nil && e != nil && e != encoding.Replacement {
			return legacy(name, e), nil
		}
	}
	return charset{}, plugin.ArgumentErrorf("encoding", "%q is not a supported encoding\nCommon ones are utf-8, utf-16, latin-1, windows-1252, windows-1251, macintosh, gbk, gb18030, big5, shift_jis, euc-jp, and euc-kr.", name)
}

func legacy(name string, e encoding.Encoding) charset {
	return charset{name: name, decoder: func() transform.Transformer { return e.NewDecoder() }, lossy: true}
}

// decoded is the content of a file as UTF-8.
type decoded struct {
	io.Reader
	file *opened
	charset
}

// Close closes the file.
func (d *decoded) Close() error { return d.file.Close() }

// text opens a file for reading as text: decompressed, decoded to UTF-8, and
// without a byte order mark.
func (f file) text(encodingName string, read *atomic.Int64) (*decoded, error) {
	o, err := f.open(read)
	if err != nil {
		return nil, err
	}
	return f.decode(o, encodingName)
}

// anyText is text for a file that need not contain rows, such as a page.
func (f file) anyText(encodingName string, read *atomic.Int64) (*decoded, error) {
	o, err := f.unpack(read)
	if err != nil {
		return nil, fmt.Errorf("%s %w", f.name, err)
	}
	if head, _ := o.Peek(headLength); notText(f.name, head) != nil {
		return nil, errors.Join(notText(f.name, head), o.Close())
	}
	return f.decode(o, encodingName)
}

// decode reads an open file as text.
func (f file) decode(o *opened, encodingName string) (*decoded, error) {
	named, err := charsetNamed(encodingName)
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	c, err := marked(o.Reader, named)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s %w", f.name, err), o.Close())
	}
	d := &decoded{o, o, c}
	if c.decoder != nil {
		d.Reader = transform.NewReader(o, c.decoder())
	}
	return d, nil
}

// byteOrderMarks contains byte order marks with their encodings. The mark of
// UTF-32 begins with that of UTF-16.
var byteOrderMarks = []struct{ mark, encoding string }{
	{"\xef\xbb\xbf", "utf-8"},
	{"\xff\xfe\x00\x00", "utf-32le"},
	{"\x00\x00\xfe\xff", "utf-32be"},
	{"\xff\xfe", "utf-16le"},
	{"\xfe\xff", "utf-16be"},
}

// marked skips a byte order mark and returns its encoding, or the given
// encoding if there is no mark. Encodings other than UTF have no marks.
func marked(b *bufio.Reader, given charset) (charset, error) {
	first, err := b.Peek(64)
	if err != nil && !errors.Is(err, io.EOF) {
		return given, fmt.Errorf("cannot be read: %w", withoutPath(err))
	}
	if !strings.HasPrefix(strings.ToLower(given.name), "utf") {
		return given, nil
	}
	for _, m := range byteOrderMarks {
		if bytes.HasPrefix(first, []byte(m.mark)) {
			if _, err := b.Discard(len(m.mark)); err != nil {
				return given, err
			}
			return charsetNamed(m.encoding)
		}
	}
	if given.decoder == nil {
		if wide := wideWithoutMark(first); wide != "" {
			return given, fmt.Errorf("looks like %s\nSet encoding = %q.", strings.ToUpper(wide), wide)
		}
	}
	return given, nil
}

// wideWithoutMark detects UTF-16 by its zero bytes: files of rows begin with
// ASCII characters, of which every other byte is zero.
func wideWithoutMark(first []byte) string {
	n := len(first) &^ 1
	if n < 4 {
		return ""
	}
	zeros := [2]int{}
	for i, c := range first[:n] {
		if c == 0 {
			zeros[i%2]++
		}
	}
	switch most := n / 2; {
	case zeros[1] > most/2 && zeros[0] == 0:
		return "utf-16le"
	case zeros[0] > most/2 && zeros[1] == 0:
		return "utf-16be"
	}
	return ""
}

// check reports where text is not valid in the encoding.
func (c charset) check(text []byte) error {
	if c.lossy {
		if i := bytes.Index(text, []byte("\uFFFD")); i >= 0 {
			return fmt.Errorf("the text is not %s: it has bytes that are invalid in that encoding after %q\nSet encoding to the encoding of the file.", c.name, tail(text[:i], 20))
		}
		return nil
	}
	err := checkText(text)
	if err == nil {
		return nil
	}
	if c.decoder != nil {
		return fmt.Errorf("the text is not %s: half of a surrogate pair after %q", c.name, tail(text[:badByte(text)], 20))
	}
	return fmt.Errorf("%w\n%s", err, encodingAdvice(text))
}

// checkText reports where text is not valid UTF-8.
func checkText(text []byte) error {
	if utf8.Valid(text) {
		return nil
	}
	at := badByte(text)
	return fmt.Errorf("the text is not UTF-8: byte 0x%02X after %q", text[at], tail(text[:at], 20))
}

// badByte returns the index of the first byte that is not valid UTF-8.
func badByte(text []byte) int {
	for at := 0; at < len(text); {
		r, n := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && n <= 1 {
			return at
		}
		at += n
	}
	return len(text)
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

// likely contains encodings that text without a stated encoding often has.
var likely = []string{"windows-1252", "macintosh", "gb18030", "shift_jis", "euc-kr", "big5", "windows-1251"}

// encodingAdvice shows how text that is not UTF-8 reads in other encodings. A
// person sees at once which one is right, but a program can only guess.
func encodingAdvice(text []byte) string {
	piece := excerpt(text, badByte(text))
	var names, readings []string
	for _, r := range chardet.DetectAll(text[:min(len(text), 64<<10)]) {
		if r.Confidence > 0.9 {
			names = append(names, strings.ToLower(r.Encoding))
		}
	}
	for _, name := range append(names, likely...) {
		c, err := charsetNamed(name)
		if err != nil || c.decoder == nil {
			continue
		}
		plain, _, err := transform.Bytes(c.decoder(), piece)
		reading := fmt.Sprintf("%q", strings.TrimRight(string(plain), "\uFFFD"))
		if err != nil || !plausible(plain) || containsReading(readings, reading) {
			continue
		}
		if readings = append(readings, fmt.Sprintf("%s as %s", reading, name)); len(readings) == 4 {
			break
		}
	}
	if readings == nil {
		return "Set encoding to the encoding of the file."
	}
	return "Set encoding to the encoding of the file. The text reads " + strings.Join(readings, ", ") + "."
}

// excerpt returns the part of a line around a byte. It does not begin in the
// middle of a character.
func excerpt(text []byte, at int) []byte {
	from := bytes.LastIndexAny(text[:at], ",;\t\" \r\n") + 1
	if at-from > 24 {
		from = at
	}
	return text[from : from+lineLength(text[from:min(len(text), at+24)])]
}

func containsReading(readings []string, reading string) bool {
	for _, r := range readings {
		if strings.HasPrefix(r, reading+" as ") {
			return true
		}
	}
	return false
}

func lineLength(text []byte) int {
	if i := bytes.IndexAny(text, "\r\n"); i >= 0 {
		return i
	}
	return len(text)
}

// plausible reports whether decoded text may be right. It may end in the middle
// of a character.
func plausible(text []byte) bool {
	text = bytes.TrimSuffix(text, []byte("\uFFFD"))
	return !bytes.ContainsFunc(text, func(r rune) bool {
		return r == utf8.RuneError || unicode.IsControl(r) && r != '\t' || unicode.Is(unicode.Co, r)
	})
}

// utf16Decoder decodes UTF-16. It turns an unpaired surrogate, which UTF-8
// cannot represent, into bytes that are not valid UTF-8. The decoder of x/text
// turns it into U+FFFD, which text can also contain legitimately.
func utf16Decoder(bigEndian bool) func() transform.Transformer {
	return func() transform.Transformer { return utf16Transformer{bigEndian: bigEndian} }
}

type utf16Transformer struct {
	transform.NopResetter
	bigEndian bool
}

func (t utf16Transformer) unit(b []byte) rune {
	if t.bigEndian {
		return rune(b[0])<<8 | rune(b[1])
	}
	return rune(b[1])<<8 | rune(b[0])
}

func (t utf16Transformer) Transform(dst, src []byte, end bool) (wrote, read int, err error) {
	for read < len(src) {
		if len(dst)-wrote < utf8.UTFMax {
			return wrote, read, transform.ErrShortDst
		}
		if len(src)-read < 2 {
			if !end {
				return wrote, read, transform.ErrShortSrc
			}
			dst[wrote] = 0xff // one byte too many
			return wrote + 1, read + 1, nil
		}
		r, n := t.unit(src[read:]), 2
		if utf16.IsSurrogate(r) {
			if len(src)-read < 4 && !end {
				return wrote, read, transform.ErrShortSrc
			}
			if len(src)-read >= 4 {
				if pair := utf16.DecodeRune(r, t.unit(src[read+2:])); pair != utf8.RuneError {
					r, n = pair, 4
				}
			}
		}
		if utf16.IsSurrogate(r) {
			wrote += copy(dst[wrote:], []byte{0xed, 0x80 | byte(r>>6)&0x3f, 0x80 | byte(r)&0x3f})
		} else {
			wrote += utf8.EncodeRune(dst[wrote:], r)
		}
		read += n
	}
	return wrote, read, nil
}
