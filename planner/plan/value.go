package plan

import (
	"slices"
	"sync"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/kind"
)

// Made is the result of a node that was applied.
type Made struct {
	// Outputs by port name.
	Outputs map[string]Artifact
	// Value is an object of the node's ValueType, or of the attributes that a
	// deployment's plugin returned. It is cty.NilVal if there is none.
	Value cty.Value
}

// Artifact is the part of a finished artifact that expressions can see.
type Artifact struct {
	Digest string
	Rows   int64 // of a dataset
}

// StageValue is the object that expressions see for one instance. If made is
// nil, nothing is known yet, and the attributes of the result are unknown.
//
// A dataset is {rows, digest, columns}, a model {digest, format}, a report
// {digest}; a prompt has no attributes. The artifact of the port "" adds its attributes to the instance's
// object itself, and each other port is an attribute. The attributes of the
// plain value are added last and take precedence.
func StageValue(n *Node, made *Made) cty.Value {
	if n.Mode == ModeDeploy && made == nil && n.ValueType.Type == cty.NilType {
		return cty.DynamicVal
	}
	attrs := map[string]cty.Value{}
	for i := range n.Outputs {
		port := &n.Outputs[i]
		if !port.Stored() {
			continue
		}
		var a *Artifact
		if made != nil {
			if found, ok := made.Outputs[port.Name]; ok {
				a = &found
			}
		}
		if port.Name == "" {
			portAttrs(port, a, attrs)
			continue
		}
		of := map[string]cty.Value{}
		portAttrs(port, a, of)
		attrs[port.Name] = cty.ObjectVal(of)
	}
	plainAttrs(n, made, attrs)
	return cty.ObjectVal(attrs)
}

// portAttrs adds the attributes of an artifact to attrs. They are unknown if a
// is nil.
func portAttrs(p *Port, a *Artifact, attrs map[string]cty.Value) {
	attrs["digest"] = cty.UnknownVal(cty.String)
	if a != nil {
		attrs["digest"] = cty.StringVal(a.Digest)
	}
	switch p.Kind {
	case KindDataset:
		attrs["rows"] = cty.UnknownVal(cty.Number)
		if a != nil {
			attrs["rows"] = cty.NumberIntVal(a.Rows)
		}
		attrs["columns"] = columnNames(p)
	case KindModel:
		attrs["format"] = cty.StringVal(p.Format)
	}
}

func columnNames(p *Port) cty.Value {
	if len(p.Columns) == 0 {
		return cty.ListValEmpty(cty.String)
	}
	names := make([]cty.Value, len(p.Columns))
	for i, c := range p.Columns {
		names[i] = cty.StringVal(c.Name)
	}
	return cty.ListVal(names)
}

func plainAttrs(n *Node, made *Made, attrs map[string]cty.Value) {
	if made != nil && made.Value != cty.NilVal && made.Value.IsKnown() && !made.Value.IsNull() {
		for name, v := range made.Value.AsValueMap() {
			attrs[name] = v
		}
		if t := n.ValueType.Type; n.Kind == kind.Evaluate && t != cty.NilType && t.HasAttribute(OverlapName) && attrs[OverlapName] == cty.NilVal {
			// An earlier version of quern produced it and did not count.
			attrs[OverlapName] = OverlapValue(t.AttributeType(OverlapName), nil)
		}
		return
	}
	if t := n.ValueType.Type; t != cty.NilType && t.IsObjectType() {
		for name, at := range t.AttributeTypes() {
			attrs[name] = cty.UnknownVal(at)
		}
	}
}

// Scope contains the values of stages as they become known, for the expressions
// that refer to them. It is safe for concurrent use.
type Scope struct {
	mu     sync.Mutex
	stages map[addr.Stage]*stageValues
}

// stageValues are the instances of one stage.
type stageValues struct {
	keyed, numbered bool
	single          cty.Value
	byKey           map[string]cty.Value
	byNumber        []cty.Value
	// whole is the value of the stage, or cty.NilVal if it has to be built.
	whole cty.Value
}

// NewScope returns a scope in which all instances of the plan are as unknown as
// they can be.
func NewScope(p *Plan) (*Scope, error) {
	s := &Scope{}
	for _, n := range p.Nodes {
		if n.Action == Delete || n.Action == Forget {
			continue
		}
		a, err := addr.Parse(n.Address)
		if err != nil {
			return nil, err
		}
		s.Set(a, StageValue(n, nil))
	}
	return s, nil
}

// Set sets the value of an instance and replaces any earlier one.
func (s *Scope) Set(a addr.Instance, v cty.Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stages == nil {
		s.stages = map[addr.Stage]*stageValues{}
	}
	of := s.stages[a.Stage]
	if of == nil {
		of = &stageValues{}
		s.stages[a.Stage] = of
	}
	of.set(a.Key, v)
}

func (s *stageValues) set(key, v cty.Value) {
	s.whole = cty.NilVal
	switch {
	case key == cty.NilVal:
		s.single = v
	case key.Type() == cty.Number:
		s.numbered = true
		n, _ := key.AsBigFloat().Int64()
		for int64(len(s.byNumber)) <= n {
			// An instance that -target leaves out stays unknown.
			s.byNumber = append(s.byNumber, cty.DynamicVal)
		}
		s.byNumber[n] = v
	default:
		s.keyed = true
		if s.byKey == nil {
			s.byKey = map[string]cty.Value{}
		}
		s.byKey[key.AsString()] = v
	}
}

// Stage returns the value of a stage as expressions see it: an object for a
// single instance, an object of objects for instances with keys, a tuple for
// numbered instances. ok is false if there is no instance.
func (s *Scope) Stage(a addr.Stage) (v cty.Value, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.stages[a]
	if of == nil {
		return cty.NilVal, false
	}
	if of.whole == cty.NilVal {
		switch {
		case of.keyed:
			of.whole = cty.ObjectVal(of.byKey)
		case of.numbered:
			of.whole = cty.TupleVal(of.byNumber)
		default:
			of.whole = of.single
		}
	}
	return of.whole, true
}

// Vars returns the values that expressions with these references are evaluated
// with: one object per root name, such as "evaluate". Secrets, the values of
// sensitive variables, are under "var".
func (s *Scope) Vars(refs []string, secrets map[string]cty.Value) map[string]cty.Value {
	stages := make(map[addr.Stage]cty.Value, len(refs))
	for _, ref := range refs {
		a, err := addr.Parse(ref)
		if err != nil {
			continue
		}
		if v, ok := s.Stage(a.Stage); ok {
			stages[a.Stage] = v
		}
	}
	vars := expr.Stages(stages)
	if len(secrets) > 0 {
		vars["var"] = cty.ObjectVal(secrets)
	}
	return vars
}

// Port returns the output with that name.
func (n *Node) Port(name string) (*Port, bool) {
	i := slices.IndexFunc(n.Outputs, func(p Port) bool { return p.Name == name })
	if i < 0 {
		return nil, false
	}
	return &n.Outputs[i], true
}
