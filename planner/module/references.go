package module

import (
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
	// calls are the names of the modules that are called.
	calls []string
	// outputs are the references to their outputs, and waits those to whole modules
	// in depends_on.
	outputs, waits []hcl.Traversal
	// traversals are the references to stages.
	traversals []hcl.Traversal
	// artifacts are the ranges of those that represent only an artifact.
	artifacts []hcl.Range
	// allVars and AllLocals are set if a name is computed.
	allVars, AllLocals bool
}

// callRoot is what references to the outputs of a called module begin with.
const callRoot = "module"

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
		case root == callRoot:
			addName(&r.calls, t)
			r.outputs = append(r.outputs, t)
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
	for _, c := range o.calls {
		if !slices.Contains(r.calls, c) {
			r.calls = append(r.calls, c)
		}
	}
	r.outputs, r.waits = append(r.outputs, o.outputs...), append(r.waits, o.waits...)
	r.traversals = append(r.traversals, o.traversals...)
	r.artifacts = slices.Concat(r.artifacts, o.artifacts)
	r.allVars = r.allVars || o.allVars
	r.AllLocals = r.AllLocals || o.AllLocals
}

// stageRefs returns a stage's references, except for those to itself in its
// postconditions, which are checked when it is done.
func stageRefs(s *config.Stage) Refs {
	var r Refs
	r.Add(s.References()...)
	r.wait(s.DependsOn)
	if len(s.Post) > 0 {
		r.Stages = slices.DeleteFunc(r.Stages, func(a addr.Stage) bool { return a == s.Addr })
		r.traversals = slices.DeleteFunc(r.traversals, func(t hcl.Traversal) bool {
			a, _, ok := addr.FromTraversal(t)
			return ok && a.Stage == s.Addr
		})
	}
	return r
}

// wait turns the references of a depends_on that name modules into what they mean
// there: everything in the module, rather than its outputs.
func (r *Refs) wait(dependsOn []hcl.Traversal) {
	for _, t := range dependsOn {
		if t.RootName() != callRoot {
			continue
		}
		at := t.SourceRange()
		r.waits = append(r.waits, t)
		r.outputs = slices.DeleteFunc(r.outputs, func(o hcl.Traversal) bool { return o.SourceRange() == at })
	}
	r.calls = r.calls[:0]
	for _, t := range r.outputs {
		addName(&r.calls, t)
	}
}

// outputRefs returns the references of an output.
func outputRefs(o *config.Output) *Refs {
	r := RefsOf(o.Expr)
	r.addConditions(o.Pre)
	r.Add(o.DependsOn...)
	r.wait(o.DependsOn)
	return r
}

// validationRefs returns the references of the validations of a variable, and the
// variable itself.
func validationRefs(v *config.Variable) *Refs {
	r := &Refs{vars: []string{v.Name}}
	r.addConditions(v.Validations)
	return r
}

// callRefs returns what the instances of a call depend on.
func callRefs(c *config.Call) *Refs {
	r := &Refs{}
	r.Add(c.InstanceReferences()...)
	r.wait(c.DependsOn)
	return r
}

func (r *Refs) addConditions(all []config.Condition) {
	for _, c := range all {
		r.Add(config.Variables(c.Condition)...)
		r.Add(config.Variables(c.ErrorMessage)...)
	}
}

// LeadsToStages reports whether references can lead to stages, directly or through
// other names.
func (m *Module) LeadsToStages(r *Refs) bool {
	return len(r.Stages) > 0 || len(r.Locals) > 0 || r.AllLocals || len(r.outputs) > 0 || m.inputs != nil && (len(r.vars) > 0 || r.allVars)
}
