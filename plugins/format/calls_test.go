package format

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// objectsType is the type of messages as Hugging Face has them.
const objectsType = "list<struct<role:string,content:string,tool_calls:list<struct<type:string,function:struct<name:string,arguments:struct<city:string,days:list<int64>,more:struct<a:bool>>>>>,name:string>>"

func formatCalls(t *testing.T, typ, to, messages string, args map[string]any) (*plugintest.FlatMapResult, error) {
	t.Helper()
	all := map[string]any{"from": "messages", "to": to}
	for k, v := range args {
		all[k] = v
	}
	return plugintest.FlatMap(t, offer, plugintest.Case{Kind: plugin.KindTransform, Type: "format", Args: all,
		Columns: data.Schema{{Name: "messages", Type: typ}, {Name: "tools", Type: "string"}}, Rows: []map[string]any{{"messages": messages}}})
}

const asked = `{"role":"user","content":"Köln?"}`

// call is a message that calls f, with its arguments as JSON.
func call(id, arguments string) string {
	return fmt.Sprintf(`{"role":"assistant","tool_calls":[{"id":%q,"type":"function","function":{"name":"f","arguments":%s}}]}`, id, arguments)
}

func TestCallsKeepTheirArguments(t *testing.T) {
	for _, c := range []struct{ typ, call, want string }{
		{callingType, call("c1", `"{\"city\": \"Köln\", \"b\": null}"`), `{"city": "Köln", "b": null}`},
		{objectsType, `{"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f","arguments":{"city":"Köln \"1\"","more":{"a":true}}}}]}`, `{"city":"Köln \"1\"","more":{"a":true}}`},
		{objectsType, `{"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f","arguments":{"days":[1,2],"more":{}}}}]}`, `{"days":[1,2],"more":{}}`},
	} {
		got, err := formatCalls(t, c.typ, "messages", "["+asked+","+c.call+"]", nil)
		if err != nil || len(got.Failures) > 0 {
			t.Errorf("%s: %v %v", c.call, err, got)
			continue
		}
		out, err := json.Marshal(got.Rows[0]["messages"])
		if want, _ := json.Marshal(c.want); err != nil || !strings.Contains(string(out), string(want)) {
			t.Errorf("got %s, %v, want the arguments %s", out, err, want)
		}
	}
}

func TestCallsNeedTheirResults(t *testing.T) {
	result := func(id string) string { return fmt.Sprintf(`{"role":"tool","tool_call_id":%q,"content":"18"}`, id) }
	const answer = `{"role":"assistant","content":"18"}`
	two := `{"role":"assistant","tool_calls":[{"id":"c1","function":{"name":"f","arguments":"{}"}},{"id":"c2","function":{"name":"g","arguments":"{}"}}]}`
	for _, c := range []struct {
		messages []string
		failure  string // empty: none
	}{
		{[]string{asked, call("c1", `"{}"`), result("c1"), answer}, ""},
		{[]string{asked, two, result("c2"), result("c1"), answer}, ""},
		{[]string{asked, call("c1", `"{}"`)}, ""},
		{[]string{asked, call("", `"{}"`), result(""), answer}, ""},
		{[]string{asked, two, result("c1"), answer}, "message 4 follows a call of g, which has no result"},
		{[]string{asked, two, result("c1")}, "the call of g has no result"},
		{[]string{asked, call("c1", `"{}"`), result("c2"), answer}, "message 3 is the result of a tool that was not called"},
		{[]string{asked, call("c1", `"{}"`), result("c1"), result("c1"), answer}, "message 4 is the result of a tool that was not called"},
		{[]string{asked, call("c1", `"[]"`)}, "messages[1].tool_calls has a call of f whose arguments are not a JSON object"},
		{[]string{asked, call("c1", `"{"`)}, "arguments are not a JSON object"},
		{[]string{asked, `{"role":"assistant"}`}, "messages[1].content is null"},
		{[]string{`{"role":"user","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}`, answer}, "message 1 calls a tool, which only the assistant can"},
		{[]string{asked, `{"role":"assistant","tool_calls":[{"type":"code","function":{"name":"f","arguments":"{}"}}]}`}, `has a call of the type "code"`},
		{[]string{asked, `{"role":"assistant","tool_calls":[{"function":{"arguments":"{}"}}]}`}, "has a call without the name of a function"},
	} {
		messages := "[" + strings.Join(c.messages, ",") + "]"
		got, err := formatCalls(t, callingType, "messages", messages, nil)
		switch {
		case err != nil:
			t.Errorf("%s: %v", messages, err)
		case c.failure == "" && len(got.Failures) > 0 || c.failure != "" && (len(got.Failures) != 1 || !strings.Contains(fmt.Sprint(got.Failures[0]), c.failure)):
			t.Errorf("%s: got %v, want %q", messages, got.Failures, c.failure)
		}
	}
}

