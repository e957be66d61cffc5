package modelhost

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/quern-dev/quern/planner/plan"
)

// Limits delay calls of language models until the models can take them. All
// processes that call models for a run share them.
type Limits interface {
	// Enter waits for a turn among the calls in flight for a model and for its
	// host. The caller calls leave once, when the turn ends. The error is the
	// cause of ctx.
	Enter(ctx context.Context, model string, info plan.ModelInfo) (leave func(Outcome), err error)
	// Allow waits until the model's requests and tokens per minute allow
	// another call. expected returns its tokens, and is called again while
	// Allow waits. The caller calls settle once, with the actual tokens of the
	// call. The error is the cause of ctx.
	Allow(ctx context.Context, model string, info plan.ModelInfo, expected func() int64) (settle func(tokens int64), err error)
}

// Outcome is how a turn ended.
type Outcome int

// The outcomes of a turn.
const (
	Answered   Outcome = iota
	PushedBack         // the model failed, or was busy
	Neither            // says nothing about the model's capacity
)

// RunLimits are the Limits of a run.
type RunLimits struct {
	mu     sync.Mutex
	models map[string]*limited // by address
	hosts  map[string]*window  // by name
}

// limited is a model with its limits.
type limited struct {
	window   *window
	host     *window       // shared by all models of its host; nil if it has its own
	requests *rate.Limiter // nil if not limited
	tokens   *allowance    // nil if not limited
}

// NewLimits returns the limits of a run, before it has called any model.
func NewLimits() *RunLimits {
	return &RunLimits{models: map[string]*limited{}, hosts: map[string]*window{}}
}

func (l *RunLimits) of(model string, info plan.ModelInfo) *limited {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.models[model]
	if m == nil {
		m = &limited{
			window: newWindow(info), host: l.host(info),
			requests: perMinute(info.RequestsPerMinute), tokens: newAllowance(info.TokensPerMinute, time.Now()),
		}
		l.models[model] = m
	}
	return m
}

// host returns the window that all models of one host share. Its capacity is
// the highest that any of them declares. It is nil if the model has a host of
// its own. The caller holds the lock.
func (l *RunLimits) host(m plan.ModelInfo) *window {
	if m.Host == "" {
		return nil
	}
	w := l.hosts[m.Host]
	if w == nil {
		w = newWindow(m)
		l.hosts[m.Host] = w
	}
	w.widen(m)
	return w
}

// Enter implements Limits.
func (l *RunLimits) Enter(ctx context.Context, model string, info plan.ModelInfo) (leave func(Outcome), err error) {
	m := l.of(model, info)
	if err := m.window.enter(ctx); err != nil {
		return nil, err
	}
	if m.host == nil {
		return m.window.leave, nil
	}
	if err := m.host.enter(ctx); err != nil {
		m.window.leave(Neither)
		return nil, err
	}
	return func(o Outcome) { m.host.leave(o); m.window.leave(o) }, nil
}

// Allow implements Limits.
func (l *RunLimits) Allow(ctx context.Context, model string, info plan.ModelInfo, expected func() int64) (settle func(tokens int64), err error) {
	m := l.of(model, info)
	if m.requests != nil {
		if err := m.requests.Wait(ctx); err != nil {
			return nil, err
		}
	}
	taken, err := m.tokens.take(ctx, expected)
	if err != nil {
		return nil, err
	}
	return func(came int64) { m.tokens.settle(taken, came) }, nil
}
