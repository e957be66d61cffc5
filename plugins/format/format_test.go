package format

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

var offer = plugin.Plugin{Name: "format", Version: "1.0.0", Types: Types(func() string { return "." })}

// columns are the columns of the forms, as rows of JSON have them.
var columns = map[string]data.Schema{
	"alpaca":              {{Name: "instruction", Type: "string"}, {Name: "input", Type: "string"}, {Name: "output", Type: "string"}, {Name: "system", Type: "string"}, {Name: "history", Type: "list<list<string>>"}},
	"sharegpt":            {{Name: "conversations", Type: "list<struct<value:string,from:string,weight:int64>>"}, {Name: "id", Type: "int64"}},
	"messages":            {{Name: "messages", Type: "list<struct<content:string,role:string,name:string>>"}},
	"prompt_completion":   {{Name: "prompt", Type: messagesType}, {Name: "completion", Type: messagesType}},
	"texts":               {{Name: "prompt", Type: "string"}, {Name: "completion", Type: "string"}},
	"preference":          {{Name: "prompt", Type: "string"}, {Name: "chosen", Type: messagesType}, {Name: "rejected", Type: messagesType}},
	"preference of texts": {{Name: "prompt", Type: "string"}, {Name: "chosen", Type: "string"}, {Name: "rejected", Type: "string"}},
	"unpaired":            {{Name: "prompt", Type: "string"}, {Name: "completion", Type: messagesType}, {Name: "label", Type: "bool"}},
	"implicit":            {{Name: "chosen", Type: messagesType}, {Name: "rejected", Type: messagesType}},
}

// say makes messages of texts such as "user: Hi", as JSON.
func say(lines ...string) string { return list("role", "content", lines) }

// turn makes the same in the form of ShareGPT.
func turn(lines ...string) string { return list("from", "value", lines) }

func list(role, content string, lines []string) string {
	all := []map[string]string{}
	for _, line := range lines {
		who, text, _ := strings.Cut(line, ": ")
		all = append(all, map[string]string{role: who, content: text})
	}
	out, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(out)
}

func convert(t *testing.T, kind, to string, args map[string]any, row map[string]any) (*plugintest.FlatMapResult, error) {
	t.Helper()
	from, _, _ := strings.Cut(kind, " ")
	switch kind {
	case "texts":
		from = "prompt_completion"
	case "implicit":
		from = "preference"
	}
	all := map[string]any{"from": from, "to": to}
	for k, v := range args {
		all[k] = v
	}
	return plugintest.FlatMap(t, offer, plugintest.Case{Kind: plugin.KindTransform, Type: "format", Args: all, Columns: columns[kind], Rows: []map[string]any{row}})
}

const chatMLText = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"

