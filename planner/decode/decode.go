// Package decode is the second phase of planning. It evaluates and compiles the
// configuration of an instance against the schema of its type. An argument
// becomes a value, an artifact, a row expression, or a deferred expression.
package decode

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/condition"
	"github.com/quern-dev/quern/planner/expand"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/processes"
	"github.com/quern-dev/quern/planner/schema"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Decoder decodes the blocks of a module.
type Decoder struct {
	*expand.Expander
	Conditions *condition.Conditions
	Plugins    processes.Plugins
}

// Instance is an instance with its configuration decoded. Its node has the
// fields that come from the block: Body, DependsOn, and how it runs.
type Instance struct {
	*expand.Instance
	// Inputs are the artifacts by input key.
	Inputs map[string]*module.Handle
	// Bound is the configuration as its plugin receives it.
	Bound *plan.Bound
}

// Decode decodes an instance of a stage with a type. It returns nil if there
// are errors, which it has reported.
func (d *Decoder) Decode(n *expand.Instance) *Instance {
	d.run(n)
	body := &bodyDecoder{Decoder: d, stage: n.Stage, node: n.Node, inputs: map[string]*module.Handle{}, extra: map[string]*plan.Arg{}}
	out := body.body(n.Stage.Config.Body, n.Stage.Type.Body, n.Scope, "")
	out.Type = value.Type{Type: n.Stage.Type.Body.Object}
	maps.Copy(out.Args, body.extra)
	n.Body = out
	if d.Report(body.diags...) || body.skip || n.Stage.Flawed() {
		d.Conditions.Compile(n, plan.WhenPre, n.Stage.Config.Pre, n.Scope)
		return nil
	}
	d.takeMaxErrors(n)
	bound, diags := n.Body.Bind(d.vars(n))
	if d.Report(diags...) {
		return nil
	}
	d.dependencies(n, body)
	return &Instance{Instance: n, Inputs: body.inputs, Bound: bound}
}

// DecodeGate decodes a gate. It returns false if there are errors, which it has
// reported.
func (d *Decoder) DecodeGate(n *expand.Instance) bool {
	d.run(n)
	d.dependencies(n, &bodyDecoder{Decoder: d})
	return d.Conditions.Decode(n) && !n.Stage.Flawed()
}

// DecodePrompt publishes a prompt, which is compiled by the stages that use it.
// It returns nil if there are errors, which it has reported.
func (d *Decoder) DecodePrompt(n *expand.Instance) *module.Instance {
	d.run(n)
	if n.Stage.Flawed() {
		return nil
	}
	d.dependencies(n, &bodyDecoder{Decoder: d})
	n.Outputs = []plan.Port{{Kind: plan.KindPrompt}}
	return &module.Instance{
		Node: n.Node, Addr: n.Addr, Result: module.Result{Known: true}, Prompt: &module.Prompt{Stage: n.Stage, Scope: n.Scope},
	}
}

// Proto returns the instance as its plugin sees it.
func (n *Instance) Proto() (*pluginv1.Instance, error) {
	inputs := make(map[string]*pluginv1.Input, len(n.Inputs))
	for key, h := range n.Inputs {
		inputs[key] = plan.InputPort(h.Port, h.Rows())
	}
	return n.Bound.Instance(n.Node, inputs)
}

// vars returns the values that the deferred expressions of an instance are
// evaluated with. Values that are not available yet are unknown, and secrets
// are in clear text.
func (d *Decoder) vars(n *expand.Instance) map[string]cty.Value {
	refs, names := n.Body.Refs()
	if len(refs) == 0 && len(names) == 0 {
		return nil
	}
	vars := maps.Clone(n.Base.Values.Variables)
	vars["var"] = cty.ObjectVal(d.Secrets.Values(names))
	return vars
}

// dependencies records what must come before an instance: the sources of its
// inputs, and the references of its expressions.
func (d *Decoder) dependencies(n *expand.Instance, decoded *bodyDecoder) {
	on := d.Expander.Dependencies(n)
	for _, h := range module.Artifacts(decoded.inputs) {
		d.Needs(h.From.Addr, on)
	}
	for _, p := range decoded.prompts {
		d.Needs(p.Addr, on)
	}
	if n.Body != nil {
		refs, _ := n.Body.Refs()
		for _, ref := range refs {
			if a, err := addr.Parse(ref); err == nil {
				d.Needs(a, on)
			}
		}
	}
	delete(on, n.Address)
	n.DependsOn = sorted(on)
}

