package openai

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// chatRequest is the body of a request to /chat/completions, as far as quern can
// pass it on.
type chatRequest struct {
	Model               string          `json:"model"`
	Messages            []message       `json:"messages"`
	Tools               []tool          `json:"tools"`
	ResponseFormat      *responseFormat `json:"response_format"`
	Temperature         *float64        `json:"temperature"`
	TopP                *float64        `json:"top_p"`
	MaxTokens           *int64          `json:"max_tokens"`
	MaxCompletionTokens *int64          `json:"max_completion_tokens"`
	Seed                *int64          `json:"seed"`
	Stop                texts           `json:"stop"`
	LogProbs            bool            `json:"logprobs"`
	N                   *int64          `json:"n"`
	Stream              bool            `json:"stream"`
	StreamOptions       struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

type message struct {
	Role       string     `json:"role"`
	Content    content    `json:"content"`
	ToolCalls  []toolCall `json:"tool_calls"`
	ToolCallID string     `json:"tool_call_id"`
	// Refusal and ReasoningContent are in answers that a client sends back. Models
	// do not read them.
	Refusal          string `json:"refusal"`
	ReasoningContent string `json:"reasoning_content"`
}

// UnmarshalJSON leaves out null members, which clients send for everything that
// an answer did not have.
func (m *message) UnmarshalJSON(raw []byte) error {
	type plain message
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return err
	}
	maps.DeleteFunc(members, func(_ string, value json.RawMessage) bool { return string(value) == "null" })
	text, err := json.Marshal(members)
	if err != nil {
		return err
	}
	return strictly(text, (*plain)(m))
}

type tool struct {
	Type     string `json:"type"`
	Function struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
		Strict      bool            `json:"strict"`
	} `json:"function"`
}

type toolCall struct {
	ID       string   `json:"id"`
	Type     string   `json:"type"`
	Index    *int     `json:"index,omitempty"` // in streams
	Function function `json:"function"`
}

type function struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type responseFormat struct {
	Type       string `json:"type"`
	JSONSchema struct {
		Name   string          `json:"name"`
		Schema json.RawMessage `json:"schema"`
		Strict bool            `json:"strict"`
	} `json:"json_schema"`
}

// content is the text of a message: a string, or a list of parts.
type content string

func (c *content) UnmarshalJSON(raw []byte) error {
	text := (*string)(c)
	if string(raw) == "null" || json.Unmarshal(raw, text) == nil {
		return nil
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return errors.New("the content of a message must be a text or a list of parts")
	}
	for _, p := range parts {
		if p.Type != "text" {
			return fmt.Errorf("a message has a part of type %q; quern passes on only texts", p.Type)
		}
		*c += content(p.Text)
	}
	return nil
}

// texts is one text or a list of them.
type texts []string

func (t *texts) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(t))
}

// request returns the request that quern asks the model.
func (r *chatRequest) request() (*llm.Request, error) {
	out := &llm.Request{
		Temperature: r.Temperature, TopP: r.TopP, MaxTokens: r.MaxTokens, Seed: r.Seed, Stop: r.Stop, LogProbs: r.LogProbs,
	}
	if r.MaxCompletionTokens != nil {
		out.MaxTokens = r.MaxCompletionTokens
	}
	for i := range r.Messages {
		out.Messages = append(out.Messages, r.Messages[i].message())
	}
	for _, t := range r.Tools {
		if t.Type != "function" {
			return nil, invalid("a tool has the type %q; quern passes on only functions", t.Type)
		}
		if t.Function.Strict {
			return nil, invalid("the tool %q is strict; quern passes on only tools whose schema is a description", t.Function.Name)
		}
		out.Tools = append(out.Tools, llm.Tool{Name: t.Function.Name, Description: t.Function.Description, Parameters: t.Function.Parameters})
	}
	var err error
	if out.Output, err = r.ResponseFormat.output(); err != nil {
		return nil, err
	}
	if err := out.Check(); err != nil {
		return nil, invalid("%s", err)
	}
	return out, nil
}

