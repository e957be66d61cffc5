package overlap

import "strings"

// porter is Porter's stemmer with the changes of NLTK, which METEOR in NLTK
// uses to compare words. Snowball's English stemmer differs: each of the two
// separates words that the other merges. See
// https://www.nltk.org/api/nltk.stem.porter.html, mode NLTK_EXTENSIONS.
func porter(word string) string {
	if stem, ok := irregular[word]; ok {
		return stem
	}
	if w := []rune(word); len(w) > 2 {
		return string(porterFinal(porterSuffixes(porterEndings(w))))
	}
	return word
}

var irregular = map[string]string{
	"sky": "sky", "skies": "sky", "dying": "die", "lying": "lie", "tying": "tie", "news": "news",
	"innings": "inning", "inning": "inning", "outings": "outing", "outing": "outing", "cannings": "canning", "canning": "canning",
	"howe": "howe", "proceed": "proceed", "exceed": "exceed", "succeed": "succeed",
}

// rule replaces a suffix if what precedes it meets a condition. In a list of
// rules, the first one whose suffix matches applies, whatever its condition
// says.
type rule struct {
	suffix, by string
	when       func(stem []rune) bool
}

func apply(w []rune, rules []rule) []rune {
	for _, r := range rules {
		stem, ok := before(w, r.suffix)
		switch {
		case !ok:
		case r.when == nil || r.when(stem):
			return with(stem, r.by)
		default:
			return w
		}
	}
	return w
}

// before returns a word without a suffix.
func before(w []rune, suffix string) ([]rune, bool) {
	if !strings.HasSuffix(string(w), suffix) {
		return w, false
	}
	return w[:len(w)-len(suffix)], true // suffixes are ASCII
}

func with(stem []rune, suffix string) []rune {
	return append(stem[:len(stem):len(stem)], []rune(suffix)...)
}

// consonants reports which letters are consonants. y is one at the beginning
// and after a vowel.
func consonants(w []rune) []bool {
	is := make([]bool, len(w))
	for i, r := range w {
		switch r {
		case 'a', 'e', 'i', 'o', 'u':
		case 'y':
			is[i] = i == 0 || !is[i-1]
		default:
			is[i] = true
		}
	}
	return is
}

// measured counts how often a vowel is followed by a consonant.
func measured(w []rune) int {
	n, is := 0, consonants(w)
	for i := 1; i < len(is); i++ {
		if is[i] && !is[i-1] {
			n++
		}
	}
	return n
}

func above0(w []rune) bool { return measured(w) > 0 }
func above1(w []rune) bool { return measured(w) > 1 }

func hasVowel(w []rune) bool {
	for _, is := range consonants(w) {
		if !is {
			return true
		}
	}
	return false
}

func doubled(w []rune) bool {
	n := len(w)
	return n >= 2 && w[n-1] == w[n-2] && consonants(w)[n-1]
}

// short reports whether a word ends with consonant, vowel, consonant, the last of
// which is not w, x, or y; or is a vowel and a consonant.
func short(w []rune) bool {
	n, is := len(w), consonants(w)
	if n == 2 {
		return !is[0] && is[1]
	}
	return n >= 3 && is[n-3] && !is[n-2] && is[n-1] && !strings.ContainsRune("wxy", w[n-1])
}

// porterEndings are steps 1a to 1c: plurals, -ed, -ing, and y.
func porterEndings(w []rune) []rune {
	if stem, ok := before(w, "ies"); ok && len(w) == 4 {
		w = with(stem, "ie")
	} else {
		w = apply(w, []rule{{"sses", "ss", nil}, {"ies", "i", nil}, {"ss", "ss", nil}, {"s", "", nil}})
	}
	return apply(pastAndProgress(w), []rule{{"y", "i", func(stem []rune) bool {
		return len(stem) > 1 && consonants(stem)[len(stem)-1]
	}}})
}

func pastAndProgress(w []rune) []rune {
	if stem, ok := before(w, "ied"); ok {
		if len(w) == 4 {
			return with(stem, "ie")
		}
		return with(stem, "i")
	}
	if stem, ok := before(w, "eed"); ok {
		if above0(stem) {
			return with(stem, "ee")
		}
		return w
	}
	for _, suffix := range []string{"ed", "ing"} {
		if stem, ok := before(w, suffix); ok && hasVowel(stem) {
			return completed(stem)
		}
	}
	return w
}

// completed restores the e that removing -ed or -ing has cut off.
func completed(w []rune) []rune {
	for _, end := range []string{"at", "bl", "iz"} {
		if _, ok := before(w, end); ok {
			return with(w, "e")
		}
	}
	switch {
	case doubled(w):
		if !strings.ContainsRune("lsz", w[len(w)-1]) {
			return w[:len(w)-1]
		}
	case measured(w) == 1 && short(w):
		return with(w, "e")
	}
	return w
}

var (
	step2 = []rule{
		{"ational", "ate", above0}, {"tional", "tion", above0}, {"enci", "ence", above0}, {"anci", "ance", above0}, {"izer", "ize", above0},
		{"bli", "ble", above0}, {"alli", "al", above0}, {"entli", "ent", above0}, {"eli", "e", above0}, {"ousli", "ous", above0},
		{"ization", "ize", above0}, {"ation", "ate", above0}, {"ator", "ate", above0}, {"alism", "al", above0}, {"iveness", "ive", above0},
		{"fulness", "ful", above0}, {"ousness", "ous", above0}, {"aliti", "al", above0}, {"iviti", "ive", above0}, {"biliti", "ble", above0},
		{"fulli", "ful", above0}, {"logi", "log", func(stem []rune) bool { return above0(with(stem, "l")) }},
	}
	step3 = []rule{
		{"icate", "ic", above0}, {"ative", "", above0}, {"alize", "al", above0}, {"iciti", "ic", above0}, {"ical", "ic", above0}, {"ful", "", above0}, {"ness", "", above0},
	}
	step4 = []rule{
		{"al", "", above1}, {"ance", "", above1}, {"ence", "", above1}, {"er", "", above1}, {"ic", "", above1}, {"able", "", above1}, {"ible", "", above1},
		{"ant", "", above1}, {"ement", "", above1}, {"ment", "", above1}, {"ent", "", above1},
		{"ion", "", func(stem []rune) bool { return above1(stem) && strings.ContainsRune("st", stem[len(stem)-1]) }},
		{"ou", "", above1}, {"ism", "", above1}, {"ate", "", above1}, {"iti", "", above1}, {"ous", "", above1}, {"ive", "", above1}, {"ize", "", above1},
	}
)

// porterSuffixes are steps 2 to 4. -alli comes first, and its result goes through
// step 2 again.
func porterSuffixes(w []rune) []rune {
	for stem, ok := before(w, "alli"); ok && above0(stem); stem, ok = before(w, "alli") {
		w = with(stem, "al")
	}
	return apply(apply(apply(w, step2), step3), step4)
}

// porterFinal is step 5: it removes a final e, and one l of two.
func porterFinal(w []rune) []rune {
	if stem, ok := before(w, "e"); ok && (above1(stem) || measured(stem) == 1 && !short(stem)) {
		w = stem
	}
	if _, ok := before(w, "ll"); ok && above1(w[:len(w)-1]) {
		w = w[:len(w)-1]
	}
	return w
}
