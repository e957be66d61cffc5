package tester

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/foreign"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/lang/testfile"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/lang/vars"
	"github.com/quern-dev/quern/planner"
	"github.com/quern-dev/quern/planner/estimate"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/state"
	"github.com/quern-dev/quern/tester/mock"
)

// environment is the environment of tests.
const environment = "default"

// session is a test file whose runs share a store.
type session struct {
	*test
	file *testfile.File
	dir  string // temporary
	// module is a copy of the configuration, to which variables add their files.
	module  *config.Module
	store   *store.Store
	plugins Plugins
	// outputs are those of the runs so far, by run and name.
	outputs map[string]map[string]cty.Value
}

func (s *session) openStore() (err error) {
	s.store, err = store.Open(filepath.Join(s.dir, "store"))
	return err
}

func (s *session) close(ctx context.Context) {
	if ctx.Err() != nil {
		s.plugins.Kill()
	}
	s.plugins.Close()
	_ = os.RemoveAll(s.dir) // in the folder for temporary files
}

// execution is one run of a session.
type execution struct {
	*session
	config    *testfile.Run
	out       *Run
	variables map[string]cty.Value
	hidden    map[string]cty.Value // values that sensitive() hides, by name
	mocks     *mock.Set

	state  *state.State
	plan   *plan.Plan
	values *planner.Values
	rest   []*plan.Plan // planned during the run
	result *runner.Result
	// found are the diagnostics of the plan and of the apply, and failures those about
	// what is not as expected.
	found, failures hcl.Diagnostics
}

// run carries out a run.
func (s *session) run(ctx context.Context, r *testfile.Run, out *Run) {
	e := &execution{session: s, config: r, out: out, hidden: map[string]cty.Value{}}
	diags := e.resolve()
	if !e.found.HasErrors() && !diags.HasErrors() {
		diags = append(diags, e.mock()...)
	}
	if e.mocks != nil {
		defer e.mocks.Close()
	}
	if diags.HasErrors() {
		out.Status, out.Diagnostics = Broken, diags
		return
	}
	if !e.found.HasErrors() {
		if err := e.carryOut(ctx); err != nil {
			e.found = append(e.found, diag.Of(err)...)
		}
	}
	e.conclude(ctx)
}

// conclude compares what happened with what is expected.
func (e *execution) conclude(ctx context.Context) {
	e.covered()
	if e.stopped(ctx) {
		e.out.Status, e.out.Why = Skipped, stoppedTests
		return
	}
	unexpected := e.expectedDiagnostics()
	if !unexpected.HasErrors() {
		e.asserts(ctx)
		e.rows(ctx)
	}
	unmocked := e.unmocked()
	e.out.Diagnostics = slices.Concat(unmocked, unexpected, e.failures)
	e.out.Status = Passed
	switch {
	case unexpected.HasErrors() || unmocked.HasErrors():
		e.out.Status = Broken
	case e.failures.HasErrors():
		e.out.Status = Failed
	}
}

// resolve evaluates the variables. What their validations say is found; the diagnostics
// that it returns are mistakes in the test.
func (e *execution) resolve() hcl.Diagnostics {
	inputs := e.Inputs
	var diags hcl.Diagnostics
	if inputs.Test, diags = e.given(); diags.HasErrors() {
		return diags
	}
	e.variables, e.found = vars.Resolve(e.module, inputs)
	for _, v := range e.variables {
		if value.IsSensitive(v) {
			e.Redactor.Add(v)
		}
	}
	return nil
}

// mock makes the mocks.
func (e *execution) mock() hcl.Diagnostics {
	var diags hcl.Diagnostics
	folder, err := os.MkdirTemp(e.dir, "mocks-")
	if err != nil {
		return diag.Of(fmt.Errorf("create a folder for mocks: %w", err))
	}
	e.mocks, diags = mock.New(mock.Options{
		Plugins: e.plugins, Module: e.module, File: e.file, Run: e.config, Variables: e.variables,
		Recordings: e.recordings, Folder: folder,
	})
	return diags
}

// given are the values of variables in the file and in the run, which takes precedence.
func (e *execution) given() (map[string]hcl.Expression, hcl.Diagnostics) {
	all := maps.Clone(e.file.Variables)
	if all == nil {
		all = map[string]hcl.Expression{}
	}
	maps.Copy(all, e.config.Variables)
	ctx := &hcl.EvalContext{Functions: funcs.Functions(e.module.Dir), Variables: map[string]cty.Value{"run": e.earlier()}}
	var diags hcl.Diagnostics
	for _, name := range slices.Sorted(maps.Keys(all)) {
		v, more := eval.Value(all[name], ctx)
		diags = append(diags, funcs.Explain(more)...)
		v, _ = v.UnmarkDeep()
		all[name] = hcl.StaticExpr(v, all[name].Range())
	}
	return all, diags
}

