package planner

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/planner/expand"
)

// prefetch calls the functions of plugins that the arguments of instances call with
// known values: one call for all instances of the level, instead of one for each. Errors
// do not matter here, because the same calls are made again when the arguments are
// decoded.
func (s *shared) prefetch(all []*expand.Instance) {
	if s.prepare.Settings.Foreign == nil || len(all) < 2 {
		return
	}
	calls := map[*config.Stage][][]*hclsyntax.FunctionCallExpr{}
	deepest := 0
	for _, n := range all {
		if n.Stage.Module.Foreign() == nil {
			continue
		}
		if _, ok := calls[n.Stage.Config]; !ok {
			calls[n.Stage.Config] = foreignCalls(n.Stage.Config.Body)
		}
		deepest = max(deepest, len(calls[n.Stage.Config]))
	}
	for depth := range deepest { // the innermost calls first
		p := prefetching{}
		for _, n := range all {
			if of := calls[n.Stage.Config]; depth < len(of) {
				for _, call := range of[depth] {
					p.add(n, call)
				}
			}
		}
		p.call()
	}
}

// foreignCalls returns the calls of functions of plugins in a block by how many such
// calls their arguments contain within each other.
func foreignCalls(body hcl.Body) [][]*hclsyntax.FunctionCallExpr {
	node, ok := body.(hclsyntax.Node)
	if !ok {
		return nil
	}
	w := &callWalker{}
	_ = hclsyntax.Walk(node, w)
	return w.calls
}

type callWalker struct {
	calls [][]*hclsyntax.FunctionCallExpr
	// depths are those of the calls around the present node: how deep the calls in
	// their arguments are nested so far.
	depths []int
}

// Enter implements hclsyntax.Walker.
func (w *callWalker) Enter(n hclsyntax.Node) hcl.Diagnostics {
	if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && expr.IsForeign(call.Name) {
		w.depths = append(w.depths, 0)
	}
	return nil
}

// Exit implements hclsyntax.Walker.
func (w *callWalker) Exit(n hclsyntax.Node) hcl.Diagnostics {
	call, ok := n.(*hclsyntax.FunctionCallExpr)
	if !ok || !expr.IsForeign(call.Name) {
		return nil
	}
	last := len(w.depths) - 1
	depth := w.depths[last]
	w.depths = w.depths[:last]
	if last > 0 {
		w.depths[last-1] = max(w.depths[last-1], depth+1)
	}
	for len(w.calls) <= depth {
		w.calls = append(w.calls, nil)
	}
	w.calls[depth] = append(w.calls[depth], call)
	return nil
}

// prefetching are sets of arguments by function and number of arguments.
type prefetching map[prefetchKey][][]cty.Value

type prefetchKey struct {
	function  *expr.Foreign
	arguments int
}

// add adds a call, if its arguments are known.
func (p prefetching) add(n *expand.Instance, call *hclsyntax.FunctionCallExpr) {
	f := n.Stage.Module.Foreign().Lookup(call.Name)
	if f == nil || call.ExpandFinal {
		return
	}
	args := make([]cty.Value, len(call.Args))
	for i, arg := range call.Args {
		v, diags := eval.Value(arg, n.Scope.Values)
		param := f.Parameter(i)
		if param == nil || diags.HasErrors() || !v.IsWhollyKnown() || v.ContainsMarked() || v.IsNull() && !param.Nullable {
			return
		}
		want := f.Value.VarParam()
		if i < len(f.Parameters) {
			want = &f.Value.Params()[i]
		}
		var err error
		if args[i], err = convert.Convert(v, want.Type); err != nil {
			return
		}
	}
	key := prefetchKey{f, len(args)}
	p[key] = append(p[key], args)
}

func (p prefetching) call() {
	for key, all := range p {
		_ = key.function.Prefetch(all) // the calls are made again
	}
}
