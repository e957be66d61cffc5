package plugin

import (
	"context"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Provider gives models: `model` blocks of its type. It implements Chatter,
// Embedder or both. It makes one attempt for each call and sets no limits:
// quern keeps to limits, retries, caches, counts and pays.
type Provider[A any] interface {
	// Prepare declares the model with SetModelInfo. It calls nobody.
	Prepare(context.Context, *Prepare[A]) error
}

// Chatter is an optional interface of a Provider: its models answer
// requests. Calls come from many goroutines.
type Chatter[A any] interface {
	// Chat makes one attempt. A refusal and an answer that a filter cut off are
	// answers. An error is a *llm.CallError, or else it is not temporary.
	Chat(ctx context.Context, args *A, r *llm.Request) (*llm.Response, error)
}

// Embedder is an optional interface of a Provider: its models give
// embeddings. Calls come from many goroutines.
type Embedder[A any] interface {
	// Embed makes one attempt and gives a vector for each text, in order; an
	// error is as Chat's.
	Embed(ctx context.Context, args *A, texts []string) (*Embeddings, error)
}

// Checker is an optional interface of a Provider: it knows without calling
// anybody whether its models can be called.
type Checker[A any] interface {
	// Check returns why calls would fail, such as that there is no key; nil: no
	// reason is known. It is asked before the first stage runs.
	Check(ctx context.Context, args *A) error
}

// Embeddings are what an Embedder gives.
type Embeddings struct {
	Vectors [][]float32
	// InputTokens is what the provider counted.
	InputTokens int64
}

// NewProvider returns a type whose blocks are models. The kind is
// KindModelBlock whatever info says.
//
// Arguments are decoded, prepared and opened (see Opener) once for each
// configuration, and used for all calls: what they hold, such as connections,
// lives as long as the plugin.
func NewProvider[A any](info Info, impl Provider[A]) Type {
	info.Kind = KindModelBlock
	return &provider[A]{core: core[A]{info: info, mode: pluginv1.Mode_MODE_MODEL, impl: impl}}
}

// Capabilities of models.
const (
	CanChat    = "chat"
	CanEmbed   = "embed"
	CanPredict = "predict"
)

// ModelInfo is what quern has to know of a model to call it well.
type ModelInfo struct {
	// Capabilities; nil: all that the implementation has interfaces for.
	Capabilities []string
	// Tokenizer is tiktoken's name of the encoding, o200k_base or cl100k_base. With
	// any other, or none, tokens are estimated from characters.
	Tokenizer string
	// Price; nil: unknown, which is not free.
	Price *llm.Price
	// MaxTokens is how many tokens an answer has at most; 0: nothing bounds it.
	MaxTokens int64
	// Limits; 0: none is known.
	MaxConcurrency    int64
	RequestsPerMinute float64
	TokensPerMinute   float64
	// Timeout of one attempt; 0: quern's own.
	Timeout time.Duration
	// Retries are attempts beyond the first; 0: none.
	Retries int64
	// Cache: answers may be kept and given again to equal requests.
	Cache bool
	// Host that answers, with its port; models of one host share its capacity.
	// Empty: the model has its own.
	Host string
}

// SetModelInfo declares a model; it is for Providers.
func (p *preparation) SetModelInfo(m ModelInfo) {
	p.out.Model = &pluginv1.ModelInfo{
		Capabilities: m.Capabilities, Tokenizer: m.Tokenizer, Price: protoPrice(m.Price),
		MaxConcurrency: m.MaxConcurrency, RequestsPerMinute: m.RequestsPerMinute, TokensPerMinute: m.TokensPerMinute,
		TimeoutSeconds: m.Timeout.Seconds(), Retries: m.Retries, Cache: m.Cache,
		MaxTokens: m.MaxTokens, Host: m.Host,
	}
}

func protoPrice(p *llm.Price) *pluginv1.Price {
	if p == nil {
		return nil
	}
	return &pluginv1.Price{Input: p.Input, Output: p.Output, CachedInput: p.CachedInput, Source: p.Source}
}
