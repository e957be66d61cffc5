package config

import (
	"bytes"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/quern-dev/quern/lang/diag"
)

// CheckUTF8 reports the first byte of a file that is not UTF-8. Nothing else
// of such a file is looked at: a parser would report every letter of it.
func CheckUTF8(name string, src []byte) *hcl.Diagnostic {
	if utf8.Valid(src) {
		return nil
	}
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
		"The byte 0x%02x is not valid UTF-8 here. %s", src[at], encodingHint(src))
}

func encodingHint(src []byte) string {
	if bytes.HasPrefix(src, []byte{0xff, 0xfe}) || bytes.HasPrefix(src, []byte{0xfe, 0xff}) {
		return "The file looks like UTF-16. Save it as UTF-8, without a byte order mark."
	}
	if bytes.IndexByte(src, 0) >= 0 {
		return "The file looks like binary data, not like a configuration."
	}
	return "The file may be in an older encoding such as Latin-1. Save it as UTF-8."
}