// earlier is the value of run: the runs so far.
func (e *execution) earlier() cty.Value {
	runs := map[string]cty.Value{}
	for name, outputs := range e.outputs {
		runs[name] = cty.ObjectVal(map[string]cty.Value{"output": cty.ObjectVal(outputs)})
	}
	return cty.ObjectVal(runs)
}

// options are those of the plan.
func (e *execution) options() planner.Options {
	return planner.Options{
		Module: e.mocks.Configuration(), Variables: e.variables, Store: e.store, State: e.state, Plugins: e.mocks, Pins: e.plugins.Pins(),
		Hidden: e.hide, QuernVersion: e.QuernVersion, StartedIn: e.StartedIn, Environment: environment, Refresh: true,
		Targets: e.config.Targets, Replace: e.config.Replace,
	}
}

func (e *execution) hide(name string, v cty.Value) {
	e.hidden[name] = v
	e.Redactor.Add(v)
}

// carryOut plans and, unless the run only plans, applies.
func (e *execution) carryOut(ctx context.Context) (err error) {
	if e.state, err = e.store.States().Load(environment); err != nil {
		return err
	}
	var diags hcl.Diagnostics
	e.plan, e.values, diags = planner.BuildValues(ctx, e.options())
	e.found = append(e.found, diags...)
	if e.plan == nil || e.config.Plan {
		return nil
	}
	e.result, err = runner.Apply(ctx, e.plan, runner.Options{
		Store: e.store, State: e.state, Save: e.store.States().Save, Plugins: e.mocks, Functions: foreign.New(ctx, e.mocks),
		Secrets: e.secrets(e.plan), RunID: e.config.Name, Stop: e.Stop, Continue: e.planRest,
	})
	if e.result != nil {
		e.found = append(e.found, e.result.Diagnostics...)
	}
	if errors.Is(err, errUnplanned) {
		err = nil
	}
	if err != nil || e.stopped(ctx) {
		return err
	}
	return e.evaluate(ctx)
}

// planRest plans the stages that a plan deferred, during its run.
func (e *execution) planRest(ctx context.Context, p *plan.Plan) (*plan.Plan, map[string]cty.Value, error) {
	next, diags := planner.Continue(ctx, p, e.options())
	for _, d := range diags {
		if !slices.ContainsFunc(e.found, func(f *hcl.Diagnostic) bool { return f.Summary == d.Summary && f.Detail == d.Detail }) {
			e.found = append(e.found, d)
		}
	}
	if next == nil {
		return nil, nil, errUnplanned
	}
	e.rest = append(e.rest, next)
	return next, e.secrets(next), nil
}

// errUnplanned ends a run whose deferred stages have errors, which are found.
var errUnplanned = errors.New("the stages that the plan deferred have errors")

// secrets are the sensitive values that a plan refers to.
func (e *execution) secrets(p *plan.Plan) map[string]cty.Value {
	values := map[string]cty.Value{}
	for _, name := range p.Secrets {
		for _, known := range []map[string]cty.Value{e.variables, e.hidden} {
			if v, ok := known[name]; ok {
				values[name] = v
			}
		}
	}
	return values
}

// evaluate computes what expressions see after the apply.
func (e *execution) evaluate(ctx context.Context) (err error) {
	if e.state, err = e.store.States().Load(environment); err != nil {
		return err
	}
	var diags hcl.Diagnostics
	if e.values, diags = planner.Evaluate(ctx, e.options()); diags.HasErrors() {
		e.found = diag.Merge(e.found, slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool { return d.Severity != hcl.DiagError }))
	}
	outputs := map[string]cty.Value{}
	for name, o := range e.state.Outputs {
		if o.Value != nil {
			outputs[name] = o.Value.Value
		}
	}
	maps.Copy(outputs, e.result.Outputs)
	e.outputs[e.config.Name] = outputs
	return nil
}