func TestFormsAreConverted(t *testing.T) {
	chatml := map[string]any{"template": "chatml"}
	for _, c := range []struct {
		kind, to string
		args     map[string]any
		row      map[string]any
		want     map[string]any // texts, and lists as JSON
	}{
		{"alpaca", "messages", nil, map[string]any{"instruction": "Add.", "input": "1 2", "output": "3", "system": "Calculate.", "history": `[["a","b"]]`},
			map[string]any{"messages": say("system: Calculate.", "user: a", "assistant: b", "user: Add.\n1 2", "assistant: 3")}},
		{"alpaca", "sharegpt", nil, map[string]any{"instruction": "Hi", "input": "", "output": "Ho"}, map[string]any{"conversations": turn("human: Hi", "gpt: Ho")}},
		{"alpaca", "text", chatml, map[string]any{"instruction": "Hi", "output": "Ho"}, map[string]any{"text": chatMLText + "Ho<|im_end|>\n"}},
		{"sharegpt", "messages", nil, map[string]any{"id": 7, "conversations": turn("system: S", "human: a", "gpt: b", "observation: c", "gpt: d")},
			map[string]any{"id": int64(7), "messages": say("system: S", "user: a", "assistant: b", "tool: c", "assistant: d")}},
		{"messages", "alpaca", nil, map[string]any{"messages": say("system: S", "user: a", "assistant: b")}, map[string]any{"instruction": "a", "input": "", "output": "b", "system": "S"}},
		{"messages", "sharegpt", nil, map[string]any{"messages": say("user: a", "assistant: b", "user: c")}, map[string]any{"conversations": turn("human: a", "gpt: b", "human: c")}},
		{"messages", "prompt_completion", nil, map[string]any{"messages": say("user: a", "assistant: b", "user: c", "assistant: d")},
			map[string]any{"prompt": say("user: a", "assistant: b", "user: c"), "completion": say("assistant: d")}},
		{"messages", "prompt_completion", chatml, map[string]any{"messages": say("user: Hi", "assistant: d")}, map[string]any{"prompt": chatMLText, "completion": "d<|im_end|>\n"}},
		{"prompt_completion", "messages", nil, map[string]any{"prompt": say("user: a"), "completion": say("assistant: b")}, map[string]any{"messages": say("user: a", "assistant: b")}},
		{"texts", "prompt_completion", nil, map[string]any{"prompt": "a", "completion": "b"}, map[string]any{"prompt": say("user: a"), "completion": say("assistant: b")}},
		{"preference", "preference", nil, map[string]any{"prompt": "p", "chosen": say("user: p", "assistant: a"), "rejected": say("assistant: b")},
			map[string]any{"prompt": say("user: p"), "chosen": say("assistant: a"), "rejected": say("assistant: b")}},
		{"preference of texts", "preference", map[string]any{"template": "chatml"}, map[string]any{"prompt": "Hi", "chosen": "a", "rejected": "b"},
			map[string]any{"prompt": chatMLText, "chosen": "a<|im_end|>\n", "rejected": "b<|im_end|>\n"}},
		{"preference of texts", "preference", map[string]any{"template": "chatml", "repeat_prompt": true}, map[string]any{"prompt": "Hi", "chosen": "a", "rejected": "b"},
			map[string]any{"chosen": chatMLText + "a<|im_end|>\n", "rejected": chatMLText + "b<|im_end|>\n"}},
		{"implicit", "preference", nil, map[string]any{"chosen": say("user: p", "assistant: a"), "rejected": say("user: p", "assistant: b")},
			map[string]any{"prompt": say("user: p"), "chosen": say("assistant: a"), "rejected": say("assistant: b")}},
		{"preference of texts", "preference", map[string]any{"repeat_prompt": true}, map[string]any{"prompt": "p", "chosen": "a", "rejected": "b"},
			map[string]any{"chosen": say("user: p", "assistant: a"), "rejected": say("user: p", "assistant: b")}},
	} {
		got, err := convert(t, c.kind, c.to, c.args, c.row)
		if err != nil {
			t.Errorf("%s to %s: %v", c.kind, c.to, err)
			continue
		}
		for _, f := range got.Failures {
			t.Errorf("%s to %s: %v", c.kind, c.to, f)
		}
		if have := canonical(t, got.Rows[0]); have != canonical(t, c.want) {
			t.Errorf("%s to %s: got\n %s, want\n %s", c.kind, c.to, have, canonical(t, c.want))
		}
	}
}

