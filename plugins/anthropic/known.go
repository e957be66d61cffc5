package anthropic

import "github.com/quern-dev/quern/plugins/provider"

// Prices are the prices of Anthropic's own endpoint for requests that are
// answered immediately, in US dollars per million tokens. Cached is the price
// of reading from the cache. The price of Haiku 5.5 applies to prompts of up to
// 100,000 tokens. A price block in the configuration takes precedence.
var Prices = provider.Table{
	Page: "platform.claude.com/docs/en/about-claude/pricing", Date: "2026-10-24",
	Rows: []provider.Row{
		{Model: "claude-fable-5-1", Input: 10, Cached: 0.25, Output: 50},
		{Model: "claude-fable-5", Input: 10, Cached: 1, Output: 50},
		{Model: "claude-opus-5-5", Input: 4, Cached: 0.20, Output: 20},
		{Model: "claude-opus-5", Input: 5, Cached: 0.50, Output: 25},
		{Model: "claude-opus-4-8", Input: 5, Cached: 0.50, Output: 25},
		{Model: "claude-opus-4-7", Input: 5, Cached: 0.50, Output: 25},
		{Model: "claude-opus-4-6", Input: 5, Cached: 0.50, Output: 25},
		{Model: "claude-opus-4-5", Input: 5, Cached: 0.50, Output: 25},
		{Model: "claude-sonnet-5-5", Input: 2, Cached: 0.10, Output: 10},
		{Model: "claude-sonnet-5", Input: 2, Cached: 0.20, Output: 10},
		{Model: "claude-sonnet-4-6", Input: 3, Cached: 0.30, Output: 15},
		{Model: "claude-sonnet-4-5", Input: 3, Cached: 0.30, Output: 15},
		{Model: "claude-haiku-5-5", Input: 0.10, Cached: 0.01, Output: 0.50},
		{Model: "claude-haiku-4-5", Input: 1, Cached: 0.10, Output: 5},
	},
}