// expectedDiagnostics compares the diagnostics with the expected ones. It returns those
// that nobody expects, except for warnings that the time of stages is not known: in the
// new store of a test file, it never is.
func (e *execution) expectedDiagnostics() hcl.Diagnostics {
	met := map[*testfile.Diagnostic]bool{}
	var unexpected hcl.Diagnostics
	for _, d := range e.found {
		expected := e.config.Warnings
		if d.Severity == hcl.DiagError {
			expected = e.config.Errors
		}
		known := false
		for i := range expected {
			if e.describes(&expected[i], d) {
				known, met[&expected[i]] = true, true
			}
		}
		if !known && d.Summary != estimate.UnknownTime {
			unexpected = append(unexpected, d)
		}
	}
	for severity, expected := range map[string][]testfile.Diagnostic{"error": e.config.Errors, "warning": e.config.Warnings} {
		for i := range expected {
			if !met[&expected[i]] {
				e.failures = append(e.failures, e.notMet(severity, &expected[i]))
			}
		}
	}
	diag.Sort(e.failures)
	return unexpected
}

func (e *execution) notMet(severity string, d *testfile.Diagnostic) *hcl.Diagnostic {
	what := "The run had no " + severity
	if d.Address != "" {
		what += " about " + d.Address
	}
	if text, _ := e.text(d.Text); text != "" {
		what += fmt.Sprintf(" that contains %q", text)
	}
	return diag.Errorf(&d.Range, "Expected "+severity+" did not occur", "%s.", what)
}

// describes reports whether a diagnostic is an expected one.
func (e *execution) describes(expected *testfile.Diagnostic, d *hcl.Diagnostic) bool {
	if expected.Address != "" && !within(diag.Address(d), expected.Address) {
		return false
	}
	text, diags := e.text(expected.Text)
	return !diags.HasErrors() && strings.Contains(collapsed(d.Summary+"\n"+d.Detail), collapsed(text))
}

// text evaluates the text of an expected diagnostic.
func (e *execution) text(from hcl.Expression) (string, hcl.Diagnostics) {
	if from == nil {
		return "", nil
	}
	v, diags := eval.Value(from, &hcl.EvalContext{Functions: funcs.Pure(), Variables: map[string]cty.Value{"var": cty.ObjectVal(e.variables)}})
	v, _ = v.UnmarkDeep()
	if diags.HasErrors() || v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
		return "", append(diags, diag.Errorf(from.Range().Ptr(), "Invalid text", "text must be a text."))
	}
	return v.AsString(), nil
}

// collapsed replaces white space by single spaces: lines of messages break anywhere.
func collapsed(s string) string { return strings.Join(strings.Fields(s), " ") }

// within reports whether an address is the expected one, or an instance of that stage.
func within(address, expected string) bool {
	if address == expected {
		return true
	}
	a, err := addr.Parse(address)
	want, wantErr := addr.Parse(expected)
	return err == nil && wantErr == nil && !want.HasKey() && a.Stage == want.Stage
}

// unmocked reports the first request to each model that no mock answers.
func (e *execution) unmocked() hcl.Diagnostics {
	if e.mocks == nil {
		return nil
	}
	var diags hcl.Diagnostics
	all := e.mocks.Unmocked()
	for i, u := range all {
		if i > 0 && all[i-1].Address == u.Address {
			continue
		}
		more := 0
		for _, other := range all[i+1:] {
			if other.Address == u.Address {
				more++
			}
		}
		reason := u.Reason
		if more > 0 {
			reason += fmt.Sprintf(" The same is true of %s to it.", english.Count(more, "other request"))
		}
		diags = append(diags, diag.Errorf(&e.config.Range, "Call to a model is not mocked", "%s got this request:\n\n%s\n\n%s", u.Address, indented(u.Request), reason))
	}
	return diags
}

func indented(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n    ") }

// covered records what the run carried out.
func (e *execution) covered() {
	if e.mocks == nil {
		return
	}
	e.out.Calls = map[string]int{}
	for _, address := range e.mocks.Addresses() {
		if n := len(e.mocks.Calls(address)); n > 0 {
			e.out.Calls[address] = n
		}
	}
	if e.result == nil {
		return
	}
	plugins := map[string]string{}
	for _, p := range append(e.rest, e.plan) {
		for _, n := range p.Nodes {
			plugins[n.Address] = n.Plugin
		}
	}
	for _, r := range e.result.Stages {
		if r.Status == runner.Skipped || r.Action == "" && r.Kind != kind.Gate {
			continue
		}
		e.out.Stages = append(e.out.Stages, Stage{Address: r.Address, Mocked: mock.Mocked(plugins[r.Address]), Met: r.Kind == kind.Gate && r.Status == runner.Done})
	}
}
