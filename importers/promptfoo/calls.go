package promptfoo

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// call translates a call of a method or of a global JavaScript function.
func (t *translator) call(e *term) (value, error) {
	if v, ok, err := t.matching(e); ok {
		return v, err
	}
	f := e.args[0]
	if t.d != javascript {
		return value{}, fmt.Errorf("this call has no equivalent")
	}
	if f.op == opName {
		return t.builtin(f.name, e.args[1:])
	}
	if f.op != opMember {
		return value{}, fmt.Errorf("this call has no equivalent")
	}
	if of := f.args[0]; of.op == opName && (of.name == "Math" || of.name == "JSON" || of.name == "Object" || of.name == "Array") {
		return t.builtin(of.name+"."+f.name, e.args[1:])
	}
	of, err := t.value(f.args[0])
	if err != nil {
		return of, err
	}
	return t.method(of, f.name, e.args[1:])
}

// builtins contains the JavaScript functions that have an exact counterpart.
var builtins = map[string]struct {
	hcl string
	typ typ
}{
	"Number": {"tonumber", typeNumber}, "String": {"tostring", typeString},
	"Math.abs": {"abs", typeNumber}, "Math.floor": {"floor", typeNumber}, "Math.ceil": {"ceil", typeNumber},
	"Math.max": {"max", typeNumber}, "Math.min": {"min", typeNumber}, "Math.pow": {"pow", typeNumber},
	"Object.keys": {"keys", typeList}, "Object.values": {"values", typeList},
	"JSON.parse": {"jsondecode", typeAny}, "JSON.stringify": {"jsonencode", typeString},
}

func (t *translator) builtin(name string, args []*term) (value, error) {
	switch {
	case name == "Boolean" && len(args) == 1:
		return t.truth(args[0])
	case name == "parseInt" && len(args) == 2 && (args[1].op != opNumber || args[1].num != 10):
		return value{}, fmt.Errorf("%s with a base other than 10 has no equivalent", name)
	case name == "parseInt" && len(args) > 0:
		return t.leading(args[0], "-?[0-9]+")
	case name == "parseFloat" && len(args) == 1:
		return t.leading(args[0], `-?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)`)
	case name == "Math.round" && len(args) == 1:
		v, err := t.value(args[0])
		return value{text: "floor(" + v.operand() + " + 0.5)", typ: typeNumber}, err
	case name == "Array.isArray" && len(args) == 1:
		v, err := t.value(args[0])
		return value{text: `startswith(jsonencode(` + v.text + `), "[")`, typ: typeBool}, err
	}
	f, ok := builtins[name]
	if !ok {
		return value{}, fmt.Errorf("%s has no equivalent", name)
	}
	texts := make([]string, len(args))
	for i, a := range args {
		v, err := t.value(a)
		if err != nil {
			return v, err
		}
		if v.typ == typeOutput && name == "JSON.parse" {
			if whole, ok := strings.CutSuffix(v.text, ".text"); ok {
				return value{text: whole + ".json"}, nil
			}
		}
		if v.parsed && name == "JSON.parse" {
			return value{text: v.text}, nil
		}
		texts[i] = v.text
	}
	return value{text: f.hcl + "(" + strings.Join(texts, ", ") + ")", typ: f.typ}, nil
}

// leading translates a function that parses the number at the beginning of a
// text.
func (t *translator) leading(of *term, number string) (value, error) {
	v, err := t.value(of)
	return value{text: "tonumber(regex(" + hcltext.Quote(`^\s*\+?(`+number+")") + ", " + v.text + ")[0])", typ: typeNumber}, err
}

// methods contains the methods of texts that have a counterpart. The first %s
// is the text, and the others are the arguments.
var methods = map[string]struct {
	hcl  string
	args int
	typ  typ
}{
	"includes":    {"strcontains(%s, %s)", 1, typeBool},
	"startsWith":  {"startswith(%s, %s)", 1, typeBool},
	"endsWith":    {"endswith(%s, %s)", 1, typeBool},
	"toLowerCase": {"lower(%s)", 0, typeString},
	"toUpperCase": {"upper(%s)", 0, typeString},
	"trim":        {"trimspace(%s)", 0, typeString},
	"toString":    {"%s", 0, typeString},
}

