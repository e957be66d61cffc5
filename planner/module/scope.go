package module

import (
	"maps"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
)

// Scope is what the expressions of one block can see, which is limited to what
// they refer to.
type Scope struct {
	// Values contains stages as users see them.
	Values *hcl.EvalContext
	// Handles also contains the artifacts themselves, for arguments that take
	// artifacts.
	Handles *hcl.EvalContext
	// Definitions are those of names whose values are not known.
	Definitions map[string]*expr.Definition
	// Module is the module of the block.
	Module *Module
}

// Expr returns the scope of expressions that have one value.
func (s *Scope) Expr() *expr.Scope {
	return &expr.Scope{Eval: s.Values, Definitions: s.Definitions, Module: s.Module.Addr, Foreign: s.Module.foreign}
}

// With returns the scope with more variables, which may shadow existing ones.
func (s *Scope) With(values, handles map[string]cty.Value) *Scope {
	out := &Scope{Values: s.Values.NewChild(), Handles: s.Handles.NewChild(), Definitions: s.Definitions, Module: s.Module}
	out.Values.Variables, out.Handles.Variables = values, handles
	return out
}

// Local is a local value.
type Local struct {
	Config *config.Local
	Refs   Refs
	// Impure is set if the value comes from a function that returns a different
	// result at every call.
	Impure bool
	broken bool
	// value and handles are its value in the two kinds of scope.
	value, handles cty.Value
}

func newLocal(cfg *config.Local) *Local {
	l := &Local{Config: cfg}
	l.Refs.Add(config.Variables(cfg.Expr)...)
	return l
}

// open reports whether expressions that refer to the local have to be compiled
// from its own expression, because its value is not known or contains a secret.
func (l *Local) open() bool { return !l.value.IsWhollyKnown() || l.value.ContainsMarked() }

// EvaluateLocal evaluates a local that is not evaluated yet.
func (m *Module) EvaluateLocal(l *Local) {
	if l.value != cty.NilVal || l.broken {
		return
	}
	if m.BrokenUpstream(&l.Refs) {
		l.broken = true
		return
	}
	if expr.MentionsRow(l.Config.Expr) {
		l.broken = m.Report(diag.Errorf(l.Config.Expr.Range().Ptr(), "Name is not available here",
			"A local has one value for the whole pipeline, but `row` is different for each row. Write this expression in the argument that uses it."))
		return
	}
	l.Impure = m.Impure(l.Config.Expr, &l.Refs) != ""
	s := m.Scope(&l.Refs)
	if l.broken = m.Report(m.CheckTraversals(&l.Refs, l.Config.Expr)...); l.broken {
		return
	}
	value, diags := eval.Value(l.Config.Expr, s.Values)
	l.value, l.handles = value, value
	l.broken = m.Report(diags...)
	if !l.broken && s.Handles != s.Values {
		l.handles, _ = eval.Value(l.Config.Expr, s.Handles)
	}
}

// Define returns the scope with one more definition.
func (s *Scope) Define(name string, d *expr.Definition) *Scope {
	out := *s
	out.Definitions = make(map[string]*expr.Definition, len(s.Definitions)+1)
	maps.Copy(out.Definitions, s.Definitions)
	out.Definitions[name] = d
	return &out
}

// Scope returns the scope for expressions with these references. Everything
// that they refer to must be evaluated.
func (m *Module) Scope(r *Refs) *Scope {
	definitions, all := m.OpenLocals(r)
	values := map[string]cty.Value{"path": m.paths, "quern": m.about}
	s := &Scope{Definitions: definitions, Values: m.root.NewChild(), Module: m}
	s.Values.Variables = values
	handles := map[string]cty.Value{}
	m.border(all, s, values, handles)
	stageful := len(all.Stages) > 0
	if len(all.Locals) > 0 || all.AllLocals {
		var lh cty.Value
		values["local"], lh = m.localValues(all)
		handles["local"] = lh
	}
	if !stageful && len(handles) == 0 {
		s.Handles = s.Values
		return s
	}
	m.stageValues(all, values, handles)
	for name, v := range values {
		if _, ok := handles[name]; !ok {
			handles[name] = v
		}
	}
	s.Handles = m.root.NewChild()
	s.Handles.Variables = handles
	return s
}

// OpenLocals adds the references of the locals whose values are not known,
// because their expressions take the place of their names.
func (m *Module) OpenLocals(r *Refs) (definitions map[string]*expr.Definition, all *Refs) {
	all = r
	if len(r.Locals) == 0 && !r.AllLocals {
		return nil, all
	}
	all = &Refs{}
	all.merge(r)
	if r.AllLocals {
		all.Locals = ordered.Keys(m.locals)
	}
	definitions = map[string]*expr.Definition{}
	for i := 0; i < len(all.Locals); i++ {
		l := m.locals[all.Locals[i]]
		if l == nil || l.broken || l.value == cty.NilVal || !l.open() {
			continue
		}
		definitions["local."+l.Config.Name] = &expr.Definition{Expr: l.Config.Expr}
		all.merge(&l.Refs)
	}
	return definitions, all
}

func (m *Module) localValues(all *Refs) (values, handles cty.Value) {
	v, h := map[string]cty.Value{}, map[string]cty.Value{}
	for _, name := range all.Locals {
		if l := m.locals[name]; l != nil && l.value != cty.NilVal {
			v[name], h[name] = l.value, l.handles
		}
	}
	return cty.ObjectVal(v), cty.ObjectVal(h)
}

// stageValues adds the stages under their kinds.
func (m *Module) stageValues(r *Refs, values, handles map[string]cty.Value) {
	for _, a := range r.Stages {
		if _, done := values[a.Kind]; done || m.Stage(a) == nil {
			continue
		}
		values[a.Kind], handles[a.Kind] = m.stagesOf(a.Kind, r)
	}
}

// stagesOf returns the stages of a kind, by name.
func (m *Module) stagesOf(kind string, r *Refs) (values, handles cty.Value) {
	v, h := map[string]cty.Value{}, map[string]cty.Value{}
	for _, a := range r.Stages {
		if a.Kind != kind {
			continue
		}
		if s := m.Stage(a); s != nil {
			v[a.Name], h[a.Name] = m.value(s, r.readPlain(s))
		}
	}
	return cty.ObjectVal(v), cty.ObjectVal(h)
}

func pick(all map[string]cty.Value, names []string) cty.Value {
	picked := make(map[string]cty.Value, len(names))
	for _, name := range names {
		if v, ok := all[name]; ok {
			picked[name] = v
		}
	}
	return cty.ObjectVal(picked)
}

// EvaluateLocals evaluates locals before any stage, in the order of their
// dependencies. It returns false if one refers to a stage or to itself.
func (m *Module) EvaluateLocals(names []string) bool {
	return m.evaluateLocals(names, map[string]bool{})
}

func (m *Module) evaluateLocals(names []string, open map[string]bool) bool {
	for _, name := range names {
		l := m.locals[name]
		if l == nil || l.value != cty.NilVal || l.broken {
			continue
		}
		if open[name] || len(l.Refs.Stages) > 0 || !m.EvaluateInputs(&l.Refs) {
			return false
		}
		open[name] = true
		if !m.evaluateLocals(l.Refs.Locals, open) {
			return false
		}
		m.EvaluateLocal(l)
	}
	return true
}
