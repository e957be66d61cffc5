package local

import (
	"context"
	"sync"
	"time"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/modelhost"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// serving is the host of one run of a stage, and tells what it spends.
type serving struct {
	sink    events.Sink
	address string
	calls   int64      // of language models that are under way at a time, at most
	spend   *llm.Spend // what the task's calls came to
	host    *modelhost.Host
	// ctx ends when the stage cannot go on.
	ctx    context.Context
	cancel context.CancelCauseFunc
	needed bool // the stage has something to ask the host for

	mu    sync.Mutex
	last  events.Progress
	told  time.Time
	owing bool // last is not told yet

	stopped chan struct{} // closed to end the telling
	gone    chan struct{}
}

// serve makes the host of a stage. The caller closes it.
func (a *attempt) serve(ctx context.Context, artifacts map[string]*pluginv1.Artifact) *serving {
	s := &serving{
		sink: a.run.Events, address: a.Address, calls: a.ConcurrentCalls(), spend: &a.res.Spend,
		stopped: make(chan struct{}), gone: make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	opts := modelhost.StageOptions{Models: a.models(artifacts), Late: map[string]modelhost.Late{}, Fresh: stage.Forced(a.Node), End: s.cancel}
	for key, row := range a.Bound.Rows {
		if row.Late {
			opts.Late[key] = modelhost.Late{Expr: row.Expr, Vars: a.Secrets.Vars(row.Expr.Secrets)}
		}
	}
	s.needed = len(opts.Models)+len(opts.Late) > 0
	s.host = a.hub.Stage(opts)
	go s.tell()
	return s
}

// models are the model inputs, served by the plugins that made them.
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

// on serves the host to the stage's plugin. The address is zero if there is
// nothing to serve.
func (s *serving) on(p *client.Plugin) (address client.HostAddress, stop func(), err error) {
	if !s.needed {
		return client.HostAddress{}, func() {}, nil
	}
	return p.Host(s.host)
}

// openChats is how many requests the stage's plugin should ask language models
// at a time: as many as can be under way, and as many that are there when one of
// those is answered. 0: it was given no language model.
func (s *serving) openChats() int64 { return 2 * s.calls }

// close notes what was spent.
func (s *serving) close() {
	s.cancel(nil)
	s.host.Close()
	close(s.stopped)
	<-s.gone
	s.spend.Add(s.host.Spent())
}

// outcome is how the stage ended: the host's reason explains an error of the
// plugin, and counts also when the plugin has made do without an answer.
func (s *serving) outcome(err error) error {
	if cause := s.host.Err(); cause != nil {
		return cause
	}
	return err
}

// spendPause is the time between two tellings of what a stage spends.
const spendPause = 500 * time.Millisecond

// tell tells of spending also while the stage says nothing of itself, and of
// progress that came too soon after another.
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

// progress reports how far the stage is, and what it has spent: at once or, soon
// after another time, a little later.
func (s *serving) progress(p events.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = p
	if s.owing = !finished(p) && time.Since(s.told) < progressPause; !s.owing {
		s.emit()
	}
}

// emit is called under the lock.
func (s *serving) emit() {
	s.last.Spend, s.told, s.owing = s.host.Spent(), time.Now(), false
	told := s.last
	s.sink.Emit(events.Event{Type: events.StageProgress, Address: s.address, Progress: &told})
}

// hostedMap is a Map call whose first message tells of the host and of the
// inputs beside the rows.
type hostedMap struct {
	pluginv1.PluginService_MapClient
	host   client.HostAddress
	chats  int64
	inputs map[string]*pluginv1.Artifact
}

func (c *hostedMap) Send(req *pluginv1.MapRequest) error {
	if req.GetStart() != nil {
		req.HostSocket, req.Host = c.host.Socket, c.host.Broker
		req.OpenChats, req.Inputs = c.chats, c.inputs
	}
	return c.PluginService_MapClient.Send(req)
}
