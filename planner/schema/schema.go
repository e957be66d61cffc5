// Package schema prepares the schemas of plugins for decoding: the arguments
// and blocks of a body, their types, and which arguments take artifacts or row
// expressions. It also checks the names in a body against its schema.
package schema

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Type is a stage type.
type Type struct {
	Plugin   string // its local name
	Mode     string
	Behavior string
	Body     *Body
}

// Body is the schema of a configuration body.
type Body struct {
	Args   map[string]*Argument
	Blocks map[string]*Block
	// Object is the type of the value that the plugin receives.
	Object   cty.Type
	required []*Argument
}

// Argument is the schema of an argument.
type Argument struct {
	*pluginv1.Argument
	// Element is the type of the plain value, or of one element for rows.
	Element cty.Type
	// Absent is the argument's value if it is omitted, or nil for null.
	Absent *plan.Arg
	// Kinds are the kinds of artifacts that the argument accepts.
	Kinds []string
	// Rows is the key of the dataset argument that `row` iterates over.
	Rows string
	// LateNames are the names that its row expressions may use in addition to `row`.
	LateNames map[string]cty.Type
}

// In returns the argument in a body whose keys have a prefix. Rows that are named
// relative to the body, such as .dataset, get it.
func (a *Argument) In(prefix string) *Argument {
	name, relative := strings.CutPrefix(a.Rows, ".")
	if !relative {
		return a
	}
	in := *a
	in.Rows = prefix + name
	return &in
}

// Block is the schema of a nested block.
type Block struct {
	*pluginv1.Block
	Body *Body
}

// MaxErrors is the argument that every row-wise type and every evaluator has:
// how many rows, or answers and grades, may fail.
const MaxErrors = "max_errors"

// modes are the modes of a plan by those of the protocol.
var modes = map[pluginv1.Mode]string{
	pluginv1.Mode_MODE_READ:     plan.ModeRead,
	pluginv1.Mode_MODE_MAP:      plan.ModeMap,
	pluginv1.Mode_MODE_FLAT_MAP: plan.ModeFlatMap,
	pluginv1.Mode_MODE_RUN:      plan.ModeRun,
	pluginv1.Mode_MODE_DEPLOY:   plan.ModeDeploy,
	pluginv1.Mode_MODE_MODEL:    plan.ModeModel,
}

// NewType prepares a stage type of a plugin, given the plugin's local name.
func NewType(t *pluginv1.Type, plugin string) (*Type, error) {
	mode, ok := modes[t.Mode]
	if !ok {
		return nil, fmt.Errorf("%s %q of plugin %q has a mode that this version of quern does not support; use a newer version", t.Kind, t.Name, plugin)
	}
	out := &Type{Plugin: plugin, Mode: mode, Behavior: strconv.FormatInt(t.BehaviorVersion, 10)}
	var err error
	if out.Body, err = NewBody(t.Body); err != nil {
		return nil, fmt.Errorf("the schema of %s %q of plugin %q is invalid: %w", t.Kind, t.Name, plugin, err)
	}
	if (plan.RowWise(out.Mode) || t.Kind == kind.Evaluate) && out.Body.Args[MaxErrors] == nil {
		// MaxErrors belongs to quern, so it is not in the configuration's type.
		out.Body.Args[MaxErrors] = &Argument{
			Argument: &pluginv1.Argument{Name: MaxErrors, Operational: true}, Element: cty.Number,
		}
	}
	return out, nil
}

// NewBody prepares a schema. Nested row expressions use the rows of an argument
// of the outermost body.
func NewBody(b *pluginv1.Body) (*Body, error) {
	return nestedBody(b, wire.DefaultRowsOf(b))
}

// Shape describes which members of a JSON body are blocks.
func (b *Body) Shape() map[string]*config.Shape {
	blocks := make(map[string]*config.Shape, len(b.Blocks))
	for name, nested := range b.Blocks {
		blocks[name] = &config.Shape{Labels: nested.Labels, Blocks: nested.Body.Shape()}
	}
	return blocks
}