// bodyDecoder decodes one body.
type bodyDecoder struct {
	*Decoder
	stage *module.Stage
	node  *plan.Node
	diags hcl.Diagnostics
	// inputs are the artifacts by input key, prompts the prompts that arguments
	// were given.
	inputs  map[string]*module.Handle
	prompts []*module.Instance
	// extra are the arguments that the instance has in addition to those in its
	// block, by key: the ones that its prompts add.
	extra map[string]*plan.Arg
	// skip is set if something upstream is broken, so that the instance cannot
	// be decoded, and the reason is already reported.
	skip bool
	// starved is set if a dataset could not be decoded, so that expressions
	// over its rows cannot be checked.
	starved bool
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func (d *bodyDecoder) errorf(subject hcl.Range, summary, format string, args ...any) {
	d.diags = append(d.diags, diag.Errorf(&subject, summary, format, args...))
}

// body decodes one body. Artifacts come first, because row expressions refer to
// their columns.
func (d *bodyDecoder) body(src *hclsyntax.Body, of *schema.Body, sc *module.Scope, prefix string) *plan.Body {
	out := &plan.Body{Args: make(map[string]*plan.Arg, len(of.Args))}
	for name, a := range of.Args {
		if a.Absent != nil {
			out.Args[name] = a.Absent
		}
	}
	for _, overRows := range []bool{false, true} {
		for name, attr := range src.Attributes {
			if a := of.Args[name]; a != nil && a.OverRows() == overRows {
				d.set(out, a, attr, sc, prefix+name)
			}
		}
	}
	d.blocks(out, src, of, sc, prefix)
	return out
}

func (d *bodyDecoder) set(out *plan.Body, a *schema.Argument, attr *hclsyntax.Attribute, sc *module.Scope, key string) {
	before, skipped := len(d.diags), d.skip
	d.skip = false
	arg := d.argument(a, attr.Expr, sc, key)
	silent := d.skip || len(d.diags) > before
	d.starved = d.starved || d.skip && a.Handles()
	d.skip = d.skip || skipped
	if arg == nil {
		if a.Required && !silent {
			d.errorf(attr.Expr.Range(), "Missing required argument", "The argument %q is required, but this is null.", a.Name)
		}
		return
	}
	arg.Operational, arg.Sensitive = a.Operational, a.Sensitive
	arg.Range = diag.NewRange(attr.Expr.Range())
	if !d.discreet(arg, attr.Expr.Range(), key) || !d.unexposed(a, arg, attr.Expr.Range()) {
		return
	}
	out.Args[a.Name] = arg
}

// argument decodes an expression. It returns nil if the expression is null or
// has errors.
func (d *bodyDecoder) argument(a *schema.Argument, e hclsyntax.Expression, sc *module.Scope, key string) *plan.Arg {
	switch {
	case !a.Handles():
		return d.plain(a, e, sc)
	case a.Collection != 0:
		return d.collection(a, e, sc, key)
	}
	return d.element(a, e, sc, key)
}

// blind reports whether an expression cannot be compiled. It checks what can be
// checked nevertheless.
func (d *bodyDecoder) blind(e hclsyntax.Expression, sc *module.Scope) bool {
	if !d.Blind(d.stage, e) {
		return false
	}
	d.skip = true
	d.diags = append(d.diags, expr.CheckBlind(e, d.scopeOf(sc))...)
	return true
}

// plain decodes an argument that takes a plain value.
func (d *bodyDecoder) plain(a *schema.Argument, e hclsyntax.Expression, sc *module.Scope) *plan.Arg {
	if d.blind(e, sc) {
		return nil
	}
	want := a.PlainType()
	if expr.MentionsRow(e) {
		d.errorf(e.Range(), "Name is not available here", "The argument %q has one value for the whole stage, so it cannot depend on `row`.%s", a.Name, described(a.Doc))
		return nil
	}
	v, diags := eval.Value(e, sc.Values)
	if diags.HasErrors() || !v.IsWhollyKnown() || v.ContainsMarked() || (!a.Operational && d.impureIn(e)) {
		return d.compiled(e, sc, want, v, diags)
	}
	v, err := convert.Convert(v, want)
	if err != nil {
		d.errorf(e.Range(), "Wrong type of value", "The argument %q must be of type %s: %s.%s", a.Name, want.FriendlyNameForConstraint(), err, described(a.Doc))
		return nil
	}
	if v.IsNull() {
		return nil
	}
	if !d.allowed(a, v, e.Range()) {
		return nil
	}
	return &plan.Arg{Value: &value.Value{Value: v}}
}

// compiled decodes a plain argument whose value is not known yet or contains a
// secret. v and diags are the result of evaluating it.
func (d *bodyDecoder) compiled(e hclsyntax.Expression, sc *module.Scope, want cty.Type, v cty.Value, diags hcl.Diagnostics) *plan.Arg {
	c, more := expr.Compile(e, d.scopeOf(sc), want)
	if more.HasErrors() {
		d.diags = append(d.diags, more...)
		return nil
	}
	if diags.HasErrors() {
		d.diags = append(d.diags, diags...)
		return nil
	}
	if v.IsKnown() && v.IsNull() && !v.IsMarked() {
		return nil
	}
	return &plan.Arg{Expr: c}
}

func (d *bodyDecoder) scopeOf(sc *module.Scope) *expr.Scope {
	return &expr.Scope{Eval: sc.Values, Definitions: sc.Definitions}
}

// impureIn reports whether a value comes from an impure function. If a local is
// the cause, it reports the error; for the expression itself, Compile does.
func (d *bodyDecoder) impureIn(e hclsyntax.Expression) bool {
	return d.impureLocal(e) != "" || d.Impure(e, &module.Refs{}) != ""
}

// allowed checks what the schema requires of a value beyond its type.
func (d *bodyDecoder) allowed(a *schema.Argument, v cty.Value, subject hcl.Range) bool {
	if a.Sensitive {
		d.errorf(subject, "Secret in the configuration", "The argument %q is sensitive, and a value written here would appear in files and plans in plain text. Take it from a variable with sensitive = true.", a.Name)
		d.diags[len(d.diags)-1].Extra = diag.Secret{}
		return false
	}
	if len(a.OneOf) == 0 || v.Type() != cty.String || slices.Contains(a.OneOf, v.AsString()) {
		return true
	}
	d.errorf(subject, "Wrong value", "The argument %q must be %s, not %q.%s", a.Name, alternatives(a.OneOf), v.AsString(), diag.Suggest(v.AsString(), a.OneOf))
	return false
}

// alternatives lists values, as in "a", "b", or "c".
func alternatives(values []string) string { return english.Or(quoted(values)) }

func quoted(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = strconv.Quote(v)
	}
	return out
}

