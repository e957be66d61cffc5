package module

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/value"
)

// The border of a module consists of its inputs, which are expressions of the
// module that calls it, and of its outputs. What is known of them passes as
// values. What is not known, and what is sensitive, passes as the definition of a
// name: an expression with the scope that it is written in.

// crossing is a value that passes from one module to another.
type crossing struct {
	// Refs are the references of its expression.
	Refs Refs
	// Impure is set if the value comes from a function that returns a different
	// result at every call.
	Impure bool
	broken bool
	// value and handles are its value in the two kinds of scope: cty.NilVal if it
	// is not evaluated.
	value, handles cty.Value
	// from is the scope of the expression, and definition what replaces the
	// value where it is not known. Both are nil for the default of a variable.
	from       *Scope
	expr       hcl.Expression
	definition *expr.Definition
	// unchecked are conditions that could not be checked, because they wait for
	// results. Stages that use the value check them first.
	unchecked []config.Condition
	checkedIn *Scope
}

// Requirement is a set of conditions that must be met before a stage may use a
// value.
type Requirement struct {
	Conditions []config.Condition
	Scope      *Scope
}

// evaluated reports whether there is a value.
func (c *crossing) evaluated() bool { return c.value != cty.NilVal }

// open reports whether the definition has to take the place of the name.
func (c *crossing) open() bool {
	return c.definition != nil && (!c.value.IsWhollyKnown() || c.value.ContainsMarked())
}

// Input is a variable of a module that another one calls.
type Input struct {
	crossing
	Config *config.Variable
}

// Output is an output of a module that another one calls.
type Output struct {
	crossing
	Config *config.Output
}

func (m *Module) addInputs() {
	m.inputs = make(map[string]*Input, len(m.Config.Variables))
	for name, v := range m.Config.Variables {
		in := &Input{Config: v}
		m.inputs[name] = in
		switch attr := m.node.call.Inputs[name]; {
		case attr != nil:
			in.set(attr.Expr, v.Sensitive)
		case v.Sensitive:
			in.set(&hclsyntax.LiteralValueExpr{Val: v.Default, SrcRange: v.Range}, true)
			m.EvaluateInput(name)
		default:
			in.value, in.handles = v.Default, v.Default
		}
	}
}

// set sets the expression. A sensitive value is that of a call of sensitive().
func (c *crossing) set(e hcl.Expression, sensitive bool) {
	c.Refs.Add(config.Variables(e)...)
	c.expr = e
	if syntax, ok := e.(hclsyntax.Expression); ok && sensitive {
		at := e.Range()
		c.expr = &hclsyntax.FunctionCallExpr{Name: funcs.SensitiveName, Args: []hclsyntax.Expression{syntax}, NameRange: at, OpenParenRange: at, CloseParenRange: at}
	}
}

func (m *Module) addOutputs() {
	m.outputs = make(map[string]*Output, len(m.Config.Outputs))
	for name, o := range m.Config.Outputs {
		out := &Output{Config: o}
		out.set(o.Expr, o.Sensitive)
		out.Refs = *outputRefs(o)
		m.outputs[name] = out
	}
}

// evaluate evaluates the expression of a crossing in the module that it is written
// in. It returns false if it has errors.
func (m *Module) evaluate(c *crossing, each *Each, what string) bool {
	if m.BrokenUpstream(&c.Refs) {
		return false
	}
	if expr.MentionsRow(c.expr) {
		m.Report(diag.Errorf(c.expr.Range().Ptr(), "Name is not available here",
			"%s has one value for the whole pipeline, but `row` is different for each row. Write this expression in the argument that uses it.", what))
		return false
	}
	c.Impure = m.Impure(c.expr, &c.Refs) != ""
	if m.Report(m.CheckTraversals(&c.Refs, c.expr)...) {
		return false
	}
	c.from = each.in(m.Scope(&c.Refs))
	v, diags := eval.Value(c.expr, c.from.Values)
	if m.Report(diags...) {
		return false
	}
	c.value, c.handles = v, v
	if c.from.Handles != c.from.Values {
		c.handles, _ = eval.Value(c.expr, c.from.Handles)
	}
	c.definition = &expr.Definition{Expr: c.expr, Scope: c.from.Expr()}
	return true
}

