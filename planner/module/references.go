package module

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/kind"
)

// Refs are the references of expressions, without duplicates.
type Refs struct {
	Stages       []addr.Stage
	Locals, vars []string
	// traversals are the references to stages.
	traversals []hcl.Traversal
	// artifacts are the ranges of those that represent only an artifact.
	artifacts map[hcl.Range]bool
	// allVars and AllLocals are set if a name is computed.
	allVars, AllLocals bool
}

// RefsOf returns the references of expressions.
func RefsOf(exprs ...hcl.Expression) *Refs {
	r := &Refs{}
	for _, e := range exprs {
		r.Add(config.Variables(e)...)
	}
	return r
}

// Add adds the references of traversals.
func (r *Refs) Add(traversals ...hcl.Traversal) {
	for _, t := range traversals {
		switch root := t.RootName(); {
		case kind.Is(root):
			r.traversals = append(r.traversals, t)
			if a, _, ok := addr.FromTraversal(t); ok && !slices.Contains(r.Stages, a.Stage) {
				r.Stages = append(r.Stages, a.Stage)
			}
		case root == "local":
			r.AllLocals = addName(&r.Locals, t) || r.AllLocals
		case root == "var":
			r.allVars = addName(&r.vars, t) || r.allVars
		}
	}
}

// addName adds the second step of a traversal. all is true if it has none.
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

func (r *Refs) merge(o *Refs) {
	for _, a := range o.Stages {
		if !slices.Contains(r.Stages, a) {
			r.Stages = append(r.Stages, a)
		}
	}
	for _, l := range o.Locals {
		if !slices.Contains(r.Locals, l) {
			r.Locals = append(r.Locals, l)
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
	r.AllLocals = r.AllLocals || o.AllLocals
}

// stageRefs returns a stage's references, except for those to itself in its
// postconditions, which are checked when it is done.
func stageRefs(s *config.Stage) Refs {
	var r Refs
	r.Add(s.References()...)
	if len(s.Post) > 0 {
		r.Stages = slices.DeleteFunc(r.Stages, func(a addr.Stage) bool { return a == s.Addr })
		r.traversals = slices.DeleteFunc(r.traversals, func(t hcl.Traversal) bool {
			a, _, ok := addr.FromTraversal(t)
			return ok && a.Stage == s.Addr
		})
	}
	return r
}
