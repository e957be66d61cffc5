package plan

import (
	"slices"

	"github.com/quern-dev/quern/lang/diag"
)

// Capabilities of models. Those of a language model are in
// ModelInfo.Capabilities. A trained model predicts, and can be a language model.
const (
	CanChat     = "chat"     // answers messages
	CanComplete = "complete" // continues a prompt
	CanScore    = "score"    // returns the log-probabilities of a prompt's tokens
	CanEmbed    = "embed"
	CanPredict  = "predict"
)

// Model is an instance of a model block. It does not run, so it is not a
// node: the stages that use it call it through the model host. An argument
// refers to it by an Input of kind model with the model's address.
type Model struct {
	Address string `json:"address"`
	Plugin  string `json:"plugin"`
	Type    string `json:"type"`
	// Behavior is the type's behavior version, as in Node.Behavior.
	Behavior string `json:"behaviour,omitempty"`
	Body     *Body  `json:"body"`
	// Definition is the key of everything that may change the model's answers:
	// type, behavior, arguments, except operational and sensitive ones, and the
	// trained model that the block wraps, if any. It represents the model in the
	// keys of actions and of cached answers. It is empty if it waits for values
	// or models of other stages.
	Definition string  `json:"definition,omitempty"`
	Preimage   []Field `json:"preimage,omitempty"`
	// Files and Pins are as in Node.
	Files []SourceFile      `json:"files,omitempty"`
	Pins  map[string]string `json:"pins,omitempty"`

	Info ModelInfo `json:"info"`
	// DependsOn are the nodes whose values and models its body waits for.
	DependsOn []string   `json:"depends_on,omitempty"`
	Range     diag.Range `json:"range"`
}

// ModelInfo is what the plugin reports about how to call a model. None of it is
// part of a key.
type ModelInfo struct {
	Capabilities []string `json:"capabilities"` // sorted
	// Tokenizer is tiktoken's name of the encoding. If it is empty, tokens are
	// estimated from characters.
	Tokenizer string `json:"tokenizer,omitempty"`
	Price     *Price `json:"price,omitempty"` // nil if unknown
	// MaxTokens is the most tokens that an answer can have, or 0 if it is
	// unbounded.
	MaxTokens int64 `json:"max_tokens,omitempty"`
	// Limits. 0 means that none is known.
	MaxConcurrency    int64   `json:"max_concurrency,omitempty"`
	RequestsPerMinute float64 `json:"requests_per_minute,omitempty"`
	TokensPerMinute   float64 `json:"tokens_per_minute,omitempty"`
	// TimeoutSeconds bounds one attempt. 0 means the host's default.
	TimeoutSeconds float64 `json:"timeout_seconds,omitempty"`
	// Retries is the number of attempts after the first.
	Retries int64 `json:"retries,omitempty"`
	// Cache is set if answers may be cached and returned again.
	Cache bool `json:"cache,omitempty"`
	// Host is the host that answers. Models of one host share its capacity. If
	// it is empty, the model has its own.
	Host string `json:"host,omitempty"`
	// Batch is set if requests are submitted as batches.
	Batch *BatchLimits `json:"batch,omitempty"`
}

// BatchLimits are the limits of one batch. 0 means that none is known.
type BatchLimits struct {
	Requests int64 `json:"requests,omitempty"`
	Bytes    int64 `json:"bytes,omitempty"`
}

// Priced reports whether all prices that apply are known. A model that only
// computes embeddings bills only its input.
func (m *ModelInfo) Priced() bool {
	output := int64(0)
	if slices.Contains(m.Capabilities, CanChat) || slices.Contains(m.Capabilities, CanComplete) {
		output = 1
	}
	return m.Price.Cost(1, 0, output) != nil
}

// Price is in money per million tokens. nil means unknown, which is not free.
type Price struct {
	Input       *float64 `json:"input,omitempty"`
	Output      *float64 `json:"output,omitempty"`
	CachedInput *float64 `json:"cached_input,omitempty"`
	// Source is where the figures come from: "configuration", or a table with
	// its date.
	Source string `json:"source,omitempty"`
}

// Cost is the price of a number of tokens. input includes the cached ones. Cost
// is nil if a price that matters is unknown. If the price of cached input is
// unknown, it costs as much as other input.
func (p *Price) Cost(input, cached, output int64) *float64 {
	if p == nil {
		return nil
	}
	sum := 0.0
	for _, part := range []struct {
		tokens int64
		price  *float64
	}{{input - cached, p.Input}, {cached, orElse(p.CachedInput, p.Input)}, {output, p.Output}} {
		if part.tokens == 0 {
			continue
		}
		if part.price == nil {
			return nil
		}
		sum += float64(part.tokens) * *part.price / 1e6
	}
	return &sum
}

// Free reports whether nothing is billed, whatever the number of tokens.
func (p *Price) Free() bool {
	zero := func(price *float64) bool { return price != nil && *price == 0 }
	return p != nil && zero(p.Input) && zero(p.Output)
}

func orElse(p, other *float64) *float64 {
	if p != nil {
		return p
	}
	return other
}