// convertInput converts an input to the type of its variable. It returns false if
// that is not possible, which it has reported.
func (m *Module) convertInput(in *Input) bool {
	v, at := in.Config, in.expr.Range()
	if in.value.IsKnown() && in.value.IsNull() && !v.Nullable {
		if v.Required() {
			return !m.parent.Report(diag.Errorf(&at, "Invalid value for variable", "var.%s of %s cannot be null, because it has nullable = false and no default.", v.Name, m.Addr))
		}
		in.value, in.handles, in.definition = v.Default, v.Default, nil
		return true
	}
	if v.Artifact != nil {
		d := CheckType(v.Artifact, in.handles, at, fmt.Sprintf("The variable %q of %s, declared at %s:%d,", v.Name, m.Addr, v.Range.Filename, v.Range.Start.Line))
		return d == nil || !m.parent.Report(d)
	}
	if !v.Typed {
		return true
	}
	converted, err := v.Convert(in.value)
	if err != nil {
		return !m.parent.Report(diag.Errorf(&at, "Wrong type of value", "The variable %q of %s must be %s: %s.", v.Name, m.Addr, config.TypeName(v.Type), config.ConversionError(err)))
	}
	if in.open() && v.Defaults != nil {
		return !m.parent.Report(diag.Errorf(&at, "Value is not known", "The type of the variable %q of %s has optional attributes, so its value must be known at plan time and cannot be sensitive.", v.Name, m.Addr))
	}
	in.value = converted
	if handles, err := v.Convert(in.handles); err == nil {
		in.handles = handles
	}
	in.definition.Type = v.Type.WithoutOptionalAttributesDeep()
	return true
}

// EvaluateInput evaluates an input that is not evaluated yet.
func (m *Module) EvaluateInput(name string) {
	in := m.inputs[name]
	if in == nil || in.evaluated() || in.broken {
		return
	}
	in.broken = !m.parent.evaluate(&in.crossing, m.each, "An input") || !m.convertInput(in)
	if in.broken {
		in.value, in.handles = cty.NilVal, cty.NilVal
		return
	}
}

// EvaluateInputs evaluates the inputs that references lead to before any stage. It
// returns false if one of them depends on a stage.
func (m *Module) EvaluateInputs(r *Refs) bool {
	if len(r.calls) > 0 {
		return false
	}
	if m.inputs == nil {
		return true
	}
	for _, name := range m.inputNames(r) {
		in := m.inputs[name]
		if in == nil || in.evaluated() || in.broken {
			continue
		}
		if len(in.Refs.Stages) > 0 || !m.parent.EvaluateLocals(in.Refs.Locals) || !m.parent.EvaluateInputs(&in.Refs) {
			return false
		}
		m.EvaluateInput(name)
	}
	return true
}

// EvaluateOutput evaluates an output that is not evaluated yet.
func (m *Module) EvaluateOutput(name string) *Output {
	out := m.outputs[name]
	if out == nil || out.evaluated() || out.broken {
		return nil
	}
	out.broken = !m.evaluate(&out.crossing, nil, "An output") || !m.convertOutput(out)
	if out.broken {
		return nil
	}
	return out
}

// convertOutput converts an output to its type. It returns false if that is not
// possible, which it has reported.
func (m *Module) convertOutput(out *Output) bool {
	o, at := out.Config, out.expr.Range()
	if o.Artifact != nil {
		d := CheckType(o.Artifact, out.handles, at, fmt.Sprintf("The output %q", o.Name))
		return d == nil || !m.Report(d)
	}
	if !o.Typed {
		return true
	}
	converted, err := value.Convert(out.value, o.Type)
	if err != nil {
		return !m.Report(diag.Errorf(&at, "Wrong type of value", "The output %q must be %s: %s.", o.Name, config.TypeName(o.Type), config.ConversionError(err)))
	}
	out.value = converted
	if handles, err := convert.Convert(out.handles, o.Type); err == nil {
		out.handles = handles
	}
	out.definition.Type = o.Type.WithoutOptionalAttributesDeep()
	return true
}

