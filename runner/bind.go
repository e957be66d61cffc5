package runner

import (
	"fmt"

	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/failure"
	"github.com/quern-dev/quern/runner/stage"
)

// binder evaluates what nodes waited for and finds their inputs, which are in
// the state by that time.
type binder struct {
	nodes     map[string]*plan.Node
	models    map[string]*plan.Model
	values    *values
	state     *saver
	artifacts *stage.Artifacts
	languages *stage.Languages
	redactor  *secret.Redactor
}

func (b *binder) bind(n *plan.Node) (*stage.Stage, error) {
	refs, secrets := n.Body.Refs()
	bound, diags := n.Body.Bind(b.values.vars(refs, secrets))
	if diags.HasErrors() {
		return nil, &failure.Diagnosed{Diagnostics: diags}
	}
	stage.Conceal(b.redactor, bound)
	inputs := make(map[string]*stage.Input, len(bound.Inputs))
	for key, of := range bound.Inputs {
		in, err := b.input(key, of)
		if err != nil {
			return nil, err
		}
		inputs[key] = in
	}
	return stage.New(n, bound, inputs, b.values.secrets)
}

// input returns a language model, or the artifact that an upstream instance
// produced.
func (b *binder) input(key string, of *plan.Input) (*stage.Input, error) {
	if m := b.models[of.Address]; m != nil {
		l, err := b.language(m)
		if err != nil {
			return nil, err
		}
		return stage.NewLanguage(key, of, l), nil
	}
	upstream := b.nodes[of.Address]
	if upstream == nil {
		return nil, fmt.Errorf("the plan has no %s, which argument %q needs", of.Address, key)
	}
	port, ok := upstream.Port(of.Port)
	if !ok {
		return nil, fmt.Errorf("%s has no output %q, which argument %q needs", of.Address, of.Port, key)
	}
	inst, ok := b.state.instance(of.Address)
	if !ok {
		return nil, &failure.Input{Address: of.Address, Err: fmt.Errorf("it is not in the state; make a new plan")}
	}
	ref, ok := inst.Output(of.Port)
	if !ok {
		return nil, &failure.Input{Address: of.Address, Err: fmt.Errorf("it has no output %q", of.Port)}
	}
	a, err := b.artifacts.Get(ref)
	if err != nil {
		return nil, &failure.Input{Address: of.Address, Err: err}
	}
	in, err := stage.NewInput(key, of, port, ref, a)
	if err == nil {
		in.Plugin, in.Action = upstream.Plugin, inst.ActionKey
		if check, ok := inst.Contracts[of.Port]; ok {
			in.Action = check.Key
		}
	}
	return in, err
}

func (b *binder) language(m *plan.Model) (*stage.Language, error) {
	return b.languages.Bind(m, stage.Scope{Secrets: b.values.secrets, Vars: b.values.vars, Wrapped: b.input})
}