func (t *translator) method(of value, name string, args []*term) (value, error) {
	if name == "hasOwnProperty" && len(args) == 1 && args[0].op == opText {
		part, err := t.partNamed(of, args[0].name)
		return value{text: "can(" + part.text + ")", typ: typeBool}, err
	}
	if of.typ == typeList || of.typ == typeAny && len(args) == 1 && args[0].op == opArrow {
		return t.listMethod(of, name, args)
	}
	if of.typ == typeAny && name == "includes" && len(args) == 1 {
		// Lists have it, and so do texts.
		v, err := t.value(args[0])
		return value{text: fmt.Sprintf("try(contains(%[1]s, %[2]s), strcontains(%[1]s, %[2]s))", of.text, v.text), typ: typeBool}, err
	}
	if !isText(of.typ) {
		if name == "toString" && of.typ == typeNumber {
			return value{text: "tostring(" + of.text + ")", typ: typeString}, nil
		}
		// Only texts have these. On anything else, they would fail in
		// promptfoo, too.
		if _, ok := methods[name]; !ok || name == "includes" || name == "toString" {
			return value{}, fmt.Errorf("%s has no equivalent for values of unknown type", name)
		}
	}
	if m, ok := methods[name]; ok && m.args == len(args) {
		filled := []any{of.text}
		for _, a := range args {
			v, err := t.value(a)
			if err != nil {
				return v, err
			}
			filled = append(filled, v.text)
		}
		return value{text: fmt.Sprintf(m.hcl, filled...), typ: m.typ}, nil
	}
	return t.textMethod(of, name, args)
}

func (t *translator) partNamed(of value, name string) (value, error) {
	e := &term{op: opMember, name: name}
	if of.typ == typeOutput {
		return outputPart(of, e, name)
	}
	return t.step(of, e, name)
}

// textMethod translates the methods that need more than a pattern.
func (t *translator) textMethod(of value, name string, args []*term) (value, error) {
	switch {
	case name == "split" && len(args) == 1 && args[0].op == opText && args[0].name != "":
		return value{text: "split(" + hcltext.Quote(args[0].name) + ", " + of.text + ")", typ: typeList, elem: typeString}, nil
	case name == "split" && len(args) == 1 && args[0].op == opRegex && args[0].name == `\s+`:
		return value{text: `regexall("\\S+", ` + of.text + ")", typ: typeList, elem: typeString}, nil
	case (name == "slice" || name == "substring") && len(args) > 0 && len(args) < 3:
		return t.substring(of, args)
	case (name == "replace" || name == "replaceAll") && len(args) == 2 && args[1].op == opText:
		return t.replace(of, name, args[0], args[1].name)
	}
	return value{}, fmt.Errorf("%s has no equivalent", name)
}

func (t *translator) substring(of value, args []*term) (value, error) {
	for _, a := range args {
		if a.op != opNumber {
			return value{}, fmt.Errorf("parts of a string have an equivalent only with numeric positions")
		}
	}
	length := -1.0
	if len(args) == 2 {
		if length = args[1].num - args[0].num; length < 0 {
			length = 0
		}
	}
	return value{text: fmt.Sprintf("substr(%s, %s, %s)", of.text, hcltext.Literal(args[0].num), hcltext.Literal(length)), typ: typeString}, nil
}

func (t *translator) replace(of value, name string, what *term, with string) (value, error) {
	switch {
	case what.op == opText && name == "replaceAll" && !strings.HasPrefix(what.name, "/"):
		return value{text: fmt.Sprintf("replace(%s, %s, %s)", of.text, hcltext.Quote(what.name), hcltext.Quote(with)), typ: typeString}, nil
	case what.op == opRegex && strings.Contains(what.extra, "g"):
		pattern, err := goPattern(what.name, what.extra)
		if err != nil {
			return value{}, err
		}
		return value{text: fmt.Sprintf("replace(%s, %s, %s)", of.text, hcltext.Quote("/"+pattern+"/"), hcltext.Quote(with)), typ: typeString}, nil
	}
	return value{}, fmt.Errorf("replacing only the first match has no equivalent")
}

// listMethod translates the methods of lists.
func (t *translator) listMethod(of value, name string, args []*term) (value, error) {
	if len(args) != 1 {
		return value{}, fmt.Errorf("%s has no equivalent", name)
	}
	a := args[0]
	if a.op != opArrow {
		v, err := t.value(a)
		switch {
		case err != nil:
			return v, err
		case name == "includes":
			return value{text: "contains(" + of.text + ", " + v.text + ")", typ: typeBool}, nil
		case name == "join":
			return value{text: "join(" + v.text + ", " + of.text + ")", typ: typeString}, nil
		}
		return value{}, fmt.Errorf("%s has no equivalent", name)
	}
	if strings.Contains(a.extra, ",") || a.extra == "" {
		return value{}, fmt.Errorf("a function with several parameters has no equivalent")
	}
	inner := &translator{t.sc.with(a.extra, value{text: a.extra, typ: of.elem}), t.d}
	loop := func(body string) string { return "[for " + a.extra + " in " + of.text + " : " + body + "]" }
	if name == "map" {
		v, err := inner.value(a.args[0])
		return value{text: loop(v.text), typ: typeList, elem: v.typ}, err
	}
	v, err := inner.truth(a.args[0])
	if err != nil {
		return v, err
	}
	switch name {
	case "some":
		return value{text: "anytrue(" + loop(v.text) + ")", typ: typeBool}, nil
	case "every":
		return value{text: "alltrue(" + loop(v.text) + ")", typ: typeBool}, nil
	case "filter":
		return value{text: loop(a.extra + " if " + v.text), typ: typeList, elem: of.elem}, nil
	}
	return value{}, fmt.Errorf("%s has no equivalent", name)
}

