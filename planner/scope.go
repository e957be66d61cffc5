package planner

import (
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/funcs"
)

// scope is what the expressions of one block can see: no more than they refer
// to.
type scope struct {
	// values shows stages as users see them.
	values *hcl.EvalContext
	// handles shows, beside that, the artifacts themselves; it is for
	// arguments that take artifacts.
	handles *hcl.EvalContext
	// definitions are the expressions of names whose values are not known.
	definitions map[string]hcl.Expression
}

// with returns the scope with more variables, which may hide those there.
func (s *scope) with(values, handles map[string]cty.Value) *scope {
	out := &scope{values: s.values.NewChild(), handles: s.handles.NewChild(), definitions: s.definitions}
	out.values.Variables, out.handles.Variables = values, handles
	return out
}

// local is a local value.
type local struct {
	cfg  *config.Local
	refs refs
	// impure is set where the value comes from a function that gives another
	// result at every call.
	impure bool
	broken bool
	// value and handles are its value in the two kinds of scope.
	value, handles cty.Value
}

func newLocal(cfg *config.Local) *local {
	l := &local{cfg: cfg}
	l.refs.add(config.Variables(cfg.Expr)...)
	return l
}

// open says whether expressions that name the local have to be compiled from
// its own expression: its value is not known, or holds a secret.
func (l *local) open() bool { return !l.value.IsWhollyKnown() || l.value.ContainsMarked() }

// evaluateLocal evaluates a local, unless it is evaluated already.
func (b *builder) evaluateLocal(l *local) {
	if l.value != cty.NilVal || l.broken {
		return
	}
	if b.brokenUpstream(&l.refs) {
		l.broken = true
		return
	}
	if expr.MentionsRow(l.cfg.Expr) {
		l.broken = b.report(diag.Errorf(l.cfg.Expr.Range().Ptr(), "Name is not available here",
			"A local has one value for the whole pipeline, but `row` is different for each row. Write this expression in the argument that uses it."))
		return
	}
	l.impure = b.impure(l.cfg.Expr, &l.refs) != ""
	s := b.scope(&l.refs)
	if l.broken = b.report(b.checkTraversals(&l.refs, nil, l.cfg.Expr)...); l.broken {
		return
	}
	value, diags := eval.Value(l.cfg.Expr, s.values)
	l.value, l.handles = value, value
	l.broken = b.report(diags...)
	if !l.broken && s.handles != s.values {
		l.handles, _ = eval.Value(l.cfg.Expr, s.handles)
	}
}

// impure returns the name of an impure function that an expression calls, or
// "".
func (b *builder) impure(e hcl.Expression, r *refs) string {
	for _, name := range r.locals {
		if l := b.locals[name]; l != nil && l.impure {
			return "local." + name
		}
	}
	syntax, ok := e.(hclsyntax.Node)
	if !ok {
		return ""
	}
	found := ""
	_ = hclsyntax.VisitAll(syntax, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && funcs.Impure(call.Name) {
			found = call.Name + "()"
		}
		return nil
	})
	return found
}

// scope makes the scope for expressions with these references. All that they
// refer to is evaluated.
func (b *builder) scope(r *refs) *scope {
	definitions, all := b.openLocals(r)
	values := map[string]cty.Value{"path": b.paths, "quern": b.about}
	if all.allVars {
		values["var"] = cty.ObjectVal(b.Variables)
	} else if len(all.vars) > 0 {
		values["var"] = pick(b.Variables, all.vars)
	}
	s := &scope{definitions: definitions, values: b.root.NewChild()}
	s.values.Variables = values
	stageful := len(all.stages) > 0
	handles := map[string]cty.Value{}
	if len(all.locals) > 0 || all.allLocals {
		var lh cty.Value
		values["local"], lh = b.localValues(all)
		handles["local"] = lh
	}
	if !stageful && len(all.locals) == 0 && !all.allLocals {
		s.handles = s.values
		return s
	}
	b.stageValues(all, values, handles)
	for name, v := range values {
		if _, ok := handles[name]; !ok {
			handles[name] = v
		}
	}
	s.handles = b.root.NewChild()
	s.handles.Variables = handles
	return s
}

// openLocals adds to the references what the locals refer to whose values are
// not known, since their expressions take the place of their names.
func (b *builder) openLocals(r *refs) (definitions map[string]hcl.Expression, all *refs) {
	all = r
	if len(r.locals) == 0 && !r.allLocals {
		return nil, all
	}
	all = &refs{}
	all.merge(r)
	if r.allLocals {
		all.locals = sortedKeys(b.locals)
	}
	definitions = map[string]hcl.Expression{}
	for i := 0; i < len(all.locals); i++ {
		l := b.locals[all.locals[i]]
		if l == nil || l.broken || l.value == cty.NilVal || !l.open() {
			continue
		}
		definitions["local."+l.cfg.Name] = l.cfg.Expr
		all.merge(&l.refs)
	}
	return definitions, all
}

func (b *builder) localValues(all *refs) (values, handles cty.Value) {
	v, h := map[string]cty.Value{}, map[string]cty.Value{}
	for _, name := range all.locals {
		if l := b.locals[name]; l != nil && l.value != cty.NilVal {
			v[name], h[name] = l.value, l.handles
		}
	}
	return cty.ObjectVal(v), cty.ObjectVal(h)
}

// stageValues puts the stages under their kinds.
func (b *builder) stageValues(r *refs, values, handles map[string]cty.Value) {
	v, h := map[string]map[string]cty.Value{}, map[string]map[string]cty.Value{}
	for _, a := range r.stages {
		s := b.byAddress[a]
		if s == nil {
			continue
		}
		if v[a.Kind] == nil {
			v[a.Kind], h[a.Kind] = map[string]cty.Value{}, map[string]cty.Value{}
		}
		v[a.Kind][a.Name], h[a.Kind][a.Name] = b.stageValue(s, r.readPlain(s))
	}
	for kind := range v {
		values[kind], handles[kind] = cty.ObjectVal(v[kind]), cty.ObjectVal(h[kind])
	}
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

// paths are the folders that expressions can name.
func paths(module, cwd string) cty.Value {
	if cwd == "" {
		var err error
		if cwd, err = os.Getwd(); err != nil {
			cwd = "."
		}
	}
	dir := cty.StringVal(filepath.ToSlash(module))
	return cty.ObjectVal(map[string]cty.Value{"module": dir, "root": dir, "cwd": cty.StringVal(filepath.ToSlash(cwd))})
}

// about is what expressions can learn of quern.
func about(version, environment string) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"version": cty.StringVal(version), "environment": cty.StringVal(environment),
	})
}
