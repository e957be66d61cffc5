package module

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/dag"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
)

// Level is a set of stages and locals that do not depend on each other.
type Level struct {
	Stages []*Stage
	Locals []*Local
}

// Order sorts the stages and locals of a module into levels, each of which
// depends only on earlier ones. targets limit the result to these stages and
// what they need; excludes leave out these stages and what needs them. Order
// reports cycles. Whatever is in a cycle or depends on one comes last and
// counts as broken.
func (m *Module) Order(targets, excludes []addr.Instance) (levels []Level) {
	all := m.vertices()
	g := m.graph(all)
	for _, cycle := range g.Cycles() {
		m.Report(cycleDiagnostic(all, cycle))
	}
	wanted := wanted(g, all, targets, excludes)
	sorted := g.Levels()
	if rest := unordered(all, sorted); len(rest) > 0 {
		sorted = append(sorted, rest)
	}
	for _, indices := range sorted {
		var level Level
		for _, i := range indices {
			switch v := all[i]; {
			case !wanted[i]:
			case v.stage != nil:
				v.stage.planned = true
				level.Stages = append(level.Stages, v.stage)
			default:
				level.Locals = append(level.Locals, v.local)
			}
		}
		levels = append(levels, level)
	}
	return levels
}

// vertex is a stage or a local in the graph of a module.
type vertex struct {
	stage *Stage
	local *Local
}

func (m *Module) vertices() []vertex {
	var all []vertex
	for _, s := range m.stages {
		all = append(all, vertex{stage: s})
	}
	for _, name := range sortedKeys(m.locals) {
		all = append(all, vertex{local: m.locals[name]})
	}
	return all
}

func (m *Module) graph(all []vertex) dag.Graph {
	index := make(map[string]int, len(all))
	for i, v := range all {
		index[v.name()] = i
	}
	g := make(dag.Graph, len(all))
	for i, v := range all {
		g[i] = v.needs(index)
	}
	return g
}

// wanted marks the vertices that targets and excludes do not leave out.
func wanted(g dag.Graph, all []vertex, targets, excludes []addr.Instance) []bool {
	wanted := make([]bool, len(all))
	for i := range wanted {
		wanted[i] = len(targets) == 0
	}
	if len(targets) > 0 {
		wanted = g.Needs(indices(all, targets, false)...)
	}
	if len(excludes) > 0 {
		for i, excluded := range g.Reverse().Needs(indices(all, excludes, true)...) {
			wanted[i] = wanted[i] && !excluded
		}
	}
	return wanted
}

// indices returns the vertices of addresses. If whole is set, it ignores
// addresses of single instances.
func indices(all []vertex, addresses []addr.Instance, whole bool) []int {
	var found []int
	for i, v := range all {
		for _, a := range addresses {
			if v.stage != nil && v.stage.Config.Addr == a.Stage && (!whole || !a.HasKey()) {
				found = append(found, i)
			}
		}
	}
	return found
}

// unordered marks and returns the vertices that are in no level.
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
		return v.stage.Config.Addr.String()
	}
	return "local." + v.local.Config.Name
}

func (v vertex) where() hcl.Range {
	if v.stage != nil {
		return v.stage.Config.DeclRange
	}
	return v.local.Config.Range
}

func (v vertex) refs() *Refs {
	if v.stage != nil {
		return &v.stage.Refs
	}
	return &v.local.Refs
}

func (v vertex) needs(index map[string]int) []int {
	refs := v.refs()
	var needs []int
	for _, a := range refs.Stages {
		if i, ok := index[a.String()]; ok {
			needs = append(needs, i)
		}
	}
	for _, name := range refs.Locals {
		if i, ok := index["local."+name]; ok {
			needs = append(needs, i)
		}
	}
	return needs
}

// cycleDiagnostic prints a cycle as A → B → A, each needing the next.
func cycleDiagnostic(all []vertex, cycle []int) *hcl.Diagnostic {
	slices.Reverse(cycle)
	// Start the cycle where it started before it was reversed.
	cycle = append(cycle[len(cycle)-1:], cycle[:len(cycle)-1]...)
	var names, places []string
	for _, i := range cycle {
		names = append(names, all[i].name())
		at := all[i].where()
		places = append(places, "  "+all[i].name()+" at "+at.Filename+":"+strconv.Itoa(at.Start.Line))
	}
	names = append(names, names[0])
	subject := all[cycle[0]].where()
	return diag.Errorf(&subject, "Cycle",
		"%s: each depends on the next, so none can run first. Remove one of these references:\n%s",
		strings.Join(names, " → "), strings.Join(places, "\n"))
}
