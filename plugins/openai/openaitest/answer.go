package openaitest

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// chat answers a request for a chat completion.
func (e *Endpoint) chat(w http.ResponseWriter, _ *http.Request, c *call) {
	r, err := parse(c)
	if err != nil {
		e.refuse(w, http.StatusBadRequest, "invalid_request_error", err.Error())
		return
	}
	if strikes(e.options.FilterEvery, c.number) {
		e.answered(c, 0, 0)
		e.refuse(w, http.StatusBadRequest, "content_filter", "The input was refused by a content filter.")
		return
	}
	answer := e.options.Answer
	if answer == nil {
		answer = Echo
	}
	a := answer(r)
	if strikes(e.options.RefuseEvery, c.number) {
		a = &llm.Response{Refusal: "I can't help with that."}
	}
	usage := e.usage(r, a)
	if e.options.Fault != nil {
		if f := e.options.Fault(r); f != nil {
			e.count(f.Name)
			f.serve(w, completion(r, a, usage, c.number))
			return
		}
	}
	e.send(w, c, completion(r, a, usage, c.number), usage.Input, usage.Output)
}

// parse parses a request.
func parse(c *call) (*Request, error) {
	r := &Request{Nth: c.nth, body: c.body}
	var rest struct {
		Model    string `json:"model"`
		LogProbs bool   `json:"logprobs"`
		Messages []struct {
			Role    string `json:"role"`
			Content any    `json:"content"`
		} `json:"messages"`
		ResponseFormat struct {
			JSONSchema struct {
				Schema map[string]any `json:"schema"`
			} `json:"json_schema"`
		} `json:"response_format"`
		Tools []struct {
			Function struct {
				Name string `json:"name"`
			} `json:"function"`
		} `json:"tools"`
		MaxTokens           int64 `json:"max_tokens"`
		MaxCompletionTokens int64 `json:"max_completion_tokens"`
	}
	if err := json.Unmarshal(c.body, &rest); err != nil {
		return nil, err
	}
	r.Model, r.LogProbs = rest.Model, rest.LogProbs
	if len(rest.Messages) == 0 || r.Model == "" {
		return nil, fmt.Errorf("model and messages are required")
	}
	for _, m := range rest.Messages {
		text, _ := m.Content.(string)
		r.Messages = append(r.Messages, llm.Message{Role: m.Role, Content: text})
		r.Last = text
	}
	for _, t := range rest.Tools {
		r.Tools = append(r.Tools, t.Function.Name)
	}
	r.Schema = rest.ResponseFormat.JSONSchema.Schema
	r.MaxTokens = max(rest.MaxTokens, rest.MaxCompletionTokens)
	return r, nil
}

// Echo answers with the last message. If the answer must match a schema, it
// answers with a value that depends on the last message (see Fit).
func Echo(r *Request) *llm.Response {
	if r.Schema != nil {
		b, _ := json.Marshal(Fit(r.Schema, r.Last))
		return &llm.Response{Text: string(b)}
	}
	return &llm.Response{Text: r.Last}
}

// Fit returns a value that matches a JSON schema. For an enum, it is the first
// value that occurs in the text or, if none does, one chosen by the text's
// hash. Numbers come from the hash, too, and strings are the text itself.
func Fit(schema map[string]any, text string) any {
	if values, ok := schema["enum"].([]any); ok && len(values) > 0 {
		for _, v := range values {
			if s, ok := v.(string); ok && strings.Contains(strings.ToLower(text), strings.ToLower(s)) {
				return s
			}
		}
		return values[hash(text)%uint64(len(values))]
	}
	if v, ok := schema["const"]; ok {
		return v
	}
	switch schema["type"] {
	case "object":
		out := map[string]any{}
		properties, _ := schema["properties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			inner, _ := properties[name].(map[string]any)
			out[name] = Fit(inner, text)
		}
		return out
	case "array":
		items, _ := schema["items"].(map[string]any)
		return []any{Fit(items, text)}
	case "integer", "number":
		low, high := bound(schema, "minimum", 0), bound(schema, "maximum", 10)
		return low + float64(hash(text)%uint64(max(1, high-low+1)))
	case "boolean":
		return hash(text)%2 == 0
	}
	return text
}

func bound(schema map[string]any, name string, otherwise float64) float64 {
	if v, ok := schema[name].(float64); ok {
		return v
	}
	return otherwise
}

func hash(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return h.Sum64()
}

// usage counts the tokens of a request and its answer.
func (e *Endpoint) usage(r *Request, a *llm.Response) llm.Usage {
	if a.Usage != (llm.Usage{}) {
		return a.Usage
	}
	count := e.options.Count
	if count == nil {
		count = func(text string) int64 { return int64(len(text)+3) / 4 }
	}
	u := llm.Usage{Output: count(a.Text) + count(a.Refusal)}
	for _, m := range r.Messages {
		u.Input += count(m.Content)
	}
	for _, t := range a.ToolCalls {
		u.Output += count(t.Name) + count(t.Arguments)
	}
	return u
}

