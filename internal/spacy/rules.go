package spacy

import (
	_ "embed"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

//go:embed rules.json
var file []byte

// class says what a character can be part of.
type class uint8

const (
	// isPrefix and isSuffix: it is split off as a word at the beginning or end.
	isPrefix class = 1 << iota
	isSuffix
	// beforeDot: a final dot after it is a word of its own.
	beforeDot
	isUpper
	// leftOfDot and rightOfDot: a dot between them is a word.
	leftOfDot
	rightOfDot
	isAlpha
	// isIcon: it is a word of its own within a word, too.
	isIcon
)

// rules are those of a tokenizer.
type rules struct {
	*shared
	// specials maps texts to the ends of their words.
	specials map[string][]int32
	// phrases are specials that contain affixes, by the first of the words that
	// they have without being special.
	phrases map[string][]phrase
	// digitsBeforeHyphen: a hyphen after a digit is a word.
	digitsBeforeHyphen bool
}

// phrase is a sequence of words that is a special text when it is joined.
type phrase struct {
	words []string
	text  string
}

// shared are the rules of all languages.
type shared struct {
	// basic contains the classes of the basic plane, further those of other
	// characters, in order.
	basic   [1 << 16]class
	further []run
	// units are texts that are split off after a digit.
	units          map[string]bool
	hyphens        []string
	sentenceEnds   map[rune]bool
	url, address   *regexp.Regexp
	special        map[string]map[string][]string
	longestUnit    int
	privateAddress *regexp.Regexp
}

// run is a range of characters with the same classes.
type run struct {
	first, last rune
	class       class
}

var (
	english      = sync.OnceValue(func() *rules { return newRules("en", true) })
	multilingual = sync.OnceValue(func() *rules { return newRules("xx", false) })
	common       = sync.OnceValue(readShared)
)

func readShared() *shared {
	var in struct {
		Classes                    [][3]int32
		Currencies, Units, Hyphens []string
		SentenceEnds               string `json:"sentence_ends"`
		En, Xx                     map[string][]string
	}
	if err := json.Unmarshal(file, &in); err != nil {
		panic(err) // the file is part of the program
	}
	s := &shared{units: map[string]bool{}, hyphens: in.Hyphens, sentenceEnds: map[rune]bool{}}
	for _, c := range in.Classes {
		s.addRun(run{c[0], c[1], class(c[2])})
	}
	for _, list := range [][]string{in.Currencies, in.Units} {
		for _, unit := range list {
			s.units[unit] = true
			s.longestUnit = max(s.longestUnit, len(unit))
		}
	}
	for _, r := range in.SentenceEnds {
		s.sentenceEnds[r] = true
	}
	s.special = map[string]map[string][]string{"en": in.En, "xx": in.Xx}
	s.compileURLs()
	return s
}

func (s *shared) addRun(r run) {
	for c := r.first; c <= min(r.last, rune(len(s.basic)-1)); c++ {
		s.basic[c] = r.class
	}
	if int(r.last) >= len(s.basic) {
		s.further = append(s.further, r)
	}
}

// class returns the classes of a character.
func (s *shared) class(r rune) class {
	if int(r) < len(s.basic) {
		return s.basic[r]
	}
	for _, run := range s.further {
		if run.first <= r && r <= run.last {
			return run.class
		}
	}
	return 0
}

func newRules(language string, digitsBeforeHyphen bool) *rules {
	r := &rules{shared: common(), specials: map[string][]int32{}, phrases: map[string][]phrase{}, digitsBeforeHyphen: digitsBeforeHyphen}
	for text, pieces := range r.special[language] {
		var ends []int32
		end := 0
		for _, piece := range pieces {
			end += len(piece)
			ends = append(ends, int32(end))
		}
		r.specials[text] = ends
	}
	for text := range r.specials {
		if first, _ := utf8.DecodeRuneInString(text); IsSpace(first) {
			continue
		}
		if r.prefix(text) == 0 && r.suffix(text) == 0 && !r.hasInfix(text) {
			continue
		}
		var words []string
		from := int32(0)
		for _, to := range r.split(text, false, nil) {
			words = append(words, text[from:to])
			from = to
		}
		r.phrases[words[0]] = append(r.phrases[words[0]], phrase{words, text})
	}
	return r
}

// compileURLs compiles the pattern of URLs. Addresses of private networks do not
// count.
func (s *shared) compileURLs() {
	var lower strings.Builder
	for c, class := range s.basic {
		if class&(leftOfDot|isAlpha) == leftOfDot|isAlpha {
			lower.WriteString(regexp.QuoteMeta(string(rune(c))))
		}
	}
	for _, run := range s.further {
		if run.class&(leftOfDot|isAlpha) == leftOfDot|isAlpha {
			lower.WriteString(string(run.first) + "-" + string(run.last))
		}
	}
	const (
		before = `^(?:[\pL\pN_+\-.]{2,}://)?(?:\S+(?::\S*)?@)?`
		after  = `(?::\d{2,5})?(?:[/?#]\S*)?$`
		inName = `A-Za-z0-9\x{a1}-\x{ffff}`
		number = `(?:[1-9]\d?|1\d\d|2[01]\d|22[0-3])(?:\.(?:1?\d{1,2}|2[0-4]\d|25[0-5])){2}(?:\.(?:[1-9]\d?|1\d\d|2[0-4]\d|25[0-4]))`
	)
	s.url = regexp.MustCompile(before + `(?:(?:[` + inName + `][` + inName + `_-]{0,62})?[` + inName + `]\.)+[` + lower.String() + `]{2,63}` + after)
	s.address = regexp.MustCompile(before + `(` + number + `)` + after)
	s.privateAddress = regexp.MustCompile(`^(?:(?:10|127)(?:\.\d{1,3}){3}|(?:169\.254|192\.168)(?:\.\d{1,3}){2}|172\.(?:1[6-9]|2\d|3[0-1])(?:\.\d{1,3}){2})`)
}

func (s *shared) isURL(text string) bool {
	if !strings.Contains(text, ".") {
		return false
	}
	if s.url.MatchString(text) {
		return true
	}
	m := s.address.FindStringSubmatch(text)
	return m != nil && !s.privateAddress.MatchString(m[1])
}
