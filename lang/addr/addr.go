// Package addr defines the addresses of a pipeline: how a stage and its
// instances are named in configurations, plans, states, and messages.
//
// An address is KIND.NAME, not KIND.TYPE.NAME: trying another type of stage
// changes no reference to it.
package addr

import (
	"fmt"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/kind"
)

// Stage is the address of a stage block: transform.clean.
type Stage struct{ Kind, Name string }

func (s Stage) String() string { return s.Kind + "." + s.Name }

// Instance is the address of one instance of a stage: transform.clean,
// transform.clean["a"] or transform.clean[0].
type Instance struct {
	Stage
	// Key is cty.NilVal, a string (for_each) or a number (count).
	Key cty.Value
}

func (i Instance) String() string {
	if i.Key == cty.NilVal {
		return i.Stage.String()
	}
	return i.Stage.String() + "[" + keyString(i.Key) + "]"
}

// HasKey reports whether the instance is one of several.
func (i Instance) HasKey() bool { return i.Key != cty.NilVal }

func keyString(k cty.Value) string {
	if k.Type() == cty.Number {
		n, _ := k.AsBigFloat().Int64()
		return strconv.FormatInt(n, 10)
	}
	return string(hclwrite.TokensForValue(k).Bytes())
}

// Parse parses an address as users write it, for example in -target.
func Parse(s string) (Instance, error) {
	traversal, diags := hclsyntax.ParseTraversalAbs([]byte(s), "", hcl.InitialPos)
	if diags.HasErrors() {
		return Instance{}, malformed(s)
	}
	if root := traversal.RootName(); len(traversal) > 1 && !kind.Is(root) {
		return Instance{}, fmt.Errorf("%q is not an address\nWrite KIND.NAME, such as transform.clean. %q is not a kind. The kinds are %s.", s, root, english.And(kind.Names()))
	}
	inst, rest, ok := FromTraversal(traversal)
	if !ok || len(rest) > 0 {
		return Instance{}, malformed(s)
	}
	return inst, nil
}

func malformed(s string) error {
	return fmt.Errorf("%q is not an address\nWrite KIND.NAME, such as transform.clean. To name one of several instances, add its key: [\"KEY\"] or [0].", s)
}

// FromTraversal returns the stage or instance that a traversal begins with and
// the steps after it. ok is false if the traversal does not begin with a
// stage.
func FromTraversal(t hcl.Traversal) (inst Instance, rest hcl.Traversal, ok bool) {
	if len(t) < 2 || !kind.Is(t.RootName()) {
		return Instance{}, nil, false
	}
	name, ok := t[1].(hcl.TraverseAttr)
	if !ok {
		return Instance{}, nil, false
	}
	inst = Instance{Stage: Stage{Kind: t.RootName(), Name: name.Name}}
	rest = t[2:]
	if len(rest) > 0 {
		if index, is := rest[0].(hcl.TraverseIndex); is {
			inst.Key = index.Key
			rest = rest[1:]
		}
	}
	return inst, rest, true
}
