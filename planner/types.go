package planner

import (
	"fmt"
	"strconv"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/sdk/go/verbatim"
	"github.com/quern-dev/quern/sdk/go/wire"
)

type typeKey struct{ kind, name, plugin string }

// stageType is a stage type with its schema made ready for decoding.
type stageType struct {
	*pluginv1.Type
	plugin    string // local name
	mode      string
	behaviour string
	body      *body
}

// body is the schema of a configuration body.
type body struct {
	args     map[string]*argument
	blocks   map[string]*block
	typ      cty.Type // of the object that a plugin gets
	required []*argument
}

type argument struct {
	*pluginv1.Argument
	typ cty.Type // of the plain value, of one element for rows
	// absent stands for the argument where it is not written; nil: null.
	absent  *plan.Arg
	accepts []string
	// rowsOf is the key of the dataset argument whose rows `row` is.
	rowsOf string
	// late are the names that its row expressions may use beside `row`.
	late map[string]cty.Type
}

type block struct {
	*pluginv1.Block
	body *body
}

// maxErrorsName is the argument of every row-wise type that says how many rows
// may fail, and of every evaluator that says how many answers and grades may.
const maxErrorsName = "max_errors"

// declareType finds a stage's type, and checks the names in its body.
func (b *builder) declareType(s *stage) {
	if s.cfg.Addr.Kind == "gate" || s.cfg.Addr.Kind == "prompt" {
		return
	}
	key := typeKey{s.cfg.Addr.Kind, s.cfg.Type, s.cfg.Plugin}
	t, known := b.types[key]
	if !known {
		found, plugin, err := b.Plugins.Type(key.kind, key.name, key.plugin)
		if err == nil {
			t, err = newStageType(found, plugin)
		}
		if err == nil && b.Plugins.Development(plugin) {
			// Any build of it may behave differently.
			t.behaviour += " " + b.Plugins.Describe()[plugin].Digest
		}
		if err != nil {
			s.broken = b.report(diag.Errorf(s.cfg.TypeRange.Ptr(), "Unknown stage type", "%s", diag.Sentence(err)))
			return
		}
		b.types[key] = t
	}
	s.typ = t
	s.flawed = b.report(s.cfg.Shape(t.body.shape)...)
	s.flawed = s.flawed || b.report(checkNames(s.cfg.Body, t.body, s.cfg.Addr.String())...)
	s.refs.artifacts = artifactPlaces(s.cfg.Body, t.body.args)
}

func newStageType(t *pluginv1.Type, plugin string) (*stageType, error) {
	out := &stageType{Type: t, plugin: plugin, behaviour: strconv.FormatInt(t.BehaviourVersion, 10)}
	switch t.Mode {
	case pluginv1.Mode_MODE_READ:
		out.mode = plan.ModeRead
	case pluginv1.Mode_MODE_MAP:
		out.mode = plan.ModeMap
	case pluginv1.Mode_MODE_FLAT_MAP:
		out.mode = plan.ModeFlatMap
	case pluginv1.Mode_MODE_RUN:
		out.mode = plan.ModeRun
	case pluginv1.Mode_MODE_DEPLOY:
		out.mode = plan.ModeDeploy
	case pluginv1.Mode_MODE_MODEL:
		out.mode = plan.ModeModel
	default:
		return nil, fmt.Errorf("%s %q of plugin %q has a mode that this version of quern does not support; use a newer version", t.Kind, t.Name, plugin)
	}
	var err error
	if out.body, err = newBody(t.Body); err != nil {
		return nil, fmt.Errorf("the schema of %s %q of plugin %q is invalid: %w", t.Kind, t.Name, plugin, err)
	}
	if (plan.RowWise(out.mode) || t.Kind == "evaluate") && out.body.args[maxErrorsName] == nil {
		// It is quern's own, so it is not in the configuration's type.
		out.body.args[maxErrorsName] = &argument{
			Argument: &pluginv1.Argument{Name: maxErrorsName, Operational: true}, typ: cty.Number,
		}
	}
	return out, nil
}

// newBody makes a schema ready. Nested row expressions are over the rows of an
// argument of the outermost body.
func newBody(b *pluginv1.Body) (*body, error) {
	return nestedBody(b, wire.DefaultRowsOf(b))
}

