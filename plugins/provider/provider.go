// Package provider contains what the plugins that call language models have in
// common: the arguments of their model blocks, the sources of keys, the
// classification of failures, and the prices of well-known models.
//
// A plugin makes one attempt for each call. quern handles limits, retries, and
// caching, so nothing here waits or counts.
package provider

import (
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Sampling contains the arguments that affect answers. Those of a request take
// precedence.
type Sampling struct {
	Temperature *float64 `quern:"temperature" doc:"The sampling temperature. Higher values give more varied answers; 0 varies least."`
	TopP        *float64 `quern:"top_p" doc:"The probability mass for nucleus sampling: tokens are sampled from the most likely ones that together reach it."`
	MaxTokens   *int64   `quern:"max_tokens" doc:"The maximum length of an answer, in tokens."`
	Seed        *int64   `quern:"seed" doc:"A seed that makes sampling repeatable, if the endpoint supports it."`
	Stop        []string `quern:"stop" doc:"Strings at which an answer ends."`
}

// Limits contains the arguments that say how to call the model. They do not
// affect answers.
type Limits struct {
	MaxConcurrency    int64         `quern:"max_concurrency,operational" default:"32" doc:"The maximum number of concurrent requests. quern sends fewer if the endpoint reports that it is overloaded."`
	RequestsPerMinute float64       `quern:"requests_per_minute,operational" doc:"The maximum number of requests per minute."`
	TokensPerMinute   float64       `quern:"tokens_per_minute,operational" doc:"The maximum number of tokens sent and received per minute."`
	Timeout           time.Duration `quern:"timeout,operational" default:"\"60s\"" doc:"The maximum duration of one attempt."`
	Retries           int64         `quern:"retries,operational" default:"5" doc:"How many times a request is retried after a temporary failure."`
	Cache             bool          `quern:"cache,operational" default:"true" doc:"Whether answers are cached and reused for equal requests."`
	Price             []Price       `quern:"price,block,single" doc:"The price per million tokens. Without it, the prices of well-known models come from a table."`
}

// Price is the price block.
type Price struct {
	Input       *float64 `quern:"input,operational" doc:"Price per million input tokens."`
	Output      *float64 `quern:"output,operational" doc:"Price per million output tokens."`
	CachedInput *float64 `quern:"cached_input,operational" doc:"Price per million input tokens that the provider had cached."`
}

// Complete returns a request with the model's arguments in place of those that
// the request does not set.
func (s *Sampling) Complete(r *llm.Request) *llm.Request {
	return r.WithDefaults(&llm.Request{Temperature: s.Temperature, TopP: s.TopP, MaxTokens: s.MaxTokens, Seed: s.Seed, Stop: s.Stop})
}

// Info returns what quern needs to know about a model. table is nil if no
// prices are known. free is set if the model costs nothing.
func (l *Limits) Info(s *Sampling, tokenizer string, table *llm.Price) plugin.ModelInfo {
	info := plugin.ModelInfo{
		Tokenizer: tokenizer, Price: table,
		MaxConcurrency: l.MaxConcurrency, RequestsPerMinute: l.RequestsPerMinute, TokensPerMinute: l.TokensPerMinute,
		Timeout: l.Timeout, Retries: l.Retries, Cache: l.Cache,
	}
	if s.MaxTokens != nil {
		info.MaxTokens = *s.MaxTokens
	}
	if len(l.Price) > 0 {
		p := l.Price[0]
		info.Price = &llm.Price{Input: p.Input, Output: p.Output, CachedInput: p.CachedInput, Source: "configuration"}
	}
	return info
}

// Check reports invalid arguments.
func Check[A any](p *plugin.Prepare[A], s *Sampling, l *Limits) {
	for name, v := range map[string]*float64{"temperature": s.Temperature, "top_p": s.TopP} {
		if v != nil && *v < 0 {
			p.Errorf(name, "%s cannot be negative", name)
		}
	}
	if s.MaxTokens != nil && *s.MaxTokens < 1 {
		p.Errorf("max_tokens", "max_tokens must be at least 1")
	}
	for _, n := range []struct {
		name  string
		value float64
	}{
		{"max_concurrency", float64(l.MaxConcurrency)}, {"requests_per_minute", l.RequestsPerMinute},
		{"tokens_per_minute", l.TokensPerMinute}, {"timeout", float64(l.Timeout)}, {"retries", float64(l.Retries)},
	} {
		if n.value < 0 {
			p.Errorf(n.name, "%s cannot be negative", n.name)
		}
	}
	for i, price := range l.Price {
		checkPrice(p, i, price)
	}
}

func checkPrice[A any](p *plugin.Prepare[A], i int, price Price) {
	for _, n := range []struct {
		name  string
		value *float64
	}{{"input", price.Input}, {"output", price.Output}, {"cached_input", price.CachedInput}} {
		if n.value != nil && *n.value < 0 {
			p.Errorf(priceKey(i, n.name), "a price cannot be negative")
		}
	}
}