func nestedBody(b *pluginv1.Body, rowsOf string) (*Body, error) {
	out := &Body{Args: map[string]*Argument{}, Blocks: map[string]*Block{}}
	attrs := map[string]cty.Type{}
	for _, a := range b.GetArguments() {
		arg, err := newArgument(a, rowsOf)
		if err != nil {
			return nil, fmt.Errorf("argument %q: %w", a.Name, err)
		}
		out.Args[a.Name] = arg
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
		out.Blocks[nested.Name] = &Block{Block: nested, Body: inner}
		labeled := inner.Object.AttributeTypes()
		of := make(map[string]cty.Type, len(labeled)+len(nested.Labels))
		for name, t := range labeled {
			of[name] = t
		}
		for _, label := range nested.Labels {
			of[label] = cty.String
		}
		attrs[nested.Name] = cty.List(cty.Object(of))
	}
	out.Object = cty.Object(attrs)
	return out, nil
}

func newArgument(a *pluginv1.Argument, rowsOf string) (*Argument, error) {
	out := &Argument{Argument: a, Element: cty.DynamicPseudoType, Rows: a.RowsOf}
	if out.Rows == "" {
		out.Rows = rowsOf
	}
	if len(a.Type) > 0 {
		t, err := ctyjson.UnmarshalType(a.Type)
		if err != nil {
			return nil, fmt.Errorf("its type: %w", err)
		}
		out.Element = t
	}
	for name, text := range a.Late {
		t, err := ctyjson.UnmarshalType(text)
		if err != nil {
			return nil, fmt.Errorf("the type of its late name %q: %w", name, err)
		}
		if out.LateNames == nil {
			out.LateNames = map[string]cty.Type{}
		}
		out.LateNames[name] = t
	}
	for _, kind := range a.Accepts {
		out.Kinds = append(out.Kinds, plan.KindFromProto(kind))
	}
	if len(a.DefaultValue) > 0 {
		v, err := verbatim.JSON(a.DefaultValue, out.PlainType())
		if err != nil {
			return nil, fmt.Errorf("its default: %w", err)
		}
		if !v.IsNull() {
			out.Absent = &plan.Arg{Value: &value.Value{Value: v}, Operational: a.Operational, Sensitive: a.Sensitive}
		}
	}
	return out, nil
}

// Handles reports whether the argument takes artifacts or row expressions.
func (a *Argument) Handles() bool { return len(a.Kinds) > 0 || a.PerRow }

// OverRows reports whether the argument is evaluated over the rows of a
// dataset, so that the dataset has to be known first.
func (a *Argument) OverRows() bool { return a.PerRow || a.Takes(plan.KindPrompt) }

// PlainType is the type of the argument's value if it takes plain values.
func (a *Argument) PlainType() cty.Type { return collect(a.Collection, a.Element) }

// Asked reports whether an element of the argument may pair a model with the
// prompt to ask it: { model = …, prompt = … }.
func (a *Argument) Asked() bool {
	return a.PerRow && a.Takes(plan.KindModel) && a.Takes(plan.KindPrompt)
}

// Takes reports whether the argument accepts artifacts of a kind.
func (a *Argument) Takes(kind string) bool {
	for _, k := range a.Kinds {
		if k == kind {
			return true
		}
	}
	return false
}

// Holds describes an element of the argument, as in "a dataset".
func (a *Argument) Holds() string {
	var kinds []string
	for _, k := range a.Kinds {
		if k != plan.KindPrompt || !a.Asked() {
			kinds = append(kinds, "a "+k)
		}
	}
	if a.PerRow {
		kinds = append(kinds, "a row expression")
	}
	if len(kinds) == 0 {
		return "a value"
	}
	return english.Or(kinds)
}

// configType is the type of the value that the plugin receives.
func (a *Argument) configType() cty.Type {
	if a.Asked() {
		return cty.DynamicPseudoType
	}
	if a.Handles() {
		return collect(a.Collection, cty.String)
	}
	return a.PlainType()
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

// DynamicContent returns the content block of a dynamic block, the template of
// the blocks that it generates.
func DynamicContent(b *hclsyntax.Block) *hclsyntax.Block {
	for _, inner := range b.Body.Blocks {
		if inner.Type == "content" {
			return inner
		}
	}
	return nil
}
