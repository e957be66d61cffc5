package runner

import (
	"context"
	"fmt"
	"sync"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/engine"
	"github.com/quern-dev/quern/runner/engine/local"
	"github.com/quern-dev/quern/runner/modelhost"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/store/state"
)

// Replay finds out which requests stages made to language models for single rows. It
// asks their plugins for the row again, and only the cache answers: no model is called,
// and nothing is stored.
type Replay struct {
	run    *run
	engine *local.Engine
	plugin string // see NewReplay

	mu    sync.Mutex
	asked []modelhost.Request
}

// Unrepeatable is the error for a row whose requests cannot be found out.
type Unrepeatable struct{ Reason string }

func (e *Unrepeatable) Error() string { return e.Reason }

// NewReplay returns a replay of what a plan describes. plugin is the one whose
// row-wise stages call models only through quern: others are not asked again, because
// nobody knows what they do. Of the options, it uses the store, the state, which it may
// change, the plugins, the functions, and the secrets. The caller closes the replay.
func NewReplay(ctx context.Context, p *plan.Plan, plugin string, opts Options) (*Replay, error) {
	r := &Replay{plugin: plugin}
	opts.Save = func(*state.State) error { return nil }
	opts.Engine = func(ctx context.Context, run engine.Run) engine.Engine {
		open := local.Open(local.Options{Store: opts.Store, Plugins: opts.Plugins, Functions: opts.Functions, Replay: r.hear})
		r.engine = open(ctx, run).(*local.Engine)
		return r.engine
	}
	var err error
	if r.run, err = newRun(ctx, p, opts, newSession(p, opts)); err != nil {
		return nil, err
	}
	return r, nil
}

// Close ends the replay.
func (r *Replay) Close() { r.run.close() }

func (r *Replay) hear(q modelhost.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, q)
}

// Row returns the requests that an action of a row-wise stage made for a row of its
// input, counted from 0. The error is *Unrepeatable if they cannot be found out.
// It is not safe for concurrent use.
func (r *Replay) Row(ctx context.Context, address, actionKey string, row int64) ([]modelhost.Request, error) {
	n := r.run.nodes[address]
	switch {
	case n == nil || n.Body == nil:
		return nil, &Unrepeatable{"the configuration no longer has " + address}
	case !n.RowWise():
		return nil, &Unrepeatable{"the stage is no longer row-wise"}
	case n.Plugin != r.plugin:
		return nil, &Unrepeatable{fmt.Sprintf("only the plugin %s knows which requests it makes for a row", n.Plugin)}
	}
	of, err := r.computed(n)
	if err != nil {
		return nil, err
	}
	if of.Keys.Action != actionKey {
		return nil, &Unrepeatable{"the configuration or an input has changed since"}
	}
	r.asked = nil
	if !asksLanguages(of.Stage) {
		return nil, nil
	}
	err = r.engine.Replay(ctx, r.run.computer.task(of), row)
	if err != nil && ctx.Err() == nil {
		err = &Unrepeatable{"the stage cannot be asked again: " + r.run.reporter.redactor.Text(err.Error())}
	}
	return r.asked, err
}

func asksLanguages(s *stage.Stage) bool {
	for _, in := range s.Inputs {
		if in.Language != nil {
			return true
		}
	}
	return false
}

// computed returns a stage with its keys.
func (r *Replay) computed(n *plan.Node) (*computed, error) {
	err := r.run.binder.know(r.run.plan, []*plan.Node{n})
	if err != nil {
		return nil, err
	}
	s, err := r.run.binder.bind(n)
	if err != nil {
		return nil, &Unrepeatable{"what the stage reads is not known: " + r.run.reporter.redactor.Text(err.Error())}
	}
	of := &computed{Stage: s, content: stage.Content{Fingerprint: s.Fingerprint}}
	of.Keys, err = s.Keys(s.Fingerprint, r.run.binder.values.seal)
	return of, err
}
