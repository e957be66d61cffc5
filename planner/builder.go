package planner

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/dag"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/schema"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/store/disk"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/store/state"
)

// builder makes one plan.
type builder struct {
	Options
	ctx        context.Context
	cancel     context.CancelFunc
	validating bool

	started   time.Time        // plantimestamp()
	root      *hcl.EvalContext // the functions
	paths     cty.Value        // path
	about     cty.Value        // quern
	stages    []*stage         // as in the module
	byAddress map[addr.Stage]*stage
	locals    map[string]*local
	types     map[typeKey]*schema.Type
	// tooManyOpen: it is reported that too many files are open.
	tooManyOpen bool
	calls       *calls
	prepared    *preparedCache
	programs    func() map[string]plan.Plugin
	redactor    *secret.Redactor
	prior       map[string]*state.Instance
	taken       map[string]bool // addresses of prior whose deployments others take over
	levels      [][]vertex
	planned     map[*stage]bool       // those of levels
	partial     map[addr.Stage]bool   // those of which an instance is left out
	configs     map[string]*plan.Body // by plugin

	mu    sync.Mutex
	diags hcl.Diagnostics
	runs  map[string]*history.Run // records that were read, by ID
	// hidden are the values that sensitive() hides, by the names of their marks.
	hidden map[string]cty.Value
	hiding sync.Mutex
	// forecasts by address and port.
	forecasts map[string]*forecastOnce
}

func newBuilder(ctx context.Context, o Options) *builder {
	ctx, cancel := context.WithCancel(ctx)
	b := &builder{
		Options: o, ctx: ctx, cancel: cancel,
		root:      &hcl.EvalContext{Functions: funcs.Functions(o.Module.Dir)},
		byAddress: map[addr.Stage]*stage{},
		locals:    map[string]*local{},
		taken:     map[string]bool{},
		types:     map[typeKey]*schema.Type{},
		runs:      map[string]*history.Run{},
		hidden:    map[string]cty.Value{},
		started:   time.Now().UTC().Truncate(time.Second),
		forecasts: map[string]*forecastOnce{},
		calls:     newCalls(ctx, o.Plugins),
		prepared:  newPreparedCache(o),
		programs:  sync.OnceValue(o.Plugins.Describe),
		redactor:  newRedactor(o.Variables),
		paths:     paths(o.Module.Dir, o.StartedIn),
		about:     about(o.QuernVersion, o.Environment),
	}
	b.root.Functions["plantimestamp"] = funcs.PlanTimestamp(b.started)
	b.root.Functions[funcs.SensitiveName] = funcs.Sensitive(b.hide)
	if o.State != nil {
		b.prior = o.State.Instances
	}
	return b
}

func (b *builder) close() {
	b.cancel()
	b.prepared.save()
}

