package format

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

const (
	messagesType = "list<struct<role:string,content:string>>"
	turnsType    = "list<struct<from:string,value:string>>"
	pairsType    = "list<list<string>>"
)

// column is a column of a form. It has one of the kinds.
type column struct {
	name     string
	optional bool
	kinds    []string
}

// The columns of the forms that can be read.
var forms = map[string][]column{
	"alpaca": {
		{name: "instruction", kinds: []string{"string"}}, {name: "input", optional: true, kinds: []string{"string"}}, {name: "output", kinds: []string{"string"}},
		{name: "system", optional: true, kinds: []string{"string"}}, {name: "history", optional: true, kinds: []string{pairsType}},
	},
	"sharegpt":          {{name: "conversations", kinds: []string{turnsType}}, {name: "system", optional: true, kinds: []string{"string"}}},
	"messages":          {{name: "messages", kinds: []string{messagesType}}},
	"prompt_completion": {{name: "prompt", kinds: textOrMessages}, {name: "completion", kinds: textOrMessages}},
	"unpaired":          {{name: "prompt", kinds: textOrMessages}, {name: "completion", kinds: textOrMessages}, {name: "label", kinds: []string{"bool"}}},
	"preference":        {{name: "prompt", optional: true, kinds: textOrMessages}, {name: "chosen", kinds: textOrMessages}, {name: "rejected", kinds: textOrMessages}},
}

var textOrMessages = []string{"string", messagesType}

// columnsOf returns the columns of a form that a dataset has.
func columnsOf(form string, schema data.Schema) (names []string) {
	for _, c := range forms[form] {
		if _, _, ok := schema.Lookup(c.name); ok {
			names = append(names, c.name)
		}
	}
	return names
}

// check returns why a dataset does not have a form.
func check(form string, schema data.Schema) (problems []string) {
	for _, c := range forms[form] {
		have, _, ok := schema.Lookup(c.name)
		switch {
		case !ok && !c.optional:
			problems = append(problems, fmt.Sprintf("The dataset has no column %q\nRows of the form %s have one; the columns are %v. Rename columns with transform \"map\".", c.name, form, schema.Names()))
		case ok && !slices.ContainsFunc(c.kinds, func(kind string) bool { return fits(have.Type, kind) }):
			problems = append(problems, fmt.Sprintf("The column %q has the wrong type\nIts type is %s, but rows of the form %s need %s.", c.name, have.Type, form, strings.Join(c.kinds, " or ")))
		}
	}
	_, _, prompted := schema.Lookup("prompt")
	problems = append(problems, checkCallTypes(form, schema)...)
	if chosen, _, _ := schema.Lookup("chosen"); form == "preference" && !prompted && chosen.Type == "string" {
		problems = append(problems, "The dataset has no column \"prompt\"\nIt can be missing only if chosen and rejected are conversations, not texts.")
	}
	return problems
}

// fits reports whether a type is a kind. Messages can have more fields than role
// and content, in any order.
func fits(typ, kind string) bool {
	if typ == kind {
		return true
	}
	have, err := data.ArrowType(typ)
	if err != nil {
		return false
	}
	wanted, _ := data.ArrowType(kind)
	h, ok := have.(*arrow.ListType)
	w, isList := wanted.(*arrow.ListType)
	if !ok || !isList {
		return false
	}
	fields, ok := h.Elem().(*arrow.StructType)
	needed, isStruct := w.Elem().(*arrow.StructType)
	if !ok || !isStruct {
		return false
	}
	for _, f := range needed.Fields() {
		if g, ok := fields.FieldByName(f.Name); !ok || g.Type.ID() != arrow.STRING {
			return false
		}
	}
	return true
}

// reader returns the example of a row.
type reader func(row int) (example, error)

// newReader returns the reader for the rows of a batch.
func newReader(a *args, b *plugin.Batch) (reader, error) {
	read, err := formReader(a.From, rows{b, a.ToolCalls})
	if err != nil || !a.Tools.IsSet() {
		return read, err
	}
	tools := b.Strings(a.Tools)
	return func(row int) (example, error) {
		e, err := read(row)
		if text, ok := tools.At(row); ok && err == nil {
			e.tools, err = checkTools(text)
		}
		return e, err
	}, nil
}

