package redact

import (
	"fmt"
	"regexp"
	"strings"
)

// pattern is a block that describes a kind of the user's own.
type pattern struct {
	Name  string   `quern:"name,label"`
	Regex string   `quern:"regex,required" doc:"A regular expression (RE2). If it has a group, the group is what is redacted, and the rest is its context."`
	Check string   `quern:"check" oneof:"luhn,mod97,mod11_10,verhoeff" doc:"The check that the digits must pass: \"luhn\", \"mod97\" (as IBANs, with letters), \"mod11_10\", or \"verhoeff\". By default, none."`
	Words []string `quern:"words" doc:"Words of which one must be near. By default, none is needed."`
}

// ownPattern is a compiled pattern.
type ownPattern struct {
	pattern
	compiled *regexp.Regexp
}

var ownChecks = map[string]func(string) bool{
	"luhn":     luhn,
	"mod97":    func(s string) bool { return len(s) > 4 && mod97(s[4:]+s[:4]) == 1 },
	"mod11_10": mod11by10,
	"verhoeff": verhoeff,
}

// compile compiles a pattern. The error has a summary and a detail.
func (p pattern) compile() (*ownPattern, error) {
	re, err := regexp.Compile(p.Regex)
	if err != nil {
		return nil, fmt.Errorf("the regular expression is not valid\n%s.", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	if re.MatchString("") {
		return nil, fmt.Errorf("the regular expression matches an empty text\nIt would match everywhere. Use + in place of *.")
	}
	own := &ownPattern{pattern: p, compiled: re}
	for i, w := range p.Words {
		own.Words[i] = strings.ToLower(w)
	}
	return own, nil
}

// findOwn finds what a pattern matches.
func (d *detector) findOwn(p *ownPattern, text string, found []match) []match {
	for _, m := range p.compiled.FindAllStringSubmatchIndex(text, -1) {
		start, end := m[0], m[1]
		if len(m) > 2 && m[2] >= 0 {
			start, end = m[2], m[3]
		}
		if start == end || len(p.Words) > 0 && !d.near(text, start, end, p.Words) {
			continue
		}
		value := text[start:end]
		if check := ownChecks[p.Check]; check != nil {
			if value = compact(value, p.Check == "mod97"); value == "" || !check(value) {
				continue
			}
		}
		found = append(found, match{start: start, end: end, kind: p.Name, value: value})
	}
	return found
}

// compact returns the digits of a text and, if letters is true, its letters in
// upper case.
func compact(text string, letters bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case '0' <= r && r <= '9', letters && 'A' <= r && r <= 'Z':
			return r
		case letters && 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		}
		return -1
	}, text)
}
