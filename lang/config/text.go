package config

import (
	"bytes"
	"regexp"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/limit"
)

// UnixLines returns a text with Unix line endings. A text over several
// lines, such as a prompt, is then the same, and has the same key, whichever
// line endings a checkout was made with.
func UnixLines(src []byte) []byte {
	if bytes.IndexByte(src, '\r') < 0 {
		return src
	}
	return lineEnd.ReplaceAllLiteral(src, []byte("\n"))
}

var lineEnd = regexp.MustCompile(`\r+\n`)

// CheckText reports why a text cannot be parsed at all: it is not
// UTF-8, or it is nested too deeply. Nothing else in such a file is
// checked.
func CheckText(name string, src []byte) *hcl.Diagnostic {
	if d := CheckUTF8(name, src); d != nil {
		return d
	}
	return limit.Config(src, name)
}

// checkJSONText is CheckText for a text in JSON.
func checkJSONText(name string, src []byte) *hcl.Diagnostic {
	if d := CheckUTF8(name, src); d != nil {
		return d
	}
	return limit.JSON(src, name)
}

// CheckUTF8 reports where a text is not UTF-8.
func CheckUTF8(name string, src []byte) *hcl.Diagnostic {
	if !utf8.Valid(src) {
		return notUTF8(name, src)
	}
	return nil
}

// notUTF8 reports the first byte of a file that is not UTF-8.
func notUTF8(name string, src []byte) *hcl.Diagnostic {
	at := 0
	for at < len(src) {
		r, size := utf8.DecodeRune(src[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	line := 1 + bytes.Count(src[:at], []byte("\n"))
	start := bytes.LastIndexByte(src[:at], '\n') + 1
	pos := hcl.Pos{Line: line, Column: 1 + utf8.RuneCount(src[start:at]), Byte: at}
	end := pos
	end.Column++
	end.Byte++
	return diag.Errorf(&hcl.Range{Filename: name, Start: pos, End: end}, "File is not UTF-8",
		"The byte 0x%02x is not valid UTF-8. %s", src[at], encodingHint(src))
}

func encodingHint(src []byte) string {
	if bytes.HasPrefix(src, []byte{0xff, 0xfe}) || bytes.HasPrefix(src, []byte{0xfe, 0xff}) {
		return "The file looks like UTF-16. Save it as UTF-8, without a byte order mark."
	}
	if bytes.IndexByte(src, 0) >= 0 {
		return "The file looks like binary data, not a configuration."
	}
	return "The file may be in an older encoding such as Latin-1. Save it as UTF-8."
}
