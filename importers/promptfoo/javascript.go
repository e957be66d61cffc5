package promptfoo

import (
	"regexp"
	"strings"
	"sync"
)

// code translates JavaScript that processes the answer: an expression, or the
// body of a function that consists of constants, conditions, and returns.
func (sc *scope) code(src string) (value, error) {
	src = strings.TrimSuffix(strings.TrimSpace(src), ";")
	if inner, ok := arrowBody(src); ok {
		src = inner
	}
	return sc.body(statements(src))
}

func (sc *scope) body(all []string) (value, error) {
	for i, s := range all {
		if m := declaration().FindStringSubmatch(s); m != nil {
			v, err := sc.translate(s[len(m[0]):], javascript)
			if err != nil {
				return v, err
			}
			sc = sc.with(m[1], v)
			continue
		}
		if rest, ok := strings.CutPrefix(s, "return"); ok && wordLength(s) == len("return") {
			return sc.result(rest)
		}
		if rest, ok := strings.CutPrefix(s, "if"); ok && wordLength(s) == len("if") {
			return sc.branch(strings.TrimSpace(rest), all[i+1:])
		}
		if len(all) == 1 {
			return sc.result(s)
		}
		word, _, _ := strings.Cut(s, " ")
		return value{}, errorf("statements with %q have no equivalent", short(word))
	}
	return value{}, errorf("it returns nothing")
}

// branch translates if (…) … and what follows it.
func (sc *scope) branch(src string, rest []string) (value, error) {
	cond, after := enclosed(src)
	if cond == "" {
		return value{}, errorf("this condition has no equivalent")
	}
	t, err := parseTerm(cond[1:len(cond)-1], javascript)
	if err != nil {
		return value{}, err
	}
	c, err := (&translator{sc, javascript}).truth(t)
	if err != nil {
		return value{}, err
	}
	then := strings.TrimSpace(after)
	if block, behind := enclosed(then); block != "" && block[0] == '{' {
		then = block[1 : len(block)-1]
		if behind = strings.TrimSpace(behind); behind != "" {
			other, ok := strings.CutPrefix(behind, "else")
			if !ok {
				return value{}, errorf("this condition has no equivalent")
			}
			if other = strings.TrimSpace(other); strings.HasPrefix(other, "{") {
				block, _ := enclosed(other)
				other = strings.TrimSuffix(strings.TrimPrefix(block, "{"), "}")
			}
			rest = statements(other)
		}
	}
	yes, err := sc.body(statements(then))
	if err != nil {
		return yes, err
	}
	no, err := sc.body(rest)
	return chosen(c, yes, no), err
}

// enclosed returns the text inside the parentheses or braces at the beginning
// of a text, and the text after them.
func enclosed(src string) (inside, after string) {
	if src == "" || !strings.ContainsRune("({", rune(src[0])) {
		return "", src
	}
	depth := 0
	for i := 0; i < len(src); i++ {
		switch src[i] {
		case '"', '\'', '`':
			i = textEnd(src, i) - 1
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth--; depth == 0 {
				return src[:i+1], src[i+1:]
			}
		}
	}
	return "", src
}

// result translates what a function returns. If that is a verdict with a score
// and a reason, only whether it passes counts.
func (sc *scope) result(src string) (value, error) {
	t, err := parseTerm(src, javascript)
	if err != nil {
		return value{}, err
	}
	tr := &translator{sc, javascript}
	if t.op != opObject {
		if t.op == "&&" || t.op == "||" {
			if v, err := tr.truth(t); err == nil {
				return v, nil
			}
		}
		return tr.value(t)
	}
	for i, name := range strings.Split(t.extra, ",") {
		if name == "pass" {
			return tr.truth(t.args[i])
		}
	}
	return value{}, errorf("the value that it returns has no equivalent")
}

var declaration = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:const|let|var)\s+([A-Za-z_$][\w$]*)\s*=\s*`) })

// arrowBody returns the body of (output, context) => …
func arrowBody(src string) (string, bool) {
	m := regexp.MustCompile(`^(?:\(\s*output\s*(?:,\s*context\s*)?\)|output)\s*=>\s*`).FindString(src)
	body := src[len(m):]
	return body, m != "" && !strings.HasPrefix(body, "{")
}

// statements splits a body at semicolons, and at line breaks that end a
// statement. It removes comments.
func statements(src string) []string {
	var out []string
	var now strings.Builder
	depth := 0
	flush := func() {
		if s := strings.TrimSpace(now.String()); s != "" {
			out = append(out, s)
		}
		now.Reset()
	}
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '"' || c == '\'' || c == '`':
			end := textEnd(src, i)
			now.WriteString(src[i:end])
			i = end - 1
			continue
		case strings.HasPrefix(src[i:], "//"):
			line, _, _ := strings.Cut(src[i:], "\n")
			i += len(line) - 1
			continue
		case strings.ContainsRune("([{", rune(c)):
			depth++
		case strings.ContainsRune(")]}", rune(c)):
			depth--
		case depth == 0 && c == ';', depth == 0 && c == '\n' && !continues(now.String(), src[i:]):
			flush()
			continue
		}
		now.WriteByte(src[i])
	}
	flush()
	return out
}

func textEnd(src string, from int) int {
	for i := from + 1; i < len(src); i++ {
		if src[i] == '\\' {
			i++
		} else if src[i] == src[from] {
			return i + 1
		}
	}
	return len(src)
}

// continues reports whether a statement continues on the next line.
func continues(before, after string) bool {
	before, after = strings.TrimSpace(before), strings.TrimSpace(after)
	for _, sign := range []string{"&&", "||", "?", ":", "+", "-", "*", "=", ",", "(", "=>", "return"} {
		if strings.HasSuffix(before, sign) && sign != "return" || before == "return" {
			return true
		}
		if sign != "return" && sign != "(" && sign != "-" && strings.HasPrefix(after, sign) {
			return true
		}
	}
	return strings.HasPrefix(after, ".")
}