// shape says which members of a body in JSON are blocks.
func (b *body) shape() map[string]*config.Shape {
	blocks := make(map[string]*config.Shape, len(b.blocks))
	for name, nested := range b.blocks {
		blocks[name] = &config.Shape{Labels: nested.Labels, Blocks: nested.body.shape()}
	}
	return blocks
}

func nestedBody(b *pluginv1.Body, rowsOf string) (*body, error) {
	out := &body{args: map[string]*argument{}, blocks: map[string]*block{}}
	attrs := map[string]cty.Type{}
	for _, a := range b.GetArguments() {
		arg, err := newArgument(a, rowsOf)
		if err != nil {
			return nil, fmt.Errorf("argument %q: %w", a.Name, err)
		}
		out.args[a.Name] = arg
		attrs[a.Name] = arg.configType()
		if a.Required {
			out.required = append(out.required, arg)
		}
	}
	for _, nested := range b.GetBlocks() {
		inner, err := nestedBody(nested.Body, rowsOf)
		if err != nil {
			return nil, fmt.Errorf("block %q: %w", nested.Name, err)
		}
		out.blocks[nested.Name] = &block{Block: nested, body: inner}
		labelled := inner.typ.AttributeTypes()
		of := make(map[string]cty.Type, len(labelled)+len(nested.Labels))
		for name, t := range labelled {
			of[name] = t
		}
		for _, label := range nested.Labels {
			of[label] = cty.String
		}
		attrs[nested.Name] = cty.List(cty.Object(of))
	}
	out.typ = cty.Object(attrs)
	return out, nil
}

func newArgument(a *pluginv1.Argument, rowsOf string) (*argument, error) {
	out := &argument{Argument: a, typ: cty.DynamicPseudoType, rowsOf: a.RowsOf}
	if out.rowsOf == "" {
		out.rowsOf = rowsOf
	}
	if len(a.Type) > 0 {
		t, err := ctyjson.UnmarshalType(a.Type)
		if err != nil {
			return nil, fmt.Errorf("its type: %w", err)
		}
		out.typ = t
	}
	for name, text := range a.Late {
		t, err := ctyjson.UnmarshalType(text)
		if err != nil {
			return nil, fmt.Errorf("the type of its late name %q: %w", name, err)
		}
		if out.late == nil {
			out.late = map[string]cty.Type{}
		}
		out.late[name] = t
	}
	for _, kind := range a.Accepts {
		out.accepts = append(out.accepts, plan.KindFromProto(kind))
	}
	if len(a.DefaultValue) > 0 {
		v, err := verbatim.JSON(a.DefaultValue, out.plainType())
		if err != nil {
			return nil, fmt.Errorf("its default: %w", err)
		}
		if !v.IsNull() {
			out.absent = &plan.Arg{Value: &value.Value{Value: v}, Operational: a.Operational, Sensitive: a.Sensitive}
		}
	}
	return out, nil
}

// handles says whether the argument holds artifacts or row expressions.
func (a *argument) handles() bool { return len(a.accepts) > 0 || a.PerRow }

// overRows says whether the argument is made for the rows of a dataset, so
// that the dataset has to be known first.
func (a *argument) overRows() bool { return a.PerRow || a.takes(plan.KindPrompt) }

// plainType is the type of the argument's value where it holds plain values.
func (a *argument) plainType() cty.Type { return collect(a.Collection, a.typ) }

// asked says whether an element of the argument may be a model together with
// the prompt that it is asked by: { model = …, prompt = … }.
func (a *argument) asked() bool {
	return a.PerRow && a.takes(plan.KindModel) && a.takes(plan.KindPrompt)
}

// configType is the type of what a plugin gets.
func (a *argument) configType() cty.Type {
	if a.asked() {
		return cty.DynamicPseudoType
	}
	if a.handles() {
		return collect(a.Collection, cty.String)
	}
	return a.plainType()
}

func collect(c pluginv1.Collection, t cty.Type) cty.Type {
	switch c {
	case pluginv1.Collection_COLLECTION_LIST:
		return cty.List(t)
	case pluginv1.Collection_COLLECTION_MAP:
		return cty.Map(t)
	}
	return t
}

// dynamicContent is the part of a dynamic block that stands for the blocks it
// makes.
func dynamicContent(b *hclsyntax.Block) *hclsyntax.Block {
	for _, inner := range b.Body.Blocks {
		if inner.Type == "content" {
			return inner
		}
	}
	return nil
}
