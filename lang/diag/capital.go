package diag

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Capital capitalizes the first letter of a text, as in a summary or a sentence;
// error texts begin with a lowercase letter. A first word that does not consist
// of letters only is a name, a path, or an address and is not changed, and neither
// is the command quern.
func Capital(s string) string {
	word, _, _ := strings.Cut(s, " ")
	if word == "quern" || strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && r != '\'' && r != ',' }) {
		return s
	}
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return s
	}
	return string(unicode.ToUpper(first)) + s[size:]
}

// Sentence turns an error's text into a sentence.
func Sentence(err error) string {
	text := Capital(err.Error())
	if text == "" || strings.HasSuffix(text, ".") || strings.HasSuffix(text, "?") {
		return text
	}
	return text + "."
}
