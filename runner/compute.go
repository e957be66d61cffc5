package runner

import (
	"context"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/engine"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/failure"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/runner/walk"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/state"
)

// computer provides the results of stages whose results are in the store. It
// looks there first, and has an engine compute what is missing.
type computer struct {
	*binder
	checker     *checker
	contracts   *contracts
	publisher   *publisher
	sources     *stage.Sources
	engine      engine.Engine
	locks       keyLocks
	environment string
	soft        context.Context // ends when a graceful stop is requested
}

func (c *computer) compute(ctx context.Context, n *plan.Node, res *StageResult) error {
	s, err := c.bind(n)
	if err != nil {
		return err
	}
	defer func() { res.Diagnostics = append(res.Diagnostics, s.Warnings...) }()
	if err := c.checker.check(n, plan.WhenPre); err != nil {
		return err
	}
	of := &computed{Stage: s}
	if of.content, err = c.look(s); err != nil {
		return err
	}
	if of.Keys, err = s.Keys(of.content.Fingerprint, c.values.seal); err != nil {
		return err
	}
	defer c.locks.lock(of.Keys.Action)()
	entry, err := c.publisher.existing(of)
	if err != nil {
		return err
	}
	res.Action = plan.Reuse
	if prior, ok := c.state.instance(n.Address); ok && prior.ActionKey == of.Keys.Action {
		res.Action = plan.Keep
	}
	if entry == nil {
		res.Action = plan.Run
		if entry, err = c.run(ctx, of, res); err != nil {
			return err
		}
	}
	return c.settle(ctx, of, entry, res)
}

// look returns the content of a source if the plan does not contain it.
func (c *computer) look(s *stage.Stage) (stage.Content, error) {
	content := stage.Content{Fingerprint: s.Fingerprint, Memo: s.Memo}
	if s.Mode != plan.ModeRead || content.Fingerprint != "" {
		return content, nil
	}
	if prior, ok := c.state.instance(s.Address); ok && prior.Type == s.Type {
		content.Memo = prior.Memo
	}
	ctx, end := failure.WithTimeout(c.soft, s.Timeout)
	defer end()
	content, err := c.sources.Look(ctx, s, content.Memo)
	if err != nil && ctx.Err() != nil {
		return content, context.Cause(ctx)
	}
	return content, err
}

// run has the engine execute a stage, and publishes the result.
func (c *computer) run(ctx context.Context, of *computed, res *StageResult) (*action.Entry, error) {
	result, err := c.engine.Execute(ctx, c.task(of))
	if err != nil {
		return nil, err
	}
	of.Warnings = append(of.Warnings, events.ToHCL(result.Warnings)...)
	res.Spend.Add(result.Spend)
	if result.Failure != nil {
		return nil, result.Failure
	}
	res.RowsIn, res.NewRows, res.ComputedRows = result.Rows.In, result.Rows.New, result.Rows.Computed
	res.ReusedRows, res.FailedRows = result.Rows.Reused, result.Rows.Failed
	if result.Pending != nil {
		c.publisher.wait(of, result.Pending)
		res.ActionKey, res.Pending = of.Keys.Action, result.Pending
		return nil, walk.ErrPending
	}
	if of.Mode == plan.ModeRead {
		of.content.Memo = result.Memo
	}
	return c.publisher.commit(of, result, res.Spend)
}

