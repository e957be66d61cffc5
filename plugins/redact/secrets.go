package redact

import (
	_ "embed"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"
)

// gitleaksFile contains gitleaks' own rules; see NOTICE.
//
//go:embed gitleaks.toml
var gitleaksFile string

// secretRules are the rules for secrets, and what finds their keywords.
type secretRules struct {
	allow    *allowlist
	rules    []*secretRule
	keywords *keywords // number k is that of owners[k]
	owners   []*secretRule
}

// secretRule is a rule of gitleaks: a secret is what a pattern matches near a
// keyword, if it is random enough and not on a list of known false alarms.
type secretRule struct {
	ID          string
	Regex       string
	Path        string
	SecretGroup int
	Entropy     float64
	Keywords    []string
	Allowlists  []*allowlist

	pattern func() *secretPattern
}

// secretPattern is a compiled pattern. No match begins more than before bytes
// before the end of a keyword or ends more than after bytes after it, except for
// repetitions without a limit.
type secretPattern struct {
	*regexp.Regexp
	before, after int
	// assigned is set for what is assigned to a name, such as my_api_key = "…".
	assigned bool
}

// The forms of assignment in gitleaks' patterns. They are at most assignedWithin
// bytes after the keyword, which itself is shorter than longestKeyword.
const (
	assignments    = "=>:|?,"
	assignedWithin = 64
	longestKeyword = 64
)

// allowlist describes what is not a secret.
type allowlist struct {
	Condition   string
	Paths       []string
	RegexTarget string
	Regexes     []string
	Stopwords   []string

	patterns  func() []*regexp.Regexp
	stopwords func() *keywords
}

// allSecrets reads the rules when they are first needed. Patterns are compiled
// when one of their keywords first occurs.
var allSecrets = sync.OnceValue(func() *secretRules {
	var file struct {
		Allowlist *allowlist
		Rules     []*secretRule
	}
	if _, err := toml.Decode(gitleaksFile, &file); err != nil {
		panic(err) // a test reads the file
	}
	s := &secretRules{allow: file.Allowlist}
	s.allow.prepare()
	var words []string
	for _, r := range file.Rules {
		if r.Regex == "" || r.Path != "" || len(r.Keywords) == 0 {
			continue // rules for files by name
		}
		r.pattern = sync.OnceValue(func() *secretPattern { return newSecretPattern(r.Regex) })
		for _, a := range r.Allowlists {
			a.prepare()
		}
		s.rules = append(s.rules, r)
		for _, w := range r.Keywords {
			words, s.owners = append(words, strings.ToLower(w)), append(s.owners, r)
		}
	}
	s.keywords = newKeywords(words)
	return s
})

func (a *allowlist) prepare() {
	a.patterns = sync.OnceValue(func() []*regexp.Regexp {
		all := make([]*regexp.Regexp, len(a.Regexes))
		for i, r := range a.Regexes {
			all[i] = regexp.MustCompile(r)
		}
		return all
	})
	a.stopwords = sync.OnceValue(func() *keywords {
		lower := make([]string, len(a.Stopwords))
		for i, w := range a.Stopwords {
			lower[i] = strings.ToLower(w)
		}
		return newKeywords(lower)
	})
}

// allows reports whether a match is not a secret. Lists that also name paths are for
// files.
func (a *allowlist) allows(secret, match, line string) bool {
	if strings.EqualFold(a.Condition, "AND") && len(a.Paths) > 0 {
		return false
	}
	target := secret
	switch a.RegexTarget {
	case "match":
		target = match
	case "line":
		target = line
	}
	if slices.ContainsFunc(a.patterns(), func(p *regexp.Regexp) bool { return p.FindString(target) != "" }) {
		return true
	}
	found := false
	if len(a.Stopwords) > 0 {
		a.stopwords().each(secret, func(int, int) { found = true })
	}
	return found
}

// unlimited is how long a repetition without a limit is taken to be, unless a
// match shows that it is longer. One that stops at the first thing that follows,
// as that of the body of a private key, shows nothing, and is longestBody.
const (
	unlimited   = 128
	longestBody = 64 << 10
)

func newSecretPattern(text string) *secretPattern {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		panic(err) // a test compiles all patterns
	}
	p := &secretPattern{Regexp: regexp.MustCompile(text), before: longest(parsed), after: longest(parsed)}
	if strings.HasPrefix(text, nameBefore) && strings.Contains(text, assignment) {
		p.before, p.assigned = longest(parsed.Sub[0])+longestKeyword, true
	}
	return p
}

