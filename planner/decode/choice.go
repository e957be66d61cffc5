package decode

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
)

// An index into a collection of artifacts may depend on a result, as in
// train.student[evaluate.sweep.best.accuracy]. Until the result is known, the
// argument is a choice among the whole collection: it has the type that its
// elements have in common, and waits for all of them.

// indexing is an expression that selects an element of a collection.
type indexing struct {
	collection cty.Value
	key        hclsyntax.Expression
	scope      *module.Scope // of the key
	steps      hcl.Traversal // after the index
}

// choice decodes an index into artifacts whose key depends on a result. ok is
// false for any other expression.
func (a *artifactArgument) choice(e hclsyntax.Expression, key string) (arg *plan.Arg, ok bool) {
	in := a.indexing(e, a.scope)
	if in == nil || !in.selectsArtifact() {
		return nil, false
	}
	if v, diags := eval.Value(in.key, in.scope.Values); diags.HasErrors() || v.IsKnown() || a.MayBeAnything(v) {
		return nil, false
	}
	compiled, diags := expr.Compile(in.key, valueScope(in.scope), cty.String)
	a.diags = append(a.diags, diags...)
	if diags.HasErrors() {
		return nil, true
	}
	if len(compiled.Secrets) > 0 {
		a.errorf(in.key.Range(), "Sensitive index", "The choice of artifact would reveal the value of a sensitive variable. Take the index from a variable that is not sensitive, or wrap it in nonsensitive(…).")
		return nil, true
	}
	return a.candidates(in, compiled, e, key), true
}

// indexing returns the index that an expression consists of, possibly in
// parentheses, with steps after it, or under the name of a local or an input. It returns
// nil for any other expression.
func (d *Decoder) indexing(e hclsyntax.Expression, sc *module.Scope) *indexing {
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return d.indexing(e.Expression, sc)
	case *hclsyntax.RelativeTraversalExpr:
		in := d.indexing(e.Source, sc)
		if in != nil {
			in.steps = slices.Concat(in.steps, e.Traversal)
		}
		return in
	case *hclsyntax.ScopeTraversalExpr:
		return d.indexingName(e, sc)
	case *hclsyntax.IndexExpr:
		collection, diags := eval.Value(e.Collection, sc.Handles)
		if diags.HasErrors() || collection.IsMarked() {
			return nil
		}
		return &indexing{collection: collection, key: e.Key, scope: sc}
	}
	return nil
}

// indexingName returns the index that the definition of a local or of an input
// consists of.
func (d *Decoder) indexingName(e *hclsyntax.ScopeTraversalExpr, sc *module.Scope) *indexing {
	if len(e.Traversal) < 2 {
		return nil
	}
	name, _ := e.Traversal[1].(hcl.TraverseAttr)
	definition := sc.Definitions[e.Traversal.RootName()+"."+name.Name]
	if definition == nil {
		return nil
	}
	var inner *module.Scope
	switch e.Traversal.RootName() {
	case "local":
		inner = sc.Module.Scope(&sc.Module.Local(name.Name).Refs)
	case "var":
		_, inner, _ = sc.Module.Defined(name.Name)
	default:
		return nil
	}
	syntax, ok := definition.Expr.(hclsyntax.Expression)
	if !ok {
		return nil
	}
	in := d.indexing(syntax, inner)
	if in != nil {
		in.steps = slices.Concat(in.steps, e.Traversal[2:])
	}
	return in
}

// selectsArtifact reports whether all elements of the collection are artifacts or
// stages, or have one where the steps lead, as the outputs of modules do.
func (in *indexing) selectsArtifact() bool {
	elements := value.Elements(in.collection)
	if _, single := module.HandleOf(in.collection); single || len(elements) == 0 {
		return false
	}
	return !slices.ContainsFunc(elements, func(e value.Element) bool {
		if _, ok := module.HandleOf(e.Value); ok {
			return false
		}
		v, diags := in.steps.TraverseRel(e.Value)
		_, ok := module.HandleOf(v)
		return diags.HasErrors() || !ok
	})
}

