package module

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/dag"
	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
)

// Level is a set of stages and values that do not depend on each other, in all
// modules.
type Level struct {
	// Stages are those of all modules that exist when the level is entered.
	Stages []*Stage
	// Deferred are the calls whose instances turned out not to be known yet.
	Deferred []*Call
	tree     *Tree
	vertices []int
	// last are the vertices of stages that no later level needs.
	last []int
}

// Phases are what entering a level needs of the phases of planning.
type Phases interface {
	// Expand computes the instances of a module that m calls, and passes them to
	// m.Expand.
	Expand(m *Module, c *config.Call)
	// CheckInput checks the validations of an input, and CheckOutput the
	// preconditions of an output.
	CheckInput(m *Module, in *Input)
	CheckOutput(m *Module, out *Output)
}

// Order sorts the stages and values of all modules into levels, each of which
// depends only on earlier ones. targets limit the result to these stages and what
// they need; excludes leave out these stages and what needs them. Order reports
// cycles. Whatever is in a cycle or depends on one comes last and counts as broken.
func (t *Tree) Order(targets, excludes []addr.Target) (levels []*Level) {
	g := t.graph()
	for _, cycle := range g.Cycles() {
		t.Root.Report(t.cycleDiagnostic(cycle))
	}
	t.markWanted(g, targets, excludes)
	sorted := g.Levels()
	if rest := t.markUnordered(sorted); len(rest) > 0 {
		sorted = append(sorted, rest)
	}
	for _, n := range t.nodes {
		for _, m := range n.instances {
			m.take(n)
		}
	}
	for _, indices := range sorted {
		indices = slices.DeleteFunc(indices, func(i int) bool { return !t.vertices[i].wanted })
		levels = append(levels, &Level{tree: t, vertices: indices})
	}
	for i, level := range lastNeeded(g, sorted) {
		if level >= 0 && t.vertices[i].kind == ofStage {
			levels[level].last = append(levels[level].last, i)
		}
	}
	return levels
}

// lastNeeded returns, by vertex, the last level that needs it, or -1.
func lastNeeded(g dag.Graph, levels [][]int) []int {
	last := slices.Repeat([]int{-1}, len(g))
	for level, indices := range levels {
		for _, i := range indices {
			for _, needed := range g[i] {
				last[needed] = level
			}
		}
	}
	return last
}

// take sets what the order says about the stages of a module.
func (m *Module) take(n *node) {
	for i, s := range m.stages {
		if v := n.first + i; v < len(m.Tree.vertices) {
			s.planned, s.unordered = m.Tree.vertices[v].wanted, m.Tree.vertices[v].unordered
			s.flawed = s.flawed || s.unordered
		}
	}
}

// Enter evaluates the values of a level and collects its stages.
func (l *Level) Enter(p Phases) {
	for _, i := range l.vertices {
		v := &l.tree.vertices[i]
		for _, m := range v.node.instances {
			if v.kind == ofStage {
				l.Stages = append(l.Stages, m.stages[v.index])
				continue
			}
			m.enter(v, p)
		}
		if v.kind == ofCall && !v.unordered && (v.node.call.Count != nil || v.node.call.ForEach != nil) {
			for _, m := range v.node.parent.instances {
				p.Expand(m, v.node.call)
				if c := m.calls[v.node.call.Name]; c.deferred != nil {
					l.Deferred = append(l.Deferred, c)
				}
			}
		}
	}
}

// Leave drops what later levels do not need: most of what large plans would
// otherwise keep. Outputs and checks, which are not in the graph, see stages again
// if they refer to them.
func (l *Level) Leave() {
	for _, i := range l.last {
		v := &l.tree.vertices[i]
		for _, m := range v.node.instances {
			m.stages[v.index].forget()
		}
	}
	for _, s := range l.Stages {
		s.dropSyntax()
	}
}

