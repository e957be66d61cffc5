package refactor

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/module"
)

// Evaluate evaluates the blocks of a module, before any stage. It reports
// errors to the module.
func Evaluate(m *module.Module) *Blocks {
	e := &evaluation{Module: m, blocks: newBlocks()}
	for _, cfg := range m.Config.Moved {
		e.each(cfg.ForEach, func(s *scope) { e.moved(cfg, s) })
	}
	m.Report(e.blocks.cycles()...)
	for _, cfg := range m.Config.Removed {
		e.each(cfg.ForEach, func(s *scope) { e.removed(cfg, s) })
	}
	for _, cfg := range m.Config.Imports {
		e.each(cfg.ForEach, func(s *scope) { e.imported(cfg, s) })
	}
	return e.blocks
}

type evaluation struct {
	*module.Module
	blocks *Blocks
}

// scope evaluates the expressions of a block for one element of its for_each.
type scope struct {
	m    *module.Module
	each map[string]cty.Value
}

// each calls f for each element of a block's for_each, or once if it has none.
func (e *evaluation) each(forEach hcl.Expression, f func(*scope)) {
	if forEach == nil {
		f(&scope{m: e.Module})
		return
	}
	v, diags := (&scope{m: e.Module}).value(forEach)
	if e.Report(diags...) || e.MayBeAnything(v) {
		return
	}
	t := v.Type()
	if v.IsMarked() || !v.IsKnown() || v.IsNull() || !t.IsMapType() && !t.IsObjectType() && !t.IsSetType() {
		e.Report(diag.Errorf(forEach.Range().Ptr(), "Wrong value for for_each", "for_each must be a map, an object, or a set of strings that is known and not sensitive. It is evaluated before any stage. Use toset() to convert a list to a set."))
		return
	}
	for _, element := range value.Elements(v) {
		f(&scope{m: e.Module, each: map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{"key": element.Key, "value": element.Value})}})
	}
}

// value evaluates an expression.
func (s *scope) value(e hcl.Expression) (cty.Value, hcl.Diagnostics) {
	r := module.RefsOf(e)
	if !s.m.EvaluateLocals(r.Locals) || s.m.BrokenUpstream(r) {
		return cty.DynamicVal, hcl.Diagnostics{diag.Errorf(e.Range().Ptr(), "Value is not known", "This is evaluated before any stage, so it cannot depend on results of stages. Use a variable.")}
	}
	return eval.Value(e, s.m.Scope(r).With(s.each, s.each).Values)
}

func (s *scope) target(e hcl.Expression) (addr.Target, bool) {
	t, diags := config.Target(e, s.value)
	return t, !s.m.Report(diags...)
}

func (e *evaluation) moved(cfg *config.Moved, s *scope) {
	from, fromOK := s.target(cfg.From)
	to, toOK := s.target(cfg.To)
	if !fromOK || !toOK {
		return
	}
	if d := e.blocks.add(&Move{From: from, To: to, Range: cfg.Range}); d != nil {
		e.Report(d)
	}
}

func (e *evaluation) removed(cfg *config.Removed, s *scope) {
	if from, ok := s.target(cfg.From); ok {
		e.blocks.removals[from.String()] = &Removal{From: from, Keep: cfg.Keep, Range: cfg.Range}
	}
}

func (e *evaluation) imported(cfg *config.Import, s *scope) {
	to, ok := s.target(cfg.To)
	id, diags := s.value(cfg.ID)
	if e.Report(diags...) || !ok || e.MayBeAnything(id) {
		return
	}
	text, err := convert.Convert(id, cty.String)
	if err != nil || text.IsMarked() || text.IsNull() || !text.IsKnown() || text.AsString() == "" {
		e.Report(diag.Errorf(cfg.ID.Range().Ptr(), "Wrong value for id", "id must be a string that is not empty and not sensitive: what the plugin finds the deployment by."))
		return
	}
	if other := e.blocks.Imports[to.String()]; other != nil {
		e.Report(diag.Errorf(&cfg.Range, "Duplicate import", "%s is already imported at %s. Remove one of the blocks.", to, place(other.Range)))
		return
	}
	e.blocks.Imports[to.String()] = &Import{ID: text.AsString(), Range: cfg.Range}
}