func formReader(form string, r rows) (reader, error) {
	switch form {
	case "alpaca":
		return r.alpaca, nil
	case "sharegpt":
		return r.shareGPT, nil
	case "messages":
		return r.messages, nil
	case "prompt_completion":
		return r.promptCompletion, nil
	case "preference":
		return r.preference, nil
	case "unpaired":
		return r.unpaired, nil
	}
	return nil, fmt.Errorf("the form %q is not known", form)
}

// rows reads the rows of a batch.
type rows struct {
	*plugin.Batch
	calls bool // turns from function_call are calls
}

// text returns a text. It is empty if there is no such column.
func (r rows) text(column string, row int, optional bool) (string, error) {
	values, ok := r.InputColumn(column).(*array.String)
	switch {
	case ok && !values.IsNull(row):
		return values.Value(row), nil
	case optional:
		return "", nil
	}
	return "", fmt.Errorf("%s is null", column)
}

func (r rows) alpaca(row int) (e example, err error) {
	var texts [4]string
	for i, column := range []string{"system", "instruction", "input", "output"} {
		if texts[i], err = r.text(column, row, i%2 == 0); err != nil {
			return e, err
		}
	}
	if e.prompt, err = r.history(row); err != nil {
		return e, err
	}
	question := texts[1]
	if texts[2] != "" {
		question += "\n" + texts[2]
	}
	e.prompt = append(withSystem(texts[0], e.prompt), message{Role: "user", Content: question})
	e.answers = [][]message{{{Role: "assistant", Content: texts[3]}}}
	return e, nil
}

// history reads earlier questions and answers.
func (r rows) history(row int) (out []message, err error) {
	lists, ok := r.InputColumn("history").(*array.List)
	if !ok || lists.IsNull(row) {
		return nil, nil
	}
	pairs, texts := lists.ListValues().(*array.List), lists.ListValues().(*array.List).ListValues().(*array.String)
	from, to := lists.ValueOffsets(row)
	for i := from; i < to; i++ {
		first, end := pairs.ValueOffsets(int(i))
		if pairs.IsNull(int(i)) || end-first != 2 || texts.IsNull(int(first)) || texts.IsNull(int(first)+1) {
			return nil, fmt.Errorf("history[%d] is not a question with its answer", i-from)
		}
		out = append(out, message{Role: "user", Content: texts.Value(int(first))}, message{Role: "assistant", Content: texts.Value(int(first) + 1)})
	}
	return out, nil
}

func withSystem(system string, rest []message) []message {
	if system == "" {
		return rest
	}
	return append([]message{{Role: "system", Content: system}}, rest...)
}

// turnRoles are the roles of ShareGPT.
var turnRoles = map[string]string{
	"system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant",
	"bing": "assistant", "bard": "assistant", "tool": "tool", "observation": "tool",
}

func (r rows) shareGPT(row int) (example, error) {
	turns, err := r.list("conversations", row, "from", "value")
	if err != nil {
		return example{}, err
	}
	for i, turn := range turns {
		role, ok := turnRoles[turn.Role]
		switch {
		case turn.Role == "function_call" && r.calls:
			if turns[i], err = called(turn.Content); err != nil {
				return example{}, fmt.Errorf("conversations[%d] %w", i, err)
			}
			continue
		case turn.Role == "function_call":
			return example{}, fmt.Errorf("conversations[%d] is from \"function_call\"; to read it as a call of a tool, set tool_calls = true", i)
		case !ok:
			return example{}, fmt.Errorf("conversations[%d] is from %q; it can be from system, human, gpt, or tool", i, turn.Role)
		}
		turns[i].Role = role
	}
	system, err := r.text("system", row, true)
	if err != nil {
		return example{}, err
	}
	return split(withSystem(system, turns)), nil
}

func (r rows) messages(row int) (example, error) {
	all, err := r.list("messages", row, "role", "content")
	return split(all), err
}

