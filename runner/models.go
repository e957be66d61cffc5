package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/modelhost"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/responses"
)

// newHub creates what the stages of this run that call models share.
func (r *run) newHub() *modelhost.Hub {
	return modelhost.NewHub(r.hard, modelhost.Options{
		Budget: modelhost.NewBudget(r.plan.Budget), Limits: modelhost.NewLimits(),
		Cache:  func() (*responses.Cache, error) { return r.Store.Responses(r.warn) },
		Report: r.warn, Notice: func(text string) { r.tell("Waiting for a model", text) },
		Secrets: r.redactor, Seal: r.Store.Seal,
	})
}

// closeHub waits for answers that are paid for, and closes the cache. It
// may be called again.
func (r *run) closeHub() {
	if err := r.hub.Close(); err != nil {
		r.warn(fmt.Errorf("close the cached answers: %w", err))
	}
}

// warn reports a problem that did no harm to the run.
func (r *run) warn(err error) { r.tell("Continuing despite a problem", err.Error()) }

// tell shows the user a warning while the run goes on.
func (r *run) tell(summary, detail string) {
	d := diag.Warningf(nil, summary, "%s", r.redactor.Text(detail))
	r.mu.Lock()
	r.warnings = append(r.warnings, d)
	r.mu.Unlock()
	r.emit(events.Event{Type: events.Warning, Diagnostics: events.FromHCL(hcl.Diagnostics{d})})
}

// languages are the language models of a run, each bound once.
type languages struct {
	mu        sync.Mutex
	byAddress map[string]*modelhost.Language
}

// language binds a model block.
func (r *run) language(m *plan.Model) (*modelhost.Language, error) {
	r.languages.mu.Lock()
	defer r.languages.mu.Unlock()
	if l := r.languages.byAddress[m.Address]; l != nil {
		return l, nil
	}
	l, err := r.bindLanguage(m)
	if err != nil {
		return nil, err
	}
	if r.languages.byAddress == nil {
		r.languages.byAddress = map[string]*modelhost.Language{}
	}
	r.languages.byAddress[m.Address] = l
	return l, nil
}

func (r *run) bindLanguage(m *plan.Model) (*modelhost.Language, error) {
	refs, secrets := m.Body.Refs()
	values := r.vars(refs, secrets)
	bound, diags := m.Body.Bind(values)
	if diags.HasErrors() {
		return nil, &failure{diags}
	}
	r.conceal(bound)
	// What the planner makes the definition key of, too.
	n := &plan.Node{
		Address: m.Address, Kind: kind.Model, Type: m.Type, Plugin: m.Plugin, Mode: plan.ModeModel, Behavior: m.Behavior, Body: m.Body,
		Outputs: []plan.Port{{Kind: plan.KindModel, Format: plan.FormatRemote, Capabilities: m.Info.Capabilities}},
	}
	definition := m.Definition
	if definition == "" {
		var err error
		if definition, _, err = fingerprint.Definition(n, bound.Body, r.seal); err != nil {
			return nil, err
		}
		if definition == "" {
			return nil, fmt.Errorf("the definition of %s depends on values that are not known yet", m.Address)
		}
	}
	instance, err := bound.Instance(n, nil)
	if err != nil {
		return nil, err
	}
	return &modelhost.Language{
		Address: m.Address, Name: textAttr(bound.Config, "name"), Plugin: m.Plugin, Definition: definition,
		Instance: instance, Info: m.Info, Defaults: parameters(bound.Config), Secrets: secretTexts(bound, r.secrets(secrets)), Connect: r.connect(m.Plugin),
	}, nil
}

// Refused says that a plan was not begun.
type Refused struct{ Diagnostics hcl.Diagnostics }

func (e *Refused) Error() string { return e.Diagnostics.Error() }

