package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/zclconf/go-cty/cty"
)

var (
	// metaArguments are those of every stage block. Gates run nothing, so
	// they have no plugin, timeout, or retries.
	metaArguments = []string{"for_each", "count", "depends_on", "plugin", "timeout", "retries"}
	metaBlocks    = []string{"lifecycle", "resources", "budget", contractBlock}

	// stageKinds are the kinds that other stages can wait for.
	stageKinds = kind.Those(kind.Kind.IsStage)

	gateSchema = schema{
		what:     "a gate block",
		optional: []string{"condition", "error_message", "for_each", "count", "depends_on"},
		blocks:   []blockSchema{{name: "check"}, {name: "lifecycle", once: true}},
	}
	conditionSchema = func(what string) schema {
		return schema{what: what, required: []string{"condition", "error_message"}}
	}
	resourcesSchema = schema{what: "a resources block", optional: []string{"cpu", "memory", "gpu"}}
	lifecycleSchema = schema{what: "a lifecycle block", optional: []string{"prevent_destroy", "create_before_destroy"}, blocks: []blockSchema{{name: "precondition"}, {name: "postcondition"}}}
)

func (l *loader) stage(b *hclsyntax.Block) {
	last := len(b.Labels) - 1
	s := &Stage{
		Addr:      addr.Stage{Kind: b.Type, Name: b.Labels[last]},
		NameRange: b.LabelRanges[last],
		DeclRange: b.DefRange(),
		Range:     hcl.RangeBetween(b.DefRange(), b.CloseBraceRange),
	}
	s.json = l.raw[b.Body]
	if last > 0 {
		s.Type, s.TypeRange = b.Labels[0], b.LabelRanges[0]
	}
	if other := l.m.stages[s.Addr]; other != nil {
		l.duplicate(s.NameRange, s.DeclRange, s.Addr.Kind, s.Addr.Name, other.DeclRange)
		// Its body is still checked for errors.
	} else {
		l.m.stages[s.Addr] = s
		l.m.Stages = append(l.m.Stages, s)
	}
	switch s.Addr.Kind {
	case kind.Gate:
		l.gate(s, b.Body)
	case kind.Model:
		l.model(s, b.Body)
	case kind.Prompt:
		l.prompt(s, b.Body)
	default:
		l.meta(s, b.Body.Attributes)
		l.metaBlocks(s, b.Body)
		s.own = func(body *hclsyntax.Body) *hclsyntax.Body { return without(body, metaArguments, metaBlocks) }
		s.Body = s.own(b.Body)
	}
}

func (l *loader) duplicate(name, decl hcl.Range, what, given string, other hcl.Range) {
	d := diag.Errorf(&name, "Duplicate "+what, "%s %q already exists at %s. Rename or remove one of them.", article(what), given, place(other))
	d.Context = &decl
	l.add(d)
}

// meta takes the meta-arguments from attributes.
func (l *loader) meta(s *Stage, attrs hclsyntax.Attributes) {
	s.Count, s.ForEach = l.repetition(attrs)
	if a := attrs["depends_on"]; a != nil {
		s.DependsOn = l.dependsOn(a)
	}
	if a := attrs["plugin"]; a != nil {
		s.Plugin = l.pluginName(a)
	}
	if a := attrs["timeout"]; a != nil {
		s.Timeout = a.Expr
	}
	if a := attrs["retries"]; a != nil {
		s.Retries = a.Expr
	}
}

// repetition takes count and for_each, of which at most one may be set.
func (l *loader) repetition(attrs hclsyntax.Attributes) (count, forEach hcl.Expression) {
	if a := attrs["for_each"]; a != nil {
		forEach = a.Expr
	}
	if a := attrs["count"]; a != nil {
		count = a.Expr
		if forEach != nil {
			l.add(diag.Errorf(a.NameRange.Ptr(), "Both count and for_each", "A block can have count or for_each, not both. for_each is at %s. Remove one of them.", place(attrs["for_each"].NameRange)))
			count = nil
		}
	}
	return count, forEach
}