// described returns an argument's documentation as a sentence of its own.
func described(doc string) string {
	if text := schema.Documented(doc); text != "." {
		return " The documentation says" + text
	}
	return ""
}

// blocks decodes nested blocks in the order written, with dynamic ones
// expanded.
func (d *bodyDecoder) blocks(out *plan.Body, src *hclsyntax.Body, of *schema.Body, sc *module.Scope, prefix string) {
	positions := map[string]int{}
	for _, b := range src.Blocks {
		if b.Type == "dynamic" {
			d.dynamic(out, b, of, sc, prefix, positions)
			continue
		}
		if nested := of.Blocks[b.Type]; nested != nil {
			d.block(out, nested, b.Labels, b.Body, sc, prefix, b.LabelRanges, positions)
		}
	}
}

func (d *bodyDecoder) block(out *plan.Body, of *schema.Block, labels []string, src *hclsyntax.Body, sc *module.Scope, prefix string, places []hcl.Range, positions map[string]int) {
	key := prefix + of.Name
	for _, l := range labels {
		key += "." + l
	}
	if len(labels) == 0 {
		key += "." + strconv.Itoa(positions[of.Name])
	}
	positions[of.Name]++
	for _, other := range out.Blocks {
		if len(labels) > 0 && other.Name == of.Name && slices.Equal(other.Labels, labels) {
			subject := src.SrcRange
			if len(places) > 0 {
				subject = places[0]
			}
			d.errorf(subject, "Duplicate block", "A %s block labeled %s already exists. Rename one of them.", of.Name, strings.Join(quoted(labels), " "))
			return
		}
	}
	inner := d.body(src, of.Body, sc, key+".")
	for i, name := range of.Labels {
		if i == len(labels) {
			break // already reported with the names
		}
		// The block's key includes it, so no other key needs it.
		inner.Args[name] = &plan.Arg{Value: &value.Value{Value: cty.StringVal(labels[i])}, Operational: true}
	}
	out.Blocks = append(out.Blocks, &plan.Block{Name: of.Name, Labels: labels, Body: inner})
}

