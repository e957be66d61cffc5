package modelhost

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/quern-dev/quern/planner/plan"
)

// Limits hold calls of language models back until the models take them. All
// processes that call models for a run share them.
type Limits interface {
	// Enter waits for a turn among the calls that are under way at a model, and at
	// its host. The caller calls leave once, when the turn ends. The error is the
	// cause of ctx.
	Enter(ctx context.Context, model string, info plan.ModelInfo) (leave func(Outcome), err error)
	// Allow waits until the model's requests and tokens per minute allow one more
	// call. Expected, its tokens, is asked again while it waits. The caller calls
	// settle once, with the tokens that the call took. The error is the cause of
	// ctx.
	Allow(ctx context.Context, model string, info plan.ModelInfo, expected func() int64) (settle func(tokens int64), err error)
}

// Outcome is how a turn ended, as far as Limits are concerned.
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
	host     *window       // of all models of its host; nil: it has its own
	requests *rate.Limiter // nil: not limited
	tokens   *allowance    // nil: not limited
}

// NewLimits returns the limits of a run that has not called a model yet.
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

// host returns the window that all models of one host share: it bears as many
// calls as the model that is declared to bear most. nil: the model has a host
// of its own. It is called under the lock.
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