// metaBlocks takes the lifecycle, resources, budget, and contract blocks of a stage.
func (l *loader) metaBlocks(s *Stage, body *hclsyntax.Body) {
	own := &hclsyntax.Body{SrcRange: body.SrcRange, EndRange: body.EndRange}
	for _, b := range body.Blocks {
		if slices.Contains(metaBlocks, b.Type) {
			own.Blocks = append(own.Blocks, b)
		}
	}
	spec := schema{what: "a stage", blocks: []blockSchema{{name: "lifecycle", once: true}, {name: "resources", once: true}, {name: "budget", once: true}, {name: contractBlock}}}
	for _, b := range l.knownBlocks(own, spec) {
		switch b.Type {
		case "resources":
			l.resources(s, b)
		case "budget":
			s.Budget = l.budget(b, budgetSchema)
		case contractBlock:
			l.contract(s, b)
		default:
			l.lifecycle(s, b)
		}
	}
	for _, name := range metaBlocks {
		if a := body.Attributes[name]; a != nil {
			l.add(unknownArgument(a, spec))
		}
	}
}

func (l *loader) resources(s *Stage, b *hclsyntax.Block) {
	attrs, _ := l.content(b.Body, resourcesSchema)
	s.Resources = &Resources{
		CPU:    expression(attrs["cpu"]),
		Memory: expression(attrs["memory"]),
		GPU:    expression(attrs["gpu"]),
		Range:  b.DefRange(),
	}
}

func (l *loader) lifecycle(s *Stage, b *hclsyntax.Block) {
	attrs, blocks := l.content(b.Body, lifecycleSchema)
	if a := attrs["prevent_destroy"]; a != nil {
		s.PreventDestroy = l.constBool(a)
		if s.Addr.Kind != kind.Deploy {
			l.add(diag.Errorf(a.NameRange.Ptr(), "Nothing to protect", "prevent_destroy protects deployments, and %s block has none. Remove it: results stay in the store until quern gc removes them.", lowerFirst(article(s.Addr.Kind))))
		}
	}
	if a := attrs["create_before_destroy"]; a != nil {
		first := l.constBool(a)
		s.CreateBeforeDestroy = &first
		if s.Addr.Kind != kind.Deploy {
			l.add(diag.Errorf(a.NameRange.Ptr(), "Nothing to replace", "create_before_destroy is about how a deployment is replaced, and %s block has none. Remove it.", lowerFirst(article(s.Addr.Kind))))
		}
	}
	for _, c := range blocks {
		condition, ok := l.condition(c)
		switch {
		case !ok:
		case c.Type == "precondition":
			s.Pre = append(s.Pre, condition)
		default:
			s.Post = append(s.Post, condition)
		}
	}
}

// condition reads a block that contains a condition and its message.
func (l *loader) condition(b *hclsyntax.Block) (Condition, bool) {
	attrs, _ := l.content(b.Body, conditionSchema(lowerFirst(article(b.Type))+" block"))
	if len(attrs) < 2 {
		return Condition{}, false
	}
	l.errorMessage(attrs["error_message"])
	return Condition{
		Condition:    attrs["condition"].Expr,
		ErrorMessage: attrs["error_message"].Expr,
		Range:        b.DefRange(),
	}, true
}

// errorMessage refuses a constant message that is empty.
func (l *loader) errorMessage(a *hclsyntax.Attribute) {
	if len(a.Expr.Variables()) > 0 {
		return
	}
	v, diags := eval.Value(a.Expr, nil)
	if !diags.HasErrors() && IsBlank(v) {
		l.add(EmptyMessage(a.Expr.Range()))
	}
}

// IsBlank reports whether a value is a blank string or null.
func IsBlank(v cty.Value) bool {
	v, _ = v.Unmark()
	return v.IsNull() || v.IsKnown() && v.Type() == cty.String && strings.TrimSpace(v.AsString()) == ""
}

// EmptyMessage is the error about an empty error_message.
func EmptyMessage(at hcl.Range) *hcl.Diagnostic {
	return diag.Errorf(&at, "Invalid error message", "error_message is empty. Say what is wrong and what to do about it: users see this message when the condition is not met.")
}

func (l *loader) gate(s *Stage, body *hclsyntax.Body) {
	attrs, blocks := l.content(body, gateSchema)
	l.meta(s, attrs)
	s.Body = &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, SrcRange: body.SrcRange, EndRange: body.EndRange}
	l.gateCondition(s, attrs)
	for _, b := range blocks {
		if b.Type == "lifecycle" {
			l.lifecycle(s, b)
			continue
		}
		if c, ok := l.condition(b); ok {
			s.Conditions = append(s.Conditions, c)
		}
	}
	if len(attrs) == 0 && len(body.Blocks) == 0 {
		r := body.MissingItemRange()
		l.missing(diag.Errorf(&r, "Gate without a condition", "A gate needs a condition and an error_message, or check blocks that each have both."))
	}
}

