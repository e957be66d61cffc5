package anthropic

import "encoding/json"

// The requests and answers of the API, limited to the fields that quern uses.

type messagesRequest struct {
	Model         string       `json:"model"`
	MaxTokens     int64        `json:"max_tokens"`
	System        []block      `json:"system,omitempty"`
	Messages      []message    `json:"messages"`
	Tools         []tool       `json:"tools,omitempty"`
	OutputConfig  outputConfig `json:"output_config,omitzero"`
	StopSequences []string     `json:"stop_sequences,omitempty"`
	Temperature   *float64     `json:"temperature,omitempty"`
	TopP          *float64     `json:"top_p,omitempty"`
}

type message struct {
	Role    string  `json:"role"`
	Content []block `json:"content"`
}

// block is a part of a message: text, a tool call, or a tool's result.
type block struct {
	Type string `json:"type"`

	Text *string `json:"text,omitempty"`

	ID    string          `json:"id,omitempty"`
	Name  string          `json:"name,omitempty"`
	Input json.RawMessage `json:"input,omitempty"`

	ToolUseID string  `json:"tool_use_id,omitempty"`
	Content   []block `json:"content,omitempty"`
	IsError   *bool   `json:"is_error,omitempty"`
}

func text(s string) block { return block{Type: "text", Text: &s} }

func toolResult(id, s string) block {
	return block{Type: "tool_result", ToolUseID: id, Content: []block{text(s)}, IsError: new(bool)}
}

type tool struct {
	Name        string         `json:"name"`
	Description string         `json:"description,omitempty"`
	InputSchema map[string]any `json:"input_schema"`
}

type outputConfig struct {
	Effort string        `json:"effort,omitempty"`
	Format *outputFormat `json:"format,omitempty"`
}

type outputFormat struct {
	Type   string         `json:"type"`
	Schema map[string]any `json:"schema"`
}

type answer struct {
	Model       string `json:"model"`
	StopReason  string `json:"stop_reason"`
	StopDetails struct {
		Explanation string `json:"explanation"`
	} `json:"stop_details"`
	Content []struct {
		Type  string          `json:"type"`
		Text  string          `json:"text"`
		ID    string          `json:"id"`
		Name  string          `json:"name"`
		Input json.RawMessage `json:"input"`
	} `json:"content"`
	Usage struct {
		Input         float64 `json:"input_tokens"`
		CacheCreation float64 `json:"cache_creation_input_tokens"`
		CacheRead     float64 `json:"cache_read_input_tokens"`
		Output        float64 `json:"output_tokens"`
	} `json:"usage"`
}