// checkModels asks the plugins of the models that stages will call whether
// they can be called, before anything is done: a missing key should show at
// once, rather than after hours of work. Where the stage may do without a call,
// it is a warning.
func (r *run) checkModels(ctx context.Context) error {
	var errs hcl.Diagnostics
	called := r.called()
	for _, address := range slices.Sorted(maps.Keys(called)) {
		m := r.plan.Models[address]
		if len(m.DependsOn) > 0 {
			continue // its arguments are not known yet
		}
		l, err := r.language(m)
		if err != nil {
			return err
		}
		client, err := l.Connect(ctx)
		if err != nil {
			continue // the first call reports it
		}
		resp, err := client.CheckModel(ctx, &pluginv1.CheckModelRequest{Model: l.Instance})
		if err != nil || resp.GetError() == nil {
			continue // nothing is known, which is what older plugins say by an error
		}
		reason := fmt.Sprintf("%s: %s.", address, l.Redact(resp.GetError().GetMessage()))
		if !called[address] {
			r.tell("A model cannot be called", reason)
			continue
		}
		errs = append(errs, diag.Errorf(m.Range.Ptr(), "The model cannot be called", "%s No stage was started.", reason))
	}
	if len(errs) > 0 {
		return &Refused{errs}
	}
	return nil
}

// called are the language models that stages call; true: as far as is known
// they will, since their answers are not in the store.
func (r *run) called() map[string]bool {
	models := map[string]bool{}
	for _, n := range r.todo {
		if n.Action != plan.Run && n.Action != plan.MayRun || n.Body == nil {
			continue
		}
		calls := n.Estimate.Calls
		if calls != nil && *calls == 0 {
			continue
		}
		_, made := r.saver.instance(n.Address)
		sure := !n.Estimate.CallsAtMost && (calls != nil || !made)
		n.Body.Inputs(func(in *plan.Input) {
			if r.plan.Models[in.Address] != nil {
				models[in.Address] = models[in.Address] || sure
			}
		})
	}
	return models
}

// parameters are what a model's block says of requests, by the names that
// providers have in common.
func parameters(config cty.Value) llm.Request {
	return llm.Request{
		Temperature: numberAttr(config, "temperature"), TopP: numberAttr(config, "top_p"),
		MaxTokens: wholeAttr(config, "max_tokens"), Seed: wholeAttr(config, "seed"), Stop: textsAttr(config, "stop"),
	}
}

// attr is an argument's value; null where there is none.
func attr(config cty.Value, name string, want cty.Type) cty.Value {
	if !config.Type().HasAttribute(name) {
		return cty.NullVal(want)
	}
	v, err := convert.Convert(config.GetAttr(name), want)
	if err != nil {
		return cty.NullVal(want) // a type's own argument of that name
	}
	return v
}

func textAttr(config cty.Value, name string) string {
	if v := attr(config, name, cty.String); !v.IsNull() {
		return v.AsString()
	}
	return ""
}

func numberAttr(config cty.Value, name string) *float64 {
	v := attr(config, name, cty.Number)
	if v.IsNull() {
		return nil
	}
	f, _ := v.AsBigFloat().Float64()
	return &f
}

func wholeAttr(config cty.Value, name string) *int64 {
	v := attr(config, name, cty.Number)
	if v.IsNull() {
		return nil
	}
	n, _ := v.AsBigFloat().Int64()
	return &n
}

func textsAttr(config cty.Value, name string) (texts []string) {
	v := attr(config, name, cty.List(cty.String))
	if v.IsNull() {
		return nil
	}
	for _, e := range v.AsValueSlice() {
		if !e.IsNull() {
			texts = append(texts, e.AsString())
		}
	}
	return texts
}

// secretTexts are the texts that are sensitive in a model's block.
func secretTexts(bound *plan.Bound, variables map[string]cty.Value) []string {
	var texts []string
	for _, v := range slices.AppendSeq(slices.Clone(bound.Secrets), maps.Values(variables)) {
		_ = cty.Walk(v, func(_ cty.Path, v cty.Value) (bool, error) {
			if v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
				texts = append(texts, v.AsString())
			}
			return true, nil
		})
	}
	return texts
}

// connect starts a plugin when it does not run yet.
func (r *run) connect(plugin string) func(context.Context) (pluginv1.PluginServiceClient, error) {
	return func(ctx context.Context) (pluginv1.PluginServiceClient, error) {
		p, err := r.Plugins.Client(ctx, plugin)
		if err != nil {
			return nil, err
		}
		return p.Service(), nil
	}
}

