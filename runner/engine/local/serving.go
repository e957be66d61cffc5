package local

import (
	"context"
	"sync"
	"time"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/modelhost"
	"github.com/quern-dev/quern/runner/modelhost/openai"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// serving is the host of one run of a stage, and reports what the stage spends.
type serving struct {
	sink    events.Sink
	address string
	calls   int64      // the maximum number of concurrent calls of language models
	spend   *llm.Spend // the total of the task's calls
	host    *modelhost.Host
	// ctx ends when the stage cannot go on.
	ctx    context.Context
	cancel context.CancelCauseFunc
	needed bool // set if the stage may call the host
	// overHTTP are the models that are also served over HTTP.
	overHTTP []string

	mu    sync.Mutex
	last  events.Progress
	told  time.Time
	owing bool // last has not been reported yet

	stopped chan struct{} // closed to stop reporting
	gone    chan struct{}
}

// serve creates the host of a stage. The caller closes it.
func (a *attempt) serve(ctx context.Context, artifacts map[string]*pluginv1.Artifact) *serving {
	s := &serving{
		sink: a.run.Events, address: a.Address, calls: a.ConcurrentCalls(), spend: &a.res.Spend,
		stopped: make(chan struct{}), gone: make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	opts := modelhost.StageOptions{Models: a.models(artifacts), Late: map[string]modelhost.Late{}, Fresh: stage.Forced(a.Node), End: s.cancel, Environment: a.task.Environment}
	if a.Budget != nil {
		opts.Budget = modelhost.Within(a.run.Budget, a.stageBudget(a.Node))
	}
	for key, row := range a.Bound.Rows {
		if row.Late {
			opts.Late[key] = modelhost.Late{Expr: row.Expr, Vars: a.Secrets.Vars(row.Expr.Secrets)}
		}
	}
	s.needed = len(opts.Models)+len(opts.Late) > 0
	if a.OpenAIAPI {
		s.overHTTP = languages(opts.Models)
	}
	s.host = a.hub.Stage(opts)
	go s.tell()
	return s
}

// models returns the model inputs, which the plugins that produced them serve.
func (a *attempt) models(artifacts map[string]*pluginv1.Artifact) map[string]modelhost.Model {
	models := map[string]modelhost.Model{}
	for key, in := range a.Inputs {
		if in.Of.Kind != plan.KindModel {
			continue
		}
		m := modelhost.Model{Artifact: artifacts[key], Plugin: in.Plugin, Connect: stage.Connect(a.Plugins, in.Plugin)}
		if in.Language != nil {
			m.Language = &in.Language.Language
		}
		models[key] = m
	}
	return models
}

// languages returns the keys of the models that are language models.
func languages(models map[string]modelhost.Model) []string {
	var keys []string
	for key, m := range models {
		if m.Language != nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// address is where the stage's plugin reaches the host.
type address struct {
	client.HostAddress
	openai *pluginv1.OpenAIAPI // nil unless the plugin asked for it
}

// on makes the host available to the stage's plugin. The address is zero if
// there is nothing to serve.
func (s *serving) on(p *client.Plugin) (at address, stop func(), err error) {
	if !s.needed {
		return at, func() {}, nil
	}
	if at.HostAddress, stop, err = p.Host(s.host); err != nil || len(s.overHTTP) == 0 {
		return at, stop, err
	}
	server, err := openai.Serve(s.ctx, s.host, s.overHTTP)
	if err != nil {
		stop()
		return at, nil, err
	}
	at.openai = server.Address()
	end := stop
	return at, func() { server.Close(); end() }, nil
}

// openChats is how many requests the stage's plugin should have open: as many
// as can be in flight, and as many that are ready when one of those is
// answered. It is 0 if the stage has no language model.
func (s *serving) openChats() int64 { return 2 * s.calls }

// close records what was spent.
func (s *serving) close() {
	s.cancel(nil)
	s.host.Close()
	close(s.stopped)
	<-s.gone
	s.spend.Add(s.host.Spent())
}

// outcome returns how the stage ended. The host's reason explains an error of
// the plugin, and counts even if the plugin managed without an answer.
func (s *serving) outcome(err error) error {
	if cause := s.host.Err(); cause != nil {
		return cause
	}
	return err
}

// submit submits the requests that the stage has collected for batches.
func (s *serving) submit() error { return s.outcome(s.host.Submit(s.ctx)) }

// spendPause is the time between two reports of what a stage spends.
const spendPause = 500 * time.Millisecond

// tell reports spending while the stage itself reports nothing, and progress
// that came too soon after the last report.
func (s *serving) tell() {
	defer close(s.gone)
	tick := time.NewTicker(spendPause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.mu.Lock()
			if (s.owing || s.host.Spent() != s.last.Spend) && time.Since(s.told) >= spendPause {
				s.emit()
			}
			s.mu.Unlock()
		case <-s.stopped:
			return
		}
	}
}

// progress reports how far the stage is, and what it has spent: immediately, or
// a little later if the last report was recent.
func (s *serving) progress(p events.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = p
	if s.owing = !finished(p) && time.Since(s.told) < progressPause; !s.owing {
		s.emit()
	}
}

// emit must be called with the lock held.
func (s *serving) emit() {
	s.last.Spend, s.told, s.owing = s.host.Spent(), time.Now(), false
	told := s.last
	s.sink.Emit(events.Event{Type: events.StageProgress, Address: s.address, Progress: &told})
}

// hostedMap is a Map call whose first message contains the host's address and
// the inputs other than the rows.
type hostedMap struct {
	pluginv1.PluginService_MapClient
	host   address
	chats  int64
	inputs map[string]*pluginv1.Artifact
}

func (c *hostedMap) Send(req *pluginv1.MapRequest) error {
	if req.GetStart() != nil {
		req.HostSocket, req.Host, req.OpenaiApi = c.host.Socket, c.host.Broker, c.host.openai
		req.OpenChats, req.Inputs = c.chats, c.inputs
	}
	return c.PluginService_MapClient.Send(req)
}
