package planner_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/lang/vars"
	"github.com/quern-dev/quern/planner"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/state"
)

// pipeline is a pipeline under test, with a store of its own.
type pipeline struct {
	t       testing.TB
	world   *world
	plugins *testPlugins
	store   *store.Store
	state   *state.State
	// unchanging are the addresses of stages whose outputs never change.
	unchanging map[string]bool
	src        map[string][]byte
	secrets    map[string]cty.Value
	// modules are the files of modules that a configuration may call, by path.
	modules map[string]string
}

func newPipeline(t testing.TB) *pipeline {
	t.Helper()
	w := &world{
		sources: map[string]string{"a.txt": "100 rows", "b.txt": "7 rows"},
		shelves: map[string]string{},
	}
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.States().Load("dev")
	if err != nil {
		t.Fatal(err)
	}
	return &pipeline{t: t, world: w, plugins: startPlugins(t, w), store: s, state: st, unchanging: map[string]bool{}}
}

// plan plans a configuration. set changes the options.
func (p *pipeline) plan(src string, set ...func(*planner.Options)) (*plan.Plan, hcl.Diagnostics) {
	p.t.Helper()
	o, diags := p.options(src)
	if diags.HasErrors() {
		return nil, diags
	}
	for _, f := range set {
		f(&o)
	}
	return planner.Build(context.Background(), o)
}

func (p *pipeline) options(src string) (planner.Options, hcl.Diagnostics) {
	p.t.Helper()
	m, diags := p.load(src)
	p.src = m.Sources
	if diags.HasErrors() {
		return planner.Options{}, diags
	}
	variables, diags := vars.Resolve(m, vars.Inputs{})
	if diags.HasErrors() {
		return planner.Options{}, diags
	}
	p.secrets = map[string]cty.Value{}
	for name, v := range variables {
		p.secrets[name], _ = v.UnmarkDeep()
	}
	return planner.Options{
		Module: m, Variables: variables, Plugins: p.plugins, Store: p.store, State: p.state,
		Environment: "dev", Refresh: true, QuernVersion: "0.1.0",
	}, nil
}

// load parses a configuration, and reads the modules that it calls.
func (p *pipeline) load(src string) (*config.Module, hcl.Diagnostics) {
	if len(p.modules) == 0 {
		return config.Parse("main.quern.hcl", []byte(src))
	}
	dir := p.t.TempDir()
	p.write(filepath.Join(dir, "main.quern.hcl"), src)
	for name, text := range p.modules {
		p.write(filepath.Join(dir, name), text)
	}
	return config.LoadTree(dir, nil)
}