// gateCondition reads the condition in the gate's own body.
func (l *loader) gateCondition(s *Stage, attrs hclsyntax.Attributes) {
	condition, message := attrs["condition"], attrs["error_message"]
	switch {
	case condition != nil && message != nil:
		l.errorMessage(message)
		s.Conditions = append(s.Conditions, Condition{Condition: condition.Expr, ErrorMessage: message.Expr, Range: condition.SrcRange})
	case condition != nil:
		l.missing(diag.Errorf(condition.NameRange.Ptr(), "Missing required argument", "A gate with a condition also needs an error_message, which users see when the condition is not met."))
	case message != nil:
		l.missing(diag.Errorf(message.NameRange.Ptr(), "Missing required argument", "A gate with an error_message also needs a condition."))
	}
}

// without returns a body without the arguments and blocks of some names. It returns the
// same body if it has none of them, as most do.
func without(body *hclsyntax.Body, arguments, blocks []string) *hclsyntax.Body {
	notArgument := func(name string) bool { return slices.Contains(arguments, name) || slices.Contains(blocks, name) }
	notBlock := func(b *hclsyntax.Block) bool { return slices.Contains(blocks, b.Type) }
	if !slices.ContainsFunc(body.Blocks, notBlock) && !slices.ContainsFunc(slices.Collect(maps.Keys(body.Attributes)), notArgument) {
		return body
	}
	left := &hclsyntax.Body{
		Attributes: maps.Clone(body.Attributes),
		Blocks:     slices.DeleteFunc(slices.Clone(body.Blocks), notBlock),
		SrcRange:   body.SrcRange,
		EndRange:   body.EndRange,
	}
	maps.DeleteFunc(left.Attributes, func(name string, _ *hclsyntax.Attribute) bool { return notArgument(name) })
	return left
}

// expression returns the expression of an attribute, which may be nil.
func expression(a *hclsyntax.Attribute) hcl.Expression {
	if a == nil {
		return nil
	}
	return a.Expr
}

// dependsOn reads a list of stage addresses.
func (l *loader) dependsOn(a *hclsyntax.Attribute) []hcl.Traversal {
	exprs, diags := hcl.ExprList(a.Expr)
	if diags.HasErrors() {
		l.add(diag.Errorf(a.Expr.Range().Ptr(), "Invalid depends_on", "depends_on must be a list of stages: depends_on = [gate.ship, transform.clean]."))
		return nil
	}
	var refs []hcl.Traversal
	for _, e := range exprs {
		t, diags := hcl.AbsTraversalForExpr(e)
		if diags.HasErrors() {
			l.add(diag.Errorf(e.Range().Ptr(), "Invalid depends_on", "Each element of depends_on must be the address of a stage, without quotes: depends_on = [gate.ship]."))
			continue
		}
		a, rest, ok := addr.FromTraversal(t)
		switch {
		case t.RootName() == callKind && isCallName(t):
		case !ok || len(rest) > 0:
			l.add(diag.Errorf(e.Range().Ptr(), "Invalid depends_on", "Each element of depends_on must name a whole stage as KIND.NAME, where KIND is one of %s, or a module as module.NAME.%s", english.And(stageKinds), diag.Suggest(t.RootName(), stageKinds)))
			continue
		case !kind.Of(a.Kind).IsStage():
			l.add(diag.Errorf(e.Range().Ptr(), "Invalid depends_on", "%s block does not run by itself, so nothing can wait for it. Stages that use it already depend on it.", article(a.Kind)))
			continue
		}
		refs = append(refs, t)
	}
	return refs
}

// isCallName reports whether a traversal is module.NAME, with or without the key
// of an instance.
func isCallName(t hcl.Traversal) bool {
	if _, _, ok := step(t); !ok || len(t) > 3 {
		return false
	}
	if len(t) == 2 {
		return true
	}
	_, isIndex := t[2].(hcl.TraverseIndex)
	return isIndex
}

// pluginName reads a plugin's local name, with or without quotes.
func (l *loader) pluginName(a *hclsyntax.Attribute) string {
	if name := keywordOrString(a.Expr); name != "" {
		return name
	}
	l.add(diag.Errorf(a.Expr.Range().Ptr(), "Invalid plugin", "plugin must be the local name of a plugin, as in required_plugins: plugin = acme. It cannot be computed."))
	return ""
}
