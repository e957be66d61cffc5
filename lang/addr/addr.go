// Package addr defines the addresses of a pipeline: how a stage and its
// instances are named in configurations, plans, states, and messages.
//
// An address is KIND.NAME, not KIND.TYPE.NAME: trying another type of stage
// changes no reference to it. In a module, the path of the module comes first:
// module.a["k"].transform.x. The expressions of a module name its own stages
// without the path, so neither they nor the keys made of them contain it.
package addr

import (
	"fmt"
	"iter"
	"math/big"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
)

// Argument returns an address as an argument of a command in a shell: in quotes if
// it has a key.
func Argument(address string) string {
	if !strings.Contains(address, "[") {
		return address
	}
	return "'" + strings.ReplaceAll(address, "'", `'\''`) + "'"
}

// moduleRoot is the first step of the path of a module.
const moduleRoot = "module"

// Module is the path of an instance of a module, such as
// module.a["k"].module.b. The zero Module is the root module. Modules are
// comparable, so they can be keys of maps.
type Module struct{ path string }

// IsRoot reports whether m is the root module.
func (m Module) IsRoot() bool { return m.path == "" }

// Child returns the path of a module in this one. The key is an instance key,
// and the name is an identifier.
func (m Module) Child(name string, key cty.Value) Module {
	return Module{m.prefix() + moduleRoot + "." + name + keySuffix(key)}
}

func (m Module) String() string { return m.path }

// Of returns the whole name of something in the module.
func (m Module) Of(name string) string { return m.prefix() + name }

// prefix is the part before the address of something in the module.
func (m Module) prefix() string {
	if m.IsRoot() {
		return ""
	}
	return m.path + "."
}

// Stage is the address of a stage block: transform.clean. Stages are
// comparable, so they can be keys of maps.
type Stage struct {
	// Module is the module that contains the block. In a configuration, it is
	// the root module, because addresses there are relative: see In.
	Module     Module
	Kind, Name string
}

func (s Stage) String() string { return s.Module.prefix() + s.Kind + "." + s.Name }

// In returns the full address of a stage that a module refers to without a
// path.
func (s Stage) In(m Module) Stage {
	s.Module = m
	return s
}

// Instance is the address of one instance of a stage: transform.clean,
// transform.clean["a"] or transform.clean[0].
type Instance struct {
	Stage
	// Key is cty.NilVal, a string (for_each) or a number (count).
	Key cty.Value
	// Deposed numbers, from 1, the deployments of the instance that others have
	// replaced and that still exist: deploy.copy.deposed[1]. It is 0 for the instance
	// itself. Only states, plans, and commands have such addresses.
	Deposed int
}

func (i Instance) String() string {
	text := i.Stage.String() + keySuffix(i.Key)
	if i.Deposed > 0 {
		text += "." + deposed + "[" + strconv.Itoa(i.Deposed) + "]"
	}
	return text
}

// deposed is the step before the number of a deployment that was replaced.
const deposed = "deposed"

// Current returns the address of the instance whose deployment was replaced, and that
// of any other instance as it is.
func (i Instance) Current() Instance {
	i.Deposed = 0
	return i
}

// HasKey reports whether the instance is one of several.
func (i Instance) HasKey() bool { return i.Key != cty.NilVal }

// keySuffix is a key in brackets; empty for cty.NilVal.
func keySuffix(key cty.Value) string {
	switch {
	case key == cty.NilVal:
		return ""
	case key.Type() == cty.Number:
		return "[" + key.AsBigFloat().Text('f', -1) + "]"
	}
	return "[" + string(hclwrite.TokensForValue(key).Bytes()) + "]"
}

// Parse parses an address as users write it, for example in -target. It is the
// inverse of String.
func Parse(s string) (Instance, error) {
	if k, name, _ := strings.Cut(s, "."); kind.Is(k) && ValidIdentifier(name) {
		return Instance{Stage: Stage{Kind: k, Name: name}}, nil // without a parser
	}
	return parse(s)
}

