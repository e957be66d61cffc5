package expr

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/text/unicode/norm"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/sdk/go/data"
)

// checkNames checks what the user wrote before anything is evaluated: that all
// functions exist and are pure, that `row` may be used and has the named
// columns, and that numbers have a reasonable size.
func checkNames(e hclsyntax.Expression, s *Scope) hcl.Diagnostics {
	var diags hcl.Diagnostics
	visit(e, func(n hclsyntax.Node, locals names) {
		switch n := n.(type) {
		case *hclsyntax.FunctionCallExpr:
			diags = append(diags, checkFunction(n, s)...)
		case *hclsyntax.ScopeTraversalExpr:
			if !locals.has(n.Traversal.RootName()) {
				diags = append(diags, checkName(n.Traversal, s)...)
			}
		case *hclsyntax.LiteralValueExpr:
			diags = append(diags, checkNumber(n)...)
		case *hclsyntax.ExprSyntaxError:
			diags = append(diags, n.ParseDiags...)
		}
	})
	return diags
}

// CheckBlind reports the errors of an expression that cannot be compiled because
// what it refers to has errors of its own: unknown functions, wrong numbers of
// arguments, and constant parts that do not fit. Whatever a reference may lead to
// counts as unknown.
func CheckBlind(e hclsyntax.Expression, s *Scope) hcl.Diagnostics {
	var diags hcl.Diagnostics
	visit(e, func(n hclsyntax.Node, _ names) {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok {
			diags = append(diags, checkFunction(call, s)...)
		}
	})
	if diags.HasErrors() {
		return diags
	}
	ctx := s.Eval.NewChild()
	ctx.Variables = map[string]cty.Value{}
	for _, t := range config.Variables(e) {
		if root := t.RootName(); root == RowName || root == "local" || root == "self" || addr.StartsReference(root) || root == "var" && !s.Module.IsRoot() || slices.Contains(config.LateNames, root) {
			ctx.Variables[root] = cty.DynamicVal
		}
	}
	_, more := e.Value(ctx)
	return append(diags, more...)
}

func checkFunction(call *hclsyntax.FunctionCallExpr, s *Scope) hcl.Diagnostics {
	if call.Name == convertName {
		return nil
	}
	if IsForeign(call.Name) {
		return checkForeign(call, s)
	}
	switch {
	case s.Keyless && !funcs.ImpureWithin(call.Name):
	case funcs.Impure(call.Name) && !funcs.ImpureWithin(call.Name):
		return hcl.Diagnostics{diag.Errorf(&call.NameRange, "Function is not pure",
			"%s() returns a different value in every plan, so anything that depends on it would run again each time. Use it in outputs and conditions, or pass the time in through a variable.", call.Name)}
	case funcs.Impure(call.Name):
		return hcl.Diagnostics{diag.Errorf(&call.NameRange, "Function is not pure",
			"%s() returns a different value on every call, so anything that depends on it could never be reused. Pass the value in through a variable instead.", call.Name)}
	}
	if _, ok := lookupFunction(s.Eval, call.Name); !ok {
		return hcl.Diagnostics{funcs.Unknown(call.Name, &call.NameRange)}
	}
	return nil
}

// checkName checks a name that is known only for each row.
func checkName(t hcl.Traversal, s *Scope) hcl.Diagnostics {
	switch root := t.RootName(); {
	case s.isLate(root):
		return checkLate(t, s.Late[root])
	case root == RowName:
		return checkRow(t, s)
	case slices.Contains(config.LateNames, root):
		return hcl.Diagnostics{diag.Errorf(t.SourceRange().Ptr(), "Name is not available here",
			"`%s` is a model's answer, but this expression is evaluated before the model is asked. Only arguments that are documented as late row expressions, such as metrics, can use it.", root)}
	}
	return nil
}

func checkRow(t hcl.Traversal, s *Scope) hcl.Diagnostics {
	if s.Row == nil {
		return hcl.Diagnostics{diag.Errorf(t.SourceRange().Ptr(), "Name is not available here",
			"`row` is the current row of a dataset, but this expression is not evaluated for each row. Only arguments that are documented as row expressions can use it.")}
	}
	return checkColumn(t, s)
}

func checkColumn(t hcl.Traversal, s *Scope) hcl.Diagnostics {
	name, ok := columnOf(t)
	if !ok {
		return checkDistinct(t, s)
	}
	if c, there := LookupColumn(s.Row, name); there {
		return checkFields(t, c)
	}
	return hcl.Diagnostics{noColumn(s, name, t[1].SourceRange())}
}

