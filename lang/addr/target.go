package addr

import (
	"fmt"
	"iter"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
)

// Target is an address that can mean more than one instance: an instance of a
// stage (transform.x["a"]), all instances of a stage (transform.x), or
// everything in an instance of a module (module.a["k"]) or in all instances of
// one (module.a).
type Target struct {
	// Module is the module that contains the stage or the module.
	Module Module
	// Kind is the kind of the stage, or empty for a module.
	Kind, Name string
	// Key is cty.NilVal, a string (for_each) or a number (count).
	Key cty.Value
}

// IsModule reports whether the target is a module.
func (t Target) IsModule() bool { return t.Kind == "" }

// HasKey reports whether the target is one of several instances.
func (t Target) HasKey() bool { return t.Key != cty.NilVal }

// Stage returns the stage of a target that is not a module.
func (t Target) Stage() Stage { return Stage{Module: t.Module, Kind: t.Kind, Name: t.Name} }

// Target returns the target that means all instances of the stage.
func (s Stage) Target() Target { return Target{Module: s.Module, Kind: s.Kind, Name: s.Name} }

func (t Target) String() string {
	if t.IsModule() {
		return t.Module.Child(t.Name, t.Key).String()
	}
	return Instance{Stage: t.Stage(), Key: t.Key}.String()
}

// Encloses reports whether an address is the target's or in it.
func (t Target) Encloses(address string) bool {
	text := t.String()
	for target := range Enclosing(address) {
		if target == text {
			return true
		}
	}
	return false
}

// Contains reports whether an instance is what the target means, or part of it. A
// module without a key in the path of the target means all of its instances.
func (t Target) Contains(i Instance) bool {
	if t.Module == i.Module && !t.IsModule() { // by far the most common
		return t.contains(i)
	}
	path, of := t.Calls(), i.Module.Calls()
	if len(of) < len(path) || !t.IsModule() && len(of) > len(path) {
		return false
	}
	for n, call := range path {
		if call.Name != of[n].Name || !sameKey(call.Key, of[n].Key) {
			return false
		}
	}
	return t.IsModule() || t.contains(i)
}

// contains compares the parts after the module.
func (t Target) contains(i Instance) bool {
	return t.Kind == i.Kind && t.Name == i.Name && sameKey(t.Key, i.Key)
}

// sameKey reports whether the key of a target means the key of an instance.
func sameKey(target, key cty.Value) bool {
	return target == cty.NilVal || key != cty.NilVal && target.RawEquals(key)
}

// Calls returns the steps of the path to the module that the target is, or that
// contains it.
func (t Target) Calls() []Call {
	calls := t.Module.Calls()
	if t.IsModule() {
		calls = append(calls, Call{t.Name, t.Key})
	}
	return calls
}

// ParseTarget is the inverse of String.
func ParseTarget(s string) (Target, error) {
	traversal, diags := hclsyntax.ParseTraversalAbs([]byte(s), "", hcl.InitialPos)
	if !diags.HasErrors() {
		if t, ok := TargetOf(traversal); ok {
			return t, nil
		}
	}
	return Target{}, diag.Failed(fmt.Sprintf("%q is not an address", s), `Write KIND.NAME for a stage, such as transform.clean, or module.NAME for a module. To name one of several instances, add its key: ["KEY"] or [0].`)
}

// TargetOf returns the target that a traversal names. ok is false if it names
// none, or has more steps.
func TargetOf(t hcl.Traversal) (target Target, ok bool) {
	for len(t) >= 2 {
		root, _ := nameOf(t[0])
		name, named := t[1].(hcl.TraverseAttr)
		key, rest := cutKey(t[2:])
		if !named || !isKey(key) || root != moduleRoot && !kind.Is(root) {
			return Target{}, false
		}
		target.Name, target.Key = name.Name, key
		if root != moduleRoot {
			target.Kind = root
			return target, len(rest) == 0
		}
		if len(rest) == 0 {
			return target, true
		}
		target.Module, t = target.Module.Child(name.Name, key), rest
	}
	return Target{}, false
}

// Enclosing yields the addresses that contain an address, which is the text of
// an Instance, beginning with the address itself: what Targets begin with, and
// the rest of the text after it. For module.a["k"].label.x["i"], these are
// itself, module.a["k"].label.x, module.a["k"], and module.a.
func Enclosing(address string) iter.Seq2[string, string] {
	return func(yield func(target, rest string) bool) {
		ends := ends(address)
		for i := len(ends) - 1; i >= 0; i-- {
			if !yield(address[:ends[i]], address[ends[i]:]) {
				return
			}
		}
	}
}

// ends returns where the names and the keys of an address end, in ascending
// order.
func ends(address string) (ends []int) {
	steps, quoted := 0, false
	for i := 0; i < len(address); i++ {
		switch c := address[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' && steps%2 == 1:
			ends = append(ends, i)
		case c == '.':
			if steps%2 == 1 {
				ends = append(ends, i)
			}
			steps++
		}
	}
	return append(ends, len(address))
}

// Unkeyed returns the text of an address without its keys.
func Unkeyed(address string) string {
	if strings.IndexByte(address, '[') < 0 {
		return address
	}
	var out strings.Builder
	start := 0
	for _, end := range ends(address) {
		if address[start] != '[' {
			out.WriteString(address[start:end])
		}
		start = end
	}
	return out.String()
}
