package output

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
)

func TestAColumnOfAnswersHasAllFieldsOfTheirType(t *testing.T) {
	cost := 0.5
	a := Array([]*llm.Response{nil, {Text: "x", Cost: &cost, ToolCalls: []llm.ToolCall{{Name: "f", Arguments: "{}"}}, Usage: llm.Usage{Input: 2, Output: 1}}})
	defer a.Release()
	if !a.IsNull(0) || a.IsNull(1) {
		t.Error("only an answer that is not there is null")
	}
	typ, err := data.TypeName(a.DataType())
	if err != nil || typ != column {
		t.Errorf("got %s, %v", typ, err)
	}
	for name := range Type.AttributeTypes() {
		if !strings.Contains(column, name+":") {
			t.Errorf("the column has no %s", name)
		}
	}
	got, _ := json.Marshal(a.GetOneForMarshal(1))
	if !strings.Contains(string(got), `"tokens":{"cached_input":0,"input":2,"output":1,"total":3}`) || !strings.Contains(string(got), `"cost":0.5`) {
		t.Errorf("got %s", got)
	}
}
