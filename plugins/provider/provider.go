// Package provider is what the plugins that call language models have in
// common: the arguments of their model blocks, where keys come from, how
// failures are told apart, and what well-known models cost.
//
// A plugin makes one attempt for each call. Limits, retries and caches are
// quern's, so nothing here waits or counts.
package provider

import (
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Sampling are the arguments that shape answers. A request's own wins.
type Sampling struct {
	Temperature *float64 `quern:"temperature" doc:"How much the answers vary: 0 is the least."`
	TopP        *float64 `quern:"top_p" doc:"The share of likely tokens that are drawn from."`
	MaxTokens   *int64   `quern:"max_tokens" doc:"How long an answer may be, in tokens."`
	Seed        *int64   `quern:"seed" doc:"A number that makes drawing repeatable, where the endpoint supports it."`
	Stop        []string `quern:"stop" doc:"Texts at which an answer ends."`
}

// Limits are the arguments that say how the model is to be called. They
// influence no answer.
type Limits struct {
	MaxConcurrency    int64         `quern:"max_concurrency,operational" default:"32" doc:"How many requests may be under way at the same time. There are fewer where the endpoint answers that it is overloaded."`
	RequestsPerMinute float64       `quern:"requests_per_minute,operational" doc:"How many requests are made in a minute at most."`
	TokensPerMinute   float64       `quern:"tokens_per_minute,operational" doc:"How many tokens are sent and received in a minute at most."`
	Timeout           time.Duration `quern:"timeout,operational" default:"\"60s\"" doc:"How long one attempt may take."`
	Retries           int64         `quern:"retries,operational" default:"5" doc:"How many further attempts are made when one fails for a reason that may pass."`
	Cache             bool          `quern:"cache,operational" default:"true" doc:"Whether answers are kept and given again to equal requests."`
	Price             []Price       `quern:"price,block,single" doc:"What the model costs, per million tokens. Without it, prices of well-known models come from a table."`
}

// Price is the price block.
type Price struct {
	Input       *float64 `quern:"input,operational" doc:"Per million tokens that are sent."`
	Output      *float64 `quern:"output,operational" doc:"Per million tokens that are received."`
	CachedInput *float64 `quern:"cached_input,operational" doc:"Per million tokens that are sent and that the provider had in its cache."`
}

// Complete returns a request with what the model's block says and the request
// does not.
func (s *Sampling) Complete(r *llm.Request) *llm.Request {
	return r.Or(&llm.Request{Temperature: s.Temperature, TopP: s.TopP, MaxTokens: s.MaxTokens, Seed: s.Seed, Stop: s.Stop})
}

// Info is what quern has to know of a model; table is nil where no prices are
// known, and free where nobody bills for it.
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

// Check reports arguments that can't be.
func Check[A any](p *plugin.Prepare[A], s *Sampling, l *Limits) {
	for name, v := range map[string]*float64{"temperature": s.Temperature, "top_p": s.TopP} {
		if v != nil && *v < 0 {
			p.Errorf(name, "%s can't be negative", name)
		}
	}
	if s.MaxTokens != nil && *s.MaxTokens < 1 {
		p.Errorf("max_tokens", "max_tokens has to be 1 or more")
	}
	for _, n := range []struct {
		name  string
		value float64
	}{
		{"max_concurrency", float64(l.MaxConcurrency)}, {"requests_per_minute", l.RequestsPerMinute},
		{"tokens_per_minute", l.TokensPerMinute}, {"timeout", float64(l.Timeout)}, {"retries", float64(l.Retries)},
	} {
		if n.value < 0 {
			p.Errorf(n.name, "%s can't be negative", n.name)
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
			p.Errorf(priceKey(i, n.name), "a price can't be negative")
		}
	}
}
