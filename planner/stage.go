package planner

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/schema"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/state"
)

// stage is a stage block on its way into the plan.
type stage struct {
	cfg       *config.Stage
	typ       *schema.Type // nil: a gate
	refs      refs
	scope     *scope // of what is the same for all instances
	broken    bool   // it, or an instance, has an error
	unordered bool   // it is in a cycle, or needs one that is
	// flawed is set where it has an error that does not keep the rest of it
	// from being looked at, before it counts as broken. Astray are the places
	// of references that lead nowhere.
	flawed bool
	astray []hcl.Range

	instances []*node
	keyed     keying

	// seen is what expressions see of it: first what those see that need none
	// of its plain values.
	seen [2]stageSeen

	collected bool
	forValues []stageRef
}

// stageSeen is what expressions see of a stage, made when it is first needed.
type stageSeen struct {
	once            sync.Once
	values, handles cty.Value
}

// keying says how the instances of a stage are told apart.
type keying int

const (
	single keying = iota
	byNumber
	byKey
)

func newStage(cfg *config.Stage) *stage {
	return &stage{cfg: cfg, refs: stageRefs(cfg)}
}

// node is an instance on its way into the plan.
type node struct {
	*plan.Node
	stage   *stage
	address addr.Instance
	scope   *scope
	broken  bool

	// inputs are what stands behind the input keys.
	inputs map[string]*handle
	// prompts are those that its arguments were given.
	prompts []*node

	bound *plan.Bound
	// instance is what the plugin is asked about, asked the key under which
	// its answer is remembered.
	instance *pluginv1.Instance
	asked    string
	looked   bool // refresh has seen to it
	prepared *pluginv1.Prepared
	prior    *state.Instance // nil: not in the state
	summary  string          // of a source's fingerprint

	// calls are the requests to models that it makes for each row.
	calls []*pluginv1.ModelCalls
	// selections say which rows of an input its datasets consist of, by output.
	selections map[string]*pluginv1.Selection
	// overlaps are the input keys of models that the lineage shows to be
	// evaluated on rows that they were trained on.
	overlaps []string
	// model is set of a language model.
	model *plan.Model

	result result
}

// expand makes the instances of a stage. It returns those that take part in
// the plan.
func (b *builder) expand(s *stage) []*node {
	for _, d := range b.checkTraversals(&s.refs, s) {
		b.report(d)
		s.flawed, s.astray = true, append(s.astray, *d.Subject)
	}
	s.scope = b.scope(&s.refs)
	switch {
	case b.blind(s, s.cfg.Count) || b.blind(s, s.cfg.ForEach):
		s.broken = true
	case b.impureInstances(s.cfg.Count) || b.impureInstances(s.cfg.ForEach):
		s.broken = true
	case s.cfg.Count != nil:
		b.expandCount(s)
	case s.cfg.ForEach != nil:
		b.expandForEach(s)
	default:
		b.instance(s, cty.NilVal, s.scope)
	}
	return s.instances
}

// blind says whether an expression of a flawed stage can't be looked at: what
// it refers to is not there, or has an error of its own.
func (b *builder) blind(s *stage, e hcl.Expression) bool {
	if !s.flawed || e == nil {
		return false
	}
	var r refs
	r.add(config.Variables(e)...)
	within := e.Range()
	return b.brokenUpstream(&r) || slices.ContainsFunc(s.astray, func(at hcl.Range) bool {
		return at.Filename == within.Filename && within.ContainsPos(at.Start)
	})
}

// impureInstances reports a count or for_each that gives another result in every
// plan.
func (b *builder) impureInstances(e hcl.Expression) bool {
	if e == nil {
		return false
	}
	var r refs
	r.add(config.Variables(e)...)
	name := b.impure(e, &r)
	return name != "" && b.report(diag.Errorf(e.Range().Ptr(), "Value is not reproducible",
		"%s returns a different result in every plan, so the instances would change each time. Pass the value in through a variable instead.", name))
}