// checkDistinct reports columns whose names are equal after normalization to
// NFC, because a row as a whole can contain only one of them.
func checkDistinct(t hcl.Traversal, s *Scope) hcl.Diagnostics {
	seen := map[string]bool{}
	for _, name := range s.Row.Names() {
		same := norm.NFC.String(name)
		if seen[same] {
			return hcl.Diagnostics{diag.Errorf(t.SourceRange().Ptr(), "Columns with the same name",
				"%s has two columns whose names are both %q in Unicode normal form NFC, which expressions use for names. Rename one of them in the data, or refer to the columns you need instead of the whole row.", diag.Capital(s.rowTitle()), same)}
		}
		seen[same] = true
	}
	var diags hcl.Diagnostics
	for _, c := range s.Row {
		diags = append(diags, checkFields(t, c)...)
	}
	return diags
}

// checkFields is checkDistinct for the fields of the structs in a column.
func checkFields(t hcl.Traversal, c data.Column) hcl.Diagnostics {
	of, err := data.ArrowType(c.Type)
	if err != nil {
		return nil
	}
	same, found := equalFields(of)
	if !found {
		return nil
	}
	return hcl.Diagnostics{diag.Errorf(t.SourceRange().Ptr(), "Fields with the same name",
		"The column %q contains two fields whose names are both %q in Unicode normal form NFC, which expressions use for names. Rename one of them in the data.", c.Name, same)}
}

// equalFields returns a name that two fields of one struct have in NFC.
func equalFields(t arrow.DataType) (string, bool) {
	if list, ok := t.(*arrow.ListType); ok {
		return equalFields(list.Elem())
	}
	of, ok := t.(*arrow.StructType)
	if !ok {
		return "", false
	}
	seen := map[string]bool{}
	for _, f := range of.Fields() {
		same := norm.NFC.String(f.Name)
		if seen[same] {
			return same, true
		}
		seen[same] = true
		if same, found := equalFields(f.Type); found {
			return same, true
		}
	}
	return "", false
}

func checkNumber(l *hclsyntax.LiteralValueExpr) hcl.Diagnostics {
	if !l.Val.IsKnown() || l.Val.IsNull() || l.Val.Type() != cty.Number || limit.Writable(l.Val.AsBigFloat()) {
		return nil
	}
	return hcl.Diagnostics{diag.Errorf(&l.SrcRange, "Number out of range",
		"This number is too large or too small to compute with.")}
}

// checkReduced checks what remains after folding: functions that are still
// called must depend only on their arguments, and everything that is referred
// to must exist when the expression is evaluated.
func (r *reducer) checkReduced(e hclsyntax.Expression) hcl.Diagnostics {
	s := r.scope
	var diags hcl.Diagnostics
	visit(e, func(n hclsyntax.Node, locals names) {
		switch n := n.(type) {
		case *hclsyntax.FunctionCallExpr:
			if n.Name == funcs.SensitiveName && !s.Output {
				diags = append(diags, diag.Errorf(&n.NameRange, "Value not known yet",
					"Outside of outputs, the whole argument of %s() must be known when planning. It cannot come from a row, a loop, or a stage that has not run yet.", n.Name))
			}
			if _, pure := Functions()[n.Name]; !pure && r.foreign[n.Name] == nil {
				diags = append(diags, diag.Errorf(&n.NameRange, "Function needs known arguments",
					"%s() reads something other than its arguments, so all of its arguments must be known when planning.", n.Name))
			}
		case *hclsyntax.ScopeTraversalExpr:
			if !locals.has(n.Traversal.RootName()) {
				diags = append(diags, checkReference(n.Traversal, s)...)
			}
		}
	})
	return diags
}

func checkReference(t hcl.Traversal, s *Scope) hcl.Diagnostics {
	root := t.RootName()
	switch {
	case s.isLate(root):
		return checkLate(t, s.Late[root])
	case root == RowName:
		return checkColumn(t, s)
	}
	if _, _, ok := addr.FromTraversal(t); kind.Is(root) && !ok {
		return hcl.Diagnostics{diag.Errorf(t.SourceRange().Ptr(), "Incomplete reference",
			"To refer to a stage, write KIND.NAME: %s.NAME.", root)}
	}
	return nil
}