func (m *message) message() llm.Message {
	out := llm.Message{Role: m.Role, Content: string(m.Content), ToolCallID: m.ToolCallID}
	if m.Role == "developer" { // OpenAI's newer name
		out.Role = llm.System
	}
	for _, c := range m.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, llm.ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: c.Function.Arguments})
	}
	return out
}

func (f *responseFormat) output() (*llm.Output, error) {
	switch {
	case f == nil || f.Type == "text":
		return nil, nil
	case f.Type == "json_object":
		return &llm.Output{Schema: json.RawMessage(`{"type":"object"}`)}, nil
	case f.Type == "json_schema":
		s := f.JSONSchema
		return &llm.Output{Name: s.Name, Schema: s.Schema, Strict: s.Strict}, nil
	}
	return nil, invalid("the response format %q is unknown; use text, json_object, or json_schema", f.Type)
}

// draws numbers the answers to equal requests, so that each is another answer
// and the same one in the next run. With a temperature of 0, and if only scores are
// wanted, there is one answer.
type draws struct {
	mu     sync.Mutex
	counts map[drawKey]int64
}

type drawKey [sha256.Size]byte

// take returns the first number of n answers to a request.
func (d *draws) take(model string, request *llm.Request, text []byte, n int64) int64 {
	if request.OnlyScores() || request.Temperature != nil && *request.Temperature == 0 {
		return 0
	}
	key := sha256.Sum256(slices.Concat([]byte(model), []byte{0}, text))
	d.mu.Lock()
	defer d.mu.Unlock()
	first := d.counts[key]
	d.counts[key] = first + n
	return first
}

// maxAnswers is the largest n of a request.
const maxAnswers = 128

func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	var wanted chatRequest
	answers, err := func() ([]*llm.Response, error) {
		if err := read(w, r, &wanted); err != nil {
			return nil, err
		}
		request, err := wanted.request()
		if err != nil {
			return nil, err
		}
		return s.ask(r, wanted.Model, request, wanted.N)
	}()
	switch {
	case err != nil:
		fail(w, err)
	case wanted.Stream:
		stream(w, &wanted, answers)
	default:
		reply(w, completionOf(wanted.Model, answers))
	}
}

// ask returns the answers to a request: n of them, or one if n is nil.
func (s *Server) ask(r *http.Request, model string, request *llm.Request, wanted *int64) ([]*llm.Response, error) {
	if err := s.known(model); err != nil {
		return nil, err
	}
	n := int64(1)
	if wanted != nil {
		n = *wanted
	}
	if n < 1 || n > maxAnswers {
		return nil, invalid("n is %d; it must be between 1 and %d", n, maxAnswers)
	}
	text, err := request.Encode()
	if err != nil {
		return nil, invalid("the request cannot be encoded: %s", err)
	}
	first := s.draws.take(model, request, text, n)
	answers := make([]*llm.Response, n)
	errs := make([]error, n)
	var asking sync.WaitGroup
	for i := range answers {
		asking.Go(func() { answers[i], errs[i] = s.draw(r, model, text, first+int64(i)) })
	}
	asking.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

func (s *Server) draw(r *http.Request, model string, request []byte, draw int64) (*llm.Response, error) {
	got, err := s.models.Answer(r.Context(), &pluginv1.HostServiceChatRequest{Model: model, Request: request, Draw: draw, AcceptsTruncated: true})
	if err != nil {
		return nil, err
	}
	if e := got.GetError(); e != nil {
		return nil, refused(e)
	}
	answer := &llm.Response{}
	return answer, json.Unmarshal(got.GetResponse(), answer)
}

type completion struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   *usage   `json:"usage,omitempty"`
}

type choice struct {
	Index        int       `json:"index"`
	Message      *answer   `json:"message,omitempty"`
	Delta        *answer   `json:"delta,omitempty"`
	FinishReason *string   `json:"finish_reason"`
	LogProbs     *logProbs `json:"logprobs"`
}