// enter evaluates one value of a module.
func (m *Module) enter(v *vertex, p Phases) {
	switch v.kind {
	case ofLocal:
		if l := m.locals[v.name]; v.unordered {
			l.broken = true
		} else {
			m.EvaluateLocal(l)
		}
	case ofInput:
		if in := m.inputs[v.name]; v.unordered {
			in.broken = true
		} else {
			m.EvaluateInput(v.name)
		}
	case ofValidation:
		if in := m.inputs[v.name]; in.evaluated() && !in.broken {
			p.CheckInput(m, in)
		}
	case ofOutput:
		if out := m.outputs[v.name]; v.unordered {
			out.broken = true
		} else if m.EvaluateOutput(v.name); out.evaluated() && !out.broken {
			p.CheckOutput(m, out)
		}
	}
}

// vertexKind is what a vertex of the graph is.
type vertexKind int

const (
	ofStage vertexKind = iota
	ofLocal
	ofInput
	ofValidation // of an input
	ofOutput
	ofCall // what depends_on, count, and for_each of a module block wait for
)

// vertex is a stage or a value in the graph of the configuration. It means that of
// all instances of its module.
type vertex struct {
	node  *node
	kind  vertexKind
	index int    // of a stage
	name  string // of a value
	// wanted is set if targets and excludes do not leave it out, and unordered if
	// it is in a cycle or depends on one.
	wanted, unordered bool
}

// places are the vertices of a node.
type places struct {
	locals, inputs, validations, outputs map[string]int
	// entry is the vertex of the call that everything in the node waits for, or -1.
	entry int
}

// graph adds the vertices, and returns what each needs.
func (t *Tree) graph() dag.Graph {
	at := make(map[*node]*places, len(t.nodes))
	for _, n := range t.nodes {
		at[n] = t.addVertices(n, at[n.parent])
	}
	g := make(dag.Graph, len(t.vertices))
	e := edges{at: at, graph: g}
	for i := range t.vertices {
		e.of(i, &t.vertices[i])
	}
	return g
}

func (t *Tree) addVertices(n *node, outer *places) *places {
	add := func(v vertex) int {
		v.node = n
		t.vertices = append(t.vertices, v)
		return len(t.vertices) - 1
	}
	addAll := func(kind vertexKind, names []string) map[string]int {
		if len(names) == 0 {
			return nil
		}
		indices := make(map[string]int, len(names))
		for _, name := range names {
			indices[name] = add(vertex{kind: kind, name: name})
		}
		return indices
	}
	p := &places{entry: -1}
	n.first = len(t.vertices)
	for i := range n.stages {
		add(vertex{kind: ofStage, index: i})
	}
	p.locals = addAll(ofLocal, ordered.Keys(n.config.Locals))
	if n.call == nil {
		return p
	}
	p.inputs = addAll(ofInput, ordered.Keys(n.call.Inputs))
	var validated []string
	for _, name := range ordered.Keys(n.config.Variables) {
		if len(n.config.Variables[name].Validations) > 0 {
			validated = append(validated, name)
		}
	}
	p.validations = addAll(ofValidation, validated)
	p.outputs = addAll(ofOutput, ordered.Keys(n.config.Outputs))
	p.entry = outer.entry
	if n.call.Count != nil || n.call.ForEach != nil || len(n.call.DependsOn) > 0 {
		p.entry = add(vertex{kind: ofCall})
	}
	return p
}

// edges adds what vertices need.
type edges struct {
	at    map[*node]*places
	graph dag.Graph
}

func (e *edges) add(to int, needs ...int) { e.graph[to] = append(e.graph[to], needs...) }