func (p *pipeline) write(path, text string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// mustPlan is plan for a configuration without errors.
func (p *pipeline) mustPlan(src string, set ...func(*planner.Options)) *plan.Plan {
	p.t.Helper()
	made, diags := p.plan(src, set...)
	if len(diags) > 0 {
		p.t.Fatalf("unexpected diagnostics:\n%s", p.print(diags))
	}
	return made
}

func (p *pipeline) print(diags hcl.Diagnostics) string {
	var b strings.Builder
	diag.Print(&b, diags, p.src, diag.PrintOptions{Width: 100})
	return b.String()
}

// apply plans and executes the plan as a runner would: it resolves bodies from the
// plan alone, and computes keys from the actual outputs.
func (p *pipeline) apply(src string, set ...func(*planner.Options)) *plan.Plan {
	p.t.Helper()
	made := p.mustPlan(src, set...)
	p.carryOut(made)
	return made
}

func (p *pipeline) carryOut(made *plan.Plan) {
	p.t.Helper()
	scope, err := plan.NewScope(made)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.state.Move(made.Moves); err != nil {
		p.t.Fatal(err)
	}
	nodes := map[string]*plan.Node{}
	for _, n := range made.Nodes {
		nodes[n.Address] = n
		switch n.Action {
		case plan.Delete, plan.Forget:
			delete(p.state.Instances, n.Address)
			continue
		case plan.Keep:
		default:
			p.carryOutNode(n, nodes, scope)
		}
		a, err := addr.Parse(n.Address)
		if err != nil {
			p.t.Fatal(err)
		}
		scope.Set(a, plan.StageValue(n, p.made(n)))
	}
	p.carryOutOutputs(made, scope)
	p.state.Serial++
}

func (p *pipeline) carryOutOutputs(made *plan.Plan, scope *plan.Scope) {
	p.t.Helper()
	p.state.Outputs = map[string]*state.Output{}
	for _, o := range made.Outputs {
		if o.Expr == nil {
			continue
		}
		v, diags := o.Expr.Eval(scope.Vars(o.Expr.Refs, p.secrets))
		if diags.HasErrors() {
			p.t.Fatal(diags)
		}
		out, err := state.NewOutput(value.Value{Value: v}, o.Sensitive, p.store.Seal)
		if err != nil {
			p.t.Fatal(err)
		}
		p.state.Outputs[o.Name] = out
	}
}

func (p *pipeline) carryOutNode(n *plan.Node, nodes map[string]*plan.Node, scope *plan.Scope) {
	p.t.Helper()
	i := &state.Instance{
		Address: n.Address, Kind: n.Kind, Type: n.Type, Plugin: n.Plugin, DependsOn: n.DependsOn,
		Fingerprint: n.Fingerprint, Memo: n.Memo, Definition: n.Definition,
	}
	p.state.Instances[n.Address] = i
	if n.Body == nil {
		return
	}
	refs, _ := n.Body.Refs()
	bound, diags := n.Body.Bind(scope.Vars(refs, p.secrets))
	if diags.HasErrors() {
		p.t.Fatal(diags)
	}
	if !bound.Config.IsWhollyKnown() {
		p.t.Fatalf("%s: the configuration has unknown values when the stage runs", n.Address)
	}
	n = n.Resolved(bound, func(key string) map[string]*expr.Compiled {
		port, _ := nodes[bound.Inputs[key].Address].Port(bound.Inputs[key].Port)
		return port.Features
	})
	definition, fields, err := fingerprint.Definition(n, bound.Body, p.seal)
	if err != nil || definition == "" {
		p.t.Fatalf("%s: no definition key when everything is known: %v", n.Address, err)
	}
	key, more := fingerprint.Action(definition, n.Fingerprint, p.inputs(n, bound, nodes))
	i.Definition, i.ActionKey = definition, key
	var preimage []action.Field
	for _, f := range append(fields, more...) {
		preimage = append(preimage, action.Field(f))
	}
	i.Preimage = action.NewPreimage(preimage)
	if n.Mode == plan.ModeDeploy {
		p.deploy(n, i, bound)
		return
	}
	p.make(n, i)
}

// seal returns the digest of a secret with the key of the test's store.
func (p *pipeline) seal(name string) (string, error) {
	v, _ := p.secrets[name].UnmarkDeep()
	text, err := value.Value{Value: v}.MarshalJSON()
	if err != nil {
		return "", err
	}
	return p.store.Seal(text)
}

func (p *pipeline) inputs(n *plan.Node, bound *plan.Bound, nodes map[string]*plan.Node) []fingerprint.Input {
	p.t.Helper()
	var inputs []fingerprint.Input
	for key, in := range bound.Inputs {
		ref := p.state.Instances[in.Address].Outputs[in.Port]
		out := fingerprint.Input{Key: key, Kind: in.Kind, Digest: ref.Digest}
		a, err := artifact.Get(p.store.Blobs, ref)
		if err != nil {
			p.t.Fatal(err)
		}
		if a.Dataset != nil && in.Kind == plan.KindDataset {
			out.Rows = a.Dataset.Rows
			for _, c := range fingerprint.ReadColumns(n, key, a.Dataset.Schema.Names()) {
				out.Columns = append(out.Columns, fingerprint.Column{Name: c, Digest: a.Dataset.ColumnDigest(c)})
			}
		}
		if in.Of != "" {
			port, _ := nodes[in.Address].Port(in.Port)
			out.Features = map[string]string{}
			for name, e := range port.Features {
				out.Features[name] = e.Text
			}
		}
		inputs = append(inputs, out)
	}
	return inputs
}

func digestOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// make generates the outputs of an instance from its action key. Columns that are
// passed on do not change.
func (p *pipeline) make(n *plan.Node, i *state.Instance) {
	p.t.Helper()
	seed := i.ActionKey
	if p.unchanging[n.Address] {
		seed = n.Address
	}
	i.Outputs = map[string]artifact.Ref{}
	for _, port := range n.Outputs {
		a := &artifact.Artifact{Kind: port.Kind, ModelFormat: port.Format}
		switch port.Kind {
		case plan.KindDataset:
			a.Dataset = p.manifest(n, &port, seed)
		default:
			a.Value = &value.Value{Value: cty.StringVal(seed + port.Name)}
		}
		ref, err := artifact.Put(p.store.Blobs, a)
		if err != nil {
			p.t.Fatal(err)
		}
		i.Outputs[port.Name] = ref
	}
	if n.ValueType.Type != cty.NilType {
		i.Value = value.Store(example(n.ValueType.Type))
	}
	if _, err := p.store.Actions.Put(&action.Entry{
		Key: i.ActionKey, Definition: i.Definition, Address: n.Address, Preimage: i.Preimage, Outputs: i.Outputs, Value: i.Value,
	}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pipeline) manifest(n *plan.Node, port *plan.Port, seed string) *dataset.Manifest {
	p.t.Helper()
	blob, err := p.store.Blobs.Put([]byte("rows of " + n.Address))
	if err != nil {
		p.t.Fatal(err)
	}
	shard := dataset.Shard{Rows: 100, Groups: []dataset.Group{{Blob: blob.Digest, Bytes: 1}}}
	m := &dataset.Manifest{Format: dataset.Format, Schema: port.Columns, Rows: 100}
	for _, c := range port.Columns {
		digest := digestOf(seed, port.Name, c.Name)
		if from, ok := strings.CutPrefix(port.Origins[c.Name], "input:"); ok {
			in := n.Body.Args[port.RowsOf].Input
			a, err := artifact.Get(p.store.Blobs, p.state.Instances[in.Address].Outputs[in.Port])
			if err != nil {
				p.t.Fatal(err)
			}
			digest = a.Dataset.ColumnDigest(from)
		}
		m.Columns = append(m.Columns, dataset.Summary{Name: c.Name, Digest: digest})
		shard.Columns = append(shard.Columns, dataset.Column{Name: c.Name, Stored: c.Name, Digest: digest})
		shard.Groups[0].Columns = append(shard.Groups[0].Columns, c.Name)
	}
	m.Shards = []dataset.Shard{shard}
	return m
}

// example returns a value of a type.
func example(t cty.Type) cty.Value {
	switch {
	case t.IsObjectType():
		attrs := map[string]cty.Value{}
		for name, at := range t.AttributeTypes() {
			attrs[name] = example(at)
		}
		return cty.ObjectVal(attrs)
	case t.IsMapType():
		return cty.MapVal(map[string]cty.Value{"student": example(t.ElementType())})
	case t == cty.Number:
		return cty.NumberFloatVal(0.9)
	case t == cty.String:
		return cty.StringVal("x")
	}
	return cty.NullVal(t)
}

func (p *pipeline) deploy(n *plan.Node, i *state.Instance, bound *plan.Bound) {
	in := bound.Inputs["artifact"]
	digest := p.state.Instances[in.Address].Outputs[in.Port].Digest
	place := bound.Config.GetAttr("place").AsString()
	p.world.mu.Lock()
	p.world.shelves[place] = digest
	p.world.mu.Unlock()
	i.Deployment = &state.Deployment{Value: &value.Value{Value: shelfValue(place, digest)}}
	n.Deployment = &plan.Deployment{Value: i.Deployment.Value}
}

// made returns the result of an instance in the state.
func (p *pipeline) made(n *plan.Node) *plan.Made {
	i := p.state.Instances[n.Address]
	made := &plan.Made{Outputs: map[string]plan.Artifact{}}
	if i == nil {
		return made
	}
	for port, ref := range i.Outputs {
		made.Outputs[port] = plan.Artifact{Digest: ref.Digest}
		if ref.Kind == artifact.Dataset {
			made.Outputs[port] = plan.Artifact{Digest: ref.Digest, Rows: 100}
		}
	}
	if i.Value != nil {
		v, err := i.Value.Get()
		if err != nil {
			p.t.Fatal(err)
		}
		made.Value = v
	}
	if i.Deployment != nil {
		made.Value = i.Deployment.Value.Value
	}
	return made
}

// actions returns the actions of the nodes by address.
func actions(p *plan.Plan) map[string]plan.Action {
	out := map[string]plan.Action{}
	for _, n := range p.Nodes {
		out[n.Address] = n.Action
	}
	return out
}
