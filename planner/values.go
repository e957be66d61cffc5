package planner

import (
	"reflect"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/planner/plan"
)

// handleAttr is the attribute that holds a handle in the objects that
// arguments which take artifacts see. No HCL expression can write its name.
const handleAttr = "(artifact)"

// handle is an artifact that an instance makes, or the instance as a whole.
type handle struct {
	node *node
	// port is nil where the instance itself is no artifact, or where it is
	// not known what it makes.
	port *plan.Port
	// among are the artifacts that it is one of, where a result decides which.
	// Nothing is known of node then, and port is what all have in common.
	among []*handle
}

var handleType = cty.Capsule("artifact", reflect.TypeFor[handle]())

// handleOf takes the handle out of a value.
func handleOf(v cty.Value) (*handle, bool) {
	v, _ = v.Unmark()
	if v == cty.NilVal || v.IsNull() || !v.IsKnown() || !v.Type().IsObjectType() || !v.Type().HasAttribute(handleAttr) {
		return nil, false
	}
	return v.GetAttr(handleAttr).EncapsulatedValue().(*handle), true
}

// stageValue is what expressions see of a stage: for users, and with handles.
// All of the stage's instances are decided. Plain values of results, which can
// be large, are read only if they are wanted, and are unknown otherwise.
func (b *builder) stageValue(s *stage, plain bool) (values, handles cty.Value) {
	seen := &s.seen[0]
	if plain {
		seen = &s.seen[1]
	}
	seen.once.Do(func() {
		if s.unordered || s.broken {
			seen.values, seen.handles = cty.DynamicVal, cty.DynamicVal
			return
		}
		if s.keyed == single && len(s.instances) == 1 { // most are: it needs no scope
			n := s.instances[0]
			seen.values = plan.StageValue(n.Node, b.made(n, plain))
			seen.handles = withHandles(n, seen.values)
			return
		}
		var v, h plan.Scope
		for _, n := range s.instances {
			value := plan.StageValue(n.Node, b.made(n, plain))
			v.Set(n.address, value)
			h.Set(n.address, withHandles(n, value))
		}
		seen.values, seen.handles = wholeStage(s, &v), wholeStage(s, &h)
	})
	return seen.values, seen.handles
}

func wholeStage(s *stage, of *plan.Scope) cty.Value {
	if v, ok := of.Stage(s.cfg.Addr); ok {
		return v
	}
	if s.keyed == byNumber {
		return cty.EmptyTupleVal
	}
	return cty.EmptyObjectVal
}

// withHandles adds handles to an instance's value and to its ports.
func withHandles(n *node, value cty.Value) cty.Value {
	whole := &handle{node: n}
	attrs := map[string]cty.Value{}
	if value.Type().IsObjectType() && value.IsKnown() {
		attrs = value.AsValueMap()
		if attrs == nil {
			attrs = map[string]cty.Value{}
		}
	}
	for i := range n.Outputs {
		port := &n.Outputs[i]
		if port.Name == "" {
			whole.port = port
			continue
		}
		of := attrs[port.Name]
		if of == cty.NilVal || !of.Type().IsObjectType() || of.IsNull() || !of.IsKnown() {
			continue
		}
		inner := of.AsValueMap()
		if inner == nil {
			inner = map[string]cty.Value{}
		}
		inner[handleAttr] = cty.CapsuleVal(handleType, &handle{node: n, port: port})
		attrs[port.Name] = cty.ObjectVal(inner)
	}
	attrs[handleAttr] = cty.CapsuleVal(handleType, whole)
	return cty.ObjectVal(attrs)
}