// matching translates /…/.test(text) and text.match(/…/) as conditions. ok is
// false if the call is neither.
func (t *translator) matching(e *term) (v value, ok bool, err error) {
	f := e.args[0]
	if t.d != javascript || f.op != opMember || len(e.args) != 2 {
		return value{}, false, nil
	}
	pattern, of := f.args[0], e.args[1]
	if f.name == "match" {
		pattern, of = of, pattern
	}
	if pattern.op != opRegex || f.name != "test" && f.name != "match" {
		return value{}, false, nil
	}
	text, err := t.value(of)
	if err != nil {
		return text, true, err
	}
	p, err := goPattern(pattern.name, pattern.extra)
	return value{text: matches(text.text, hcltext.Quote(p)), typ: typeBool}, true, err
}

// search translates text.indexOf(part) compared with -1 or 0.
func (t *translator) search(e *term) (value, bool) {
	c, n := e.args[0], e.args[1]
	if c.op != opCall || c.args[0].op != opMember || c.args[0].name != "indexOf" || len(c.args) != 2 {
		return value{}, false
	}
	found := map[string]bool{"!= -1": true, "== -1": false, ">= 0": true, "> -1": true, "< 0": false}
	number := "?"
	switch {
	case n.op == opNumber:
		number = hcltext.Literal(n.num)
	case n.op == opNegate && n.args[0].op == opNumber:
		number = "-" + hcltext.Literal(n.args[0].num)
	}
	yes, known := found[e.op+" "+number]
	of, err := t.value(c.args[0].args[0])
	part, err2 := t.value(c.args[1])
	if !known || err != nil || err2 != nil || !isText(of.typ) {
		return value{}, false
	}
	text := "strcontains(" + of.text + ", " + part.text + ")"
	if !yes {
		text = "!" + text
	}
	return value{text: text, typ: typeBool}, true
}

// goPattern converts a regular expression of JavaScript to the syntax of RE2.
func goPattern(pattern, flags string) (string, error) {
	pattern = strings.ReplaceAll(pattern, `\/`, "/")
	pattern = strings.ReplaceAll(pattern, `\d`, "[0-9]")
	set := ""
	for _, f := range flags {
		switch f {
		case 'i', 's', 'm':
			set += string(f)
		case 'g', 'u':
		default:
			return "", fmt.Errorf("the regular expression flag %c has no equivalent", f)
		}
	}
	if set != "" {
		pattern = "(?" + set + ")" + pattern
	}
	if _, err := regexp.Compile(pattern); err != nil {
		return "", fmt.Errorf("the regular expression has no equivalent: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return pattern, nil
}

// filters contains the filters of Nunjucks that have a counterpart. %s is the
// value.
var filters = map[string]struct {
	hcl string
	typ typ
}{
	"upper": {"upper(%s)", typeString}, "lower": {"lower(%s)", typeString}, "trim": {"trimspace(%s)", typeString},
	"title": {"title(lower(%s))", typeString}, "length": {"length(%s)", typeNumber}, "dump": {"jsonencode(%s)", typeString},
	"string": {"tostring(%s)", typeString}, "abs": {"abs(%s)", typeNumber}, "load": {"jsondecode(%s)", typeAny},
	"float": {"tonumber(%s)", typeNumber},
}

func (t *translator) filter(e *term) (value, error) {
	of, err := t.value(e.args[0])
	if err != nil {
		return of, err
	}
	var args []string
	for _, a := range e.args[1:] {
		v, err := t.value(a)
		if err != nil {
			return v, err
		}
		args = append(args, v.text)
	}
	if f, ok := filters[e.name]; ok && (len(args) == 0 || e.name == "dump") {
		return value{text: fmt.Sprintf(f.hcl, of.text), typ: f.typ}, nil
	}
	switch name := e.name; {
	case name == "safe" && len(args) == 0:
		return of, nil
	case (name == "default" || name == "d") && len(args) > 0:
		return value{text: "coalesce(" + of.text + ", " + args[0] + ")", typ: of.typ}, nil
	case name == "join" && of.typ == typeList && len(args) < 2:
		return value{text: "join(" + strings.Join(append(args, `""`)[:1], "") + ", " + of.text + ")", typ: typeString}, nil
	case name == "replace" && len(args) == 2 && !strings.HasPrefix(args[0], `"/`):
		return value{text: "replace(" + of.text + ", " + args[0] + ", " + args[1] + ")", typ: typeString}, nil
	case name == "first" && of.typ == typeList && len(args) == 0:
		return value{text: of.operand() + "[0]", typ: of.elem}, nil
	case name == "last" && of.typ == typeList && len(args) == 0:
		return value{text: "element(" + of.text + ", length(" + of.text + ") - 1)", typ: of.elem}, nil
	}
	return value{}, fmt.Errorf("the filter %s has no equivalent", e.name)
}
