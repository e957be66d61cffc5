package planner

import (
	"maps"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/kind"
)

// refs are what expressions refer to, each once.
type refs struct {
	stages       []addr.Stage
	locals, vars []string
	// traversals are those that begin with a stage.
	traversals []hcl.Traversal
	// artifacts are the places of those that stand for an artifact alone.
	artifacts map[hcl.Range]bool
	// allVars and allLocals are set where one is named by a computed name.
	allVars, allLocals bool
}

func (r *refs) add(traversals ...hcl.Traversal) {
	for _, t := range traversals {
		switch root := t.RootName(); {
		case kind.Is(root):
			r.traversals = append(r.traversals, t)
			if a, _, ok := addr.FromTraversal(t); ok && !slices.Contains(r.stages, a.Stage) {
				r.stages = append(r.stages, a.Stage)
			}
		case root == "local":
			r.allLocals = addName(&r.locals, t) || r.allLocals
		case root == "var":
			r.allVars = addName(&r.vars, t) || r.allVars
		}
	}
}

// addName adds the second step of a traversal; all is true where there is
// none.
func addName(list *[]string, t hcl.Traversal) (all bool) {
	if len(t) < 2 {
		return true
	}
	step, ok := t[1].(hcl.TraverseAttr)
	if !ok {
		return true
	}
	if !slices.Contains(*list, step.Name) {
		*list = append(*list, step.Name)
	}
	return false
}

func (r *refs) merge(o *refs) {
	for _, a := range o.stages {
		if !slices.Contains(r.stages, a) {
			r.stages = append(r.stages, a)
		}
	}
	for _, l := range o.locals {
		if !slices.Contains(r.locals, l) {
			r.locals = append(r.locals, l)
		}
	}
	for _, v := range o.vars {
		if !slices.Contains(r.vars, v) {
			r.vars = append(r.vars, v)
		}
	}
	r.traversals = append(r.traversals, o.traversals...)
	if len(o.artifacts) > 0 {
		r.artifacts = maps.Clone(r.artifacts)
		if r.artifacts == nil {
			r.artifacts = map[hcl.Range]bool{}
		}
		maps.Copy(r.artifacts, o.artifacts)
	}
	r.allVars = r.allVars || o.allVars
	r.allLocals = r.allLocals || o.allLocals
}

// stageRefs are what a stage refers to, but for itself in its postconditions,
// which are checked when it is done.
func stageRefs(s *config.Stage) refs {
	var r refs
	r.add(s.References()...)
	if len(s.Post) > 0 {
		r.stages = slices.DeleteFunc(r.stages, func(a addr.Stage) bool { return a == s.Addr })
		r.traversals = slices.DeleteFunc(r.traversals, func(t hcl.Traversal) bool {
			a, _, ok := addr.FromTraversal(t)
			return ok && a.Stage == s.Addr
		})
	}
	return r
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func itoa(i int) string { return strconv.Itoa(i) }
