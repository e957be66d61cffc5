package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/internal/arrowjson"
	"github.com/quern-dev/quern/internal/chattemplate"
	"github.com/quern-dev/quern/sdk/go/data"
)

// callingType is the type of messages that can call tools. As in OpenAI's format, the
// arguments of a call are JSON text: calls of different functions have different
// ones, which no struct could express.
const callingType = "list<struct<role:string,content:string,tool_calls:list<struct<id:string,type:string,function:struct<name:string,arguments:string>>>,tool_call_id:string,name:string>>"

// callFields are the fields of a message that calls a tool or is its result.
var callFields = []string{"tool_calls", "tool_call_id", "name"}

// messageFields returns the type of the messages in a column, or nil.
func messageFields(schema data.Schema, column string) *arrow.StructType {
	c, _, ok := schema.Lookup(column)
	if !ok {
		return nil
	}
	typ, err := data.ArrowType(c.Type)
	if list, isList := typ.(*arrow.ListType); err == nil && isList {
		fields, _ := list.Elem().(*arrow.StructType)
		return fields
	}
	return nil
}

// haveCalls reports whether messages of any of the columns can call tools.
func haveCalls(schema data.Schema, columns []string) bool {
	return slices.ContainsFunc(columns, func(column string) bool {
		fields := messageFields(schema, column)
		return fields != nil && canCall(fields)
	})
}

func canCall(message *arrow.StructType) bool {
	_, ok := message.FieldByName("tool_calls")
	return ok
}

// checkCallTypes returns which fields for calls have a type that cannot be read.
func checkCallTypes(form string, schema data.Schema) (problems []string) {
	if form == "sharegpt" || form == "alpaca" {
		return nil
	}
	for _, c := range forms[form] {
		fields := messageFields(schema, c.name)
		if fields == nil {
			continue
		}
		for _, name := range callFields {
			f, ok := fields.FieldByName(name)
			if ok && f.Type.ID() != arrow.STRING && (name != "tool_calls" || !isListOfStructs(f.Type)) {
				problems = append(problems, fmt.Sprintf("The messages of %q have the wrong type\nThe type of %s is %s.", c.name, name, f.Type))
			}
		}
	}
	return problems
}

func isListOfStructs(t arrow.DataType) bool {
	list, ok := t.(*arrow.ListType)
	return ok && list.Elem().ID() == arrow.STRUCT
}

// readCallField reads one of callFields. The error continues the name of the field.
func readCallField(m *message, field string, values arrow.Array, i int) (err error) {
	text, isText := values.(*array.String)
	switch field {
	case "tool_call_id":
		m.CallID = text.Value(i)
	case "name":
		m.Name = text.Value(i)
	default:
		var content []byte
		if isText {
			content = []byte(text.Value(i))
		} else if content, err = withoutNulls(nil, values, i); err != nil {
			return err
		}
		m.Calls, err = parseCalls(content)
	}
	return err
}