func (e *edges) of(i int, v *vertex) {
	n := v.node
	if entry := e.at[n].entry; entry >= 0 && entry != i {
		e.add(i, entry)
	}
	switch v.kind {
	case ofStage:
		e.refs(i, n, &n.stages[v.index].refs)
	case ofLocal:
		e.refs(i, n, RefsOf(n.config.Locals[v.name].Expr))
	case ofInput:
		e.refs(i, n.parent, RefsOf(n.call.Inputs[v.name].Expr))
	case ofValidation:
		e.refs(i, n, validationRefs(n.config.Variables[v.name]))
	case ofOutput:
		e.refs(i, n, outputRefs(n.config.Outputs[v.name]))
	case ofCall:
		if outer := e.at[n.parent].entry; outer >= 0 {
			e.add(i, outer)
		}
		e.refs(i, n.parent, callRefs(n.call))
	}
}

// refs adds what references in a module lead to.
func (e *edges) refs(i int, n *node, r *Refs) {
	here := e.at[n]
	for _, a := range r.Stages {
		if j := n.stage(a); j >= 0 {
			e.add(i, n.first+j)
		}
	}
	for _, name := range r.Locals {
		if j, ok := here.locals[name]; ok {
			e.add(i, j)
		}
	}
	for _, name := range r.vars {
		if j, ok := here.inputs[name]; ok {
			e.add(i, j)
		}
	}
	if r.allVars {
		for _, j := range here.inputs {
			e.add(i, j)
		}
	}
	for _, t := range r.outputs {
		e.output(i, n, t)
	}
	for _, t := range r.waits {
		if child := n.children[callName(t)]; child != nil {
			e.everything(i, child)
		}
	}
}

// output adds the outputs that a reference may lead to.
func (e *edges) output(i int, n *node, t hcl.Traversal) {
	child := n.children[callName(t)]
	if child == nil {
		return
	}
	there := e.at[child]
	if there.entry >= 0 {
		e.add(i, there.entry)
	}
	steps := t[2:]
	if len(steps) > 0 && (child.call.Count != nil || child.call.ForEach != nil) {
		steps = steps[1:]
	}
	if len(steps) > 0 {
		if name, ok := steps[0].(hcl.TraverseAttr); ok {
			if j, ok := there.outputs[name.Name]; ok {
				e.add(i, j)
			}
			return
		}
	}
	for _, name := range ordered.Keys(there.outputs) {
		e.add(i, there.outputs[name])
	}
}

// everything adds all stages of a module and of those that it calls.
func (e *edges) everything(i int, n *node) {
	e.add(i, n.stageVertices(nil)...)
	e.entries(i, n)
}

// entries adds what the number of instances in a module depends on.
func (e *edges) entries(i int, n *node) {
	if entry := e.at[n].entry; entry >= 0 {
		e.add(i, entry)
	}
	for _, name := range ordered.Keys(n.children) {
		e.entries(i, n.children[name])
	}
}

// callName returns the name of the call that a reference begins with.
func callName(t hcl.Traversal) string {
	if len(t) < 2 {
		return ""
	}
	name, _ := t[1].(hcl.TraverseAttr)
	return name.Name
}

// markWanted marks the vertices that targets and excludes do not leave out.
func (t *Tree) markWanted(g dag.Graph, targets, excludes []addr.Target) {
	for i := range t.vertices {
		t.vertices[i].wanted = len(targets) == 0
	}
	if len(targets) > 0 {
		for i, needed := range g.Needs(t.indices(targets, false)...) {
			t.vertices[i].wanted = needed
		}
	}
	if len(excludes) > 0 {
		for i, excluded := range g.Reverse().Needs(t.indices(excludes, true)...) {
			t.vertices[i].wanted = t.vertices[i].wanted && !excluded
		}
	}
	for i := range t.vertices { // nothing needs a validation
		if v := &t.vertices[i]; v.kind == ofValidation {
			v.wanted = slices.ContainsFunc(g[i], func(j int) bool {
				return t.vertices[j].kind == ofInput && t.vertices[j].name == v.name && t.vertices[j].wanted
			})
		}
	}
}

