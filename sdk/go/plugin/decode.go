package plugin

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"sync"
	"time"

	codec "github.com/vmihailenco/msgpack/v5"
	code "github.com/vmihailenco/msgpack/v5/msgpcode"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/sdk/go/host/verbatim"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// decodeConfig fills a struct from an instance's configuration. Unknown values
// stay zero and their keys are returned; if unknowns is false, they are an
// error.
func decodeConfig(in *pluginv1.Instance, into reflect.Value, unknowns bool) ([]string, error) {
	d := &decoder{instance: in}
	config, err := unmarshalConfig(in.GetConfig())
	if err != nil {
		return nil, err
	}
	if err := d.body(config, into, ""); err != nil {
		return nil, err
	}
	if len(d.unknown) > 0 && !unknowns {
		return nil, ArgumentErrorf(d.unknown[0], "the value of argument %q is not known yet", d.unknown[0])
	}
	return d.unknown, nil
}

// unmarshalConfig decodes a configuration that includes its type. No bytes are
// an empty object.
func unmarshalConfig(b []byte) (cty.Value, error) {
	if len(b) == 0 {
		return cty.EmptyObjectVal, nil
	}
	typ, content, err := splitType(b)
	if err != nil {
		return cty.NilVal, fmt.Errorf("read the type of the configuration: %w", err)
	}
	v, err := verbatim.Msgpack(content, typ)
	if err != nil {
		return cty.NilVal, fmt.Errorf("read the configuration: %w", err)
	}
	return v, nil
}

// types caches decoded types by their encoding. The instances of a stage type
// share a few types, and decoding a type takes longer than decoding a value.
var types sync.Map

// splitType separates a value from its type: they are the elements of an array.
// Bytes that are not an array have no known type.
func splitType(b []byte) (cty.Type, []byte, error) {
	in := bytes.NewReader(b)
	d := codec.NewDecoder(in)
	if c, err := d.PeekCode(); err != nil || c != code.FixedArrayLow|2 {
		return cty.DynamicPseudoType, b, err
	}
	if _, err := d.DecodeArrayLen(); err != nil {
		return cty.NilType, nil, err
	}
	text, err := d.DecodeBytes()
	if err != nil {
		return cty.NilType, nil, err
	}
	rest, err := io.ReadAll(d.Buffered())
	if err != nil {
		return cty.NilType, nil, err
	}
	if t, ok := types.Load(string(text)); ok {
		return t.(cty.Type), rest, nil
	}
	t, err := ctyjson.UnmarshalType(text)
	if err == nil {
		types.Store(string(text), t)
	}
	return t, rest, err
}

type decoder struct {
	instance *pluginv1.Instance
	unknown  []string
}

// join extends a key by a step.
func join(key, step string) string {
	if key == "" {
		return step
	}
	return key + "." + step
}

