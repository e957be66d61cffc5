package printable

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestTextReplacesTerminalControls(t *testing.T) {
	for _, c := range []struct{ given, want string }{
		{"plain text\n\twith a tab", "plain text\n\twith a tab"},
		{"\x1b]0;title\x07", "␛]0;title␇"},
		{"red \x1b[31mtext", "red ␛[31mtext"},
		{"over\rwritten", "over␍written"},
		{"C1 \u009b31m", "C1 \ufffd31m"},
		{"raw C1 \x9b31m", "raw C1 \ufffd31m"},
		{"user\u202etxt.exe", "user\ufffdtxt.exe"},
		{"\u2066isolated\u2069", "\ufffdisolated\ufffd"},
		{"del\x7f", "del␡"},
		{"family 👨‍👩‍👧 and עברית\u200f", "family 👨‍👩‍👧 and עברית\u200f"},
	} {
		if got := Text(c.given); got != c.want {
			t.Errorf("Text(%q) = %q, want %q", c.given, got, c.want)
		}
	}
}

func TestJSONEscapesTerminalControls(t *testing.T) {
	for given, want := range map[string]string{
		"{\n\t\"a\": \"b\"\n}":         "{\n\t\"a\": \"b\"\n}",
		"[\"a\u009b31m\u0080\u009f\"]": `["a\u009b31m\u0080\u009f"]`,
		"\"del\x7f \u202eabc\u2069\"":  `"del\u007f \u202eabc\u2069"`,
		"\"ä € 😀 \u200f\"":             "\"ä € 😀 \u200f\"",
	} {
		var b bytes.Buffer
		if n, err := JSONWriter(&b).Write([]byte(given)); n != len(given) || err != nil || b.String() != want {
			t.Errorf("%q is written %q, want %q (%d, %v)", given, b.String(), want, n, err)
		}
		var before, after any
		if err := errors.Join(json.Unmarshal([]byte(given), &before), json.Unmarshal(b.Bytes(), &after)); err != nil || fmt.Sprint(before) != fmt.Sprint(after) {
			t.Errorf("%q is read as %v, not %v (%v)", want, after, before, err)
		}
	}
}

func TestLineIsOneLine(t *testing.T) {
	if got := Line(" a\r\nb\t c\x1b "); got != "a b c␛" {
		t.Errorf("got %q", got)
	}
}

func TestValuesCoverErrorsAndStringers(t *testing.T) {
	got := fmt.Sprintf("%s %s %d", Values([]any{errors.New("e\x1b"), []byte("b\x1b"), 3})...)
	if got != "e␛ b␛ 3" {
		t.Errorf("got %q", got)
	}
}

func FuzzText(f *testing.F) {
	f.Add("\x1b[31m\x9b\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		out := Text(s)
		if !utf8.ValidString(out) || strings.ContainsFunc(out, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
			t.Errorf("Text(%q) = %q", s, out)
		}
		if Text(out) != out {
			t.Errorf("Text(%q) changes when repeated", s)
		}
	})
}

func TestPaddedTextsTakeAsManyColumns(t *testing.T) {
	for text, want := range map[string]string{"": "    |", "ab": "ab  |", "行": "行  |", "größe": "größe|", "e\u0301": "e\u0301   |"} {
		if got := Pad(text, 4) + "|"; got != want {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}