func parse(s string) (Instance, error) {
	traversal, diags := hclsyntax.ParseTraversalAbs([]byte(s), "", hcl.InitialPos)
	if diags.HasErrors() {
		return Instance{}, malformed(s)
	}
	module, steps, ok := cutModule(traversal)
	if !ok {
		return Instance{}, malformed(s)
	}
	if root, named := nameOf(steps[0]); named && len(steps) > 1 && !kind.Is(root) {
		return Instance{}, diag.Failed(fmt.Sprintf("%q is not an address", s), "Write KIND.NAME, such as transform.clean. %q is not a kind. The kinds are %s.", root, english.And(kind.Names()))
	}
	inst, rest, ok := FromTraversal(steps)
	if !ok || !isKey(inst.Key) {
		return Instance{}, malformed(s)
	}
	if inst.Deposed, ok = deposedNumber(rest); !ok {
		return Instance{}, malformed(s)
	}
	inst.Module = module
	return inst, nil
}

// deposedNumber returns the number in the last steps of an address, or 0 without
// such steps. ok is false if they are malformed.
func deposedNumber(t hcl.Traversal) (n int, ok bool) {
	if len(t) == 0 {
		return 0, true
	}
	name, _ := nameOf(t[0])
	key, rest := cutKey(t[1:])
	if name != deposed || key == cty.NilVal || key.Type() != cty.Number || !isKey(key) || len(rest) > 0 {
		return 0, false
	}
	number, _ := key.AsBigFloat().Int64()
	return int(number), number > 0 && number <= maxDeposed
}

// maxDeposed bounds the numbers of replaced deployments.
const maxDeposed = 1 << 20

func malformed(s string) error {
	return diag.Failed(fmt.Sprintf("%q is not an address", s), "Write KIND.NAME, such as transform.clean. To name one of several instances, add its key: [\"KEY\"] or [0].")
}

// KindOf returns the kind of an address. It parses no more of the text than
// necessary.
func KindOf(address string) string {
	if !strings.HasPrefix(address, moduleRoot+".") {
		of, _, _ := strings.Cut(address, ".")
		return of
	}
	a, _ := Parse(address)
	return a.Kind
}

// FromTraversal returns the stage or instance that a traversal begins with,
// relative to the module in which it is written, and the steps after it. ok is
// false if the traversal does not begin with a stage.
func FromTraversal(t hcl.Traversal) (inst Instance, rest hcl.Traversal, ok bool) {
	if len(t) < 2 {
		return Instance{}, nil, false
	}
	root, _ := nameOf(t[0])
	name, ok := t[1].(hcl.TraverseAttr)
	if !ok || !kind.Is(root) {
		return Instance{}, nil, false
	}
	inst = Instance{Stage: Stage{Kind: root, Name: name.Name}}
	inst.Key, rest = cutKey(t[2:])
	return inst, rest, true
}

// cutModule splits the path of a module from what follows it, which is at least
// one step. ok is false if the path is malformed.
func cutModule(t hcl.Traversal) (m Module, rest hcl.Traversal, ok bool) {
	for {
		if name, _ := nameOf(t[0]); name != moduleRoot {
			return m, t, true
		}
		if len(t) < 3 {
			return Module{}, nil, false
		}
		name, named := t[1].(hcl.TraverseAttr)
		key, after := cutKey(t[2:])
		if !named || len(after) == 0 || !isKey(key) {
			return Module{}, nil, false
		}
		m, t = m.Child(name.Name, key), after
	}
}

// cutKey splits the key of an instance from the steps after it.
func cutKey(t hcl.Traversal) (key cty.Value, rest hcl.Traversal) {
	if len(t) > 0 {
		if index, is := t[0].(hcl.TraverseIndex); is {
			return index.Key, t[1:]
		}
	}
	return cty.NilVal, t
}

// isKey reports whether a value can be the key of an instance, or is
// cty.NilVal.
func isKey(v cty.Value) bool {
	if v == cty.NilVal || v.Type() == cty.String {
		return true
	}
	if v.Type() != cty.Number {
		return false
	}
	n, accuracy := v.AsBigFloat().Int64()
	return accuracy == big.Exact && n >= 0
}

// nameOf returns the name in a step, if it has one.
func nameOf(step hcl.Traverser) (string, bool) {
	switch step := step.(type) {
	case hcl.TraverseRoot:
		return step.Name, true
	case hcl.TraverseAttr:
		return step.Name, true
	}
	return "", false
}

// CheckModule returns an error if the module of an address does not exist: it is
// not the root module, and nothing that exists is in it.
func (s Stage) CheckModule(existing iter.Seq[string]) error {
	for address := range existing {
		if strings.HasPrefix(address, s.Module.prefix()) {
			return nil
		}
	}
	if s.Module.IsRoot() {
		return nil
	}
	return diag.Failed("there is no module "+s.Module.String(), "Stages of the root module are written without a path: %s.", s.In(Module{}))
}