type answer struct {
	Role             string     `json:"role,omitempty"`
	Content          *string    `json:"content"`
	Refusal          *string    `json:"refusal"`
	ReasoningContent string     `json:"reasoning_content,omitempty"`
	ToolCalls        []toolCall `json:"tool_calls,omitempty"`
}

type logProbs struct {
	Content []tokenLogProb `json:"content"`
}

type tokenLogProb struct {
	llm.LogProb
	Bytes []int         `json:"bytes"`
	Top   []llm.LogProb `json:"top_logprobs"`
}

type usage struct {
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
	Total      int64 `json:"total_tokens"`
	Details    struct {
		Cached int64 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

func completionOf(model string, answers []*llm.Response) *completion {
	out := &completion{ID: "chatcmpl-quern", Object: "chat.completion", Created: time.Now().Unix(), Model: model, Usage: usageOf(answers)}
	for i, a := range answers {
		out.Choices = append(out.Choices, choice{Index: i, Message: answerOf(a), FinishReason: finishOf(a), LogProbs: logProbsOf(a)})
	}
	return out
}

func usageOf(answers []*llm.Response) *usage {
	out := &usage{}
	for _, a := range answers {
		// The prompt counts once, as at OpenAI.
		out.Prompt, out.Details.Cached = a.Usage.Input, a.Usage.CachedInput
		out.Completion += a.Usage.Output
	}
	out.Total = out.Prompt + out.Completion
	return out
}

func answerOf(a *llm.Response) *answer {
	out := &answer{Role: llm.Assistant, ReasoningContent: a.Thinking}
	if a.Text != "" || len(a.ToolCalls) == 0 {
		out.Content = &a.Text
	}
	if a.Refusal != "" {
		out.Refusal = &a.Refusal
	}
	for _, c := range a.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, toolCall{ID: c.ID, Type: "function", Function: function{c.Name, c.Arguments}})
	}
	return out
}

// finishOf returns why an answer ended. A refusal is an answer that stopped.
func finishOf(a *llm.Response) *string {
	reason := a.FinishReason
	if reason == "" || reason == llm.FinishRefusal {
		reason = llm.FinishStop
	}
	return &reason
}

func logProbsOf(a *llm.Response) *logProbs {
	if len(a.LogProbs) == 0 {
		return nil
	}
	out := &logProbs{}
	for _, p := range a.LogProbs {
		token := tokenLogProb{LogProb: p, Top: []llm.LogProb{}}
		for _, b := range []byte(p.Token) {
			token.Bytes = append(token.Bytes, int(b))
		}
		out.Content = append(out.Content, token)
	}
	return out
}

// stream sends answers as server-sent events: each answer whole, then its end,
// then, if it is wanted, the usage.
func stream(w http.ResponseWriter, wanted *chatRequest, answers []*llm.Response) {
	w.Header().Set("Content-Type", "text/event-stream")
	whole := completionOf(wanted.Model, answers)
	whole.Object = "chat.completion.chunk"
	send := func(c completion) {
		text, err := json.Marshal(c)
		if err == nil {
			_, _ = fmt.Fprintf(w, "data: %s\n\n", text)
		}
	}
	used, choices := whole.Usage, whole.Choices
	for _, c := range choices {
		for i := range c.Message.ToolCalls {
			c.Message.ToolCalls[i].Index = &i
		}
		begun, ended := *whole, *whole
		begun.Usage, ended.Usage = nil, nil
		begun.Choices = []choice{{Index: c.Index, Delta: c.Message, LogProbs: c.LogProbs}}
		ended.Choices = []choice{{Index: c.Index, Delta: &answer{}, FinishReason: c.FinishReason}}
		send(begun)
		send(ended)
	}
	if wanted.StreamOptions.IncludeUsage {
		whole.Usage, whole.Choices = used, []choice{}
		send(*whole)
	}
	_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
}