func (b *builder) instance(s *stage, key cty.Value, sc *scope) {
	address := addr.Instance{Stage: s.cfg.Addr, Key: key}
	n := &node{
		stage: s, address: address, scope: sc,
		Node: &plan.Node{
			Address: address.String(), Kind: s.cfg.Addr.Kind, Type: s.cfg.Type, Range: diag.NewRange(s.cfg.DeclRange),
			PreventDestroy: s.cfg.PreventDestroy,
		},
	}
	if s.typ != nil {
		n.Plugin, n.Mode, n.Behavior = s.typ.Plugin, s.typ.Mode, s.typ.Behavior
	}
	n.prior = b.prior[n.Address]
	s.instances = append(s.instances, n)
}

func (b *builder) expandCount(s *stage) {
	s.keyed = byNumber
	v, diags := eval.Value(s.cfg.Count, s.scope.values)
	if b.report(diags...) {
		s.broken = true
		return
	}
	if number, err := convert.Convert(v, cty.Number); err == nil {
		v = number // as "2" from the environment
	}
	count, d := wholeNumber(v, s.cfg.Count, "count", b.applyFirst(s))
	if b.mayBeAnything(v) {
		s.broken = true
		return
	}
	if v.IsMarked() {
		d = diag.Errorf(s.cfg.Count.Range().Ptr(), "Sensitive count", "count comes from a sensitive variable, and the number of instances would reveal it. Take it from a variable that is not sensitive, or wrap it in nonsensitive(…).")
	}
	if d != nil {
		s.broken = b.report(d)
		return
	}
	for i := range count {
		index := map[string]cty.Value{"count": cty.ObjectVal(map[string]cty.Value{"index": cty.NumberIntVal(i)})}
		b.instance(s, cty.NumberIntVal(i), s.scope.with(index, index))
	}
}

// mayBeAnything says whether a value comes from a variable that nobody has set
// yet, which only validation meets: what depends on it is not looked at.
func (b *builder) mayBeAnything(v cty.Value) bool {
	if !b.validating {
		return false
	}
	plain, marks := v.UnmarkDeep()
	return len(marks) > 0 && !plain.IsWhollyKnown()
}

// maxInstances bounds count and for_each, which a slip of the keyboard can
// make very large.
const maxInstances = 100_000

func wholeNumber(v cty.Value, e hcl.Expression, argument, first string) (int64, *hcl.Diagnostic) {
	v, _ = v.Unmark()
	subject := e.Range().Ptr()
	switch {
	case !v.IsKnown():
		return 0, diag.Errorf(subject, "Number of instances is not known", "%s depends on a result that does not exist yet, but the plan needs to know the number of instances.%s", argument, first)
	case v.IsNull():
		return 0, diag.Errorf(subject, "Wrong value for "+argument, "%s is null, but it must be a whole number.", argument)
	case v.Type() != cty.Number || !v.AsBigFloat().IsInt():
		return 0, diag.Errorf(subject, "Wrong value for "+argument, "%s must be a whole number.", argument)
	}
	n, _ := v.AsBigFloat().Int64()
	if n < 0 || n > maxInstances {
		return 0, diag.Errorf(subject, "Wrong value for "+argument, "%s must be between 0 and %d, not %s.", argument, maxInstances, v.AsBigFloat().Text('f', 0))
	}
	return n, nil
}

// applyFirst is the advice what to apply so that a stage's instances are
// known.
func (b *builder) applyFirst(s *stage) string {
	var targets []string
	for _, e := range []hcl.Expression{s.cfg.Count, s.cfg.ForEach} {
		if e == nil {
			continue
		}
		var r refs
		r.add(config.Variables(e)...)
		_, all := b.openLocals(&r)
		for _, a := range all.stages {
			targets = append(targets, "-target="+a.String())
		}
	}
	if len(targets) == 0 {
		return ""
	}
	return fmt.Sprintf(" Apply what it depends on first: quern apply %s", strings.Join(targets, " "))
}