// withoutNulls appends a value as JSON, without the fields of structs that are null:
// the struct has the fields of all rows.
func withoutNulls(dst []byte, a arrow.Array, i int) (_ []byte, err error) {
	switch a := a.(type) {
	case *array.Struct:
		if a.IsNull(i) {
			break
		}
		dst, first := append(dst, '{'), true
		for k, f := range a.DataType().(*arrow.StructType).Fields() {
			if a.Field(k).IsNull(i) {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(arrowjson.AppendString(dst, f.Name), ':')
			if dst, err = withoutNulls(dst, a.Field(k), i); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	case *array.List:
		if a.IsNull(i) {
			break
		}
		dst := append(dst, '[')
		from, to := a.ValueOffsets(i)
		for k := from; k < to; k++ {
			if k > from {
				dst = append(dst, ',')
			}
			if dst, err = withoutNulls(dst, a.ListValues(), int(k)); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	}
	return arrowjson.Encoder{}.Append(dst, a, i)
}

// parseCalls reads the calls of a message. Arguments are an object, or its text.
func parseCalls(content []byte) ([]chattemplate.Call, error) {
	var all []struct {
		ID, Type string
		Function struct {
			Name      string
			Arguments json.RawMessage
		}
	}
	if err := json.Unmarshal(content, &all); err != nil {
		return nil, fmt.Errorf("is not a list of calls: %w", err)
	}
	out := make([]chattemplate.Call, len(all))
	for i, c := range all {
		if c.Type != "" && c.Type != "function" {
			return nil, fmt.Errorf("has a call of the type %q; only functions can be called", c.Type)
		}
		if c.Function.Name == "" {
			return nil, errors.New("has a call without the name of a function")
		}
		arguments := c.Function.Arguments
		if text := ""; json.Unmarshal(arguments, &text) == nil && arguments != nil {
			arguments = json.RawMessage(text)
		}
		if !isObject(arguments) {
			return nil, fmt.Errorf("has a call of %s whose arguments are not a JSON object", c.Function.Name)
		}
		out[i] = chattemplate.Call{ID: c.ID, Name: c.Function.Name, Arguments: arguments}
	}
	return out, nil
}

// called returns the message of a turn from function_call in ShareGPT: a call, or a
// list of calls, as JSON objects with name and arguments.
func called(content string) (message, error) {
	var functions []json.RawMessage
	if isObject(json.RawMessage(content)) {
		functions = append(functions, json.RawMessage(content))
	} else if err := json.Unmarshal([]byte(content), &functions); err != nil || len(functions) == 0 {
		return message{}, errors.New("is not a call as a JSON object with name and arguments")
	}
	calls := make([][]byte, len(functions))
	for i, f := range functions {
		calls[i] = slices.Concat([]byte(`{"function":`), f, []byte("}")) // json.Marshal would write arguments differently
	}
	text := slices.Concat([]byte("["), bytes.Join(calls, []byte(",")), []byte("]"))
	m := message{Role: "assistant", NoContent: true}
	var err error
	m.Calls, err = parseCalls(text)
	return m, err
}

// checkTools returns a list of tools, or why it is not one.
func checkTools(text string) (json.RawMessage, error) {
	var all []struct {
		Function *struct{ Name string }
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("tools is not a JSON list of functions: %w", err)
	}
	for i, tool := range all {
		if tool.Function == nil || tool.Function.Name == "" {
			return nil, fmt.Errorf(`tools[%d] is not of the form {"type": "function", "function": {"name": …}}`, i)
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	return json.RawMessage(text), nil
}

// checkCalls returns why the calls of a conversation do not belong to their results.
// A conversation without calls can have messages of tools, as in ShareGPT.
func checkCalls(all []message) error {
	if !slices.ContainsFunc(all, func(m message) bool { return len(m.Calls) > 0 }) {
		return nil
	}
	var open []chattemplate.Call
	for i, m := range all {
		switch {
		case m.Role == "tool":
			at := slices.IndexFunc(open, func(c chattemplate.Call) bool { return m.CallID == "" || c.ID == "" || c.ID == m.CallID })
			if at < 0 {
				return fmt.Errorf("message %d is the result of a tool that was not called", i+1)
			}
			open = slices.Delete(open, at, at+1)
		case len(open) > 0:
			return fmt.Errorf("message %d follows a call of %s, which has no result", i+1, open[0].Name)
		case len(m.Calls) > 0 && m.Role != "assistant":
			return fmt.Errorf("message %d calls a tool, which only the assistant can", i+1)
		}
		if m.Role == "assistant" {
			open = slices.Clone(m.Calls)
		}
	}
	if last := all[len(all)-1]; len(open) > 0 && len(last.Calls) == 0 {
		return fmt.Errorf("the call of %s has no result", open[0].Name)
	}
	return nil
}

// checkPlain returns an error if a form for texts alone would lose calls.
func checkPlain(all []message) error {
	for i, m := range all {
		if len(m.Calls) > 0 || m.CallID != "" || m.Name != "" {
			return fmt.Errorf("message %d calls a tool or is its result, which this form cannot express", i+1)
		}
	}
	return nil
}

// appendCalls appends the fields of callFields to a struct.
func appendCalls(items *array.StructBuilder, m message) {
	list := items.FieldBuilder(2).(*array.ListBuilder)
	if len(m.Calls) == 0 {
		list.AppendNull()
	} else {
		list.Append(true)
	}
	call := list.ValueBuilder().(*array.StructBuilder)
	for _, c := range m.Calls {
		call.Append(true)
		appendText(call.FieldBuilder(0), c.ID)
		appendText(call.FieldBuilder(1), "function")
		function := call.FieldBuilder(2).(*array.StructBuilder)
		function.Append(true)
		appendText(function.FieldBuilder(0), c.Name)
		appendText(function.FieldBuilder(1), string(c.Arguments))
	}
	appendText(items.FieldBuilder(3), m.CallID)
	appendText(items.FieldBuilder(4), m.Name)
}

// appendText appends a text. An empty one is null.
func appendText(b array.Builder, text string) {
	if text == "" {
		b.AppendNull()
		return
	}
	b.(*array.StringBuilder).Append(text)
}