func TestFormsAndTemplatesThatCannotExpressCallsAreRefused(t *testing.T) {
	messages := "[" + asked + "," + call("c1", `"{}"`) + "]"
	for to, want := range map[string]string{"alpaca": "which this form cannot express", "sharegpt": "which this form cannot express", "text": "the template leaves out the call of f"} {
		args := map[string]any{}
		if to == "text" {
			args["template"] = "chatml"
		}
		got, err := formatCalls(t, callingType, to, messages, args)
		if err != nil || len(got.Failures) != 1 || !strings.Contains(fmt.Sprint(got.Failures[0]), want) {
			t.Errorf("%s: got %v, %v, want %q", to, got, err, want)
		}
	}
	for want, args := range map[string]map[string]any{
		"tools has no effect without template": {"tools": plugintest.Row("tools")},
		"date has no effect without template":  {"date": "2026-01-31"},
	} {
		if _, err := formatCalls(t, callingType, "messages", messages, args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestTurnsFromFunctionCallAreCalls(t *testing.T) {
	const human, result, gpt = `{"from":"human","value":"Köln?"}`, `{"from":"observation","value":"18"}`, `{"from":"gpt","value":"18"}`
	turn := func(value string) string {
		text, _ := json.Marshal(value)
		return fmt.Sprintf(`{"from":"function_call","value":%s}`, text)
	}
	convert := func(args map[string]any, turns ...string) (*plugintest.FlatMapResult, error) {
		all := map[string]any{"from": "sharegpt", "to": "messages"}
		maps.Copy(all, args)
		return plugintest.FlatMap(t, offer, plugintest.Case{
			Kind: plugin.KindTransform, Type: "format", Args: all, Columns: data.Schema{{Name: "conversations", Type: turnsType}},
			Rows: []map[string]any{{"conversations": "[" + strings.Join(turns, ",") + "]"}},
		})
	}
	reading := map[string]any{"tool_calls": true}
	for _, c := range []struct{ value, want string }{
		{`{"name": "weather", "arguments": {"city": "<Köln>"}}`, `"function":{"arguments":"{\"city\": \"\u003cKöln\u003e\"}","name":"weather"}`},
		{`{"name": "weather", "arguments": "{\"a\": 1}"}`, `"function":{"arguments":"{\"a\": 1}","name":"weather"}`},
		{`[{"name": "weather", "arguments": {}}]`, `"function":{"arguments":"{}","name":"weather"}`},
	} {
		got, err := convert(reading, human, turn(c.value), result, gpt)
		if err != nil || len(got.Failures) > 0 {
			t.Errorf("%s: %v %v", c.value, err, got)
			continue
		}
		out, err := json.Marshal(got.Rows[0]["messages"])
		if err != nil || !strings.Contains(string(out), c.want) || !strings.Contains(string(out), `"role":"tool"`) {
			t.Errorf("%s: got %s, %v", c.value, out, err)
		}
	}
	for value, want := range map[string]string{
		"weather": "conversations[1] is not a call", `{"arguments": {}}`: "without the name of a function", "[]": "is not a call", `{"name": "f"}`: "not a JSON object",
	} {
		got, err := convert(reading, human, turn(value), result, gpt)
		if err != nil || !strings.Contains(got.Failures[0], want) {
			t.Errorf("%s: %v %v", value, err, got)
		}
	}
	got, err := convert(nil, human, turn("{}"), result, gpt)
	if err != nil || !strings.Contains(got.Failures[0], "set tool_calls = true") {
		t.Errorf("%v %v", err, got)
	}
}