func (b *builder) expandForEach(s *stage) {
	s.keyed = byKey
	values, diags := eval.Value(s.cfg.ForEach, s.scope.values)
	if b.report(diags...) {
		s.broken = true
		return
	}
	if b.mayBeAnything(values) {
		s.broken = true
		return
	}
	if d := checkForEach(values, s.cfg.ForEach, b.applyFirst(s)); d != nil {
		s.broken = b.report(d)
		return
	}
	handles := values
	if s.scope.handles != s.scope.values {
		handles, _ = eval.Value(s.cfg.ForEach, s.scope.handles)
	}
	byHandle := iterate(handles)
	for _, e := range iterate(values) {
		v, h := eachOf(e.key, e.value), eachOf(e.key, e.value)
		for _, other := range byHandle {
			if other.key.RawEquals(e.key) {
				h = eachOf(other.key, other.value)
			}
		}
		sc := s.scope.with(v, h)
		if !e.value.IsWhollyKnown() || e.value.ContainsMarked() {
			sc.definitions = withDefinition(sc.definitions, "each.value", &hclsyntax.IndexExpr{
				Collection: s.cfg.ForEach.(hclsyntax.Expression), Key: &hclsyntax.LiteralValueExpr{Val: e.key, SrcRange: s.cfg.ForEach.Range()},
				SrcRange: s.cfg.ForEach.Range(), OpenRange: s.cfg.ForEach.Range(), BracketRange: s.cfg.ForEach.Range(),
			})
		}
		b.instance(s, e.key, sc)
	}
}

func withDefinition(all map[string]hcl.Expression, name string, e hcl.Expression) map[string]hcl.Expression {
	out := make(map[string]hcl.Expression, len(all)+1)
	for k, v := range all {
		out[k] = v
	}
	out[name] = e
	return out
}

func eachOf(key, value cty.Value) map[string]cty.Value {
	return map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{"key": key, "value": value})}
}

func checkForEach(v cty.Value, e hcl.Expression, first string) *hcl.Diagnostic {
	subject := e.Range().Ptr()
	if v.IsMarked() {
		return diag.Errorf(subject, "Sensitive for_each", "for_each comes from a sensitive variable, and its keys would appear in addresses. Take the keys from a variable that is not sensitive.")
	}
	switch t := v.Type(); {
	case v.IsKnown() && v.IsNull():
		return diag.Errorf(subject, "Wrong value for for_each", "for_each is null. It must be a map or a set of strings; an empty one creates no instances.")
	case !v.IsKnown() || t == cty.DynamicPseudoType:
		return diag.Errorf(subject, "Instances are not known", "for_each depends on a result that does not exist yet, but the plan needs to know the instances.%s", first)
	case t.IsMapType() || t.IsObjectType():
		return nil
	case t.IsSetType() && !v.IsWhollyKnown():
		return diag.Errorf(subject, "Instances are not known", "for_each is a set with a member that is not known yet, but the plan needs to know the instances.%s", first)
	case t.IsSetType() && holdsNull(v):
		return diag.Errorf(subject, "Wrong value for for_each", "for_each is a set that contains null. Each member becomes the key of an instance, so it must be a string; compact() drops nulls from a list of strings.")
	case t.IsSetType() && (t.ElementType() == cty.String || v.LengthInt() == 0):
		return nil
	}
	return diag.Errorf(subject, "Wrong value for for_each", "for_each must be a map, an object, or a set of strings, not %s. Use toset() to convert a list to a set.", typeTitle(v.Type()))
}

func holdsNull(set cty.Value) bool {
	for it := set.ElementIterator(); it.Next(); {
		if _, e := it.Element(); e.IsNull() {
			return true
		}
	}
	return false
}

// element is one of a collection's.
type element struct{ key, value cty.Value }