func (r rows) promptCompletion(row int) (e example, err error) {
	if e.prompt, err = r.either("prompt", row, "user"); err != nil {
		return e, err
	}
	completion, err := r.either("completion", row, "assistant")
	e.answers = [][]message{completion}
	return e, err
}

func (r rows) unpaired(row int) (example, error) {
	e, err := r.promptCompletion(row)
	if err != nil {
		return e, err
	}
	labels, ok := r.InputColumn("label").(*array.Boolean)
	if !ok || labels.IsNull(row) {
		return e, fmt.Errorf("label is null")
	}
	e.good = []bool{labels.Value(row)}
	return e, nil
}

func (r rows) preference(row int) (e example, err error) {
	e.answers, e.good = make([][]message, 2), []bool{true, false}
	for i, column := range []string{"chosen", "rejected"} {
		if e.answers[i], err = r.either(column, row, "assistant"); err != nil {
			return e, err
		}
	}
	if r.InputColumn("prompt") == nil {
		common := 0
		for common < min(len(e.answers[0]), len(e.answers[1])) && e.answers[0][common].Equal(e.answers[1][common]) {
			common++
		}
		e.prompt = e.answers[0][:common]
	} else if e.prompt, err = r.either("prompt", row, "user"); err != nil {
		return e, err
	}
	for i, answer := range e.answers { // an answer can repeat the prompt
		if n := len(e.prompt); len(answer) >= n && slices.EqualFunc(answer[:n], e.prompt, message.Equal) {
			e.answers[i] = answer[n:]
		}
		if len(e.answers[i]) == 0 {
			return e, fmt.Errorf("%s has no answer to the prompt", []string{"chosen", "rejected"}[i])
		}
	}
	return e, nil
}

// either reads a list of messages, or a text as a message of a role.
func (r rows) either(column string, row int, role string) ([]message, error) {
	if _, isText := r.InputColumn(column).(*array.String); !isText {
		all, err := r.list(column, row, "role", "content")
		if err == nil && len(all) == 0 {
			err = fmt.Errorf("%s has no messages", column)
		}
		return all, err
	}
	text, err := r.text(column, row, false)
	return []message{{Role: role, Content: text}}, err
}

// list reads a list of messages whose fields have these names. Those of calls are
// read, too; others have to be null, because they would be lost.
func (r rows) list(column string, row int, role, content string) ([]message, error) {
	lists, ok := r.InputColumn(column).(*array.List)
	if !ok {
		return nil, fmt.Errorf("%s is not a list", column)
	}
	if lists.IsNull(row) {
		return nil, fmt.Errorf("%s is null", column)
	}
	items := lists.ListValues().(*array.Struct)
	from, to := lists.ValueOffsets(row)
	out := make([]message, to-from)
	for i := range out {
		if err := readMessage(&out[i], items, int(from)+i, role, content); err != nil {
			return nil, fmt.Errorf("%s[%d]%w", column, i, err)
		}
	}
	return out, nil
}

// readMessage reads a message. The error continues what names the message.
func readMessage(m *message, items *array.Struct, i int, role, content string) error {
	m.NoContent = true
	typ := items.DataType().(*arrow.StructType)
	for k, f := range typ.Fields() {
		values := items.Field(k)
		if items.IsNull(i) || values.IsNull(i) {
			if f.Name == role {
				return fmt.Errorf(".%s is null", f.Name)
			}
			continue
		}
		switch isCall := canCall(typ) && slices.Contains(callFields, f.Name); {
		case f.Name == role:
			m.Role = values.(*array.String).Value(i)
		case f.Name == content:
			m.Content, m.NoContent = values.(*array.String).Value(i), false
		case !isCall:
			return fmt.Errorf(" has %s, which would be lost", f.Name)
		default:
			if err := readCallField(m, f.Name, values, i); err != nil {
				return fmt.Errorf(".%s %w", f.Name, err)
			}
		}
	}
	if m.NoContent && len(m.Calls) == 0 {
		return fmt.Errorf(".%s is null", content)
	}
	return nil
}
