// Package prepare is the third phase of planning. Plugins validate the
// instances of a level and say which columns, models, and values they will
// produce, and sources report their current content.
package prepare

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/planner/condition"
	"github.com/quern-dev/quern/planner/decode"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/phase"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/processes"
	"github.com/quern-dev/quern/planner/terms"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/state"
)

// batchSize is the maximum number of instances in a Prepare call: enough to
// make the cost of calls negligible, few enough for two processors to share a
// level.
const batchSize = 512

// Preparer prepares the instances of a module.
type Preparer struct {
	*module.Module
	Context    context.Context
	Conditions *condition.Conditions
	Processes  *processes.Processes
	Cache      *Cache
	Pins       *Pins
	// Prior contains the instances in the state, by address.
	Prior map[string]*state.Instance
	// Refresh reads sources. If it is false, the state is trusted.
	Refresh bool
	// Columns, if not nil, returns the columns of an output of a source in Prior,
	// which then count instead of those that its content has now.
	Columns func(prior *state.Instance, port string) data.Schema
}

// Instance is an instance that its plugin has prepared. Its node has what the
// plugin derived from the configuration: outputs, the type of its values, what
// it reads, and, for a source, the fingerprint.
type Instance struct {
	*decode.Instance
	// Question is the key under which the plugin's answer is cached.
	Question string
	// Summary is the summary of a source's fingerprint.
	Summary string
	// Calls are the requests to models for each row.
	Calls []*pluginv1.ModelCalls
	// Selections say which rows of inputs its datasets consist of, by output.
	Selections map[string][]*pluginv1.Selection
	// ChecksSample is set if the plugin wants to see rows before the stage runs.
	ChecksSample bool
	// Overlaps are the input keys of models that the lineage shows to be
	// evaluated on rows that they were trained on.
	Overlaps []string
	// Contracts of the outputs.
	Contracts []*terms.Contract
	// Model is set for a language model, and Block is its block as the plugin sees
	// it.
	Model *plan.Model
	Block *pluginv1.Instance
}

// question is what a plugin is asked about an instance, and its answer.
type question struct {
	*Instance
	asked  *pluginv1.Instance
	answer *pluginv1.Prepared
	failed bool
}

// Prepare has plugins prepare the instances of a level, many in one call. It
// reports those with errors and leaves them out of the result.
func (p *Preparer) Prepare(level []*decode.Instance) []*Instance {
	questions := phase.Each(p.Context, level, p.question)
	// Sources are read first: if the content of a source has not changed since
	// it was prepared, there is nothing to prepare. Without its content, an answer
	// about a source is not cached.
	questions = phase.Waiting(p.Context, Lookers, questions, func(q *question) *question {
		_, before := p.Cache.lookup(q.Question)
		if (before || p.Prior[q.Address] != nil) && !p.look(q.Instance) {
			return nil
		}
		return q
	})
	p.ask(questions)
	p.takeStored(questions)
	p.Report(p.Pins.take(questions)...)
	prepared := phase.Each(p.Context, questions, p.finish)
	return phase.Waiting(p.Context, Lookers, prepared, func(n *Instance) *Instance {
		if n.Fingerprint == "" && !p.look(n) {
			return nil
		}
		return n
	})
}

// takeStored gives sources the columns of their results in Prior.
func (p *Preparer) takeStored(questions []*question) {
	if p.Columns == nil {
		return
	}
	for _, q := range questions {
		prior := p.Prior[q.Address]
		if q.Mode != plan.ModeRead || prior == nil || q.failed {
			continue
		}
		for _, o := range q.answer.GetOutputs() {
			if columns := p.Columns(prior, o.GetName()); columns != nil {
				o.Columns = columns.Proto()
			}
		}
	}
}

// question returns the question that the plugin is asked about an instance.
func (p *Preparer) question(n *decode.Instance) *question {
	asked, err := n.Proto()
	if err != nil {
		p.Processes.Faulty(n.Node, err)
		return nil
	}
	asked.Pins = p.Pins.given(n.Plugin)
	key := p.Cache.key(p.Processes.Program(n.Plugin), asked)
	return &question{Instance: &Instance{Instance: n, Question: key}, asked: asked}
}

// ask finds the answers to questions: from the cache, or from plugins.
func (p *Preparer) ask(questions []*question) {
	byPlugin := map[string][]*question{}
	for _, q := range questions {
		if q.answer = p.Cache.answer(q.Question, q.Fingerprint); q.answer == nil {
			byPlugin[q.Plugin] = append(byPlugin[q.Plugin], q)
		}
	}
	var batches [][]*question
	for _, plugin := range ordered.Keys(byPlugin) {
		batches = slices.AppendSeq(batches, slices.Chunk(byPlugin[plugin], batchSize))
	}
	parallel.For(len(batches), len(batches), func(i int) { p.askBatch(batches[i]) })
}

