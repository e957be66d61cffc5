package expr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/limit"
)

// Verdict is the result of a condition.
type Verdict struct {
	// Known is false if the condition waits for a value that is not known yet.
	Known bool
	Holds bool
	// Reason says why the condition could not be decided and is therefore not met: a value is
	// null or infinite, or the evaluation failed.
	Reason string
}

// Decide evaluates a condition; vars are as in Eval. Conditions fail closed:
// one that cannot be evaluated, or that compares null or a number that is not
// finite, is not met, whatever the result of the comparison would be.
func (c *Compiled) Decide(vars map[string]cty.Value) Verdict {
	v, diags := c.Eval(vars)
	unfit := c.unfit(vars, diags.HasErrors())
	switch {
	case len(unfit) > 0:
		return Verdict{Known: true, Reason: diag.List(unfit)}
	case diags.HasErrors():
		return Verdict{Known: true, Reason: c.failure(diags)}
	}
	v, _ = v.Unmark()
	if !v.IsKnown() {
		return Verdict{}
	}
	return Verdict{Known: true, Holds: !v.IsNull() && v.True()}
}

// failure explains why a condition cannot be evaluated. The message of a
// function can quote its argument, which may be a secret.
func (c *Compiled) failure(diags hcl.Diagnostics) string {
	if len(c.Secrets) > 0 {
		return "the evaluation failed, and the reason is not shown because it could reveal a sensitive value"
	}
	for _, d := range diags {
		switch {
		case d.Severity != hcl.DiagError:
		case strings.Contains(d.Detail, "argument must not be null"):
			return "an operator was given null"
		default:
			return strings.TrimSuffix(strings.TrimPrefix(d.Detail, "Error during operation: "), ".")
		}
	}
	return "the evaluation failed"
}

// unfit returns the values that prevent a decision: those that are not finite,
// and null values that are compared with something else or, if the evaluation
// failed, read at all.
func (c *Compiled) unfit(vars map[string]cty.Value, failed bool) []string {
	e, err := c.Syntax()
	if err != nil {
		return nil
	}
	ctx, err := c.context(vars)
	if err != nil {
		return nil
	}
	var out []string
	add := func(e hclsyntax.Expression, what string) {
		if said := printExpr(e) + " is " + what; !slices.Contains(out, said) {
			out = append(out, said)
		}
	}
	visit(e, func(n hclsyntax.Node, locals names) {
		if len(locals) > 0 {
			return // it has a different value each time
		}
		switch n := n.(type) {
		case *hclsyntax.ScopeTraversalExpr:
			v, diags := n.Traversal.TraverseAbs(ctx)
			switch v, _ := v.Unmark(); {
			case diags.HasErrors():
			case failed && v.IsKnown() && v.IsNull():
				add(n, "null")
			case v.Type() == cty.Number && v.IsKnown() && !v.IsNull() && !limit.Writable(v.AsBigFloat()):
				add(n, "not a finite number")
			}
		case *hclsyntax.BinaryOpExpr:
			if n.Op != hclsyntax.OpEqual && n.Op != hclsyntax.OpNotEqual || isNull(n.LHS) || isNull(n.RHS) {
				return
			}
			for _, side := range []hclsyntax.Expression{n.LHS, n.RHS} {
				v, diags := eval.Value(side, ctx)
				if v, _ := v.Unmark(); !diags.HasErrors() && v.IsKnown() && v.IsNull() {
					add(side, "null")
				}
			}
		}
	})
	return out
}

// Undecided returns the sentence about a verdict's reason, for a message, or ""
// if there is none.
func (v Verdict) Undecided() string {
	if v.Reason == "" {
		return ""
	}
	return fmt.Sprintf("\n\nThe condition cannot be decided, so it is not met: %s.", v.Reason)
}