func TestPreferencesBecomeRowsWithLabels(t *testing.T) {
	chatml := map[string]any{"template": "chatml"}
	for _, c := range []struct {
		kind string
		args map[string]any
		row  map[string]any
		want []map[string]any
	}{
		{"preference of texts", nil, map[string]any{"prompt": "p", "chosen": "a", "rejected": "b"}, []map[string]any{
			{"prompt": say("user: p"), "completion": say("assistant: a"), "label": true}, {"prompt": say("user: p"), "completion": say("assistant: b"), "label": false}}},
		{"preference of texts", chatml, map[string]any{"prompt": "Hi", "chosen": "a", "rejected": "b"}, []map[string]any{
			{"prompt": chatMLText, "completion": "a<|im_end|>\n", "label": true}, {"prompt": chatMLText, "completion": "b<|im_end|>\n", "label": false}}},
		{"implicit", nil, map[string]any{"chosen": say("user: p", "assistant: a"), "rejected": say("user: p", "assistant: b", "user: c", "assistant: d")}, []map[string]any{
			{"prompt": say("user: p"), "completion": say("assistant: a"), "label": true},
			{"prompt": say("user: p"), "completion": say("assistant: b", "user: c", "assistant: d"), "label": false}}},
		{"unpaired", nil, map[string]any{"prompt": "p", "completion": say("assistant: a"), "label": false}, []map[string]any{{"prompt": say("user: p"), "completion": say("assistant: a"), "label": false}}},
	} {
		got, err := convert(t, c.kind, "unpaired", c.args, c.row)
		if err != nil || len(got.Failures) > 0 || len(got.Rows) != len(c.want) {
			t.Errorf("%s: %v, %v, %d rows", c.kind, err, got.Failures, len(got.Rows))
			continue
		}
		for i, want := range c.want {
			if have := canonical(t, got.Rows[i]); have != canonical(t, want) {
				t.Errorf("%s: got\n %s, want\n %s", c.kind, have, canonical(t, want))
			}
		}
	}
	for want, row := range map[string]map[string]any{
		"label is null":      {"prompt": "p", "completion": say("assistant: a"), "label": nil},
		"completion is null": {"prompt": "p", "completion": nil, "label": true},
		"not of the assist":  {"prompt": "p", "completion": say("user: a", "assistant: b"), "label": true},
	} {
		got, err := convert(t, "unpaired", "unpaired", nil, row)
		if err != nil || !strings.Contains(got.Failures[0], want) {
			t.Errorf("want %q, got %v, %v", want, got, err)
		}
	}
}

