package plugin

import (
	"context"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Provider calls language models: it implements the model blocks of its type.
// It also implements Chatter, Embedder, or both, and can implement Batcher. It makes one attempt per call;
// quern enforces limits, retries, caches answers, and counts costs.
type Provider[A any] interface {
	// Prepare declares the model with SetModelInfo. It must not call the model.
	Prepare(context.Context, *Prepare[A]) error
}

// Chatter is an optional interface of a Provider whose models answer requests.
// Calls come from many goroutines.
type Chatter[A any] interface {
	// Chat makes one attempt. A refusal or a filtered answer is an answer, not
	// an error. Errors should be a *llm.CallError; any other error counts as
	// permanent.
	Chat(ctx context.Context, args *A, r *llm.Request) (*llm.Response, error)
}

// Embedder is an optional interface of a Provider whose models compute
// embeddings. Calls come from many goroutines.
type Embedder[A any] interface {
	// Embed makes one attempt and returns a vector for each text, in order.
	// Errors are as for Chat.
	Embed(ctx context.Context, args *A, texts []string) (*Embeddings, error)
}

// Checker is an optional interface of a Provider that can find out, without
// calling anything, whether its models can be called.
type Checker[A any] interface {
	// Check returns why calls would fail, such as a missing key, or nil if it
	// knows no reason. quern asks before the first stage runs.
	Check(ctx context.Context, args *A) error
}

// Embeddings are the result of Embedder.Embed.
type Embeddings struct {
	Vectors [][]float32
	// InputTokens is the number of tokens that the provider reported.
	InputTokens int64
}

// NewProvider returns a type whose blocks are models. It sets info.Kind to
// KindModelBlock. One argument of its blocks can be a trained model: see Wrapper.
//
// The arguments of a configuration are decoded, prepared, and opened (see
// Opener) once and then used for all calls, so what they hold, such as
// connections, lives as long as the plugin.
func NewProvider[A any](info Info, impl Provider[A]) Type {
	info.Kind = KindModelBlock
	return &provider[A]{core: core[A]{info: info, mode: pluginv1.Mode_MODE_MODEL, impl: impl}}
}

// Capabilities of models.
const (
	CanChat     = "chat"     // answers messages
	CanComplete = "complete" // continues a prompt
	CanScore    = "score"    // returns the log-probabilities of a prompt's tokens
	CanEmbed    = "embed"
	CanPredict  = "predict"
)

// ModelInfo describes a model to quern.
type ModelInfo struct {
	// Capabilities are some of CanChat, CanComplete, CanScore, and CanEmbed; nil
	// means CanChat and CanEmbed, as far as a Provider has their interfaces.
	Capabilities []string
	// Tokenizer is tiktoken's name for the encoding, o200k_base or cl100k_base. For
	// any other, or none, tokens are estimated from characters.
	Tokenizer string
	// Price is nil if unknown, which is not free.
	Price *llm.Price
	// MaxTokens is the maximum number of tokens in an answer; 0 means no limit.
	MaxTokens int64
	// MaxConcurrency and the rates per minute are limits; 0 means no known
	// limit.
	MaxConcurrency    int64
	RequestsPerMinute float64
	TokensPerMinute   float64
	// Timeout limits one attempt; 0 means quern's default.
	Timeout time.Duration
	// Retries is the number of attempts after the first.
	Retries int64
	// Cache says that answers may be stored and reused for equal requests.
	Cache bool
	// Host is the host that answers, with its port. Models on the same host
	// share its capacity. Empty means that the model has a host of its own.
	Host string
	// Batch is set if requests are to be submitted as batches. The type has to
	// implement Batcher, and Cache has to be set.
	Batch *BatchLimits
}

// SetModelInfo declares a provider's model.
func (p *preparation) SetModelInfo(m ModelInfo) { p.out.Model = m.proto() }

func (m *ModelInfo) proto() *pluginv1.ModelInfo {
	out := &pluginv1.ModelInfo{
		Capabilities: m.Capabilities, Tokenizer: m.Tokenizer, Price: protoPrice(m.Price),
		MaxConcurrency: m.MaxConcurrency, RequestsPerMinute: m.RequestsPerMinute, TokensPerMinute: m.TokensPerMinute,
		TimeoutSeconds: m.Timeout.Seconds(), Retries: m.Retries, Cache: m.Cache,
		MaxTokens: m.MaxTokens, Host: m.Host,
	}
	if m.Batch != nil {
		out.Batch = &pluginv1.BatchLimits{Requests: m.Batch.Requests, Bytes: m.Batch.Bytes}
	}
	return out
}

func protoPrice(p *llm.Price) *pluginv1.Price {
	if p == nil {
		return nil
	}
	return &pluginv1.Price{Input: p.Input, Output: p.Output, CachedInput: p.CachedInput, Source: p.Source}
}
