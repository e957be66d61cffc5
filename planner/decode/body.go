package decode

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/schema"
)

// bodyDecoder decodes one body with its nested blocks, and collects what its
// arguments lead to.
type bodyDecoder struct {
	*Decoder
	stage *module.Stage
	node  *plan.Node
	diags hcl.Diagnostics
	// inputs are the artifacts by input key, prompts the prompts by the key of the
	// argument that was given one: several if a result chooses one.
	inputs  map[string]*module.Handle
	prompts map[string][]*module.Instance
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

func (d *Decoder) newBody(s *module.Stage, n *plan.Node) *bodyDecoder {
	return &bodyDecoder{
		Decoder: d, stage: s, node: n,
		inputs: map[string]*module.Handle{}, prompts: map[string][]*module.Instance{}, extra: map[string]*plan.Arg{},
	}
}

func (d *bodyDecoder) errorf(subject hcl.Range, summary, format string, args ...any) {
	d.diags = append(d.diags, diag.Errorf(&subject, summary, format, args...))
}

// blind reports whether an expression cannot be compiled. It checks what can be
// checked nevertheless.
func (d *bodyDecoder) blind(e hclsyntax.Expression, sc *module.Scope) bool {
	if !d.Blind(d.stage, e) {
		return false
	}
	d.skip = true
	d.diags = append(d.diags, expr.CheckBlind(e, valueScope(sc))...)
	return true
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
				d.set(out, a.In(prefix), attr, sc, prefix+name)
			}
		}
	}
	d.blocks(out, src, of, sc, prefix)
	return out
}

func (d *bodyDecoder) set(out *plan.Body, a *schema.Argument, attr *hclsyntax.Attribute, sc *module.Scope, key string) {
	before, skipped := len(d.diags), d.skip
	d.skip = false
	one := &argument{a, d, sc}
	arg := one.decode(attr.Expr, key)
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
	if !d.discreet(arg, attr.Expr.Range(), key) || !one.unexposed(arg, attr.Expr.Range()) {
		return
	}
	out.Args[a.Name] = arg
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
		d.errorf(forEach.Range(), "Blocks are not known", "for_each of a dynamic block must be a collection that is known at plan time.%s", d.ApplyFirst(d.stage.Config.Count, d.stage.Config.ForEach))
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

func iteratorOf(name string, key, v cty.Value) map[string]cty.Value {
	return map[string]cty.Value{name: cty.ObjectVal(map[string]cty.Value{"key": key, "value": v})}
}
