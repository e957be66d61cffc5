package runner

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/planner/contract"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/audit"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/failure"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/state"
)

// contracts checks results by the contracts of their stages, before anything else
// sees them.
type contracts struct {
	store     *store.Store
	state     *saver
	artifacts *stage.Artifacts
	run       string
	// environment is the one whose state has the results.
	environment string
	now         time.Time // of the plan, which the freshness of data is measured at
}

// check checks the result of an action and returns the checks by the port of their
// violations. If a rule is violated whose severity is error, the result goes to the
// state as rejected, and the error is a *failure.Diagnosed.
func (c *contracts) check(ctx context.Context, n *plan.Node, key string, outputs map[string]artifact.Ref, res *StageResult) (map[string]state.Checked, error) {
	if len(n.Contracts) == 0 {
		return nil, nil
	}
	res.Contracts = nil
	checked := map[string]state.Checked{}
	var found hcl.Diagnostics
	for _, terms := range n.Contracts {
		findings, check, err := c.one(ctx, n, terms, key, outputs[terms.Output])
		if err != nil {
			return nil, fmt.Errorf("check the contract: %w", err)
		}
		checked[terms.Violations()] = check
		found = append(found, contract.Diagnose(findings, c.environment, n.Address, terms)...)
		res.Contracts = append(res.Contracts, reported(terms, findings))
	}
	warnings := slices.DeleteFunc(slices.Clone(found), func(d *hcl.Diagnostic) bool { return d.Severity == hcl.DiagError })
	res.Diagnostics = append(res.Diagnostics, warnings...)
	if violated := errorsOf(found); len(violated) > 0 {
		c.state.setRejected(n.Address, &state.Rejected{Kind: n.Kind, Type: n.Type, ActionKey: key, Outputs: outputs, Contracts: checked, Run: c.run, Updated: time.Now().UTC()})
		return nil, &failure.Diagnosed{Diagnostics: violated}
	}
	return checked, nil
}

// one checks one contract, or finds that the check was made before.
func (c *contracts) one(ctx context.Context, n *plan.Node, terms *plan.Contract, maker string, ref artifact.Ref) ([]contract.Finding, state.Checked, error) {
	a, err := c.artifacts.Get(ref)
	if err != nil {
		return nil, state.Checked{}, err
	}
	if a.Dataset == nil {
		return nil, state.Checked{}, fmt.Errorf("the output %q of %s is not a dataset", terms.Output, n.Address)
	}
	var missing error
	key, fields, _, err := contract.Key(terms, a.Dataset, func(of *plan.Input) *dataset.Manifest {
		m, err := c.dataset(of)
		missing = err
		return m
	})
	if err == nil {
		err = missing
	}
	if err != nil {
		return nil, state.Checked{}, err
	}
	entry, err := c.existing(key)
	if err == nil && entry == nil {
		entry, err = c.audit(ctx, terms, a.Dataset, &action.Entry{
			Key: key, Definition: key, Address: n.Address, Preimage: preimage(fields), Created: time.Now().UTC(), Run: c.run,
			Inputs: []action.InputRef{{Address: n.Address, Port: terms.Output, Digest: ref.Digest, Action: maker}},
		})
	}
	if err != nil {
		return nil, state.Checked{}, err
	}
	figures, err := contract.Load(entry.Value)
	return contract.Judge(terms, figures, a.Dataset.Rows, c.now), state.Checked{Key: key, Violations: entry.Outputs[contract.Port]}, err
}

// existing returns the entry of an earlier check, or nil if there is none that can be
// used.
func (c *contracts) existing(key string) (*action.Entry, error) {
	if err := c.store.Hold(key); err != nil {
		return nil, err
	}
	entry, err := c.store.Actions.Get(key)
	if err != nil || entry == nil {
		return nil, nil // a damaged entry is set aside
	}
	if _, err := artifact.Present(c.store.Blobs, entry.Outputs[contract.Port]); err != nil {
		return nil, nil
	}
	return entry, nil
}

// audit reads the rows and publishes what it found in the given entry.
func (c *contracts) audit(ctx context.Context, terms *plan.Contract, m *dataset.Manifest, entry *action.Entry) (*action.Entry, error) {
	started := time.Now()
	found, err := (&audit.Audit{
		Blobs: c.store.Blobs, Contract: terms, Dataset: m, Referenced: c.dataset, Temp: filepath.Join(c.store.Dir, "tmp"),
	}).Run(ctx)
	if err != nil {
		return nil, err
	}
	ref, err := artifact.Put(c.store.Blobs, &artifact.Artifact{Kind: artifact.Dataset, Dataset: found.Violations})
	if err != nil {
		return nil, err
	}
	if entry.Value, err = contract.Store(found.Figures); err != nil {
		return nil, err
	}
	entry.Outputs, entry.Seconds = map[string]artifact.Ref{contract.Port: ref}, time.Since(started).Seconds()
	if old, err := c.store.Actions.Get(entry.Key); err == nil && old != nil {
		return entry, c.store.Actions.Replace(entry) // its violations are no longer in the store
	}
	return c.store.Actions.Put(entry)
}

// dataset returns a dataset that a rule refers to, which is in the state by now.
func (c *contracts) dataset(of *plan.Input) (*dataset.Manifest, error) {
	inst, ok := c.state.instance(of.Address)
	if !ok {
		return nil, &failure.Input{Address: of.Address, Err: fmt.Errorf("it is not in the state; make a new plan")}
	}
	ref, ok := inst.Output(of.Port)
	if !ok {
		return nil, &failure.Input{Address: of.Address, Err: fmt.Errorf("it has no output %q", of.Port)}
	}
	a, err := c.artifacts.Get(ref)
	if err != nil {
		return nil, &failure.Input{Address: of.Address, Err: err}
	}
	return a.Dataset, nil
}

// reported returns the findings of a contract for events.
func reported(terms *plan.Contract, findings []contract.Finding) events.Contract {
	out := events.Contract{Output: terms.Output, Status: events.ContractMet}
	for _, f := range findings {
		rule := events.Rule{Name: f.Name, Rows: f.Rows, Violations: f.Violations, Share: f.Share, Status: events.ContractMet}
		switch {
		case f.Violated && f.Warn:
			rule.Status = events.ContractWarned
		case f.Violated:
			rule.Status = events.ContractViolated
		}
		if worst := rule.Status; out.Status == events.ContractMet || worst == events.ContractViolated {
			out.Status = worst
		}
		out.Rules = append(out.Rules, rule)
	}
	return out
}

// recheck checks the contracts of a result that is kept.
func (c *computer) recheck(ctx context.Context, n *plan.Node, res *StageResult) error {
	res.Action, res.ActionKey = plan.Check, n.ActionKey
	inst, ok := c.state.instance(n.Address)
	if !ok {
		return fmt.Errorf("%s is not in the state; make a new plan", n.Address)
	}
	checked, err := c.contracts.check(ctx, n, inst.ActionKey, inst.Outputs, res)
	if err != nil {
		return err
	}
	now := *inst
	now.Contracts = checked
	c.state.set(n.Address, &now)
	c.state.setRejected(n.Address, nil)
	res.Outputs = digests(inst.Outputs, checked)
	if err := c.knowKept(n); err != nil {
		return err
	}
	return c.checker.check(n, plan.WhenPost)
}