// How gitleaks writes what precedes the keyword in a name, and an assignment.
const (
	nameBefore = `(?i)[\w.-]{0,50}?`
	assignment = `(?:[ \t\w.-]{0,20})[\s'"]{0,3}(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)`
)

// longest returns the most bytes that an expression matches.
func longest(re *syntax.Regexp) int {
	n := 0
	switch re.Op {
	case syntax.OpLiteral:
		return 4 * len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1
	case syntax.OpStar, syntax.OpPlus, syntax.OpRepeat:
		switch {
		case re.Op == syntax.OpRepeat && re.Max >= 0:
			return re.Max * longest(re.Sub[0])
		case re.Flags&syntax.NonGreedy != 0:
			return longestBody
		}
		return max(unlimited, re.Min*longest(re.Sub[0]))
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			n = max(n, longest(sub))
		}
		return n
	}
	for _, sub := range re.Sub {
		n += longest(sub)
	}
	return n
}

// span is a part of a text.
type span struct{ from, to int }

// findSecrets finds what gitleaks calls secrets. It tries a pattern only around
// the keywords of its rule.
func findSecrets(text string, found []match) []match {
	all := allSecrets()
	var near map[*secretRule][]span
	all.keywords.each(text, func(k, end int) {
		if near == nil {
			near = map[*secretRule][]span{}
		}
		r := all.owners[k]
		p := r.pattern()
		if p.assigned && !strings.ContainsAny(text[end:min(end+assignedWithin, len(text))], assignments) {
			return
		}
		from, to := max(end-p.before, 0), min(end+p.after, len(text))
		if windows := near[r]; len(windows) > 0 && from <= windows[len(windows)-1].to {
			windows[len(windows)-1].to = to
			return
		}
		near[r] = append(near[r], span{from, to})
	})
	for _, r := range all.rules {
		for _, w := range near[r] {
			found = all.find(r, text, w, found)
		}
	}
	return found
}

// find appends the secrets of a rule in a window.
func (s *secretRules) find(r *secretRule, text string, w span, found []match) []match {
	// The window begins at the beginning of a word.
	for w.from > 0 && isAlnum(text[w.from-1]) {
		w.from--
	}
	pattern := r.pattern()
	for _, m := range pattern.FindAllStringSubmatchIndex(text[w.from:w.to], -1) {
		if w.from+m[1] == w.to && w.to < len(text) {
			// The match may be longer than the window.
			return s.find(r, text, span{w.from, len(text)}, found)
		}
		start, end := r.secret(m)
		start, end = start+w.from, end+w.from
		secret, whole := text[start:end], strings.Trim(text[w.from+m[0]:w.from+m[1]], "\n")
		if r.Entropy > 0 && entropy(secret) <= r.Entropy {
			continue
		}
		line := lineAround(text, w.from+m[0], w.from+m[1])
		allows := func(a *allowlist) bool { return a.allows(secret, whole, line) }
		if s.allow.allows(secret, whole, line) || slices.ContainsFunc(r.Allowlists, allows) {
			continue
		}
		found = append(found, match{start: start, end: end, kind: kindSecret, value: secret})
	}
	return found
}

// secret returns where the secret is in a match: the group that the rule names,
// or else the first group that matched, or else all of it.
func (r *secretRule) secret(m []int) (start, end int) {
	if k := 2 * r.SecretGroup; k > 0 && m[k] >= 0 {
		return m[k], m[k+1]
	}
	for k := 2; k < len(m); k += 2 {
		if m[k] >= 0 && m[k] < m[k+1] {
			return m[k], m[k+1]
		}
	}
	return m[0], m[1]
}

// lineAround returns the lines that a part of a text is in.
func lineAround(text string, start, end int) string {
	from := strings.LastIndexByte(text[:start], '\n') + 1
	if n := strings.IndexByte(text[end:], '\n'); n >= 0 {
		return text[from : end+n]
	}
	return text[from:]
}

// entropy returns the Shannon entropy of a text in bits per character.
func entropy(s string) float64 {
	counts := map[rune]int{}
	n := 0.0
	for _, r := range s {
		counts[r]++
	}
	for _, c := range counts {
		p := float64(c) / float64(len(s))
		n -= p * math.Log2(p)
	}
	return n
}