// canonical writes values as JSON. Lists are JSON already.
func canonical(t *testing.T, values map[string]any) string {
	t.Helper()
	out := map[string]any{}
	for name, v := range values {
		text := fmt.Sprint(v)
		if raw, ok := v.(json.RawMessage); ok {
			text = string(raw)
		}
		var list []any
		if json.Unmarshal([]byte(text), &list) == nil {
			v = list
		}
		out[name] = v
	}
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRowsThatDoNotFitFailWithTheReason(t *testing.T) {
	for _, c := range []struct {
		kind, to string
		row      map[string]any
		want     string
	}{
		{"alpaca", "messages", map[string]any{"instruction": nil, "output": "x"}, "instruction is null"},
		{"alpaca", "messages", map[string]any{"instruction": "x", "output": "y", "history": `[["a"]]`}, "history[0] is not a question with its answer"},
		{"sharegpt", "messages", map[string]any{"conversations": turn("critic: a")}, `conversations[0] is from "critic"`},
		{"sharegpt", "messages", map[string]any{"conversations": `[{"from":"human","value":"a","weight":0}]`}, "conversations[0] has weight, which would be lost"},
		{"sharegpt", "messages", map[string]any{"conversations": nil}, "conversations is null"},
		{"messages", "sharegpt", map[string]any{"messages": say("user: a")}, "no message of the assistant"},
		{"messages", "sharegpt", map[string]any{"messages": say()}, "the conversation has no messages"},
		{"messages", "sharegpt", map[string]any{"messages": `[{"role":"user","content":null}]`}, "messages[0].content is null"},
		{"messages", "sharegpt", map[string]any{"messages": say("user: a", "system: b", "assistant: c")}, "which only the first message can have"},
		{"messages", "sharegpt", map[string]any{"messages": say("assistant: c")}, "nothing precedes the answer"},
		{"messages", "prompt_completion", map[string]any{"messages": say("user: a", "assistant: b", "user: c")}, "there is no completion"},
		{"messages", "alpaca", map[string]any{"messages": say("user: a", "assistant: b", "user: c", "assistant: d")}, "which is all that alpaca can express"},
		{"preference of texts", "preference", map[string]any{"prompt": "p", "chosen": "a", "rejected": "a"}, "chosen and rejected are equal"},
		{"preference", "preference", map[string]any{"prompt": "p", "chosen": say("user: p"), "rejected": say("assistant: b")}, "chosen has no answer to the prompt"},
		{"implicit", "preference", map[string]any{"chosen": say("assistant: a"), "rejected": say("assistant: b")}, "nothing precedes the answer"},
		{"prompt_completion", "messages", map[string]any{"prompt": say("user: a"), "completion": say("user: b", "assistant: c")}, "the answer begins with a message of the role \"user\""},
	} {
		got, err := convert(t, c.kind, c.to, nil, c.row)
		if err != nil {
			t.Errorf("%s to %s: %v", c.kind, c.to, err)
			continue
		}
		if have := fmt.Sprint(got.Failures); !strings.Contains(have, c.want) {
			t.Errorf("%s to %s of %v: got %s, want %s", c.kind, c.to, c.row, have, c.want)
		}
	}
}

func TestFormsThatDoNotFitAreErrorsOfThePlan(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		kind string
		args map[string]any
		want string
	}{
		{"messages", map[string]any{"from": "alpaca", "to": "messages"}, `The dataset has no column "instruction"`},
		{"texts", map[string]any{"from": "sharegpt", "to": "messages"}, `The dataset has no column "conversations"`},
		{"sharegpt", map[string]any{"from": "preference", "to": "preference"}, `The dataset has no column "chosen"`},
		{"preference", map[string]any{"from": "preference", "to": "messages"}, "A preference has two answers"},
		{"messages", map[string]any{"from": "messages", "to": "preference"}, "A preference needs two answers"},
		{"messages", map[string]any{"from": "messages", "to": "unpaired"}, "Whether the answers are good is not known"},
		{"unpaired", map[string]any{"from": "unpaired", "to": "messages"}, "Not every answer is a good one"},
		{"texts", map[string]any{"from": "unpaired", "to": "unpaired"}, `The dataset has no column "label"`},
		{"messages", map[string]any{"from": "messages", "to": "text"}, "A text needs a chat template"},
		{"messages", map[string]any{"from": "messages", "to": "sharegpt", "template": "chatml"}, "template has no effect"},
		{"messages", map[string]any{"from": "messages", "to": "sharegpt", "repeat_prompt": true}, "repeat_prompt has no effect"},
		{"messages", map[string]any{"from": "messages", "to": "text", "template": write("a.jinja", "{{ bos_token }}{{ messages[0].content }}")}, "the template writes bos_token, so set it"},
		{"messages", map[string]any{"from": "messages", "to": "text", "template": write("b.jinja", "{% if %}")}, "the template cannot be read"},
		{"messages", map[string]any{"from": "messages", "to": "text", "template": write("c.json", "{}")}, "has no chat_template"},
		{"messages", map[string]any{"from": "messages", "to": "text", "template": "missing.jinja"}, "Cannot use this chat template"},
	} {
		got, err := plugintest.Prepare(t, offer, plugintest.Case{Kind: plugin.KindTransform, Type: "format", Args: c.args, Columns: columns[c.kind], Rows: []map[string]any{{}}})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(fmt.Sprint(got.Errors), c.want) {
			t.Errorf("%v: got %v, want %s", c.args, got.Errors, c.want)
		}
	}
}

func TestTheTemplateOfATokenizerConfigIsUsedWithItsTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokenizer_config.json")
	config := `{"chat_template": [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "{{ bos_token }}{% for m in messages %}{{ m.content + eos_token }}{% endfor %}"}], "bos_token": {"content": "<s>"}, "eos_token": "</s>"}`
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := convert(t, "messages", "text", map[string]any{"template": path, "eos_token": "<end>"}, map[string]any{"messages": say("user: a", "assistant: b")})
	if err != nil {
		t.Fatal(err)
	}
	if text := got.Rows[0]["text"]; text != "<s>a<end>b<end>" {
		t.Errorf("got %q", text)
	}
}
