package comparison

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
)

// vertex is a stage or a model in the graph of a plan.
type vertex struct {
	*plan.Node
	// inputs are the artifacts that it refers to, by key.
	inputs map[string]*plan.Input
	// choices are the texts of its choices, by key.
	choices map[string]string
}

// vertices returns the stages and models of a configuration, each after those that
// it needs.
func vertices(p *plan.Plan) []*vertex {
	var all []*vertex
	models := func(alone bool) {
		for _, address := range ordered.Keys(p.Models) {
			m := p.Models[address]
			if alone == (len(m.DependsOn) == 0) {
				all = append(all, newVertex(&plan.Node{
					Address: m.Address, Kind: kind.Model, Type: m.Type, Plugin: m.Plugin, Behavior: m.Behavior, Body: m.Body,
					Definition: m.Definition, Preimage: m.Preimage, Files: m.Files, Pins: m.Pins,
				}))
			}
		}
	}
	models(true)
	for _, n := range p.Nodes {
		all = append(all, newVertex(n))
	}
	models(false) // those that wrap a trained model
	return all
}

func newVertex(n *plan.Node) *vertex {
	v := &vertex{Node: n, inputs: map[string]*plan.Input{}, choices: map[string]string{}}
	if n.Body != nil {
		walk(n.Body, "", func(key string, a *plan.Arg) {
			switch {
			case a.Input != nil:
				v.inputs[key] = a.Input
			case a.Choice != nil:
				v.choices[key] = a.Choice.Key.Text + ", of " + strings.Join(ordered.Keys(a.Choice.Of), ", ")
			}
		})
	}
	return v
}

// walk calls f for all arguments of a body, with the keys that definitions use.
func walk(b *plan.Body, prefix string, f func(key string, a *plan.Arg)) {
	for name, a := range b.Args {
		walkArg(a, prefix+name, f)
	}
	for i, key := range b.BlockKeys(prefix) {
		walk(b.Blocks[i].Body, key+".", f)
	}
}

func walkArg(a *plan.Arg, key string, f func(key string, a *plan.Arg)) {
	f(key, a)
	for name, element := range a.Map {
		walkArg(element, key+"."+name, f)
	}
	for i, element := range a.List {
		walkArg(element, key+"."+strconv.Itoa(i), f)
	}
	if a.Choice != nil {
		for name, element := range a.Choice.Of {
			walkArg(element, key+"."+name, f)
		}
	}
}

// definition returns what determines the result, apart from the inputs: the fields
// of the definition key, and what a source contains. The columns of outputs follow
// from these and from the inputs.
func (v *vertex) definition() []plan.Field {
	if v.Body == nil && len(v.Preimage) > 0 {
		return v.Preimage
	}
	_, fields, err := fingerprint.Definition(v.Node, v.Body, nil)
	if err != nil {
		return []plan.Field{{Name: "definition", Value: err.Error()}}
	}
	fields = slices.DeleteFunc(fields, func(f plan.Field) bool { return f.Name == "output" || strings.HasPrefix(f.Name, "output ") })
	for _, key := range ordered.Keys(v.choices) {
		fields = append(fields, plan.Field{Name: "expression " + key, Value: v.choices[key]})
	}
	if v.Fingerprint != "" {
		fields = append(fields, plan.Field{Name: "source", Value: v.Fingerprint})
	}
	return fields
}

// signature is equal for two stages of which one is the other under a new name.
// rename returns the earlier address of an input.
func (v *vertex) signature(rename func(string) string) string {
	key := fingerprint.Key("", v.definition())
	var inputs []string
	for at, in := range v.inputs {
		inputs = append(inputs, fmt.Sprintf("%q %s.%s", at, rename(in.Address), in.Port))
	}
	slices.Sort(inputs)
	return strings.Join(append(inputs, v.Kind, v.Type, key), "\n")
}

// matched are the vertices of two graphs.
type matched struct {
	after, removed []*vertex
	// earlier is what a vertex was before. New ones are missing.
	earlier map[*vertex]*vertex
	// from is the earlier address of those that moved.
	from map[string]string
	// columns are those that differ in what a stage produces, by address.
	columns map[string][]Column
}

// match finds for each vertex what it was before: the one with the same address,
// or else one that is the same under another address that no longer exists.
func match(before, after []*vertex) *matched {
	m := &matched{after: after, earlier: map[*vertex]*vertex{}, from: map[string]string{}, columns: map[string][]Column{}}
	was, still := byAddress(before), byAddress(after)
	gone := map[string][]*vertex{} // by signature
	for _, v := range before {
		if still[v.Address] == nil {
			s := v.signature(func(address string) string { return address })
			gone[s] = append(gone[s], v)
		}
	}
	taken := map[*vertex]bool{}
	for _, v := range after {
		if old := was[v.Address]; old != nil && old.Kind == v.Kind {
			m.earlier[v] = old
			continue
		}
		if len(gone) == 0 {
			continue
		}
		s := v.signature(func(address string) string { return cmp.Or(m.from[address], address) })
		if old := closest(gone[s], v, taken); old != nil {
			m.earlier[v], m.from[v.Address], taken[old] = old, old.Address, true
		}
	}
	for v, old := range m.earlier {
		if c := columns(old, v); len(c) > 0 {
			m.columns[v.Address] = c
		}
	}
	for _, v := range before {
		if still[v.Address] == nil && !taken[v] {
			m.removed = append(m.removed, v)
		}
	}
	return m
}

// closest returns the candidate that is not taken and has the same name, or else
// the first one; nil if all are taken.
func closest(candidates []*vertex, v *vertex, taken map[*vertex]bool) *vertex {
	var first *vertex
	for _, c := range candidates {
		if taken[c] {
			continue
		}
		if nameOf(c.Address) == nameOf(v.Address) {
			return c
		}
		if first == nil {
			first = c
		}
	}
	return first
}

// nameOf returns an address without its module.
func nameOf(address string) string {
	a, err := addr.Parse(address)
	if err != nil {
		return address
	}
	a.Module = addr.Module{}
	return a.String()
}

func byAddress(all []*vertex) map[string]*vertex {
	m := make(map[string]*vertex, len(all))
	for _, v := range all {
		m[v.Address] = v
	}
	return m
}
