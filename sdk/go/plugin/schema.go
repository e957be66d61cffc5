package plugin

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/plugin/output"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// field is a field of an argument struct as its tags describe it. Exactly one
// of argument and block is set, and neither for a label.
type field struct {
	index    []int
	name     string
	label    bool
	argument *pluginv1.Argument
	block    *pluginv1.Block
	typ      reflect.Type
	// element is what a value of the field, or of its collection, is.
	element element
	ctyType cty.Type
}

// element is how a field's values are decoded.
type element int

const (
	plain element = iota
	handle
	columnOrModel
	subject
)

var (
	datasetType       = reflect.TypeFor[Dataset]()
	modelType         = reflect.TypeFor[Model]()
	artifactType      = reflect.TypeFor[Artifact]()
	columnType        = reflect.TypeFor[Column]()
	columnOrModelType = reflect.TypeFor[ColumnOrModel]()
	promptType        = reflect.TypeFor[Prompt]()
	lateType          = reflect.TypeFor[LateColumn]()
	subjectType       = reflect.TypeFor[Subject]()
	durationType      = reflect.TypeFor[time.Duration]()
	ctyValueType      = reflect.TypeFor[cty.Value]()

	namePattern = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// bodySchema describes an argument struct.
func bodySchema(t reflect.Type) (*pluginv1.Body, error) {
	fields, err := structFields(t)
	if err != nil {
		return nil, err
	}
	body := &pluginv1.Body{}
	for _, f := range fields {
		switch {
		case f.argument != nil:
			body.Arguments = append(body.Arguments, f.argument)
		case f.block != nil:
			body.Blocks = append(body.Blocks, f.block)
		}
	}
	return body, nil
}

// structFields reads the tags of a struct, in the order of its fields.
func structFields(t reflect.Type) ([]*field, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%s is not a struct", t)
	}
	var out []*field
	for i := range t.NumField() {
		sf := t.Field(i)
		fields, err := fieldsOf(i, sf)
		if err != nil {
			return nil, fmt.Errorf("field %s.%s: %w", t.Name(), sf.Name, err)
		}
		for _, f := range fields {
			if slices.ContainsFunc(out, func(o *field) bool { return o.name == f.name }) {
				return nil, fmt.Errorf("field %s.%s: another field has the name %q", t.Name(), sf.Name, f.name)
			}
			out = append(out, f)
		}
	}
	return out, nil
}

// fieldsOf returns the arguments of a field: none, one or, for an embedded
// struct, all of that struct's.
func fieldsOf(index int, sf reflect.StructField) ([]*field, error) {
	if tag, ok := sf.Tag.Lookup("quern"); ok {
		f, err := newField(index, sf, strings.Split(tag, ","))
		return []*field{f}, err
	}
	if !sf.Anonymous || sf.Type.Kind() != reflect.Struct {
		return nil, nil
	}
	inner, err := structFields(sf.Type)
	if len(inner) > 0 && !sf.IsExported() {
		return nil, fmt.Errorf("the type of an embedded struct with arguments must be exported")
	}
	for _, f := range inner {
		f.index = append([]int{index}, f.index...)
	}
	return inner, err
}

func newField(index int, sf reflect.StructField, tag []string) (*field, error) {
	f := &field{index: []int{index}, name: tag[0], typ: sf.Type}
	if !sf.IsExported() {
		return nil, fmt.Errorf("a field with a quern tag must be exported")
	}
	if !namePattern.MatchString(f.name) {
		return nil, fmt.Errorf("%q is not a valid name: use lowercase letters, digits, and underscores", f.name)
	}
	options := tag[1:]
	if slices.Contains(options, "label") {
		f.label = true
		if sf.Type.Kind() != reflect.String || len(options) > 1 {
			return nil, fmt.Errorf("a label must be a string and cannot have other options")
		}
		return f, nil
	}
	if slices.Contains(options, "block") {
		return f, f.describeBlock(sf, options)
	}
	return f, f.describeArgument(sf, options)
}

func (f *field) describeBlock(sf reflect.StructField, options []string) error {
	if sf.Type.Kind() != reflect.Slice || sf.Type.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("a block must be a slice of structs")
	}
	fields, err := structFields(sf.Type.Elem())
	if err != nil {
		return err
	}
	body, err := bodySchema(sf.Type.Elem())
	if err != nil {
		return err
	}
	f.block = &pluginv1.Block{Name: f.name, Doc: sf.Tag.Get("doc"), Body: body}
	for _, inner := range fields {
		if inner.label {
			f.block.Labels = append(f.block.Labels, inner.name)
		}
	}
	for _, o := range options {
		switch o {
		case "block":
		case "required":
			f.block.MinItems = 1
		case "single":
			f.block.MaxItems = 1
		default:
			return fmt.Errorf("option %q is not valid for a block", o)
		}
	}
	return nil
}

func (f *field) describeArgument(sf reflect.StructField, options []string) error {
	a := &pluginv1.Argument{Name: f.name, Doc: sf.Tag.Get("doc"), RowsOf: sf.Tag.Get("rows_of")}
	f.argument = a
	for _, o := range options {
		switch o {
		case "required":
			a.Required = true
		case "sensitive":
			a.Sensitive = true
		case "operational":
			a.Operational = true
		case "feature":
			a.Feature = true
		case "constant":
			a.Constant = true
		case "recorded":
			a.Recorded = true
		default:
			return fmt.Errorf("unknown option %q in its tag", o)
		}
	}
	if err := f.describeType(sf); err != nil {
		return err
	}
	if oneOf := sf.Tag.Get("oneof"); oneOf != "" {
		a.OneOf = strings.Split(oneOf, ",")
	}
	return f.describeDefault(sf)
}