// task returns a stage as an engine receives it.
func (c *computer) task(of *computed) *engine.Task {
	node := *of.Node
	node.Body = of.Bound.Body
	node.Contracts = nil
	node.Outputs = slices.DeleteFunc(slices.Clone(of.Outputs), func(p plan.Port) bool { return p.Violations })
	t := &engine.Task{
		Format: engine.Format, Node: &node, Inputs: map[string]engine.Input{}, Models: map[string]*plan.Model{}, Wrapped: map[string]engine.Input{}, Secrets: map[string]value.Value{},
		Definition: of.Definition, Key: of.Keys.Action, Rows: of.Keys.Rows,
		Fingerprint: of.content.Fingerprint, Memo: of.content.Memo, Environment: c.environment,
	}
	for key, in := range of.Inputs {
		if in.Language == nil {
			t.Inputs[key] = given(in)
			continue
		}
		t.Models[in.Of.Address] = in.Language.Model
		if wrapped := in.Language.Wrapped; wrapped != nil {
			t.Wrapped[in.Of.Address] = given(wrapped)
		}
	}
	for name, v := range c.values.secrets {
		t.Secrets[name] = value.Value{Value: unmarked(v)}
	}
	if prior := c.publisher.prior(of); prior != nil {
		t.Prior = prior.Outputs
		if of.Mode == plan.ModeRead {
			t.PriorPart = c.publisher.priorPart(prior)
		}
	}
	return t
}

// given returns an artifact as an engine receives it.
func given(in *stage.Input) engine.Input {
	return engine.Input{Ref: in.Ref, Port: in.Port, Plugin: in.Plugin, Action: in.Action}
}

// settle writes the result to the state and lets expressions see it. A result
// that violates a contract or whose postconditions are not met stays in the store,
// but is not written to the state.
func (c *computer) settle(ctx context.Context, of *computed, entry *action.Entry, res *StageResult) error {
	checked, err := c.contracts.check(ctx, of.Node, entry.Key, entry.Outputs, res)
	if err != nil {
		return err
	}
	made, err := c.publisher.made(of, entry, checked)
	if err != nil {
		return err
	}
	res.Outputs = digests(entry.Outputs, checked)
	res.Rows, res.ActionKey, res.Value = rowsOf(of.Stage, made), of.Keys.Action, made.Value
	warnOverlap(of.Stage, made.Value)
	if err := c.values.reveal(of.Node, made); err != nil {
		return err
	}
	if err := c.checker.check(of.Node, plan.WhenPost); err != nil {
		return err
	}
	c.publisher.settle(of, entry, checked)
	return nil
}

// digests returns the digests of a result and of the violations of its contracts, by
// port.
func digests(outputs map[string]artifact.Ref, checked map[string]state.Checked) map[string]string {
	all := map[string]string{}
	for port, ref := range outputs {
		all[port] = ref.Digest
	}
	for port, c := range checked {
		all[port] = c.Violations.Digest
	}
	return all
}

// rowsOf returns the number of rows of a stage: of the dataset that it is, of all
// its datasets if it is none itself, or, for a stage that produces a model or a
// report, of its input.
func rowsOf(s *stage.Stage, made *plan.Made) int64 {
	rows := int64(0)
	main, ok := s.Port("")
	if ok && main.Kind == plan.KindDataset {
		return made.Outputs[""].Rows
	}
	if ok {
		for _, in := range s.Inputs {
			if d := in.Artifact.Dataset; d != nil {
				rows = max(rows, d.Rows)
			}
		}
		return rows
	}
	for port, a := range made.Outputs {
		if p, declared := s.Port(port); declared && port != stage.PortErrors && !p.Violations {
			rows += a.Rows
		}
	}
	return rows
}

// warnOverlap warns about rows that a model was both trained and evaluated on,
// unless the plan has already done so.
func warnOverlap(s *stage.Stage, v cty.Value) {
	if s.OverlapType() == cty.NilType || v == cty.NilVal || !v.Type().HasAttribute(plan.OverlapName) || s.Action == plan.Keep || s.Action == plan.Reuse {
		return
	}
	names := s.OverlapSubjects()
	for _, key := range slices.Sorted(maps.Keys(names)) {
		in := s.Inputs[key]
		d := plan.ReadOverlap(v.GetAttr(plan.OverlapName), names[key]).Warning(s.RangeOf(key), in.Of.Address, in.Features)
		if d != nil {
			s.Warnings = append(s.Warnings, d)
		}
	}
}
