package openai

import (
	"strings"

	"github.com/quern-dev/quern/plugins/provider"
)

// Prices are the prices of OpenAI's own endpoint for requests that are answered
// immediately and have prompts of a normal length (the newest models cost more
// beyond 272,000 tokens), in US dollars per million tokens. A price block in
// the configuration takes precedence.
var Prices = provider.Table{
	Page: "developers.openai.com/api/docs/pricing", Date: "2026-10-05",
	Rows: []provider.Row{
		{Model: "gpt-6-astra", Input: 10, Cached: 1, Output: 50},
		{Model: "gpt-6-sol", Input: 2, Cached: 0.20, Output: 10},
		{Model: "gpt-6-luna", Input: 0.10, Cached: 0.01, Output: 0.50},
		{Model: "gpt-5.5", Input: 5, Cached: 0.50, Output: 30},
		{Model: "gpt-5.4", Input: 2.50, Cached: 0.25, Output: 15},
		{Model: "gpt-5.4-mini", Input: 0.75, Cached: 0.075, Output: 4.50},
		{Model: "gpt-5.4-nano", Input: 0.20, Cached: 0.02, Output: 1.25},
		{Model: "gpt-5.2", Input: 1.75, Cached: 0.175, Output: 14},
		{Model: "gpt-5.1", Input: 1.25, Cached: 0.125, Output: 10},
		{Model: "gpt-5", Input: 1.25, Cached: 0.125, Output: 10},
		{Model: "gpt-5-mini", Input: 0.25, Cached: 0.025, Output: 2},
		{Model: "gpt-5-nano", Input: 0.05, Cached: 0.005, Output: 0.40},
		{Model: "gpt-4.1", Input: 2, Cached: 0.50, Output: 8},
		{Model: "gpt-4.1-mini", Input: 0.40, Cached: 0.10, Output: 1.60},
		{Model: "gpt-4.1-nano", Input: 0.10, Cached: 0.025, Output: 0.40},
		{Model: "gpt-4o", Input: 2.50, Cached: 1.25, Output: 10},
		{Model: "gpt-4o-mini", Input: 0.15, Cached: 0.075, Output: 0.60},
		{Model: "o3", Input: 2, Cached: 0.50, Output: 8},
		{Model: "o4-mini", Input: 1.10, Cached: 0.275, Output: 4.40},
		{Model: "text-embedding-3-small", Input: 0.02},
		{Model: "text-embedding-3-large", Input: 0.13},
	},
}

// encodings contains tiktoken's encodings by prefixes of model names. The first
// match counts.
var encodings = []struct{ prefix, encoding string }{
	{"gpt-5", "o200k_base"},
	{"gpt-4.1", "o200k_base"},
	{"gpt-4.5", "o200k_base"},
	{"gpt-4o", "o200k_base"},
	{"chatgpt-4o", "o200k_base"},
	{"gpt-oss", "o200k_base"},
	{"o1", "o200k_base"},
	{"o3", "o200k_base"},
	{"o4", "o200k_base"},
	{"gpt-4", "cl100k_base"},
	{"gpt-3.5", "cl100k_base"},
	{"text-embedding-", "cl100k_base"},
}

// Tokenizer returns tiktoken's encoding for a model, or "" if it is not known.
func Tokenizer(model string) string {
	for _, e := range encodings {
		if strings.HasPrefix(strings.TrimPrefix(model, "openai/"), e.prefix) {
			return e.encoding
		}
	}
	return ""
}

func isEmbedding(model string) bool { return strings.HasPrefix(model, "text-embedding-") }
