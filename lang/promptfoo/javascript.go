package promptfoo

import (
	"regexp"
	"strings"
)

// code translates what JavaScript makes of the answer: an expression, or a
// function's body of constants and one return.
func (sc *scope) code(src string) (value, error) {
	src = strings.TrimSpace(src)
	src = strings.TrimSuffix(src, ";")
	if !strings.Contains(src, "\n") && !strings.HasPrefix(src, "return ") && declaration.FindString(src) == "" {
		if inner, ok := arrowBody(src); ok {
			src = inner
		}
		return sc.translate(src, javascript)
	}
	for _, s := range statements(src) {
		if m := declaration.FindStringSubmatch(s); m != nil {
			v, err := sc.translate(s[len(m[0]):], javascript)
			if err != nil {
				return v, err
			}
			v.loose = v.loose || strings.ContainsAny(v.text, " ")
			sc = sc.with(m[1], v)
			continue
		}
		rest, ok := strings.CutPrefix(s, "return")
		if !ok {
			word, _, _ := strings.Cut(s, " ")
			return value{}, errorf("statements with %q have no counterpart", short(word))
		}
		return sc.translate(rest, javascript)
	}
	return value{}, errorf("it returns nothing")
}

var declaration = regexp.MustCompile(`^(?:const|let|var)\s+([A-Za-z_$][\w$]*)\s*=\s*`)

// arrowBody is the body of (output, context) => …
func arrowBody(src string) (string, bool) {
	m := regexp.MustCompile(`^(?:\(\s*output\s*(?:,\s*context\s*)?\)|output)\s*=>\s*`).FindString(src)
	body := src[len(m):]
	return body, m != "" && !strings.HasPrefix(body, "{")
}

// statements cuts a body at semicolons and at ends of lines where a statement
// ends. Comments are gone afterwards.
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

// continues says whether a statement goes on in the next line.
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
