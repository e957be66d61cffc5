package promptfoo

import (
	"fmt"
	"strings"

	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// A text with {{ … }} and {% … %} is parsed into pieces, which print as an HCL
// template.

type pieceKind int

const (
	pieceText pieceKind = iota
	pieceValue
	pieceIf
	pieceFor
)

type piece struct {
	kind pieceKind
	text string // for pieceText; for pieceFor, the element's name
	hcl  string // the value, condition, or list
	typ  typ    // the type of the value
	body []piece
	or   []piece // for pieceIf
}

// mark is a tag of a template: the text before it, and the words between its
// signs. open is "{{", "{%", or "" at the end of the template.
type mark struct {
	before, open, inside string
}

// marks splits a template into its tags. It removes comments, and the signs
// around raw text.
func marks(src string) ([]mark, error) {
	var out []mark
	text := ""
	for {
		at, open := firstTag(src)
		if at < 0 {
			return append(out, mark{before: text + src}), nil
		}
		text += src[:at]
		closing := map[string]string{"{{": "}}", "{%": "%}", "{#": "#}"}[open]
		end := tagEnd(src[at:], open, closing)
		if end < 0 {
			// Nunjucks would refuse it, but promptfoo treats it as text.
			return append(out, mark{before: text + src[at:]}), nil
		}
		inside := src[at+2 : at+end]
		src = src[at+end+2:]
		if strings.HasPrefix(inside, "-") {
			inside, text = inside[1:], strings.TrimRight(text, " \t\r\n")
		}
		if strings.HasSuffix(inside, "-") {
			inside, src = strings.TrimSuffix(inside, "-"), strings.TrimLeft(src, " \t\r\n")
		}
		inside = strings.TrimSpace(inside)
		switch {
		case open == "{#":
		case open == "{%" && (inside == "raw" || inside == "verbatim"):
			raw, rest, err := cutRaw(src)
			if err != nil {
				return nil, err
			}
			text, src = text+raw, rest
		default:
			out, text = append(out, mark{text, open, inside}), ""
		}
	}
}

func firstTag(src string) (int, string) {
	for i := 0; i+1 < len(src); i++ {
		if src[i] == '{' && strings.IndexByte("{%#", src[i+1]) >= 0 {
			return i, src[i : i+2]
		}
	}
	return -1, ""
}

// tagEnd returns where a tag ends. Signs in quotes do not end it.
func tagEnd(src, open, closing string) int {
	quote := byte(0)
	for i := 2; i+1 < len(src); i++ {
		switch c := src[i]; {
		case open != "{#" && quote != 0:
			if c == '\\' {
				i++
			} else if c == quote {
				quote = 0
			}
		case strings.HasPrefix(src[i:], closing):
			return i
		case c == '"' || c == '\'':
			quote = c
		}
	}
	// An apostrophe may have been mistaken for a quote.
	if i := strings.Index(src[2:], closing); i >= 0 {
		return i + 2
	}
	return -1
}

func cutRaw(src string) (raw, rest string, err error) {
	for at := 0; ; {
		i := strings.Index(src[at:], "{%")
		if i < 0 {
			return "", "", fmt.Errorf("{%% raw %%} is not closed")
		}
		end := strings.Index(src[at+i:], "%}")
		if end < 0 {
			return "", "", fmt.Errorf("{%% raw %%} is not closed")
		}
		if word := strings.Trim(src[at+i+2:at+i+end], "- \t\r\n"); word == "endraw" || word == "endverbatim" {
			return src[:at+i], src[at+i+end+2:], nil
		}
		at += i + 2
	}
}

// templater converts the tags of one template to pieces.
type templater struct {
	sc    *scope
	marks []mark
	depth int
}

// template translates a template. If that is not possible, the error says what
// has no counterpart.
func (sc *scope) template(src string) ([]piece, error) {
	m, err := marks(src)
	if err != nil {
		return nil, err
	}
	t := &templater{sc: sc.inner(), marks: m}
	pieces, end, err := t.pieces()
	if err == nil && end != "" {
		err = fmt.Errorf("{%% %s %%} has no matching opening tag", end)
	}
	return pieces, err
}

// pieces translates up to the end of the template, or to a tag that ends or
// continues the enclosing one. It returns that tag.
func (t *templater) pieces() (all []piece, end string, err error) {
	for len(t.marks) > 0 {
		m := t.marks[0]
		t.marks = t.marks[1:]
		if m.before != "" {
			all = append(all, piece{kind: pieceText, text: m.before})
		}
		switch m.open {
		case "":
			return all, "", nil
		case "{{":
			v, err := t.sc.shown(m.inside)
			if err != nil {
				return nil, "", fmt.Errorf("{{ %s }}: %w", m.inside, err)
			}
			all = append(all, v...)
			continue
		}
		word, rest, _ := strings.Cut(m.inside, " ")
		rest = strings.TrimSpace(rest)
		var p piece
		switch word {
		case "else", "elif", "elseif", "endif", "endfor":
			return all, m.inside, nil
		case "if":
			p, err = t.conditional(rest)
		case "for":
			p, err = t.loop(rest)
		case "set":
			if err = t.set(rest); err == nil {
				continue
			}
		default:
			err = fmt.Errorf("it has no equivalent")
		}
		if err != nil {
			return nil, "", fmt.Errorf("{%% %s %%}: %w", m.inside, err)
		}
		all = append(all, p)
	}
	return all, "", nil
}

func (t *templater) conditional(cond string) (piece, error) {
	if t.depth++; t.depth > maxTerm {
		return piece{}, fmt.Errorf("it is nested too deeply")
	}
	defer func() { t.depth-- }()
	c, err := t.sc.condition(cond, nunjucks)
	if err != nil {
		return piece{}, err
	}
	p := piece{kind: pieceIf, hcl: c}
	body, end, err := t.pieces()
	if err != nil {
		return p, err
	}
	p.body = body
	word, rest, _ := strings.Cut(end, " ")
	switch word {
	case "elif", "elseif":
		inner, err := t.conditional(strings.TrimSpace(rest))
		p.or = []piece{inner}
		return p, err
	case "else":
		if p.or, end, err = t.pieces(); err != nil {
			return p, err
		}
	}
	if end != "endif" {
		return p, fmt.Errorf("it is not closed")
	}
	return p, nil
}

func (t *templater) loop(src string) (piece, error) {
	name, list, found := strings.Cut(src, " in ")
	if name = strings.TrimSpace(name); !found || !hcltext.IsIdentifier(name) {
		return piece{}, fmt.Errorf("this loop has no equivalent")
	}
	v, err := t.sc.translate(list, nunjucks)
	if err != nil {
		return piece{}, err
	}
	if v.typ != typeList {
		return piece{}, fmt.Errorf("%s is not a list in every test", strings.TrimSpace(list))
	}
	outer := t.sc
	t.sc = outer.with(name, value{text: name, typ: v.elem})
	t.sc.loop = &loop{index: fmt.Sprintf("%s_%d", loopIndex, t.depth), list: v.text}
	if t.depth++; t.depth > maxTerm {
		return piece{}, fmt.Errorf("it is nested too deeply")
	}
	counts := t.sc.loop
	body, end, err := t.pieces()
	t.depth--
	t.sc = outer
	if err == nil && end != "endfor" {
		err = fmt.Errorf("it is not closed")
	}
	if counts.used {
		name = counts.index + ", " + name
	}
	return piece{kind: pieceFor, text: name, hcl: v.text, body: body}, err
}

// loop is a loop in a template.
type loop struct {
	index, list string // the name of the index variable, and the expression of the list
	used        bool
}

// loopIndex is the prefix of index variables.
const loopIndex = "index"

// part translates loop.NAME.
func (l *loop) part(name string) (value, error) {
	l.used = true
	length := "length(" + l.list + ")"
	switch name {
	case "index":
		return value{text: "(" + l.index + " + 1)", typ: typeNumber}, nil
	case "index0":
		return value{text: l.index, typ: typeNumber}, nil
	case "revindex":
		return value{text: "(" + length + " - " + l.index + ")", typ: typeNumber}, nil
	case "revindex0":
		return value{text: "(" + length + " - " + l.index + " - 1)", typ: typeNumber}, nil
	case "first":
		return value{text: "(" + l.index + " == 0)", typ: typeBool}, nil
	case "last":
		return value{text: "(" + l.index + " == " + length + " - 1)", typ: typeBool}, nil
	case "length":
		return value{text: length, typ: typeNumber}, nil
	}
	return value{}, fmt.Errorf("loop.%s has no equivalent", name)
}

func (t *templater) set(src string) error {
	name, expression, found := strings.Cut(src, "=")
	if name = strings.TrimSpace(name); !found || !hcltext.IsIdentifier(name) {
		return fmt.Errorf("it has no equivalent")
	}
	v, err := t.sc.translate(expression, nunjucks)
	if err == nil {
		t.sc = t.sc.with(name, v)
	}
	return err
}