// languageInput is an argument that holds a model block.
func (r *run) languageInput(key string, of *plan.Input, m *plan.Model) (*input, *pluginv1.Input, error) {
	l, err := r.language(m)
	if err != nil {
		return nil, nil, err
	}
	port := &plan.Port{Kind: plan.KindModel, Format: plan.FormatRemote, Capabilities: m.Info.Capabilities}
	return &input{
		key: key, of: of, plugin: m.Plugin, language: l,
		ref:      artifact.Ref{Kind: artifact.Model, Digest: l.Definition},
		artifact: &artifact.Artifact{Kind: artifact.Model, ModelFormat: plan.FormatRemote},
	}, plan.InputPort(port, nil), nil
}

// serving is the host of one run of a stage, and tells what it spends.
type serving struct {
	run  *run
	work *work
	res  *StageResult
	host *modelhost.Host
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
func (r *run) serve(ctx context.Context, w *work, res *StageResult, artifacts map[string]*pluginv1.Artifact) *serving {
	s := &serving{run: r, work: w, res: res, stopped: make(chan struct{}), gone: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	opts := modelhost.StageOptions{Models: r.models(w, artifacts), Late: map[string]modelhost.Late{}, Fresh: forced(w.Node), End: s.cancel}
	for key, row := range w.bound.Rows {
		if row.Late {
			opts.Late[key] = modelhost.Late{Expr: row.Expr, Vars: r.vars(nil, row.Expr.Secrets)}
		}
	}
	s.needed = len(opts.Models)+len(opts.Late) > 0
	s.host = r.hub.Stage(opts)
	go s.tell()
	return s
}

// models are the model inputs, served by the plugins that made them.
func (r *run) models(w *work, artifacts map[string]*pluginv1.Artifact) map[string]modelhost.Model {
	models := map[string]modelhost.Model{}
	for key, in := range w.inputs {
		if in.of.Kind == plan.KindModel {
			models[key] = modelhost.Model{Language: in.language, Artifact: artifacts[key], Plugin: in.plugin, Connect: r.connect(in.plugin)}
		}
	}
	return models
}

// on serves the host to the stage's plugin; id is 0 where there is no need.
func (s *serving) on(p *client.Plugin) (id uint32, stop func()) {
	if !s.needed {
		return 0, func() {}
	}
	return p.Host(s.host)
}

// openChats is how many requests the stage's plugin should ask language models
// at a time: as many as can be under way, and as many that are there when one of
// those is answered. 0: it was given no language model.
func (s *serving) openChats() int64 { return 2 * concurrentCalls(s.work) }

// concurrentCalls is how many calls of the language models that a stage was
// given are under way at a time, at most.
func concurrentCalls(w *work) int64 {
	calls := int64(0)
	for _, in := range w.inputs {
		if in.language != nil {
			calls += modelhost.MostConcurrent(in.language.Info)
		}
	}
	return calls
}

// close notes what was spent.
func (s *serving) close() {
	s.cancel(nil)
	s.host.Close()
	close(s.stopped)
	<-s.gone
	s.res.Spend.Add(s.host.Spent())
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
	s.run.emit(events.Event{Type: events.StageProgress, Address: s.work.Address, Progress: &told})
}

// hostedMap is a Map call whose first message tells of the host and of the
// inputs beside the rows.
type hostedMap struct {
	pluginv1.PluginService_MapClient
	host   uint32
	chats  int64
	inputs map[string]*pluginv1.Artifact
}

func (c *hostedMap) Send(req *pluginv1.MapRequest) error {
	if req.GetStart() != nil {
		req.Host, req.OpenChats, req.Inputs = c.host, c.chats, c.inputs
	}
	return c.PluginService_MapClient.Send(req)
}

// spendOf is what is recorded of calls; nil: there were none.
func spendOf(s llm.Spend) *llm.Spend {
	if s == (llm.Spend{}) {
		return nil
	}
	return &s
}

// hopeless says whether calls of models would fail again in the same way.
func hopeless(err error) bool {
	var budget *modelhost.BudgetReached
	var price *modelhost.NoPrice
	var denied *modelhost.Denied
	var postponed *modelhost.Postponed
	return errors.As(err, &budget) || errors.As(err, &price) || errors.As(err, &denied) || errors.As(err, &postponed)
}
