package diag

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Capital begins a text with a capital letter, as a summary or a sentence
// does; texts of errors begin with a small one. A first word that is not made
// of letters alone is a name, a path or an address, and stays as it is, and so
// does the command quern.
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

// Sentence makes a sentence of an error's text.
func Sentence(err error) string {
	text := Capital(err.Error())
	if text == "" || strings.HasSuffix(text, ".") || strings.HasSuffix(text, "?") {
		return text
	}
	return text + "."
}
