package plugin

import (
	"context"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// LanguageLoader is an optional interface of a Runner that trains language
// models, which it declares with AddLanguageModel: it loads them, so that any
// stage can call them.
type LanguageLoader interface {
	// LanguageFormats returns the formats that LoadLanguage accepts.
	LanguageFormats() []string
	// LoadLanguage loads a model once, for the life of the plugin.
	LoadLanguage(context.Context, *ModelFiles) (*Language, error)
}

// Language is a loaded language model. Many goroutines call its functions; nil
// means that the model cannot do it.
type Language struct {
	// Chat answers one request, as Chatter does.
	Chat func(ctx context.Context, r *llm.Request) (*llm.Response, error)
	// Embed computes embeddings, as Embedder does.
	Embed func(ctx context.Context, texts []string) (*Embeddings, error)
}

// Wrapper is an optional interface of a Provider whose blocks can wrap a trained
// model: one argument of A is a Model. The plugin that trained it may be another
// one, so Prepare must check the format.
type Wrapper[A any] interface {
	// OpenModel is called once, after Open and before the first call, if a block
	// wraps a model. Use it to load the model into fields of A that have no quern
	// tag.
	OpenModel(ctx context.Context, args *A, model *ModelFiles) error
}

// AddLanguageModel declares a model that a Runner trains and that stages can call
// like one of a model block, from the format and what calls need to know. m must
// have Capabilities; if the model runs in the plugin, its Price is usually
// llm.FreeOfCharge. With a signature, the model can also predict, as for AddModel.
func (p *preparation) AddLanguageModel(name, format string, s Signature, m ModelInfo) {
	if len(m.Capabilities) == 0 {
		p.misuse("the language model %q has no capabilities", name)
	}
	p.AddModel(name, format, s)
	if out := p.output(name); out != nil {
		out.Model = m.proto()
	}
}
