package chattemplate

import (
	"errors"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
)

// pairsOf returns the fields of an object in their order. The library's own items,
// keys, and values sort them.
func pairsOf(v *exec.Value) ([]*exec.Pair, bool) {
	switch d := v.Interface().(type) {
	case *exec.Dict:
		return d.Pairs, true
	case exec.Dict:
		return d.Pairs, true
	}
	return nil, false
}

// items is the filter items.
func items(e *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
	pairs, ok := pairsOf(in)
	if !ok {
		filter, _ := builtins.Filters.Get("items")
		return filter(e, in, params)
	}
	out := make([]any, len(pairs))
	for i, p := range pairs {
		out[i] = []any{p.Key.Interface(), p.Value.Interface()}
	}
	return exec.AsValue(out)
}

// dictMethods are the methods of objects that templates use.
func dictMethods() *exec.MethodSet[map[string]any] {
	each := func(take func(*exec.Pair) any) exec.Method[map[string]any] {
		return func(_ map[string]any, self *exec.Value, _ *exec.VarArgs) (any, error) {
			pairs, _ := pairsOf(self)
			out := make([]any, len(pairs))
			for i, p := range pairs {
				out[i] = take(p)
			}
			return out, nil
		}
	}
	return exec.NewMethodSet(map[string]exec.Method[map[string]any]{
		"keys":   each(func(p *exec.Pair) any { return p.Key.Interface() }),
		"values": each(func(p *exec.Pair) any { return p.Value.Interface() }),
		"items":  each(func(p *exec.Pair) any { return []any{p.Key.Interface(), p.Value.Interface()} }),
		"get": func(_ map[string]any, self *exec.Value, args *exec.VarArgs) (any, error) {
			if n := len(args.Args); n < 1 || n > 2 {
				return nil, exec.ErrInvalidCall(errors.New("get() takes 1 or 2 positional arguments"))
			}
			if v, ok := self.GetItem(args.Args[0].Interface()); ok {
				return v.Interface(), nil
			}
			if len(args.Args) == 2 {
				return args.Args[1].Interface(), nil
			}
			return nil, nil
		},
	})
}