// Scope returns the scope of the output's expressions.
func (o *Output) Scope() *Scope { return o.from }

// Break marks the output as broken: its preconditions are not met.
func (o *Output) Break() { o.broken = true }

// Place returns where the value is written.
func (in *Input) Place() hcl.Range {
	if in.expr == nil {
		return in.Config.Range
	}
	return in.expr.Range()
}

// Wait leaves conditions to the stages that use the value.
func (c *crossing) Wait(all []config.Condition, sc *Scope) { c.unchecked, c.checkedIn = all, sc }

// border adds what comes from other modules to a scope.
func (m *Module) border(r *Refs, s *Scope, values, handles map[string]cty.Value) {
	if m.inputs == nil {
		if r.allVars {
			values["var"] = cty.ObjectVal(m.Variables)
		} else if len(r.vars) > 0 {
			values["var"] = pick(m.Variables, r.vars)
		}
	} else if names := m.inputNames(r); len(names) > 0 {
		v, h := map[string]cty.Value{}, map[string]cty.Value{}
		for _, name := range names {
			if in := m.inputs[name]; in != nil && in.evaluated() {
				v[name], h[name] = in.value, in.handles
				if in.open() {
					s.define("var."+name, in.definition)
				}
			}
		}
		values["var"], handles["var"] = cty.ObjectVal(v), cty.ObjectVal(h)
	}
	if len(r.calls) == 0 {
		return
	}
	v, h := map[string]cty.Value{}, map[string]cty.Value{}
	for _, name := range r.calls {
		if c := m.calls[name]; c != nil {
			var definition *expr.Definition
			v[name], h[name], definition = c.seen()
			if definition != nil {
				s.define(callRoot+"."+name, definition)
			}
		}
	}
	values[callRoot], handles[callRoot] = cty.ObjectVal(v), cty.ObjectVal(h)
}

// define adds a definition to a scope that is being built.
func (s *Scope) define(name string, d *expr.Definition) {
	if s.Definitions == nil {
		s.Definitions = map[string]*expr.Definition{}
	}
	s.Definitions[name] = d
}

// inputNames returns the names of the inputs that references lead to.
func (m *Module) inputNames(r *Refs) []string {
	if r.allVars {
		return ordered.Keys(m.inputs)
	}
	return r.vars
}

// Defined returns the expression that defines an input, with its scope. ok is
// false if there is none.
func (m *Module) Defined(variable string) (e hcl.Expression, sc *Scope, ok bool) {
	in := m.inputs[variable]
	if in == nil || in.from == nil {
		return nil, nil, false
	}
	return in.expr, in.from, true
}

// Requirements returns the conditions on inputs, and on outputs of other modules,
// that a block with these references has to check first, because they waited for
// results.
func (m *Module) Requirements(r *Refs) []Requirement {
	var all []Requirement
	add := func(c *crossing) {
		if len(c.unchecked) > 0 {
			all = append(all, Requirement{c.unchecked, c.checkedIn})
		}
	}
	if m.inputs == nil && len(m.calls) == 0 {
		return nil
	}
	_, r = m.OpenLocals(r)
	if m.inputs != nil {
		for _, name := range m.inputNames(r) {
			if in := m.inputs[name]; in != nil {
				add(&in.crossing)
			}
		}
	}
	m.eachOutput(r, func(_ *Module, o *Output) { add(&o.crossing) })
	return all
}

// brokenInputs reports whether an input that is referred to has an error.
func (m *Module) brokenInputs(r *Refs) bool {
	if m.inputs == nil {
		return false
	}
	for _, name := range m.inputNames(r) {
		if in := m.inputs[name]; in == nil || in.broken {
			return true
		}
	}
	return false
}

