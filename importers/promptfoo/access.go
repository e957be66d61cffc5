package promptfoo

import (
	"fmt"
	"strings"

	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// access translates a.b or a[b].
func (t *translator) access(e *term) (value, error) {
	of := e.args[0]
	step := e.name
	if e.op == opIndex && e.args[1].op == opText {
		step = e.args[1].name
	}
	if of.op == opName && of.name == "env" && step != "" && t.sc.env != nil && t.d == nunjucks {
		return value{text: t.sc.env(step), typ: typeString}, nil
	}
	if of.op == opName && of.name == "loop" && step != "" && t.d == nunjucks && t.sc.loop != nil {
		return t.sc.loop.part(step)
	}
	if isVars(of) && t.d == javascript && step != "" {
		if c, ok := t.sc.columns[step]; ok {
			return c.of(rowColumn(step)), nil
		}
		if t.sc.open {
			return value{text: rowColumn(step)}, nil
		}
		return value{}, fmt.Errorf("no test sets the variable %s", step)
	}
	v, err := t.value(of)
	if err != nil {
		return value{}, err
	}
	if step == "length" && e.op == opMember && v.typ != typeObject {
		return t.length(v)
	}
	if v.typ == typeOutput {
		return outputPart(v, e, step)
	}
	return t.step(v, e, step)
}

func (t *translator) step(v value, e *term, step string) (value, error) {
	if whole, _, ok := strings.Cut(v.text, ".json["); ok && v.item > 0 && (step == "function" || step == "name" || step == "arguments") {
		call := value{text: fmt.Sprintf("%s.tool_calls[%d]", whole, v.item-1), typ: typeObject}
		switch step {
		case "function":
			return call, nil
		case "name":
			return value{text: call.text + ".name", typ: typeString}, nil
		}
		v = call
	}
	if strings.HasSuffix(v.text, "]") && strings.Contains(v.text, ".tool_calls[") {
		switch step {
		case "arguments":
			return value{text: v.text + ".arguments", parsed: true}, nil
		case "name":
			return value{text: v.text + ".name", typ: typeString}, nil
		}
	}
	switch {
	case v.typ == typeString || v.typ == typeNumber || v.typ == typeBool:
		return value{}, fmt.Errorf("accessing parts of a %s has no equivalent", v.typ)
	case step != "":
		if hcltext.IsIdentifier(step) {
			return value{text: v.operand() + "." + step}, nil
		}
		return value{text: v.operand() + "[" + hcltext.Quote(step) + "]"}, nil
	}
	i, err := t.value(e.args[1])
	return value{text: v.operand() + "[" + i.text + "]", typ: v.elem}, err
}

// isVars reports whether it is context.vars.
func isVars(e *term) bool {
	return e.op == opMember && e.name == "vars" && e.args[0].op == opName && e.args[0].name == "context"
}

// length translates v.length. In templates, a value of unknown type may be an
// object that has such a member.
func (t *translator) length(v value) (value, error) {
	switch v.typ {
	case typeAny:
		if t.d == nunjucks {
			return value{text: "try(" + v.operand() + ".length, length(" + v.text + "))"}, nil
		}
		fallthrough
	case typeOutput, typeString, typeList:
		return value{text: "length(" + v.text + ")", typ: typeNumber}, nil
	}
	return value{}, fmt.Errorf("the length of a %s has no equivalent", v.typ)
}

// outputPart translates a part of the answer: a member of its JSON or, for
// output[0].function.…, a part of its tool calls.
func outputPart(v value, e *term, step string) (value, error) {
	whole := strings.TrimSuffix(v.text, ".text")
	if whole == v.text {
		return value{}, fmt.Errorf("accessing parts of a transform's result has no equivalent")
	}
	if e.op == opIndex && e.args[1].op == opNumber {
		return value{text: fmt.Sprintf("%s.json[%d]", whole, int(e.args[1].num)), item: int(e.args[1].num) + 1}, nil
	}
	if step == "" {
		return value{}, fmt.Errorf("accessing this part of the answer has no equivalent")
	}
	if hcltext.IsIdentifier(step) {
		return value{text: whole + ".json." + step}, nil
	}
	return value{text: whole + ".json[" + hcltext.Quote(step) + "]"}, nil
}

// typeofSign marks the type of a value, which can only be compared.
const typeofSign = "\x00"

// typeTest translates typeof value == "…".
func typeTest(of, name value, op string) (value, error) {
	holds := ""
	text := of.text[len(typeofSign):]
	switch {
	case isText(of.typ) && name.text == `"string"`:
		holds = "true"
	case of.typ == typeOutput && name.text == `"object"` && strings.HasSuffix(text, ".text"):
		holds = strings.TrimSuffix(text, ".text") + `.json != null && can(regex("^[{\\[]", trimspace(` + text + `)))`
	case of.typ == typeAny && name.text == `"string"`:
		// JSON encodes only strings with quotes.
		holds = `startswith(jsonencode(` + text + `), "\"")`
	case of.typ == typeAny && name.text == `"number"`:
		holds = `can(regex("^-?[0-9]", jsonencode(` + text + `)))`
	case of.typ == typeAny && name.text == `"object"`:
		holds = `can(regex("^[{\\[]", jsonencode(` + text + `)))`
	default:
		return value{}, fmt.Errorf("this type test has no equivalent")
	}
	if op == "!=" {
		holds = "!(" + holds + ")"
	}
	return value{text: holds, typ: typeBool, loose: strings.Contains(holds, " && ")}, nil
}
