package runner_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/vars"
	"github.com/quern-dev/quern/planner"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner"
	"github.com/quern-dev/quern/runner/engine"
	"github.com/quern-dev/quern/runner/engine/local"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/state"
)

// plugins serves the world's types inside the test, over the real protocol.
type plugins struct {
	client *client.Plugin
	schema *pluginv1.GetSchemaResponse
	digest string // of the program
}

func startPlugins(t testing.TB, types []plugin.Type) *plugins {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	address, done, err := plugintest.Serve(ctx, plugin.Plugin{Name: "test", Version: "1.2.3", Types: types})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	c, err := client.Attach(client.Command{Name: "test"}, address)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); <-done; cancel() }) // to cancel first would end the serving twice at once
	return describe(t, c)
}

func describe(t testing.TB, c *client.Plugin) *plugins {
	t.Helper()
	schema, err := c.Service().GetSchema(t.Context(), &pluginv1.GetSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Service().Configure(t.Context(), &pluginv1.ConfigureRequest{}); err != nil {
		t.Fatal(err)
	}
	return &plugins{client: c, schema: schema, digest: "sha256:" + strings.Repeat("ab", 32)}
}

func (p *plugins) Type(kind, name, _ string) (*pluginv1.Type, string, error) {
	for _, t := range p.schema.Types {
		if t.Kind == kind && t.Name == name {
			return t, "test", nil
		}
	}
	return nil, "", fmt.Errorf("there is no %s type %q", kind, name)
}

func (p *plugins) ConfigSchema(string) (*pluginv1.Body, error)            { return nil, nil }
func (p *plugins) SetConfig(string, cty.Value) error                      { return nil }
func (p *plugins) Namespaces() map[string]string                          { return map[string]string{"test": "test"} }
func (p *plugins) Functions(string) ([]*pluginv1.Function, error)         { return p.schema.Functions, nil }
func (p *plugins) Build(string) string                                    { return "" }
func (p *plugins) SetEnvironment(string, []string)                        {}
func (p *plugins) Development(string) bool                                { return false }
func (p *plugins) Client(context.Context, string) (*client.Plugin, error) { return p.client, nil }
func (p *plugins) Describe() map[string]plan.Plugin {
	return map[string]plan.Plugin{"test": {Source: "builtin", Version: "1.2.3", Digest: p.digest}}
}

// pipeline is a pipeline under test, with a store and a world of its own.
type pipeline struct {
	t       testing.TB
	world   *world
	plugins *plugins
	store   *store.Store
	state   *state.State
	vars    []string // -var flags
	stop    chan struct{}
	edit    func(*plan.Plan)
	engine  engine.Open // nil: the local one

	mu     sync.Mutex
	events []events.Event
}

// newPipeline offers some types; none given: the world's.
func newPipeline(t testing.TB, types ...plugin.Type) *pipeline {
	t.Helper()
	w := newWorld()
	if len(types) == 0 {
		types = w.types()
	}
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.States().Load("dev")
	if err != nil {
		t.Fatal(err)
	}
	p := &pipeline{t: t, world: w, plugins: startPlugins(t, types), store: s, state: st, stop: make(chan struct{})}
	if _, measured := t.(*testing.B); !measured {
		p.engine = func(ctx context.Context, run engine.Run) engine.Engine {
			return throughJSON{local.Open(local.Options{Store: s, Plugins: p.plugins})(ctx, run)}
		}
	}
	return p
}

// plan plans a configuration; set changes the options.
func (p *pipeline) plan(src string, set ...func(*planner.Options)) *plan.Plan {
	p.t.Helper()
	m, diags := config.Parse("main.quern.hcl", []byte(src))
	variables, more := vars.Resolve(m, vars.Inputs{Flags: p.vars})
	diags = append(diags, more...)
	o := planner.Options{
		Module: m, Variables: variables, Plugins: p.plugins, Store: p.store, State: p.state,
		Environment: "dev", Refresh: true, QuernVersion: "0.1.0",
	}
	for _, f := range set {
		f(&o)
	}
	var made *plan.Plan
	if !diags.HasErrors() {
		made, more = planner.Build(context.Background(), o)
		diags = append(diags, more...)
	}
	if diags.HasErrors() {
		var b strings.Builder
		diag.Print(&b, diags, m.Sources, diag.PrintOptions{Width: 100})
		p.t.Fatalf("the plan failed:\n%s", b.String())
	}
	// A plan has to survive being saved.
	var saved bytes.Buffer
	if err := plan.Encode(&saved, made); err != nil {
		p.t.Fatal(err)
	}
	made, err := plan.Decode(&saved)
	if err != nil {
		p.t.Fatal(err)
	}
	if p.edit != nil {
		p.edit(made)
	}
	return made
}

// apply plans and applies.
func (p *pipeline) apply(src string, set ...func(*planner.Options)) *runner.Result {
	p.t.Helper()
	return p.carryOut(p.t.Context(), p.plan(src, set...))
}

func (p *pipeline) carryOut(ctx context.Context, made *plan.Plan) *runner.Result {
	p.t.Helper()
	p.events = nil
	secrets := map[string]cty.Value{}
	for _, name := range made.Secrets {
		secrets[name] = cty.StringVal("hush")
	}
	res, err := runner.Apply(ctx, made, runner.Options{
		Store: p.store, State: p.state, Save: p.store.States().Save, Plugins: p.plugins,
		RunID: "run-1", Stop: p.stop, Secrets: secrets, Engine: p.engine,
		Events: func(e events.Event) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.events = append(p.events, e)
		},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	// What is on disk is what counts.
	loaded, err := p.store.States().Load("dev")
	if err != nil {
		p.t.Fatal(err)
	}
	p.state = loaded
	return res
}

// mustApply is apply for a run in which nothing fails.
func (p *pipeline) mustApply(src string, set ...func(*planner.Options)) *runner.Result {
	p.t.Helper()
	res := p.apply(src, set...)
	if res.Status != runner.Done {
		p.t.Fatalf("the run is %s: %s", res.Status, told(res))
	}
	return res
}

// told is a result's diagnostics in one string.
func told(res *runner.Result) string {
	var lines []string
	for _, d := range res.Diagnostics {
		lines = append(lines, d.Summary+": "+d.Detail)
	}
	return strings.Join(lines, "\n")
}

// actions says of each stage what came of it: "run", or how it ended.
func actions(res *runner.Result) map[string]string {
	out := map[string]string{}
	for _, s := range res.Stages {
		out[s.Address] = string(s.Action)
		if s.Status != runner.Done {
			out[s.Address] = string(s.Status)
		}
	}
	return out
}

func (p *pipeline) want(res *runner.Result, want map[string]string) {
	p.t.Helper()
	got := actions(res)
	for address, action := range want {
		if got[address] != action {
			p.t.Errorf("%s: %q, want %q\n%s", address, got[address], action, told(res))
		}
	}
	for address := range got {
		if _, ok := want[address]; !ok {
			p.t.Errorf("%s: %q, want nothing", address, got[address])
		}
	}
}

func (p *pipeline) stage(res *runner.Result, address string) runner.StageResult {
	p.t.Helper()
	for _, s := range res.Stages {
		if s.Address == address {
			return s
		}
	}
	p.t.Fatalf("the result has no %s", address)
	return runner.StageResult{}
}

// column reads a column of a dataset in the state, as text.
func (p *pipeline) column(address, port, name string) []string {
	p.t.Helper()
	inst := p.state.Instances[address]
	if inst == nil {
		p.t.Fatalf("the state has no %s", address)
	}
	a, err := artifact.Get(p.store.Blobs, inst.Outputs[port])
	if err != nil {
		p.t.Fatal(err)
	}
	files, err := a.Dataset.Files(p.store.Blobs, []string{name})
	if err != nil {
		p.t.Fatal(err)
	}
	var out []string
	for rec, err := range data.Read(p.t.Context(), files, []string{name}, 0) {
		if err != nil {
			p.t.Fatal(err)
		}
		c := rec.Column(0)
		for i := range c.Len() {
			if c.IsNull(i) {
				out = append(out, "<null>")
				continue
			}
			out = append(out, strings.Clone(c.ValueStr(i)))
		}
	}
	return out
}

func (p *pipeline) wantColumn(address, port, name string, want ...string) {
	p.t.Helper()
	if got := p.column(address, port, name); !slices.Equal(got, want) {
		p.t.Errorf("%s %s %s is %q, want %q", address, port, name, got, want)
	}
}

func replace(address string) func(*planner.Options) {
	return func(o *planner.Options) {
		a, err := addr.ParseTarget(address)
		if err != nil {
			panic(err)
		}
		o.Replace = append(o.Replace, a)
	}
}

func destroy(o *planner.Options) { o.Destroy = true }