// candidates decodes the candidates of a choice and checks that they have one
// type.
func (a *artifactArgument) candidates(in *indexing, by *expr.Compiled, e hclsyntax.Expression, key string) *plan.Arg {
	c := &plan.Choice{Key: by, Of: map[string]*plan.Arg{}}
	var among []*module.Handle
	for _, element := range value.Elements(in.collection) {
		v, diags := in.steps.TraverseRel(element.Value)
		if diags.HasErrors() {
			a.diags = append(a.diags, diags...)
			return nil
		}
		arg := a.candidate(v, e, key)
		if arg == nil {
			return nil
		}
		c.Of[plan.ChoiceKey(element.Key)] = arg
		if h, _ := module.HandleOf(v); arg.Input != nil {
			among = append(among, h)
		}
	}
	if len(among) > 0 && !a.chooseAmong(among, by, e, key) {
		return nil
	}
	return &plan.Arg{Choice: c}
}

// candidate decodes one candidate of a choice. It returns nil if it has errors.
func (a *artifactArgument) candidate(v cty.Value, e hclsyntax.Expression, key string) *plan.Arg {
	brought, failed := len(a.extra), len(a.diags)
	arg := a.value(v, e, key)
	switch {
	case arg == nil:
		if len(a.diags) == failed && !a.skip {
			a.errorf(e.Range(), "Wrong type of value", "The argument %q must be %s, but one of the candidates of this choice is null.", a.Name, a.Holds())
		}
		return nil
	case arg.Map != nil || len(a.extra) > brought:
		a.errorf(e.Range(), "Cannot wait for this choice", "A result can choose among models, datasets, reports, and prompts without examples. To choose a model and a prompt, write { model = …, prompt = … } with a choice in each part.")
		return nil
	}
	arg.Range = diag.NewRange(e.Range())
	return arg
}

// chooseAmong returns an input that is one of several artifacts. It returns
// false if their types differ.
func (a *artifactArgument) chooseAmong(among []*module.Handle, by *expr.Compiled, e hclsyntax.Expression, key string) bool {
	port, differ := commonPort(among)
	if differ != "" {
		a.errorf(e.Range(), "Choice among different types", "Which one is chosen depends on a result that is not known yet, so all candidates must have the same type. %s", differ)
		return false
	}
	first := among[0].From
	a.inputs[key] = &module.Handle{Port: port, Among: among, From: &module.Instance{
		Node: &plan.Node{Address: by.Text, Kind: first.Kind, Mode: first.Mode, Plugin: first.Plugin},
	}}
	return true
}

// commonPort returns the type that artifacts have in common. differ describes
// the difference if they have none.
func commonPort(among []*module.Handle) (common *plan.Port, differ string) {
	first := among[0]
	port := *first.Port
	port.Model = nil
	for _, h := range among[1:] {
		capabilities := slices.DeleteFunc(slices.Clone(port.Capabilities), func(c string) bool { return !slices.Contains(h.Port.Capabilities, c) })
		what, was, is := "", "", ""
		switch {
		case h.Port.Kind != port.Kind:
			what, was, is = "kind", port.Kind, h.Port.Kind
		case h.Port.Format != port.Format:
			what, was, is = "format", port.Format, h.Port.Format
		case !slices.Equal(h.Port.Columns, port.Columns):
			what, was, is = "columns", schemaText(port.Columns), schemaText(h.Port.Columns)
		case !reflect.DeepEqual(h.Port.Signature, port.Signature):
			what, was, is = "signature", signatureText(port.Signature), signatureText(h.Port.Signature)
		case len(port.Capabilities) > 0 && len(capabilities) == 0:
			what, was, is = "capabilities", strings.Join(port.Capabilities, ", "), strings.Join(h.Port.Capabilities, ", ")
		}
		if what != "" {
			return nil, fmt.Sprintf("%s and %s differ in their %s: %s and %s.", first, h, what, was, is)
		}
		port.Capabilities = capabilities
	}
	return &port, ""
}

func signatureText(s *plan.Signature) string {
	if s == nil {
		return "none"
	}
	return schemaText(s.Inputs) + " to " + schemaText(s.Outputs)
}

func schemaText(s data.Schema) string {
	columns := make([]string, len(s))
	for i, c := range s {
		columns[i] = c.Name + " " + c.Type
	}
	return "(" + strings.Join(columns, ", ") + ")"
}