// report adds diagnostics and says whether there is an error among them.
func (b *builder) report(diags ...*hcl.Diagnostic) bool {
	if len(diags) == 0 {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.diags = append(b.diags, b.redactor.Diagnostics(funcs.Explain(diags))...)
	return hcl.Diagnostics(diags).HasErrors()
}

// build goes through the phases. What is found in one does not keep the
// others from looking at whatever does not depend on it.
func (b *builder) build() (*plan.Plan, hcl.Diagnostics) {
	b.declare()
	b.configurePlugins()
	b.levels = b.order()
	b.planned, b.partial = map[*stage]bool{}, map[addr.Stage]bool{}
	for _, level := range b.levels {
		for _, v := range level {
			b.planned[v.stage] = true
		}
		b.level(level)
	}
	if b.RefreshOnly && b.ctx.Err() == nil {
		return b.refreshOnly()
	}
	outputs, checks := b.outputs(), b.checks()
	if b.ctx.Err() != nil {
		b.report(diag.Errorf(nil, "Planning was interrupted", "No plan was made, and nothing was changed."))
	}
	diags := b.sorted()
	if diags.HasErrors() {
		return nil, diags
	}
	p := b.newPlan()
	p.Nodes = b.nodes(p)
	b.protect(p.Nodes)
	p.Outputs = slices.DeleteFunc(outputs, func(o *plan.Output) bool { return o.Expr != nil && b.waitsForPruned(o.DependsOn) })
	p.Checks = slices.DeleteFunc(checks, func(c *plan.CheckBlock) bool { return b.waitsForPruned(c.DependsOn) })
	p.Secrets = secrets(p)
	b.sealPlan(p)
	p.Budget = b.budget()
	b.checkBudget(p)
	diags = b.sorted()
	if diags.HasErrors() {
		return nil, diags
	}
	return p, diags
}

func (b *builder) sorted() hcl.Diagnostics {
	b.mu.Lock()
	defer b.mu.Unlock()
	diag.Sort(b.diags)
	b.diags = diag.Unique(b.diags)
	return b.diags
}

func (b *builder) newPlan() *plan.Plan {
	p := &plan.Plan{
		Format: plan.Format, QuernVersion: b.QuernVersion, Created: b.started,
		Environment: b.Environment, Destroy: b.Destroy, RefreshOnly: b.RefreshOnly,
		Partial: len(b.Targets) > 0 || len(b.Excludes) > 0,
		Plugins: b.Plugins.Describe(), Variables: b.openVariables(),
	}
	for name, config := range b.configs {
		if described, ok := p.Plugins[name]; ok {
			described.Config = config
			p.Plugins[name] = described
		}
	}
	if b.State != nil {
		p.State = plan.StateRef{Lineage: b.State.Lineage, Serial: b.State.Serial}
	}
	return p
}

// vertex is a stage or a local in the graph of a module.
type vertex struct {
	stage *stage
	local *local
}

// declare makes the vertices and finds what each refers to.
func (b *builder) declare() {
	for name, l := range b.Module.Locals {
		b.locals[name] = newLocal(l)
	}
	for _, cfg := range b.Module.Stages {
		s := newStage(cfg)
		b.stages = append(b.stages, s)
		b.byAddress[cfg.Addr] = s
	}
	for _, s := range b.stages {
		b.declareType(s)
	}
}

type typeKey struct{ kind, name, plugin string }

// declareType finds a stage's type, and checks the names in its body.
func (b *builder) declareType(s *stage) {
	if !kind.Of(s.cfg.Addr.Kind).Typed() {
		return
	}
	key := typeKey{s.cfg.Addr.Kind, s.cfg.Type, s.cfg.Plugin}
	t, known := b.types[key]
	if !known {
		found, plugin, err := b.Plugins.Type(key.kind, key.name, key.plugin)
		if err == nil {
			t, err = schema.NewType(found, plugin)
		}
		if err == nil && b.Plugins.Development(plugin) {
			// Any build of it may behave differently.
			t.Behavior += " " + b.Plugins.Describe()[plugin].Digest
		}
		if err != nil {
			s.broken = true
			b.noType(s, err)
			return
		}
		b.types[key] = t
	}
	s.typ = t
	s.flawed = b.report(s.cfg.Shape(t.Body.Shape)...)
	s.flawed = s.flawed || b.report(schema.Check(s.cfg.Body, t.Body, s.cfg.Addr.String())...)
	s.refs.artifacts = artifactPlaces(s.cfg.Body, t.Body.Args)
}

// noType reports why a stage's type cannot be had. That too many files are open
// is reported once: it is the same for all types.
func (b *builder) noType(s *stage, err error) {
	summary := "Unknown stage type"
	if trouble := disk.TooManyOpen(err); trouble != nil {
		if b.tooManyOpen {
			return
		}
		b.tooManyOpen = true
		summary, err = trouble.What, trouble
	}
	b.report(diag.Errorf(s.cfg.TypeRange.Ptr(), summary, "%s", diag.Sentence(err)))
}

// order sorts the vertices into levels. Cycles are reported; what is in one, or
// needs one, comes last and counts as broken.
func (b *builder) order() (levels [][]vertex) {
	var all []vertex
	index := map[string]int{}
	for _, s := range b.stages {
		index[s.cfg.Addr.String()] = len(all)
		all = append(all, vertex{stage: s})
	}
	for _, name := range sortedKeys(b.locals) {
		index["local."+name] = len(all)
		all = append(all, vertex{local: b.locals[name]})
	}
	g := make(dag.Graph, len(all))
	for i, v := range all {
		g[i] = v.needs(index)
	}
	for _, cycle := range g.Cycles() {
		b.report(cycleDiagnostic(all, cycle))
	}
	wanted := b.wanted(g, all)
	sorted := g.Levels()
	if rest := unordered(all, sorted); len(rest) > 0 {
		sorted = append(sorted, rest)
	}
	for _, level := range sorted {
		var vertices []vertex
		for _, i := range level {
			if wanted == nil || wanted[i] {
				vertices = append(vertices, all[i])
			}
		}
		levels = append(levels, vertices)
	}
	return levels
}

// unordered marks and returns the vertices that no level has.
func unordered(all []vertex, levels [][]int) (rest []int) {
	ordered := make([]bool, len(all))
	for _, level := range levels {
		for _, i := range level {
			ordered[i] = true
		}
	}
	for i, v := range all {
		switch {
		case ordered[i]:
			continue
		case v.stage != nil:
			v.stage.unordered, v.stage.flawed = true, true
		default:
			v.local.broken = true
		}
		rest = append(rest, i)
	}
	return rest
}

func (v vertex) name() string {
	if v.stage != nil {
		return v.stage.cfg.Addr.String()
	}
	return "local." + v.local.cfg.Name
}

func (v vertex) where() hcl.Range {
	if v.stage != nil {
		return v.stage.cfg.DeclRange
	}
	return v.local.cfg.Range
}

func (v vertex) refs() *refs {
	if v.stage != nil {
		return &v.stage.refs
	}
	return &v.local.refs
}

func (v vertex) needs(index map[string]int) []int {
	refs := v.refs()
	var needs []int
	for _, a := range refs.stages {
		if i, ok := index[a.String()]; ok {
			needs = append(needs, i)
		}
	}
	for _, name := range refs.locals {
		if i, ok := index["local."+name]; ok {
			needs = append(needs, i)
		}
	}
	return needs
}

// cycleDiagnostic prints a cycle as A → B → A, each needing the next.
func cycleDiagnostic(all []vertex, cycle []int) *hcl.Diagnostic {
	slices.Reverse(cycle)
	// The cycle begins where it began before it was turned around.
	cycle = append(cycle[len(cycle)-1:], cycle[:len(cycle)-1]...)
	var names, places []string
	for _, i := range cycle {
		names = append(names, all[i].name())
		at := all[i].where()
		places = append(places, "  "+all[i].name()+" at "+at.Filename+":"+itoa(at.Start.Line))
	}
	names = append(names, names[0])
	subject := all[cycle[0]].where()
	return diag.Errorf(&subject, "Cycle",
		"%s: each depends on the next, so none can run first. Remove one of these references:\n%s",
		strings.Join(names, " → "), strings.Join(places, "\n"))
}

// level carries out all that has to be done for vertices that need none of
// each other.
func (b *builder) level(vertices []vertex) {
	for _, v := range vertices {
		if v.local != nil {
			b.evaluateLocal(v.local)
		}
	}
	// Where stages of a cycle come last together they refer to each other, so
	// whether one is unordered is always asked first.
	expanded := make([][]*node, len(vertices))
	parallel.For(len(vertices), runtime.GOMAXPROCS(0), func(i int) {
		if s := vertices[i].stage; s != nil && !s.broken {
			s.flawed = s.flawed || b.brokenUpstream(&s.refs)
			expanded[i] = b.expand(s)
		}
	})
	nodes := slices.Concat(expanded...)
	b.each(nodes, b.decode)
	b.prepare(nodes)
	b.each(nodes, b.finish)
	b.refresh(nodes, func(n *node) bool { return n.Mode == plan.ModeRead || n.Mode == plan.ModeDeploy })
	b.takeOver(nodes)
	b.each(nodes, b.decide)
	for _, n := range nodes {
		n.stage.broken = n.stage.broken || n.broken
		b.release(n)
	}
	for _, v := range vertices {
		if v.stage != nil {
			v.stage.broken = v.stage.broken || v.stage.flawed
		}
	}
}

// release lets go of what a decided instance was decoded with: in a large
// pipeline it is more than the plan. References by a computed key are looked
// up once more when dependencies are noted.
func (b *builder) release(n *node) {
	n.instance, n.prepared = nil, nil
	switch n.Mode {
	case plan.ModeRead, plan.ModeMap, plan.ModeFlatMap, plan.ModeRun:
		if !slices.ContainsFunc(n.stage.valueRefs(b), func(r stageRef) bool { return r.index != nil }) {
			n.scope, n.stage.scope = nil, nil
		}
	}
}

// each calls f for all nodes that are not broken, on all processors.
func (b *builder) each(nodes []*node, f func(*node)) {
	parallel.For(len(nodes), runtime.GOMAXPROCS(0), func(i int) {
		if n := nodes[i]; !n.broken && b.ctx.Err() == nil {
			f(n)
		}
	})
}

func (b *builder) brokenUpstream(r *refs) bool {
	for _, a := range r.stages {
		if s := b.byAddress[a]; s == nil || s.unordered || s.broken {
			return true
		}
	}
	for _, name := range r.locals {
		if l := b.locals[name]; l == nil || l.broken {
			return true
		}
	}
	return false
}
