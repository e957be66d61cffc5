package addr

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/kind"
)

// A compiled expression names stages by their whole addresses, with the path of
// the module, because parts of it may come from different modules. The functions
// in this file read and write such references. FromTraversal reads those of a
// configuration, which are relative to the module.

// StartsReference reports whether whole addresses can begin with a name: it is the
// name of a kind, or "module".
func StartsReference(root string) bool { return root == moduleRoot || kind.Is(root) }

// Referenced returns the stage or instance that a traversal of a compiled
// expression begins with, and the steps after it. ok is false if it does not begin
// with a stage.
func Referenced(t hcl.Traversal) (inst Instance, rest hcl.Traversal, ok bool) {
	if len(t) == 0 {
		return Instance{}, nil, false
	}
	m, steps, ok := cutModule(t)
	if !ok {
		return Instance{}, nil, false
	}
	inst, rest, ok = FromTraversal(steps)
	inst.Module = m
	return inst, rest, ok
}

// Traversal is the inverse of Referenced for a stage: how a compiled expression
// refers to it. All steps have the same range.
func (s Stage) Traversal(at hcl.Range) hcl.Traversal {
	var t hcl.Traversal
	step := func(name string) {
		if len(t) == 0 {
			t = append(t, hcl.TraverseRoot{Name: name, SrcRange: at})
			return
		}
		t = append(t, hcl.TraverseAttr{Name: name, SrcRange: at})
	}
	for _, call := range s.Module.Calls() {
		step(moduleRoot)
		step(call.Name)
		if call.Key != cty.NilVal {
			t = append(t, hcl.TraverseIndex{Key: call.Key, SrcRange: at})
		}
	}
	step(s.Kind)
	step(s.Name)
	return t
}

// WithinModule returns the text of an address without the path of the module.
func WithinModule(address string) string {
	if !strings.HasPrefix(address, moduleRoot+".") {
		return address
	}
	a, err := Parse(address)
	if err != nil {
		return address
	}
	a.Module = Module{}
	return a.String()
}

// Call is one step of the path of a module: a module block, and the key of one of
// its instances, or cty.NilVal.
type Call struct {
	Name string
	Key  cty.Value
}

// Calls returns the steps of the path, beginning with the block in the root module.
func (m Module) Calls() []Call {
	if m.IsRoot() {
		return nil
	}
	t, diags := hclsyntax.ParseTraversalAbs([]byte(m.path), "", hcl.InitialPos)
	if diags.HasErrors() {
		return nil
	}
	var calls []Call
	for len(t) >= 2 {
		name, _ := nameOf(t[1])
		c := Call{Name: name}
		c.Key, t = cutKey(t[2:])
		calls = append(calls, c)
	}
	return calls
}
