package config

import (
	"fmt"
	"maps"
	"runtime"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// bound lists the names that references in some place can begin with, in addition to the
// kinds of stages.
type bound struct {
	// names that a reference may begin with.
	names []string
	// stages is set if references to stages are allowed.
	stages bool
	// where names the place, for messages: "the configuration of a plugin".
	where string
}

var (
	inPipeline   = bound{names: []string{"var", "local", "path", "quern"}, stages: true}
	inSettings   = bound{names: []string{"var", "local", "path", "quern"}, where: "the settings of a pipeline"}
	inPlugin     = bound{names: []string{"var", "local", "path", "quern"}, where: "the configuration of a plugin"}
	inValidation = bound{names: []string{"var"}, where: "the validation of a variable"}
)

// LateNames are the names that late row expressions can use, in addition to row, for what the
// stage itself produces. A stage type says which of them an argument can use.
// The list is closed, so that a mistyped name is found without knowing any
// stage type, and a name means the same everywhere.
var LateNames = []string{"output"}

// with returns a place that binds more names.
func (b bound) with(names ...string) bound {
	b.names = append(slices.Clone(b.names), names...)
	return b
}

// repeated returns a place in a block with count or for_each, either of which may be
// nil.
func (b bound) repeated(count, forEach hcl.Expression) bound {
	if forEach != nil {
		b = b.with("each")
	}
	if count != nil {
		b = b.with("count")
	}
	return b
}

// elsewhere explains where a name can be used if it cannot be used here.
var elsewhere = map[string]string{
	"each":  "each.key and each.value are available only in blocks that have for_each.",
	"count": "count.index is available only in blocks that have count.",
	"row":   "row is the current row of a dataset. It is available only in prompts and in stage arguments that are row expressions. Move the expression there.",
	"self":  "self is the finished stage. It is available only in postconditions.",

	"output": "output is a model's answer. It is available only in arguments that are evaluated after the answer, such as metrics. You cannot refer to an output block; put its value in a local instead.",
}

// members are the attributes of names whose attributes are the same everywhere.
var members = map[string][]string{
	"path":  {"module", "root", "cwd"},
	"quern": {"version", "environment"},
	"each":  {"key", "value"},
	"count": {"index"},
}

// checkReferences reports references to undeclared names in all
// expressions of the module.
func (l *loader) checkReferences() {
	m := l.m
	for _, v := range m.Variables {
		for _, c := range v.Validations {
			l.references(inValidation, Variables(c.Condition), Variables(c.ErrorMessage))
		}
	}
	for _, local := range m.Locals {
		l.references(inPipeline, Variables(local.Expr))
	}
	for _, o := range m.Outputs {
		l.references(inPipeline, Variables(o.Expr), o.DependsOn)
		l.conditionReferences(o.Pre)
	}
	for _, c := range m.Checks {
		l.conditionReferences(c.Asserts)
	}
	for _, p := range m.Plugins {
		l.references(inPlugin, BodyReferences(p.Body))
	}
	for _, c := range m.Calls {
		l.callReferences(c)
	}
	l.movedReferences()
	l.budgetReferences()
	diags := make([]hcl.Diagnostics, len(m.Stages))
	parallel.For(len(m.Stages), runtime.GOMAXPROCS(0), func(i int) {
		one := *l
		one.diags = nil
		one.stageReferences(m.Stages[i])
		diags[i] = one.diags
	})
	l.add(slices.Concat(diags...)...)
}

func (l *loader) callReferences(c *Call) {
	l.references(inPipeline, c.InstanceReferences())
	place := inPipeline.repeated(c.Count, c.ForEach)
	for _, input := range c.Inputs {
		l.expressions(place, input.Expr)
	}
}

func (l *loader) conditionReferences(all []Condition) {
	for _, c := range all {
		l.expressions(inPipeline, c.Condition, c.ErrorMessage)
	}
}

// Check reports references to names that the module does not declare, in an expression
// that is evaluated like the value of an output. more are names that it can also use.
func (m *Module) Check(e hcl.Expression, more ...string) hcl.Diagnostics {
	l := &loader{m: m}
	l.expressions(inPipeline.with(more...), e)
	return l.diags
}

func (l *loader) stageReferences(s *Stage) {
	l.expressions(inPipeline, s.Count, s.ForEach)
	l.references(inPipeline, s.DependsOn)
	place := inPipeline.repeated(s.Count, s.ForEach)
	l.expressions(place, s.Timeout, s.Retries)
	if r := s.Resources; r != nil {
		l.expressions(place, r.CPU, r.Memory, r.GPU)
	}
	for _, c := range append(slices.Clone(s.Pre), s.Conditions...) {
		l.expressions(place, c.Condition, c.ErrorMessage)
	}
	for _, c := range s.Post {
		l.expressions(place.with("self"), c.Condition, c.ErrorMessage)
	}
	for i := range s.Contracts {
		l.expressions(place.with("row"), s.Contracts[i].expressions()...)
	}
	switch s.Addr.Kind {
	case kind.Model: // is the same for all rows
	case kind.Prompt: // is there before any answer
		place = place.with("row")
	default:
		place = place.with("row").with(LateNames...)
	}
	s.inBody = BodyReferences(s.Body)
	l.references(place, s.inBody)
}

func (l *loader) expressions(place bound, exprs ...hcl.Expression) {
	for _, e := range exprs {
		if e != nil {
			l.references(place, Variables(e))
		}
	}
}

func (l *loader) references(place bound, lists ...[]hcl.Traversal) {
	for _, refs := range lists {
		for _, t := range refs {
			l.reference(place, t)
		}
	}
}

func (l *loader) reference(place bound, t hcl.Traversal) {
	root := t.RootName()
	switch {
	case (kind.Is(root) || root == callKind) && !place.stages:
		l.add(diag.Errorf(t.SourceRange().Ptr(), "Stages are not available here", "%s cannot refer to stages or modules, because it is read before them. Use a variable.", diag.Capital(place.where)))
	case root == callKind:
		l.callReference(t)
	case kind.Is(root):
		l.stageReference(t)
	case !slices.Contains(place.names, root):
		l.add(unknownName(t, place))
	case root == "var":
		declared(l, t, "variable", l.m.Variables)
	case root == "local":
		declared(l, t, "local value", l.m.Locals)
	default:
		l.member(t)
	}
}

func unknownName(t hcl.Traversal, place bound) *hcl.Diagnostic {
	root, at := t.RootName(), t.SourceRange()
	if note := elsewhere[root]; note != "" {
		return diag.Errorf(&at, "Name is not available here", "%s", note)
	}
	if slices.Contains(inPipeline.names, root) {
		return diag.Errorf(&at, "Name is not available here", "%s can refer only to variables, as var.NAME.", diag.Capital(place.where))
	}
	names := slices.Clone(place.names)
	if place.stages {
		names = append(append(names, kind.Names()...), callKind)
	}
	hint := diag.Suggest(root, names)
	if hint == "" && len(t) == 1 {
		hint = fmt.Sprintf(" If you meant a string, put it in quotes: %q.", root)
	}
	if hint == "" {
		hint = " A reference must begin with one of " + english.And(names) + "."
	}
	return diag.Errorf(&at, "Unknown name", "Nothing is named %q.%s", root, hint)
}

// stageReference checks that a stage is declared. What the stage produces is
// not known here.
func (l *loader) stageReference(t hcl.Traversal) {
	a, _, ok := addr.FromTraversal(t)
	if !ok {
		if len(t) == 1 {
			l.add(diag.Errorf(t.SourceRange().Ptr(), "Incomplete address", "To refer to a stage, write KIND.NAME: %s.NAME.", t.RootName()))
		}
		return
	}
	if l.m.stages[a.Stage] != nil || l.m.Incomplete {
		return
	}
	at := hcl.RangeBetween(t[0].SourceRange(), t[1].SourceRange())
	what := "stage"
	if !kind.Of(a.Kind).IsStage() {
		what = a.Kind
	}
	l.add(diag.Errorf(&at, "Undeclared "+what, "The %s %s does not exist.%s", what, a.Stage, l.stageHint(a.Stage, t)))
}

// callReference checks that a module block is declared, that a reference to one
// that has several instances names one, and that the module has the output.
func (l *loader) callReference(t hcl.Traversal) {
	name, at, ok := step(t)
	if !ok {
		l.add(diag.Errorf(t.SourceRange().Ptr(), "Incomplete reference", "To refer to an output of a module, write module.NAME.OUTPUT."))
		return
	}
	c := l.m.Calls[name]
	if c == nil {
		declared(l, t, "module", l.m.Calls)
		return
	}
	rest := t[2:]
	if len(rest) > 0 && (c.Count != nil || c.ForEach != nil) {
		if _, isIndex := rest[0].(hcl.TraverseIndex); !isIndex {
			l.add(missingKey(c, rest[0], at))
			return
		}
		rest = rest[1:]
	}
	if len(rest) == 0 || c.Module == nil || c.Module.Incomplete {
		return
	}
	if out, isAttr := rest[0].(hcl.TraverseAttr); isAttr && c.Module.Outputs[out.Name] == nil {
		names := ordered.Keys(c.Module.Outputs)
		hint := " It has no outputs."
		if len(names) > 0 {
			hint = suggestOrList(out.Name, names, "Its outputs are")
		}
		l.add(diag.Errorf(t.SourceRange().Ptr(), "Undeclared output", "The module %s has no output %q.%s", c.Source, out.Name, hint))
	}
}

// missingKey is the error about module.NAME.OUTPUT if the module has several
// instances.
func missingKey(c *Call, step hcl.Traverser, at hcl.Range) *hcl.Diagnostic {
	meta, key := "for_each", `"KEY"`
	if c.Count != nil {
		meta, key = "count", "0"
	}
	output := "OUTPUT"
	if attr, ok := step.(hcl.TraverseAttr); ok {
		output = attr.Name
	}
	return diag.Errorf(&at, "Missing instance key", "module.%s uses %s, so it can have several instances. Name one: module.%s[%s].%s", c.Name, meta, c.Name, key, output)
}

// stageHint names the stage that was most likely meant.
func (l *loader) stageHint(a addr.Stage, t hcl.Traversal) string {
	// KIND.TYPE.NAME is how other tools write addresses.
	if len(t) > 2 {
		if step, ok := t[2].(hcl.TraverseAttr); ok && l.m.stages[addr.Stage{Kind: a.Kind, Name: step.Name}] != nil {
			return fmt.Sprintf(" An address is KIND.NAME, without the type: did you mean %s.%s?", a.Kind, step.Name)
		}
	}
	var all []string
	for _, s := range l.m.Stages {
		if s.Addr.Name == a.Name {
			return fmt.Sprintf(" Did you mean %q?", s.Addr)
		}
		if s.Addr.Kind == a.Kind {
			all = append(all, s.Addr.Name)
		}
	}
	if near := diag.Closest(a.Name, all); near != "" {
		return fmt.Sprintf(" Did you mean %q?", addr.Stage{Kind: a.Kind, Name: near})
	}
	if len(all) > 10 || len(all) == 0 && l.nameless[a.Kind] {
		return ""
	}
	if len(all) == 0 {
		return fmt.Sprintf(" The pipeline has no %s blocks.", a.Kind)
	}
	slices.Sort(all)
	return fmt.Sprintf(" The %s blocks are %s.", a.Kind, english.And(all))
}

// declared checks the second step of var.NAME and local.NAME.
func declared[V any](l *loader, t hcl.Traversal, what string, all map[string]V) {
	name, at, ok := step(t)
	if _, there := all[name]; there || !ok || l.m.Incomplete {
		return
	}
	names := slices.Collect(maps.Keys(all))
	root := t.RootName()
	hint := ""
	if near := diag.Closest(name, names); near != "" {
		hint = fmt.Sprintf(" Did you mean %s.%s?", root, near)
	} else if root == callKind {
		hint = fmt.Sprintf(` To call one, write module %q { source = "./FOLDER" }.`, name)
	} else if root == "var" {
		hint = fmt.Sprintf(` To declare it, write variable %q { }.`, name)
	} else {
		hint = fmt.Sprintf(" To declare it, write locals { %s = … }.", name)
	}
	l.add(diag.Errorf(&at, "Undeclared "+what, "The %s %q does not exist.%s", what, name, hint))
}

// member checks the second step of a name with fixed attributes.
func (l *loader) member(t hcl.Traversal) {
	root := t.RootName()
	known := members[root]
	if known == nil {
		return // row and self: their attributes are not known here
	}
	name, at, ok := step(t)
	if ok && !slices.Contains(known, name) {
		l.add(diag.Errorf(&at, "Unsupported attribute", "%s has no attribute %q.%s", root, name, suggestOrList(name, known, "It has")))
	}
}

// step returns the name in the second step of a traversal and the range of both
// steps. ok is false if the traversal has no such step.
func step(t hcl.Traversal) (name string, at hcl.Range, ok bool) {
	if len(t) < 2 {
		return "", at, false
	}
	attr, ok := t[1].(hcl.TraverseAttr)
	return attr.Name, hcl.RangeBetween(t[0].SourceRange(), attr.SourceRange()), ok
}