func (p *Preparer) askBatch(questions []*question) {
	prepared, err := p.call(questions)
	if err != nil {
		for _, q := range questions {
			q.failed = true
		}
		p.Processes.Failed(questions[0].Node, "prepare "+questions[0].Address, err)
		return
	}
	for i, q := range questions {
		q.answer = prepared[i]
		if p.Processes.Reveals(q.Node, q.answer) || p.heard(q.Node, q.answer.GetDiagnostics()) {
			q.failed = true
			continue // an answer that reveals a secret must not be in the cache
		}
		if (q.Mode != plan.ModeRead || q.Fingerprint != "") && isPinned(q.asked, q.answer) {
			p.Cache.remember(q.Question, q.Fingerprint, q.answer)
		}
	}
}

// heard reports a plugin's diagnostics about an instance, and whether the instance
// is unusable. If a validation has no value for an argument and the plugin
// therefore cannot use it, that is not an error; whatever depends on it is not
// checked.
func (p *Preparer) heard(n *plan.Node, all []*pluginv1.Diagnostic) bool {
	open := false
	if p.Validating {
		all = slices.DeleteFunc(slices.Clone(all), func(d *pluginv1.Diagnostic) bool {
			assumed := d.Severity != pluginv1.Diagnostic_SEVERITY_WARNING && p.assumes(n, d.Argument)
			open = open || assumed
			return assumed
		})
	}
	return p.Processes.Heard(n, all) || open
}

// assumes reports whether an argument of an instance, or any argument if key is
// empty, comes from a variable without a value.
func (p *Preparer) assumes(n *plan.Node, key string) bool {
	found := false
	n.Body.Expressions(func(k string, _ *plan.Arg, e *expr.Compiled) {
		if key == "" || k == key || strings.HasPrefix(k, key+".") || strings.HasPrefix(key, k+".") {
			found = found || slices.ContainsFunc(e.Secrets, func(name string) bool { return !p.Secrets.IsGiven(name) })
		}
	})
	return found
}

func (p *Preparer) call(questions []*question) ([]*pluginv1.Prepared, error) {
	req := &pluginv1.PrepareRequest{Instances: make([]*pluginv1.Instance, len(questions))}
	for i, q := range questions {
		req.Instances[i] = q.asked
	}
	service, err := p.Processes.Service(questions[0].Plugin)
	if err != nil {
		return nil, err
	}
	resp, err := service.Prepare(p.Context, req)
	if err != nil {
		return nil, err
	}
	if len(resp.Prepared) != len(questions) {
		return nil, fmt.Errorf("it was asked about %d instances and answered for %d; this is a bug in the plugin", len(questions), len(resp.Prepared))
	}
	return resp.Prepared, nil
}

// finish adds an answer to the instance. It returns nil if the instance has
// errors.
func (p *Preparer) finish(q *question) *Instance {
	if q.failed || q.answer == nil {
		return nil
	}
	n := &answered{Instance: q.Instance, prepared: q.answer}
	if err := n.takeFiles(); err != nil {
		p.Processes.Faulty(n.Node, err)
		return nil
	}
	if err := n.takePins(); err != nil {
		p.Processes.Faulty(n.Node, err)
		return nil
	}
	if n.Mode == plan.ModeModel {
		n.takeModel()
		n.Block = q.asked
		n.Block.Pins = n.Pins
		return n.Instance
	}
	if err := n.takeOutputs(); err != nil {
		p.Processes.Faulty(n.Node, err)
		return nil
	}
	for _, check := range []func() hcl.Diagnostics{n.checkFeatures, n.checkColumns, n.checkPrompts, n.checkProduced, n.checkBatches} {
		if n.Stage.Module.Report(check()...) {
			return nil
		}
	}
	n.Stage.Module.Report(n.checkOverlap()...)
	n.takeReads()
	n.takeFeatures()
	n.takeEstimate()
	var ok bool
	if n.Contracts, ok = terms.Compile(n.Instance.Instance.Instance); !ok {
		return nil
	}
	if !p.Conditions.Decode(n.Instance.Instance.Instance) {
		return nil
	}
	return n.Instance
}

func mark(set map[string]bool, names []string) {
	for _, name := range names {
		set[name] = true
	}
}