// dynamic generates the blocks of a dynamic block.
func (d *bodyDecoder) dynamic(out *plan.Body, b *hclsyntax.Block, of *schema.Body, sc *module.Scope, prefix string, positions map[string]int) {
	nested, content, ok := schema.CompleteDynamic(b, of)
	if !ok {
		return
	}
	iterator := b.Labels[0]
	if attr := b.Body.Attributes["iterator"]; attr != nil {
		if name := hcl.ExprAsKeyword(attr.Expr); name != "" {
			iterator = name
		}
	}
	forEach := b.Body.Attributes["for_each"].Expr
	if d.blind(forEach, sc) {
		return
	}
	values, diags := eval.Value(forEach, sc.Values)
	d.diags = append(d.diags, diags...)
	if diags.HasErrors() {
		return
	}
	if d.MayBeAnything(values) {
		d.skip = true
		return
	}
	if values.IsMarked() {
		d.errorf(forEach.Range(), "Sensitive for_each", "for_each of a dynamic block comes from a sensitive variable, and the blocks would reveal it. Take the keys from a variable that is not sensitive.")
		return
	}
	if values.IsKnown() && (values.IsNull() || !values.CanIterateElements()) {
		d.errorf(forEach.Range(), "Wrong value for for_each", "for_each of a dynamic block must be a list, a set, or a map, but this is %s.", nullOr(values))
		return
	}
	if !values.IsKnown() {
		d.errorf(forEach.Range(), "Blocks are not known", "for_each of a dynamic block must be a collection that is known at plan time.%s", d.ApplyFirst(d.stage))
		return
	}
	handles, _ := eval.Value(forEach, sc.Handles)
	byHandle := value.Elements(handles)
	for i, e := range value.Elements(values) {
		v := iteratorOf(iterator, e.Key, e.Value)
		h := v
		if i < len(byHandle) {
			h = iteratorOf(iterator, e.Key, byHandle[i].Value)
		}
		inner := sc.With(v, h)
		labels, ok := d.labels(b, nested, inner)
		if !ok {
			return
		}
		d.block(out, nested, labels, content.Body, inner, prefix, []hcl.Range{b.DefRange()}, positions)
	}
	if n := int64(positions[nested.Name]); n < nested.MinItems {
		d.errorf(forEach.Range(), "Missing block", "%s %q needs at least %s, but for_each is empty.",
			d.node.Kind, d.node.Type, english.Spell(nested.MinItems, nested.Name+" block"))
	}
}

func iteratorOf(name string, key, v cty.Value) map[string]cty.Value {
	return map[string]cty.Value{name: cty.ObjectVal(map[string]cty.Value{"key": key, "value": v})}
}

func (d *bodyDecoder) labels(b *hclsyntax.Block, nested *schema.Block, sc *module.Scope) ([]string, bool) {
	if len(nested.Labels) == 0 {
		return nil, true
	}
	e := b.Body.Attributes["labels"].Expr
	v, diags := eval.Value(e, sc.Values)
	d.diags = append(d.diags, diags...)
	if diags.HasErrors() {
		return nil, false
	}
	v, err := convert.Convert(v, cty.List(cty.String))
	if err != nil || !v.IsWhollyKnown() || v.IsNull() || v.ContainsMarked() || v.LengthInt() != len(nested.Labels) {
		d.errorf(e.Range(), "Wrong labels", "labels must be a list of %s that is known at plan time.", english.Spell(len(nested.Labels), "string"))
		return nil, false
	}
	var labels []string
	for _, e := range value.Elements(v) {
		if e.Value.IsNull() {
			d.errorf(b.DefRange(), "Wrong labels", "A label cannot be null.")
			return nil, false
		}
		labels = append(labels, e.Value.AsString())
	}
	return labels, true
}

// nullOr describes a value for a message.
func nullOr(v cty.Value) string {
	if v.IsNull() {
		return "null"
	}
	return value.TypeName(v.Type())
}