// indices returns the vertices of the stages that targets mean. If whole is set, it
// ignores addresses of single instances.
func (t *Tree) indices(targets []addr.Target, whole bool) []int {
	var found []int
	for _, target := range targets {
		n, keyed := t.nodeOf(target), target.HasKey()
		for _, call := range target.Calls() {
			keyed = keyed || call.Key != cty.NilVal
		}
		switch {
		case n == nil || whole && keyed:
		case target.IsModule():
			found = n.stageVertices(found)
		default:
			if i := n.stage(target.Stage().In(addr.Module{})); i >= 0 {
				found = append(found, n.first+i)
			}
		}
	}
	return found
}

// nodeOf returns the node that contains a target, or that the target is, whatever
// the keys in it. It returns nil if there is none.
func (t *Tree) nodeOf(target addr.Target) *node {
	n := t.Root.node
	for _, call := range target.Calls() {
		if n = n.children[call.Name]; n == nil {
			return nil
		}
	}
	return n
}

// Declares reports whether the configuration has the stage or module of a target,
// whatever the keys in it.
func (t *Tree) Declares(target addr.Target) bool {
	n := t.nodeOf(target)
	return n != nil && (target.IsModule() || n.stage(target.Stage().In(addr.Module{})) >= 0)
}

// stage returns the index of a stage with an address relative to the module, or -1.
func (n *node) stage(a addr.Stage) int {
	if i, ok := n.indices[a]; ok {
		return i
	}
	return -1
}

// stageVertices adds the vertices of all stages in a module and in those that it
// calls.
func (n *node) stageVertices(to []int) []int {
	for i := range n.stages {
		to = append(to, n.first+i)
	}
	for _, name := range ordered.Keys(n.children) {
		to = n.children[name].stageVertices(to)
	}
	return to
}

// markUnordered marks and returns the vertices that are in no level.
func (t *Tree) markUnordered(levels [][]int) (rest []int) {
	ordered := make([]bool, len(t.vertices))
	for _, level := range levels {
		for _, i := range level {
			ordered[i] = true
		}
	}
	for i := range t.vertices {
		if !ordered[i] {
			t.vertices[i].unordered = true
			rest = append(rest, i)
		}
	}
	return rest
}

// path returns the path of a module in the configuration, without the keys of
// instances, as the beginning of an address.
func (n *node) path() string {
	if n.call == nil {
		return ""
	}
	return n.parent.path() + callRoot + "." + n.call.Name + "."
}

func (v *vertex) String() string {
	path := v.node.path()
	switch v.kind {
	case ofStage:
		return path + v.node.config.Stages[v.index].Addr.String()
	case ofLocal:
		return path + "local." + v.name
	case ofOutput:
		return path + v.name
	case ofCall:
		return strings.TrimSuffix(path, ".")
	}
	return path + "var." + v.name
}

func (v *vertex) where() hcl.Range {
	c := v.node.config
	switch v.kind {
	case ofStage:
		return c.Stages[v.index].DeclRange
	case ofLocal:
		return c.Locals[v.name].Range
	case ofInput:
		return v.node.call.Inputs[v.name].Range
	case ofOutput:
		return c.Outputs[v.name].Range
	case ofCall:
		return v.node.call.DeclRange
	}
	return c.Variables[v.name].Range
}

// cycleDiagnostic prints a cycle as A → B → A, each needing the next.
func (t *Tree) cycleDiagnostic(cycle []int) *hcl.Diagnostic {
	slices.Reverse(cycle)
	// Start the cycle where it started before it was reversed.
	cycle = append(cycle[len(cycle)-1:], cycle[:len(cycle)-1]...)
	var names, places []string
	for _, i := range cycle {
		v := &t.vertices[i]
		names = append(names, v.String())
		at := v.where()
		places = append(places, "  "+v.String()+" at "+at.Filename+":"+strconv.Itoa(at.Start.Line))
	}
	names = append(names, names[0])
	subject := t.vertices[cycle[0]].where()
	return diag.Errorf(&subject, "Cycle",
		"%s: each depends on the next, so none can run first. Remove one of these references:\n%s",
		strings.Join(names, " → "), strings.Join(places, "\n"))
}
