package refactor

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/store/state"
)

// Evaluate evaluates the blocks of the root module m, before any stage, and those of
// the modules that it calls, for each of their instances in a state, which may be
// nil. It reports errors to the module.
func Evaluate(m *module.Module, st *state.State) *Blocks {
	e := &evaluation{Module: m, blocks: newBlocks()}
	for _, cfg := range m.Config.Moved {
		e.each(cfg.ForEach, func(s *scope) { e.moved(cfg, s) })
	}
	for _, cfg := range m.Config.Removed {
		e.each(cfg.ForEach, func(s *scope) { e.removed(cfg, s) })
	}
	for _, cfg := range m.Config.Imports {
		e.each(cfg.ForEach, func(s *scope) { e.imported(cfg, s) })
	}
	if len(m.Config.Calls) > 0 {
		e.called(m.Config, "", e.instances(st))
	}
	m.Report(e.blocks.cycles()...)
	return e.blocks
}

// instances returns the paths of the instances of modules in a state, before and after
// the moves so far, by the path of the calls.
func (e *evaluation) instances(st *state.State) map[string][]string {
	found := map[string][]string{}
	if st == nil {
		return found
	}
	seen := map[string]bool{}
	for address := range st.Addresses() {
		for _, a := range []string{address, e.blocks.follow(address).to} {
			for target, rest := range addr.Enclosing(a) {
				if strings.HasPrefix(rest, ".") && !seen[target] {
					seen[target] = true
					calls := addr.Unkeyed(target)
					found[calls] = append(found[calls], target)
				}
			}
		}
	}
	return found
}

// called adds the blocks of the modules that a module calls.
func (e *evaluation) called(caller *config.Module, path string, instances map[string][]string) {
	for _, name := range ordered.Keys(caller.Calls) {
		m := caller.Calls[name].Module
		if m == nil {
			continue
		}
		at := strings.TrimPrefix(path+".module."+name, ".")
		for _, cfg := range m.Imports {
			e.Report(diag.Errorf(&cfg.Range, "Import in a called module", "Only the pipeline itself can import deployments, because the IDs are its own. Move the block there, with the whole address: %s.…", at))
		}
		for _, within := range slices.Sorted(slices.Values(instances[at])) {
			for _, cfg := range m.Moved {
				e.eachIn(within, cfg.ForEach, func(s *scope) { e.moved(cfg, s) })
			}
			for _, cfg := range m.Removed {
				e.eachIn(within, cfg.ForEach, func(s *scope) { e.removed(cfg, s) })
			}
		}
		e.called(m, at, instances)
	}
}

type evaluation struct {
	*module.Module
	blocks *Blocks
}

// scope evaluates the expressions of a block for one element of its for_each.
type scope struct {
	m    *module.Module
	each map[string]cty.Value
	// within is the path of the instance of a called module that the block is in.
	within string
}

// each calls f for each element of a block's for_each, or once if it has none.
func (e *evaluation) each(forEach hcl.Expression, f func(*scope)) { e.eachIn("", forEach, f) }

func (e *evaluation) eachIn(within string, forEach hcl.Expression, f func(*scope)) {
	if forEach == nil {
		f(&scope{m: e.Module, within: within})
		return
	}
	v, diags := (&scope{m: e.Module, within: within}).value(forEach)
	if e.Report(diags...) || e.MayBeAnything(v) {
		return
	}
	t := v.Type()
	if v.IsMarked() || !v.IsKnown() || v.IsNull() || !t.IsMapType() && !t.IsObjectType() && !t.IsSetType() {
		e.Report(diag.Errorf(forEach.Range().Ptr(), "Wrong value for for_each", "for_each must be a map, an object, or a set of strings that is known and not sensitive. It is evaluated before any stage. Use toset() to convert a list to a set."))
		return
	}
	for _, element := range value.Elements(v) {
		f(&scope{m: e.Module, within: within, each: map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{"key": element.Key, "value": element.Value})}})
	}
}

// value evaluates an expression.
func (s *scope) value(e hcl.Expression) (cty.Value, hcl.Diagnostics) {
	if s.within != "" {
		for _, ref := range e.Variables() {
			if ref.RootName() != "each" {
				return cty.DynamicVal, hcl.Diagnostics{diag.Errorf(ref.SourceRange().Ptr(), "Name is not available here", "In a called module, this is evaluated before its variables have values. Write the keys out.")}
			}
		}
		return eval.Value(e, s.m.Scope(&module.Refs{}).With(s.each, s.each).Values)
	}
	r := module.RefsOf(e)
	if len(r.Stages) > 0 || !s.m.EvaluateLocals(r.Locals) || s.m.BrokenUpstream(r) {
		return cty.DynamicVal, hcl.Diagnostics{diag.Errorf(e.Range().Ptr(), "Value is not known", "This is evaluated before any stage, so it cannot depend on results of stages. Use a variable.")}
	}
	return eval.Value(e, s.m.Scope(r).With(s.each, s.each).Values)
}

func (s *scope) target(e hcl.Expression) (addr.Target, bool) {
	t, diags := config.Target(e, s.value)
	if s.m.Report(diags...) || s.within == "" {
		return t, !diags.HasErrors()
	}
	t, err := addr.ParseTarget(s.within + "." + t.String())
	return t, err == nil
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
