package modelhost

import (
	"context"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/quern-dev/quern/internal/tokens"
	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Language is a language model as a run uses it.
type Language struct {
	Address string
	// Name is the provider's name for it, for traces.
	Name   string
	Plugin string
	// Definition represents it in the keys of cached answers.
	Definition string
	// Instance is its block, and Trained the model that a stage trained. One of
	// them is nil, unless the block wraps a trained model.
	Instance *pluginv1.Instance
	Trained  *pluginv1.Artifact
	Info     plan.ModelInfo
	// Defaults are the parameters that its block sets for requests that do not
	// set them, such as temperature and seed. The plugin adds them.
	Defaults llm.Request
	// Secrets are values that no message may contain.
	Secrets []string
	// Connect starts the plugin if it is not running yet.
	Connect func(context.Context) (pluginv1.PluginServiceClient, error)
}

// Redact removes from a text what no message may contain.
func (l *Language) Redact(text string) string {
	return credentials().ReplaceAllString(newRedactor(l.Secrets).Text(text), value.Redacted)
}

// Can reports whether the model has a capability.
func (l *Language) Can(capability string) bool {
	return slices.Contains(l.Info.Capabilities, capability)
}

// defaultTimeout is how long an attempt may take if the model does not set a
// timeout.
const defaultTimeout = 2 * time.Minute

// endpoint is a language model and the state that all its callers in a run
// share.
type endpoint struct {
	*Language
	health   *health
	usual    usual
	redactor *secret.Redactor
	// echoed and unkept ensure that a warning is given once.
	echoed, unkept sync.Once
	chats          wire.Streams[pluginv1.ChatRequest, pluginv1.ChatResponse]
	batching       batching
}

func newEndpoint(ctx context.Context, l *Language, now func() time.Time) *endpoint {
	e := &endpoint{
		Language: l, health: newHealth(ctx, l.Address, now), redactor: newRedactor(l.Secrets),
	}
	e.chats.Context = ctx
	return e
}

func (e *endpoint) timeout() time.Duration {
	if s := e.Info.TimeoutSeconds; s > 0 {
		return time.Duration(s * float64(time.Second))
	}
	return defaultTimeout
}

// ---- what no message may contain

// credentials matches the usual forms of keys, because a plugin may take a key
// from the environment that quern does not know.
var credentials = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(bearer\s+|api[-_ ]?key["']?\s*[:=]\s*["']?)[^\s"',;&]+|\b(sk|pk|gsk|xai|hf)[-_][A-Za-z0-9_-]{8,}`)
})

func newRedactor(secrets []string) *secret.Redactor {
	r := secret.New()
	for _, s := range secrets {
		r.AddText(s)
	}
	return r
}

func (e *endpoint) redact(text string) string {
	return credentials().ReplaceAllString(e.redactor.Text(text), value.Redacted)
}

// ---- the expected size of a call

// usual is the average size of the calls so far.
type usual struct {
	mu                       sync.Mutex
	calls                    int64
	estimated, input, output float64
	longest                  int64 // answer, in tokens
}

// firstOutput is the expected length of an answer in tokens before anything is
// known.
const firstOutput = 256

func (u *usual) came(estimated int64, usage llm.Usage) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.calls++
	u.estimated += float64(estimated)
	u.input += float64(usage.Input)
	u.output += float64(usage.Output)
	u.longest = max(u.longest, usage.Output)
}

// expect returns the expected tokens of a call, given the estimate for its
// request and the maximum for its answer (0 means no maximum). The result tends
// to be too high, because a budget should not be exceeded.
func (u *usual) expect(estimated, most int64) (input, output int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	input, output = estimated, firstOutput
	if u.calls > 0 && u.estimated > 0 {
		input = int64(float64(estimated)*u.input/u.estimated) + 1
		output = max(int64(1.5*u.output/float64(u.calls))+16, u.longest)
	}
	if most > 0 && (u.calls == 0 || output > most) {
		output = most
	}
	return input, output
}

// byScript estimates tokens before a call. The model's own tokenizer would be
// slower, and the actual size of calls corrects the estimate after the first
// one.
var byScript = tokens.For("")

func (e *endpoint) expected(estimated, most int64, answers bool) Amount {
	input, output := e.usual.expect(estimated, most)
	switch {
	case !answers:
		output = 0
	case e.Info.MaxTokens > 0:
		output = min(output, e.Info.MaxTokens)
	}
	a := Amount{Tokens: input + output, Calls: 1}
	if cost := e.Info.Price.Cost(input, 0, output); cost != nil {
		a.Money = *cost
	}
	if longest := e.longest(most); answers && longest > output {
		a.MostTokens = input + longest
		if cost := e.Info.Price.Cost(input, 0, longest); cost != nil {
			a.MostMoney = *cost
		}
	}
	return a
}

// longest returns the tokens of the longest answer, given the maximum of a request,
// or 0 if there is no maximum.
func (e *endpoint) longest(most int64) int64 {
	if most == 0 || e.Info.MaxTokens > 0 && e.Info.MaxTokens < most {
		return e.Info.MaxTokens
	}
	return most
}

// spend returns the cost of a call.
func (e *endpoint) spend(usage llm.Usage) llm.Spend {
	s := llm.Spend{Calls: 1, InputTokens: usage.Input, OutputTokens: usage.Output}
	if cost := e.Info.Price.Cost(usage.Input, usage.CachedInput, usage.Output); cost != nil {
		s.Cost = *cost
	} else {
		s.UnpricedCalls = 1
	}
	if usage.Estimated {
		s.EstimatedCalls = 1
	}
	return s
}
