package promptfoo

import (
	"fmt"
	"maps"
	"strings"

	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// typ is the known type of a value.
type typ string

const (
	typeAny    typ = "" // not known, or different in each row
	typeString typ = "string"
	typeNumber typ = "number"
	typeBool   typ = "bool"
	typeList   typ = "list"
	typeObject typ = "object"
	// typeOutput is the answer itself. It is a text, but promptfoo also
	// provides it as parsed JSON.
	typeOutput typ = "output"
)

// value is an HCL expression.
type value struct {
	text string
	typ  typ
	elem typ // of lists
	// loose is set if the text needs parentheses as an operand.
	loose bool
	// op is the operator of a compound condition.
	op string
	// item is the number, from 1, of the part of the answer that the value is.
	// How it is used shows which part: promptfoo returns tool calls as an
	// answer that is a list.
	item int
	// parsed is set if the value is no longer JSON text in quern, unlike in
	// promptfoo.
	parsed bool
}

func (v value) operand() string {
	if v.loose {
		return "(" + v.text + ")"
	}
	return v.text
}

// logicalOperand returns the value as an operand of && or ||. Only another
// logical operator or a conditional needs parentheses there.
func (v value) logicalOperand(op string) string {
	if v.typ == typeBool && !strings.Contains(v.text, " ? ") && (v.op == "" && !strings.Contains(v.text, " || ") || v.op == op) {
		return v.text
	}
	return v.operand()
}

// scope defines the names in the expressions of a configuration.
type scope struct {
	// columns are the variables of the tests.
	columns map[string]column
	// open is set if not all variables are known, because tests could not be
	// read. Any name is then assumed to be a column.
	open bool
	// locals are names that the expression itself defines.
	locals map[string]value
	// output is the answer, in assertions and transforms.
	output *value
	// env returns the variable that represents an environment variable.
	env func(name string) string
	// missing is called with unknown names.
	missing func(name string)
	// loop is the enclosing loop in a template, or nil.
	loop *loop
}

// column is what is known about a column of the tests.
type column struct {
	typ, elem typ
}

func (sc *scope) inner() *scope {
	c := *sc
	c.locals = maps.Clone(sc.locals)
	return &c
}

func (sc *scope) with(name string, v value) *scope {
	c := sc.inner()
	if c.locals == nil {
		c.locals = map[string]value{}
	}
	c.locals[name] = v
	return c
}

// translate translates an expression.
func (sc *scope) translate(src string, d dialect) (value, error) {
	t, err := parseTerm(src, d)
	if err != nil {
		return value{}, err
	}
	return (&translator{sc, d}).value(t)
}

// condition translates an expression that is used as a condition.
func (sc *scope) condition(src string, d dialect) (string, error) {
	t, err := parseTerm(src, d)
	if err != nil {
		return "", err
	}
	v, err := (&translator{sc, d}).truth(t)
	return v.text, err
}

// shown translates what is between {{ and }}.
func (sc *scope) shown(src string) ([]piece, error) {
	v, err := sc.translate(src, nunjucks)
	switch {
	case err != nil:
		return nil, err
	case v.text == `""`:
		return nil, nil
	case v.typ == typeList:
		v.text = `join(",", ` + v.text + ")"
	case v.typ == typeObject:
		v.text = "jsonencode(" + v.text + ")"
	}
	return []piece{{kind: pieceValue, hcl: v.text, typ: v.typ}}, nil
}

type translator struct {
	sc *scope
	d  dialect
}

func (t *translator) value(e *term) (value, error) {
	switch e.op {
	case opText:
		return value{text: hcltext.Quote(e.name), typ: typeString}, nil
	case opNumber:
		return value{text: hcltext.Literal(e.num), typ: typeNumber}, nil
	case opBool:
		return value{text: e.name, typ: typeBool}, nil
	case opNull:
		return value{text: "null"}, nil
	case opName:
		return t.name(e.name)
	case opMember, opIndex:
		return t.access(e)
	case opCall:
		return t.call(e)
	case opFilter:
		return t.filter(e)
	case opList:
		return t.list(e)
	case opTemplate:
		return t.text(e.args)
	case opNot:
		v, err := t.truth(e.args[0])
		if inner, twice := strings.CutPrefix(v.text, "!"); twice && !v.loose {
			return value{text: inner, typ: typeBool}, err
		}
		return value{text: "!" + v.operand(), typ: typeBool}, err
	case opTypeof:
		v, err := t.value(e.args[0])
		return value{text: typeofSign + v.text, typ: v.typ}, err
	case opNegate:
		v, err := t.number(e.args[0])
		return value{text: "-" + v.operand(), typ: typeNumber}, err
	case opCond:
		return t.choice(e)
	case opRegex, opArrow, opObject:
		return value{}, fmt.Errorf("it has no equivalent in this place")
	}
	return t.binary(e)
}

func (t *translator) name(name string) (value, error) {
	if v, ok := t.sc.locals[name]; ok {
		return v, nil
	}
	if t.d == javascript {
		if name == "output" && t.sc.output != nil {
			return *t.sc.output, nil
		}
		return value{}, fmt.Errorf("%s is not known", name)
	}
	if c, ok := t.sc.columns[name]; ok {
		return c.of(rowColumn(name)), nil
	}
	switch name {
	case "_conversation":
		return value{}, fmt.Errorf("questions cannot use earlier answers")
	case "env":
		return value{}, fmt.Errorf("only single environment variables have an equivalent")
	}
	if t.sc.open {
		return value{text: rowColumn(name)}, nil
	}
	if t.sc.missing != nil {
		t.sc.missing(name)
	}
	return value{text: `""`, typ: typeString}, nil
}

func (c column) of(text string) value { return value{text: text, typ: c.typ, elem: c.elem} }

func rowColumn(name string) string {
	if hcltext.IsIdentifier(name) {
		return "row." + name
	}
	return "row[" + hcltext.Quote(name) + "]"
}

func (t *translator) list(e *term) (value, error) {
	items := make([]string, len(e.args))
	elem := typeAny
	for i, a := range e.args {
		v, err := t.value(a)
		if err != nil {
			return value{}, err
		}
		items[i], elem = v.text, v.typ
	}
	return value{text: "[" + strings.Join(items, ", ") + "]", typ: typeList, elem: elem}, nil
}

// text concatenates values to one text.
func (t *translator) text(parts []*term) (value, error) {
	var b strings.Builder
	for _, p := range parts {
		v, err := t.value(p)
		if err != nil {
			return value{}, err
		}
		if v.typ == typeList || v.typ == typeObject {
			return value{}, fmt.Errorf("a %s within a string has no equivalent", v.typ)
		}
		if p.op == opText {
			b.WriteString(quotedText(p.name))
		} else {
			b.WriteString("${" + v.text + "}")
		}
	}
	return value{text: `"` + b.String() + `"`, typ: typeString}, nil
}

func (t *translator) choice(e *term) (value, error) {
	c, err := t.truth(e.args[0])
	if err != nil {
		return value{}, err
	}
	yes, err := t.value(e.args[1])
	if err != nil {
		return value{}, err
	}
	no, err := t.value(e.args[2])
	if err != nil {
		return value{}, err
	}
	return chosen(c, yes, no), nil
}

// chosen selects one of two values. If both are conditions, the result is a
// condition, too.
func chosen(c, yes, no value) value {
	if yes.typ == typeBool && no.typ == typeBool {
		not := value{text: "!" + c.operand()}
		if inner, twice := strings.CutPrefix(c.text, "!"); twice && !c.loose {
			not.text = inner
		}
		switch {
		case yes.text == "true":
			return value{text: c.logicalOperand("||") + " || " + no.logicalOperand("||"), typ: typeBool, loose: true, op: "||"}
		case no.text == "false":
			return value{text: c.logicalOperand("&&") + " && " + yes.logicalOperand("&&"), typ: typeBool, loose: true, op: "&&"}
		case yes.text == "false":
			return value{text: not.text + " && " + no.logicalOperand("&&"), typ: typeBool, loose: true, op: "&&"}
		}
	}
	if yes.typ != no.typ {
		yes.typ = typeAny
	}
	return value{text: c.operand() + " ? " + yes.operand() + " : " + no.operand(), typ: yes.typ, loose: true}
}

// truth translates an expression to a condition.
func (t *translator) truth(e *term) (value, error) {
	if e.op == "&&" || e.op == "||" {
		a, err := t.truth(e.args[0])
		if err != nil {
			return a, err
		}
		b, err := t.truth(e.args[1])
		if a.text == "true" && e.op == "&&" {
			return b, err
		}
		if b.text == "true" && e.op == "&&" {
			return a, err
		}
		return value{text: a.logicalOperand(e.op) + " " + e.op + " " + b.logicalOperand(e.op), typ: typeBool, loose: true, op: e.op}, err
	}
	if e.op == opCall {
		if v, ok, err := t.matching(e); ok {
			return v, err
		}
	}
	v, err := t.value(e)
	if err != nil {
		return v, err
	}
	switch v.typ {
	case typeBool:
		return v, nil
	case typeString:
		return value{text: v.operand() + ` != ""`, typ: typeBool, loose: true}, nil
	case typeOutput:
		return value{text: v.text + ` != ""`, typ: typeBool, loose: true}, nil
	case typeNumber:
		return value{text: v.operand() + " != 0", typ: typeBool, loose: true}, nil
	case typeList, typeObject:
		if t.d == javascript {
			return value{text: "true", typ: typeBool}, nil
		}
	}
	if t.d == javascript {
		return value{text: `try(!contains(["null", "\"\"", "0", "false"], jsonencode(` + v.text + `)), false)`, typ: typeBool}, nil
	}
	return v, fmt.Errorf("whether %s is true depends on its type, which is not known", v.text)
}

// number translates an expression that must be a number. A value of unknown
// type is assumed to be one; otherwise, evaluation reports it.
func (t *translator) number(e *term) (value, error) {
	v, err := t.value(e)
	if err == nil && v.typ != typeNumber && v.typ != typeAny {
		err = fmt.Errorf("%s is not a number", v.text)
	}
	return v, err
}

func (t *translator) binary(e *term) (value, error) {
	switch e.op {
	case "&&", "||":
		return t.logic(e)
	case "~":
		return t.text(e.args)
	}
	if found, ok := t.search(e); ok {
		return found, nil
	}
	a, err := t.value(e.args[0])
	if err != nil {
		return a, err
	}
	b, err := t.value(e.args[1])
	if err != nil {
		return b, err
	}
	made := value{text: a.operand() + " " + e.op + " " + b.operand(), loose: true}
	switch e.op {
	case "==", "!=":
		made.typ = typeBool
		if strings.HasPrefix(a.text, typeofSign) {
			return typeTest(a, b, e.op)
		}
		return made, nil
	case "<", "<=", ">", ">=":
		made.typ = typeBool
	case "in":
		switch {
		case b.typ == typeString:
			return value{text: "strcontains(" + b.text + ", " + a.text + ")", typ: typeBool}, nil
		case b.typ == typeList:
			return value{text: "contains(" + b.text + ", " + a.text + ")", typ: typeBool}, nil
		}
		return made, fmt.Errorf("in has no equivalent for values of unknown type")
	case "??":
		return value{text: "coalesce(" + a.text + ", " + b.text + ")", typ: b.typ}, nil
	case "+":
		if isText(a.typ) || isText(b.typ) {
			return t.text(e.args)
		}
		made.typ = typeNumber
	default:
		made.typ = typeNumber
	}
	for _, v := range []value{a, b} {
		if v.typ != typeNumber && v.typ != typeAny {
			return made, fmt.Errorf("%s has no equivalent for values that are not numbers", e.op)
		}
	}
	return made, nil
}

func isText(t typ) bool { return t == typeString || t == typeOutput }

// logic translates a || b or a && b used as a value: conditions give a
// condition, and a text that may be empty is replaced.
func (t *translator) logic(e *term) (value, error) {
	if e.op == "||" {
		a, errA := t.value(e.args[0])
		b, errB := t.value(e.args[1])
		if errA == nil && errB == nil && isText(a.typ) && b.typ == typeString {
			return value{text: "coalesce(" + a.text + ", " + b.text + ")", typ: typeString}, nil
		}
	}
	return t.truth(e)
}
