package config

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/kind"
)

// Moved says that something has a new address.
type Moved struct {
	// ForEach repeats the block for each element, or is nil.
	ForEach hcl.Expression
	// From and To name targets: see Target. The keys in them may be any
	// expressions.
	From, To hcl.Expression
	Range    hcl.Range
}

// Removed says that something was removed on purpose.
type Removed struct {
	ForEach hcl.Expression // as of Moved
	From    hcl.Expression
	// Keep leaves deployments in place: destroy = false.
	Keep  bool
	Range hcl.Range
}

// Import says that a deployment exists already.
type Import struct {
	ForEach hcl.Expression // as of Moved
	To      hcl.Expression
	// ID is what the plugin finds the deployment by.
	ID    hcl.Expression
	Range hcl.Range
}

var (
	movedSchema            = schema{what: "a moved block", required: []string{"from", "to"}, optional: []string{"for_each"}}
	removedSchema          = schema{what: "a removed block", required: []string{"from"}, optional: []string{"for_each"}, blocks: []blockSchema{{name: "lifecycle", once: true}}}
	removedLifecycleSchema = schema{what: "the lifecycle block of a removed block", required: []string{"destroy"}}
	importSchema           = schema{what: "an import block", required: []string{"to", "id"}, optional: []string{"for_each"}}
)

// Places of expressions in these blocks. They are read before any stage.
var (
	inMoved   = bound{names: inSettings.names, where: "a moved block"}
	inRemoved = bound{names: inSettings.names, where: "a removed block"}
	inImport  = bound{names: inSettings.names, where: "an import block"}
)

func (l *loader) moved(b *hclsyntax.Block) {
	attrs, _ := l.content(b.Body, movedSchema)
	m := &Moved{ForEach: expression(attrs["for_each"]), From: expression(attrs["from"]), To: expression(attrs["to"]), Range: b.DefRange()}
	if m.From == nil || m.To == nil {
		return
	}
	from, fromOK := l.target(m.From)
	to, toOK := l.target(m.To)
	if !fromOK || !toOK {
		return
	}
	if from.Kind != to.Kind {
		l.add(diag.Errorf(m.To.Range().Ptr(), "Invalid move", "%s cannot become %s: both must be modules, or stages of the same kind.", from, to))
		return
	}
	l.m.Moved = append(l.m.Moved, m)
}

func (l *loader) removed(b *hclsyntax.Block) {
	attrs, blocks := l.content(b.Body, removedSchema)
	r := &Removed{ForEach: expression(attrs["for_each"]), From: expression(attrs["from"]), Range: b.DefRange()}
	for _, block := range blocks {
		attrs, _ := l.content(block.Body, removedLifecycleSchema)
		if a := attrs["destroy"]; a != nil {
			r.Keep = !l.constBool(a)
		}
	}
	if r.From == nil {
		return
	}
	if _, ok := l.target(r.From); ok {
		l.m.Removed = append(l.m.Removed, r)
	}
}

func (l *loader) imported(b *hclsyntax.Block) {
	attrs, _ := l.content(b.Body, importSchema)
	i := &Import{ForEach: expression(attrs["for_each"]), To: expression(attrs["to"]), ID: expression(attrs["id"]), Range: b.DefRange()}
	if i.To == nil || i.ID == nil {
		return
	}
	to, ok := l.target(i.To)
	switch {
	case !ok:
	case to.Kind != kind.Deploy:
		l.add(diag.Errorf(i.To.Range().Ptr(), "Invalid import", "%s cannot be imported. An import block adopts an existing deployment: its address is deploy.NAME. To use data or a model that exists already, read it with a source block.", to))
	default:
		l.m.Imports = append(l.m.Imports, i)
	}
}

// target checks the form of an expression that names a target. The keys that
// are not known yet have some value in the result.
func (l *loader) target(e hcl.Expression) (addr.Target, bool) {
	t, diags := Target(e, func(key hcl.Expression) (cty.Value, hcl.Diagnostics) {
		if len(key.Variables()) > 0 {
			return cty.StringVal(""), nil
		}
		return eval.Value(key, nil)
	})
	l.diags = append(l.diags, diags...)
	return t, !diags.HasErrors()
}

// Target returns what an expression names, such as label.x[each.key] or
// module.a. key evaluates the keys of instances.
func Target(e hcl.Expression, key func(hcl.Expression) (cty.Value, hcl.Diagnostics)) (addr.Target, hcl.Diagnostics) {
	steps, diags := steps(e, key)
	if diags.HasErrors() {
		return addr.Target{}, diags
	}
	t, ok := addr.TargetOf(steps)
	switch {
	case !ok:
		return addr.Target{}, hcl.Diagnostics{invalidTarget(e)}
	case !t.IsModule() && !kind.Of(t.Kind).IsStage():
		return addr.Target{}, hcl.Diagnostics{diag.Errorf(e.Range().Ptr(), "Invalid address", "%s block does not run by itself, so the state does not contain it. You can rename it freely.", article(t.Kind))}
	}
	return t, nil
}

func invalidTarget(e hcl.Expression) *hcl.Diagnostic {
	return diag.Errorf(e.Range().Ptr(), "Invalid address", `This is not the address of a stage or a module. Write KIND.NAME or module.NAME, without quotes. To name one of several instances, add its key: ["KEY"] or [0].`)
}

// steps returns the traversal that an expression writes out, with its keys
// evaluated.
func steps(e hcl.Expression, key func(hcl.Expression) (cty.Value, hcl.Diagnostics)) (hcl.Traversal, hcl.Diagnostics) {
	switch e := e.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		return e.Traversal, nil
	case *hclsyntax.RelativeTraversalExpr:
		before, diags := steps(e.Source, key)
		return append(before[:len(before):len(before)], e.Traversal...), diags
	case *hclsyntax.IndexExpr:
		before, diags := steps(e.Collection, key)
		if diags.HasErrors() {
			return nil, diags
		}
		v, diags := key(e.Key)
		if diags.HasErrors() {
			return nil, diags
		}
		v, marks := v.Unmark()
		if v.IsNull() || !v.IsKnown() || len(marks) > 0 {
			return nil, hcl.Diagnostics{diag.Errorf(e.Key.Range().Ptr(), "Invalid key", "The key of an instance must be a string or a whole number that is known and not sensitive.")}
		}
		return append(before[:len(before):len(before)], hcl.TraverseIndex{Key: v, SrcRange: e.Key.Range()}), nil
	}
	return nil, hcl.Diagnostics{invalidTarget(e)}
}

// targetReferences checks the references in the keys of a target: the target
// itself is no reference, because it may not exist.
func (l *loader) targetReferences(place bound, e hcl.Expression) {
	_, _ = steps(e, func(key hcl.Expression) (cty.Value, hcl.Diagnostics) {
		l.references(place, Variables(key))
		return cty.StringVal(""), nil
	})
}

func (l *loader) movedReferences() {
	with := func(place bound, forEach hcl.Expression) bound {
		l.expressions(place, forEach)
		if forEach != nil {
			return place.with("each")
		}
		return place
	}
	for _, m := range l.m.Moved {
		place := with(inMoved, m.ForEach)
		l.targetReferences(place, m.From)
		l.targetReferences(place, m.To)
	}
	for _, r := range l.m.Removed {
		l.targetReferences(with(inRemoved, r.ForEach), r.From)
	}
	for _, i := range l.m.Imports {
		place := with(inImport, i.ForEach)
		l.targetReferences(place, i.To)
		l.expressions(place, i.ID)
	}
}