// body fills a struct from an object. Missing attributes are null.
func (d *decoder) body(v cty.Value, into reflect.Value, key string) error {
	fields, err := fieldsToFill(into.Type())
	if err != nil {
		return err
	}
	if !v.IsKnown() {
		d.unknown = append(d.unknown, key)
		return nil
	}
	if v.IsNull() {
		return nil
	}
	for _, f := range fields {
		attr, err := f.attribute(v)
		if err != nil {
			return err
		}
		target, at := into.FieldByIndex(f.index), join(key, f.name)
		switch {
		case f.block != nil:
			err = d.blocks(f, attr, target, at)
		case f.element == plain:
			err = d.value(attr, target, at)
		default:
			err = d.handles(attr, target, at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read caches the fields of argument structs by type: reading tags takes longer
// than filling a struct.
var read sync.Map

func fieldsToFill(t reflect.Type) ([]*field, error) {
	if fields, ok := read.Load(t); ok {
		return fields.([]*field), nil
	}
	fields, err := structFields(t)
	if err == nil {
		read.Store(t, fields)
	}
	return fields, err
}

// attribute returns a field's value in an object, or the default if it is
// missing or null.
func (f *field) attribute(object cty.Value) (cty.Value, error) {
	v := cty.NullVal(cty.DynamicPseudoType)
	if object.Type().HasAttribute(f.name) {
		v = object.GetAttr(f.name)
	}
	if v.IsKnown() && v.IsNull() && f.argument != nil && len(f.argument.DefaultValue) > 0 {
		return verbatim.JSON(f.argument.DefaultValue, f.ctyType)
	}
	return v, nil
}

// blocks fills a slice of structs. A block's key ends in its labels or, without
// labels, its position.
func (d *decoder) blocks(f *field, v cty.Value, into reflect.Value, key string) error {
	if !d.present(v, key) {
		return nil
	}
	n := v.LengthInt()
	out := reflect.MakeSlice(into.Type(), n, n)
	i := 0
	for it := v.ElementIterator(); it.Next(); i++ {
		_, block := it.Element()
		if err := d.body(block, out.Index(i), join(key, blockStep(f.block.Labels, block, i))); err != nil {
			return err
		}
	}
	into.Set(out)
	return nil
}

func blockStep(labels []string, block cty.Value, position int) string {
	step := ""
	for _, l := range labels {
		if block.IsKnown() && !block.IsNull() && block.Type().HasAttribute(l) {
			if label := block.GetAttr(l); label.IsKnown() && !label.IsNull() && label.Type() == cty.String {
				step = join(step, label.AsString())
			}
		}
	}
	if step == "" {
		return strconv.Itoa(position)
	}
	return step
}

// present returns false for null and unknown values, and records the latter.
func (d *decoder) present(v cty.Value, key string) bool {
	if !v.IsKnown() {
		d.unknown = append(d.unknown, key)
		return false
	}
	return !v.IsNull()
}

// handles fills a handle or a collection of them.
func (d *decoder) handles(v cty.Value, into reflect.Value, key string) error {
	if !d.present(v, key) {
		return nil
	}
	switch into.Kind() {
	case reflect.Slice:
		out := reflect.MakeSlice(into.Type(), v.LengthInt(), v.LengthInt())
		i := 0
		for it := v.ElementIterator(); it.Next(); i++ {
			_, e := it.Element()
			if err := d.handle(e, out.Index(i), join(key, strconv.Itoa(i))); err != nil {
				return err
			}
		}
		into.Set(out)
		return nil
	case reflect.Map:
		out := reflect.MakeMap(into.Type())
		for it := v.ElementIterator(); it.Next(); {
			k, e := it.Element()
			h := reflect.New(into.Type().Elem()).Elem()
			if err := d.handle(e, h, join(key, k.AsString())); err != nil {
				return err
			}
			out.SetMapIndex(reflect.ValueOf(k.AsString()), h)
		}
		into.Set(out)
		return nil
	}
	return d.handle(v, into, key)
}

func (d *decoder) handle(v cty.Value, into reflect.Value, key string) error {
	if !d.present(v, key) {
		return nil
	}
	if into.Type() == subjectType && v.Type().IsObjectType() {
		return d.subject(v, into, key)
	}
	if v.Type() != cty.String {
		return ArgumentErrorf(key, "argument %q is %s, but must be a key", key, v.Type().FriendlyName())
	}
	text := v.AsString()
	into.FieldByName("Key").SetString(text)
	if into.Type() == columnOrModelType {
		_, isModel := d.instance.GetInputs()[text]
		into.FieldByName("IsModel").SetBool(isModel)
	}
	if into.Type() == subjectType {
		if _, isModel := d.instance.GetInputs()[text]; isModel {
			into.FieldByName("Model").Set(reflect.ValueOf(Model{text}))
		}
	}
	return nil
}

// subject fills a Subject that is a model with a prompt.
func (d *decoder) subject(v cty.Value, into reflect.Value, key string) error {
	into.FieldByName("Key").SetString(key)
	for attr, field := range map[string]string{"model": "Model", "prompt": "Prompt"} {
		if !v.Type().HasAttribute(attr) {
			continue
		}
		if err := d.handle(v.GetAttr(attr), into.FieldByName(field), join(key, attr)); err != nil {
			return err
		}
	}
	return nil
}

// value fills a plain field.
func (d *decoder) value(v cty.Value, into reflect.Value, key string) error {
	if into.Type() == ctyValueType {
		if !v.IsWhollyKnown() {
			d.unknown = append(d.unknown, key)
			return nil
		}
		into.Set(reflect.ValueOf(v))
		return nil
	}
	if !d.present(v, key) {
		return nil
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return d.value(v, into.Elem(), key)
	case reflect.Slice, reflect.Map:
		if !v.CanIterateElements() {
			return ArgumentErrorf(key, "argument %q has an unexpected type: %s", key, v.Type().FriendlyName())
		}
		return d.collection(v, into, key)
	}
	return d.scalar(v, into, key)
}

func (d *decoder) collection(v cty.Value, into reflect.Value, key string) error {
	n := v.LengthInt()
	if into.Kind() == reflect.Slice {
		out := reflect.MakeSlice(into.Type(), n, n)
		i := 0
		for it := v.ElementIterator(); it.Next(); i++ {
			_, e := it.Element()
			if err := d.value(e, out.Index(i), join(key, strconv.Itoa(i))); err != nil {
				return err
			}
		}
		into.Set(out)
		return nil
	}
	out := reflect.MakeMapWithSize(into.Type(), n)
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		if k.Type() != cty.String {
			return ArgumentErrorf(key, "argument %q has an unexpected type: %s", key, v.Type().FriendlyName())
		}
		element := reflect.New(into.Type().Elem()).Elem()
		if err := d.value(e, element, join(key, k.AsString())); err != nil {
			return err
		}
		out.SetMapIndex(reflect.ValueOf(k.AsString()).Convert(into.Type().Key()), element)
	}
	into.Set(out)
	return nil
}

func (d *decoder) scalar(v cty.Value, into reflect.Value, key string) error {
	want, err := ctyTypeOf(into.Type())
	if err != nil {
		return err
	}
	v, err = convert.Convert(v, want)
	if err != nil {
		return ArgumentErrorf(key, "%s is required: %w", want.FriendlyName(), err)
	}
	switch into.Kind() {
	case reflect.String:
		into.SetString(v.AsString())
	case reflect.Bool:
		into.SetBool(v.True())
	case reflect.Float64:
		f, _ := v.AsBigFloat().Float64()
		if math.IsInf(f, 0) {
			return ArgumentErrorf(key, "the number %s is out of range\nA number must be between -1.7e308 and 1.7e308.", v.AsBigFloat().Text('g', 6))
		}
		into.SetFloat(f)
	default:
		return integer(v, into, key)
	}
	return nil
}

// integer fills an int, int64, or time.Duration.
func integer(v cty.Value, into reflect.Value, key string) error {
	if into.Type() == durationType {
		t, err := time.ParseDuration(v.AsString())
		if err != nil {
			return ArgumentErrorf(key, "%q is not a duration\nWrite a number and a unit: \"500ms\", \"90s\", \"1h30m\".", v.AsString())
		}
		into.SetInt(int64(t))
		return nil
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != big.Exact {
		return ArgumentErrorf(key, "a whole number is required, not %s", v.AsBigFloat().Text('g', 12))
	}
	into.SetInt(n)
	return nil
}

// checkDefault checks that a default's JSON has the right type.
func checkDefault(text string, t cty.Type) error {
	if _, err := ctyjson.Unmarshal([]byte(text), t); err != nil {
		return fmt.Errorf("default %s: %w", text, err)
	}
	return nil
}