// describeType sets what the argument holds: handles, row expressions, or plain
// values.
func (f *field) describeType(sf reflect.StructField) error {
	t, collection := sf.Type, pluginv1.Collection_COLLECTION_UNSPECIFIED
	if isHandleCollection(t) {
		collection = pluginv1.Collection_COLLECTION_LIST
		if t.Kind() == reflect.Map {
			collection = pluginv1.Collection_COLLECTION_MAP
		}
		t = t.Elem()
	}
	a := f.argument
	a.Collection = collection
	switch t {
	case datasetType:
		a.Accepts = []pluginv1.ArtifactKind{pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET}
	case modelType:
		a.Accepts = []pluginv1.ArtifactKind{pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL}
	case artifactType:
		a.Accepts = []pluginv1.ArtifactKind{
			pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET, pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL,
			pluginv1.ArtifactKind_ARTIFACT_KIND_REPORT,
		}
	case columnType:
		a.PerRow = true
	case columnOrModelType:
		a.PerRow = true
		a.Accepts = []pluginv1.ArtifactKind{pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL}
		f.element = columnOrModel
	case promptType:
		a.Accepts = []pluginv1.ArtifactKind{pluginv1.ArtifactKind_ARTIFACT_KIND_PROMPT}
	case subjectType:
		a.PerRow = true
		a.Accepts = []pluginv1.ArtifactKind{pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL, pluginv1.ArtifactKind_ARTIFACT_KIND_PROMPT}
		f.element = subject
	case lateType:
		a.PerRow = true
		if err := f.describeLate(sf); err != nil {
			return err
		}
	default:
		return f.describePlain(sf)
	}
	if f.element == plain {
		f.element = handle
	}
	if _, late := sf.Tag.Lookup("late"); late && t != lateType {
		return fmt.Errorf("only a LateColumn can have the tag late")
	}
	if a.RowsOf != "" && !a.PerRow && t != promptType || a.Feature && !a.PerRow {
		return fmt.Errorf("only a Column can have the option feature or the tag rows_of")
	}
	wanted := sf.Tag.Get("type")
	if wanted == "" {
		wanted = "dynamic"
	}
	if !slices.Contains([]string{"string", "number", "bool", "dynamic"}, wanted) {
		return fmt.Errorf("type %q: must be string, number, bool, or dynamic", wanted)
	}
	if a.PerRow {
		a.Type, _ = json.Marshal(wanted)
	}
	return nil
}

// lateTypes are the types that a late name can have.
var lateTypes = map[string]cty.Type{
	"string": cty.String, "number": cty.Number, "bool": cty.Bool, "any": cty.DynamicPseudoType, "output": output.Type,
}

// describeLate reads a tag late:"NAME=TYPE,…".
func (f *field) describeLate(sf reflect.StructField) error {
	f.argument.Late = map[string][]byte{}
	for part := range strings.SplitSeq(sf.Tag.Get("late"), ",") {
		name, typ, _ := strings.Cut(part, "=")
		t, ok := lateTypes[typ]
		if !ok || !namePattern.MatchString(name) {
			return fmt.Errorf("late %q: write NAME=TYPE, where TYPE is string, number, bool, any, or output", part)
		}
		var err error
		if f.argument.Late[name], err = t.MarshalJSON(); err != nil {
			return err
		}
	}
	return nil
}

func (f *field) describePlain(sf reflect.StructField) error {
	t, err := ctyTypeOf(sf.Type)
	if err != nil {
		return err
	}
	if f.argument.Feature || f.argument.RowsOf != "" || sf.Tag.Get("type") != "" {
		return fmt.Errorf("only a Column can have the option feature or the tags rows_of and type")
	}
	f.ctyType = t
	f.argument.Type, err = t.MarshalJSON()
	return err
}

func (f *field) describeDefault(sf reflect.StructField) error {
	text, ok := sf.Tag.Lookup("default")
	if !ok {
		return nil
	}
	if f.element != plain {
		return fmt.Errorf("a row expression or an artifact cannot have a default")
	}
	if f.argument.Required {
		return fmt.Errorf("a required argument cannot have a default")
	}
	if err := checkDefault(text, f.ctyType); err != nil {
		return err
	}
	f.argument.DefaultValue = []byte(text)
	return nil
}

// isHandleCollection reports whether t is a slice or string map of handles.
func isHandleCollection(t reflect.Type) bool {
	switch {
	case t.Kind() == reflect.Slice:
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
	default:
		return false
	}
	switch t.Elem() {
	case datasetType, modelType, artifactType, columnType, columnOrModelType, promptType, lateType, subjectType:
		return true
	}
	return false
}

// ctyTypeOf returns the type of a plain field in configurations.
func ctyTypeOf(t reflect.Type) (cty.Type, error) {
	switch {
	case t == ctyValueType:
		return cty.DynamicPseudoType, nil
	case t == durationType, t.Kind() == reflect.String:
		return cty.String, nil
	case t.Kind() == reflect.Bool:
		return cty.Bool, nil
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64, t.Kind() == reflect.Float64:
		return cty.Number, nil
	case t.Kind() == reflect.Pointer:
		return ctyTypeOf(t.Elem())
	case t.Kind() == reflect.Slice:
		e, err := ctyTypeOf(t.Elem())
		return cty.List(e), err
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		e, err := ctyTypeOf(t.Elem())
		return cty.Map(e), err
	}
	return cty.DynamicPseudoType, fmt.Errorf("type %s cannot be an argument; the package documentation lists the types that can", t)
}
