package funcs

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/quern-dev/quern/lang/funcs/wellformed"
	"github.com/zclconf/go-cty/cty"
)

// toolCall is a model's request to call a tool.
type toolCall struct {
	Name      string
	Arguments string // JSON, as the model wrote it
}

// named is the form of calls and tools: as in output.tool_calls and prompts or,
// one level deeper, as in OpenAI's API.
type named struct {
	Name       string          `json:"name"`
	Arguments  json.RawMessage `json:"arguments"`
	Parameters json.RawMessage `json:"parameters"`
	Function   *named          `json:"function"`
}

func listOf(v cty.Value, what string) ([]named, error) {
	text, err := jsonText(v)
	if err != nil {
		return nil, err
	}
	var list []named
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("must be a list of %s", what)
	}
	for i, n := range list {
		if n.Function != nil {
			list[i] = *n.Function
		}
		if list[i].Name == "" {
			return nil, errors.New("each element needs a name")
		}
	}
	return list, nil
}

func toolCalls(v cty.Value) ([]toolCall, error) {
	list, err := listOf(v, `calls: { name = "…", arguments = … }`)
	if err != nil {
		return nil, err
	}
	calls := make([]toolCall, len(list))
	for i, n := range list {
		calls[i] = toolCall{Name: n.Name, Arguments: text(n.Arguments)}
	}
	return calls, nil
}

// text returns the content of a JSON string, and other JSON unchanged.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil && string(raw) != "null" {
		return s
	}
	return string(raw)
}

// toolSchemas returns the schemas for the arguments of tools, by the tools'
// names. A tool without parameters accepts any object.
func toolSchemas(v cty.Value) (map[string]*wellformed.Schema, error) {
	list, err := listOf(v, `tools: { name = "…", parameters = … }`)
	if err != nil {
		return nil, err
	}
	schemas := make(map[string]*wellformed.Schema, len(list))
	for _, n := range list {
		parameters := text(n.Parameters)
		if parameters == "" || parameters == "null" {
			parameters = `{"type": "object"}`
		}
		if schemas[n.Name], err = wellformed.ParseSchema(parameters); err != nil {
			return nil, fmt.Errorf("the parameters of %s: %w", n.Name, err)
		}
	}
	return schemas, nil
}
