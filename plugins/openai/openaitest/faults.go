package openaitest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Fault is an abnormal answer, as real endpoints give it.
type Fault struct {
	Name string
	// Fails says that there is no answer, and Passes that another attempt may
	// get one. Says is a part of the error message.
	Fails, Passes bool
	Says          string
	// serve writes the response. good is what an endpoint without the fault
	// would answer.
	serve func(w http.ResponseWriter, good map[string]any)
}

// Faults returns the faults that leave the endpoint usable for other requests.
func Faults() []Fault {
	out := []Fault{
		{"an error as finish_reason", true, true, "reports an error", inChoice("finish_reason", "error")},
		{"an error object", true, true, "the upstream is overloaded", whole(`{"error": {"message": "the upstream is overloaded", "code": 502}}`)},
		{"an error as a text", true, true, "the upstream is gone", whole(`{"error": "the upstream is gone"}`)},
		{"an error in the choice", true, true, "the upstream broke off", inChoice("error", map[string]any{"message": "the upstream broke off"})},
		{"an empty answer", true, true, "the response is empty", content("")},
		{"no content", true, true, "the response is empty", content(nil)},
		{"only thoughts", true, true, "thought aloud", content("<think>Hm.</think>")},
		{"no choices", true, true, "no choices", whole(`{"choices": [], "usage": {}}`)},
		{"a page", true, true, "web page", typed("text/html; charset=utf-8", "<html><body>Welcome</body></html>")},
		{"no JSON", true, true, "can't be read", whole("upstream says hello")},
		{"half a body", true, true, "can't be read", half},
		{"broken gzip", true, true, "can't be read", gzipped},
		{"cut off before anything was said", true, false, "cut off", func(w http.ResponseWriter, good map[string]any) {
			content("")(nil, good)
			inChoice("finish_reason", "length")(w, good)
		}},
		{"JSON as text/plain", false, false, "", func(w http.ResponseWriter, good map[string]any) { typed("text/plain", encoded(good))(w, good) }},
		{"JSON after a byte order mark", false, false, "", func(w http.ResponseWriter, good map[string]any) {
			typed("application/json", "\ufeff"+encoded(good))(w, good)
		}},
		{"no usage", false, false, "", func(w http.ResponseWriter, good map[string]any) { delete(good, "usage"); send(w, good) }},
		{"negative usage", false, false, "", func(w http.ResponseWriter, good map[string]any) {
			good["usage"] = map[string]any{"prompt_tokens": -1, "completion_tokens": -1}
			send(w, good)
		}},
		{"two choices", false, false, "", func(w http.ResponseWriter, good map[string]any) {
			good["choices"] = append(good["choices"].([]any), map[string]any{"index": 1, "message": map[string]any{"role": "assistant", "content": "other"}})
			send(w, good)
		}},
		{"thoughts before the answer", false, false, "", around("<think>It is {\"label\": \"no\"}?</think>\n", "")},
		{"content in parts", false, false, "", func(w http.ResponseWriter, good map[string]any) {
			m := message(good)
			m["content"] = []any{map[string]any{"type": "thinking", "thinking": []any{}}, map[string]any{"type": "text", "text": m["content"]}}
			send(w, good)
		}},
	}
	for _, status := range []int{408, 409, 500, 502, 503, 504} {
		out = append(out, Fault{fmt.Sprint("status ", status), true, true, "it did not work", refusal(status)})
	}
	for _, status := range []int{400, 413, 422, 501} {
		out = append(out, Fault{fmt.Sprint("status ", status), true, false, "it did not work", refusal(status)})
	}
	return append(out, connectionFaults()...)
}

func refusal(status int) func(http.ResponseWriter, map[string]any) {
	return func(w http.ResponseWriter, _ map[string]any) {
		writeJSON(w, status, map[string]any{"error": map[string]any{"message": "it did not work", "type": "test"}})
	}
}

func message(good map[string]any) map[string]any {
	return good["choices"].([]any)[0].(map[string]any)["message"].(map[string]any)
}

// content replaces the content of an answer. If w is nil, the answer is changed
// but not sent.
func content(v any) func(http.ResponseWriter, map[string]any) {
	return func(w http.ResponseWriter, good map[string]any) {
		message(good)["content"] = v
		if w != nil {
			send(w, good)
		}
	}
}

func around(before, after string) func(http.ResponseWriter, map[string]any) {
	return func(w http.ResponseWriter, good map[string]any) {
		content(before+fmt.Sprint(message(good)["content"])+after)(w, good)
	}
}

func inChoice(name string, v any) func(http.ResponseWriter, map[string]any) {
	return func(w http.ResponseWriter, good map[string]any) {
		good["choices"].([]any)[0].(map[string]any)[name] = v
		send(w, good)
	}
}

func whole(body string) func(http.ResponseWriter, map[string]any) {
	return typed("application/json", body)
}

func typed(contentType, body string) func(http.ResponseWriter, map[string]any) {
	return func(w http.ResponseWriter, _ map[string]any) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	}
}

func half(w http.ResponseWriter, good map[string]any) { cut(w, good) }

func gzipped(w http.ResponseWriter, good map[string]any) {
	w.Header().Set("Content-Encoding", "gzip")
	typed("application/json", strings.Repeat("no gzip ", 10))(w, good)
}

func send(w http.ResponseWriter, good map[string]any) { writeJSON(w, http.StatusOK, good) }

func encoded(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