// brokenCalls reports whether a module whose outputs are referred to has errors that
// concern them.
func (m *Module) brokenCalls(r *Refs) bool {
	for _, name := range r.calls {
		if c := m.calls[name]; c == nil || c.broken {
			return true
		}
	}
	broken := false
	m.eachOutput(r, func(_ *Module, o *Output) { broken = broken || o.broken })
	return broken
}

// impureBorder returns the name of an input or output that comes from an impure
// function, or "".
func (m *Module) impureBorder(r *Refs) (name string) {
	for _, v := range r.vars {
		if in := m.inputs[v]; in != nil && in.Impure {
			return "var." + v
		}
	}
	m.eachOutput(r, func(of *Module, o *Output) {
		if o.Impure {
			name = callRoot + "." + of.node.call.Name + "." + o.Config.Name
		}
	})
	return name
}

// borderLeftOut reports whether references lead to inputs or outputs that -target or
// -exclude left out.
func (m *Module) borderLeftOut(r *Refs) bool {
	if m.inputs != nil {
		for _, name := range m.inputNames(r) {
			if in := m.inputs[name]; in == nil || !in.evaluated() {
				return true
			}
		}
	}
	left := false
	m.eachOutput(r, func(_ *Module, o *Output) { left = left || !o.evaluated() && !o.broken })
	for _, name := range r.calls {
		c := m.calls[name]
		left = left || c == nil || !c.expanded && c.deferred == nil
	}
	return left
}

// followBorder continues follow in other modules.
func (m *Module) followBorder(r *Refs, f func(addr.Target)) {
	if m.inputs != nil {
		for _, name := range m.inputNames(r) {
			if in := m.inputs[name]; in != nil {
				m.parent.follow(&in.Refs, f)
			}
		}
	}
	m.eachOutput(r, func(of *Module, o *Output) { of.follow(&o.Refs, f) })
	for _, t := range r.outputs {
		if c, _, _ := m.called(t); c != nil && c.deferred != nil {
			f(c.Addr)
		}
	}
}

// EachOutput calls f for the outputs of other modules that references lead to.
func (m *Module) eachOutput(r *Refs, f func(*Module, *Output)) {
	if len(r.outputs) == 0 {
		return
	}
	seen := map[*Output]bool{}
	for _, t := range r.outputs {
		m.Outputs(t, func(of *Module, o *Output) {
			if !seen[o] {
				seen[o] = true
				f(of, o)
			}
		})
	}
}

// Outputs calls f for the outputs that a reference to a called module may lead to.
func (m *Module) Outputs(t hcl.Traversal, f func(*Module, *Output)) {
	c, key, output := m.called(t)
	if c == nil {
		return
	}
	for _, of := range c.modules {
		if key != cty.NilVal && !sameKey(of.each.key(), key) {
			continue
		}
		if output != "" {
			if o := of.outputs[output]; o != nil {
				f(of, o)
			}
			continue
		}
		for _, name := range ordered.Keys(of.outputs) {
			f(of, of.outputs[name])
		}
	}
}

// Definitions of all outputs, by name.
func (m *Module) definitions() map[string]*expr.Definition {
	all := make(map[string]*expr.Definition, len(m.outputs))
	for name, o := range m.outputs {
		if o.definition != nil {
			all[name] = o.definition
		}
	}
	return all
}

// seenOutputs returns the values of all outputs. open is set if one of them is not
// known or sensitive.
func (m *Module) seenOutputs() (values, handles cty.Value, open bool) {
	v, h := make(map[string]cty.Value, len(m.outputs)), make(map[string]cty.Value, len(m.outputs))
	for name, o := range m.outputs {
		v[name], h[name] = cty.DynamicVal, cty.DynamicVal
		if o.evaluated() {
			v[name], h[name] = o.value, o.handles
			open = open || o.open()
		}
	}
	return cty.ObjectVal(v), cty.ObjectVal(h), open
}
