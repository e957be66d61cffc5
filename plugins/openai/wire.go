package openai

import (
	"encoding/json"
	"fmt"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// The requests and responses of the API, limited to the fields that quern uses.

type completionRequest struct {
	Model               string              `json:"model"`
	Messages            []completionMessage `json:"messages"`
	Tools               []completionTool    `json:"tools,omitempty"`
	ResponseFormat      *responseFormat     `json:"response_format,omitempty"`
	Temperature         *float64            `json:"temperature,omitempty"`
	TopP                *float64            `json:"top_p,omitempty"`
	MaxTokens           *int64              `json:"max_tokens,omitempty"`
	MaxCompletionTokens *int64              `json:"max_completion_tokens,omitempty"`
	Seed                *int64              `json:"seed,omitempty"`
	Stop                []string            `json:"stop,omitempty"`
	LogProbs            bool                `json:"logprobs,omitempty"`
	ReasoningEffort     string              `json:"reasoning_effort,omitempty"`
}

// completionMessage is a message in a request or an answer.
type completionMessage struct {
	Role       string           `json:"role"`
	Content    *content         `json:"content,omitempty"`
	Refusal    string           `json:"refusal,omitempty"`
	ToolCalls  []completionCall `json:"tool_calls,omitempty"`
	ToolCallID string           `json:"tool_call_id,omitempty"`
}

type completionCall struct {
	ID       string             `json:"id,omitempty"`
	Type     string             `json:"type"`
	Function completionFunction `json:"function"`
}

type completionFunction struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type completionTool struct {
	Type     string         `json:"type"`
	Function toolDefinition `json:"function"`
}

type toolDefinition struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
}

type responseFormat struct {
	Type       string        `json:"type"`
	JSONSchema *formatSchema `json:"json_schema,omitempty"`
}

type formatSchema struct {
	Name   string          `json:"name"`
	Schema json.RawMessage `json:"schema"`
	Strict bool            `json:"strict"`
}

type completion struct {
	Model string `json:"model"`
	// Error comes instead of the other members, although the status is 200, or
	// in addition to a choice.
	Error   json.RawMessage `json:"error"`
	Choices []struct {
		FinishReason string          `json:"finish_reason"`
		Error        json.RawMessage `json:"error"`
		Message      struct {
			completionMessage
			// The two names for the model's reasoning, if the endpoint returns
			// it separately.
			ReasoningContent string `json:"reasoning_content"`
			Reasoning        string `json:"reasoning"`
		} `json:"message"`
		LogProbs struct {
			Content []llm.LogProb `json:"content"`
		} `json:"logprobs"`
	} `json:"choices"`
	Usage struct {
		Prompt     float64 `json:"prompt_tokens"`
		Completion float64 `json:"completion_tokens"`
		Details    struct {
			Cached float64 `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
	} `json:"usage"`
}

// content is the text of a message. Some endpoints return a list of parts.
type content string

func (c *content) UnmarshalJSON(raw []byte) error {
	if text := (*string)(c); json.Unmarshal(raw, text) == nil {
		return nil
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return fmt.Errorf("its content is neither a text nor a list of parts: %w", err)
	}
	*c = ""
	for _, p := range parts {
		if p.Type == "text" || p.Type == "" {
			*c += content(p.Text)
		}
	}
	return nil
}

type embeddingRequest struct {
	Model          string   `json:"model"`
	Input          []string `json:"input"`
	EncodingFormat string   `json:"encoding_format"`
	Dimensions     *int64   `json:"dimensions,omitempty"`
}

type embeddings struct {
	Data []struct {
		Index     int       `json:"index"`
		Embedding []float64 `json:"embedding"`
	} `json:"data"`
	Usage struct {
		Prompt float64 `json:"prompt_tokens"`
	} `json:"usage"`
}