// completion returns an answer in the API's format.
func completion(r *Request, a *llm.Response, u llm.Usage, number int64) map[string]any {
	message := map[string]any{"role": "assistant", "content": a.Text, "refusal": nil}
	if a.Refusal != "" {
		message["refusal"], message["content"] = a.Refusal, nil
	}
	finish := a.FinishReason
	if finish == "" {
		finish = llm.FinishStop
	}
	if len(a.ToolCalls) > 0 {
		var calls []map[string]any
		for i, t := range a.ToolCalls {
			id := t.ID
			if id == "" {
				id = fmt.Sprintf("call_%d", i+1)
			}
			calls = append(calls, map[string]any{
				"id": id, "type": "function", "function": map[string]any{"name": t.Name, "arguments": t.Arguments},
			})
		}
		message["tool_calls"], finish = calls, llm.FinishToolCalls
	}
	choice := map[string]any{"index": 0, "message": message, "finish_reason": finish}
	if r.LogProbs {
		choice["logprobs"] = map[string]any{"content": logProbs(a)}
	}
	return map[string]any{
		"id": fmt.Sprintf("chatcmpl-%d", number), "object": "chat.completion", "created": 1700000000, "model": r.Model,
		"choices": []any{choice},
		"usage": map[string]any{
			"prompt_tokens": u.Input, "completion_tokens": u.Output, "total_tokens": u.Input + u.Output,
			"prompt_tokens_details": map[string]any{"cached_tokens": u.CachedInput},
		},
	}
}

// logProbs returns those of the answer or, if it has none, values that are
// hashes of its words.
func logProbs(a *llm.Response) []map[string]any {
	tokens := a.LogProbs
	if tokens == nil {
		for _, word := range strings.SplitAfter(a.Text, " ") {
			tokens = append(tokens, llm.LogProb{Token: word, LogProb: -float64(hash(word)%100) / 100})
		}
	}
	out := []map[string]any{}
	for _, t := range tokens {
		out = append(out, map[string]any{"token": t.Token, "logprob": t.LogProb, "bytes": nil, "top_logprobs": []any{}})
	}
	return out
}

// dimensions is the default number of dimensions of embeddings.
const dimensions = 64

// embed answers a request for embeddings. It hashes the words of each text into
// a vector of length 1, so texts that share words are near each other.
func (e *Endpoint) embed(w http.ResponseWriter, _ *http.Request, c *call) {
	var r struct {
		Model      string   `json:"model"`
		Input      []string `json:"input"`
		Dimensions int      `json:"dimensions"`
	}
	if err := json.Unmarshal(c.body, &r); err != nil || len(r.Input) == 0 {
		e.refuse(w, http.StatusBadRequest, "invalid_request_error", "input is required")
		return
	}
	if r.Dimensions <= 0 {
		r.Dimensions = dimensions
	}
	body := embeddings(r.Model, r.Input, r.Dimensions)
	if e.options.Fault != nil {
		asked := &Request{Model: r.Model, Last: strings.Join(r.Input, "\n"), Nth: c.nth, body: c.body}
		if f := e.options.Fault(asked); f != nil && f.strikesEmbeddings() {
			e.count(f.Name)
			f.serve(w, body)
			return
		}
	}
	e.send(w, c, body, body["usage"].(map[string]any)["prompt_tokens"].(int64), 0)
}

// embeddings returns the embeddings of texts, in the API's format.
func embeddings(model string, texts []string, dimensions int) map[string]any {
	var all []map[string]any
	tokens := int64(0)
	for i, text := range texts {
		tokens += int64(len(text)+3) / 4
		all = append(all, map[string]any{"object": "embedding", "index": i, "embedding": Vector(text, dimensions)})
	}
	return map[string]any{
		"object": "list", "model": model, "data": all,
		"usage": map[string]any{"prompt_tokens": tokens, "total_tokens": tokens},
	}
}

// Vector returns the embedding of a text.
func Vector(text string, dimensions int) []float64 {
	v := make([]float64, dimensions)
	for _, word := range strings.Fields(strings.ToLower(text)) {
		h := hash(word)
		sign := 1.0
		if h>>63 == 1 {
			sign = -1
		}
		v[h%uint64(dimensions)] += sign
	}
	norm := 0.0
	for _, x := range v {
		norm += x * x
	}
	if norm == 0 {
		v[0], norm = 1, 1
	}
	for i := range v {
		v[i] /= math.Sqrt(norm)
	}
	return v
}
