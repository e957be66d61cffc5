package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

func decodeJSON(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

// configuration encodes the configuration of an instance or of the plugin's
// block as quern does: with the defaults and nulls of the schema.
func (r *runner) configuration(message map[string]any, v any) (any, error) {
	given, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a configuration must be an object")
	}
	body := r.schema.GetConfig()
	if name, ok := message["type"].(string); ok {
		t := r.typeOf(fmt.Sprint(message["kind"]), name)
		if t == nil {
			body = &pluginv1.Body{}
			given = nil
		} else {
			body = t.GetBody()
		}
	}
	value, err := object(body, given)
	if err != nil {
		return nil, err
	}
	b, err := client.EncodeValue(value)
	return base64.StdEncoding.EncodeToString(b), err
}

func (r *runner) typeOf(kind, name string) *pluginv1.Type {
	for _, t := range r.schema.GetTypes() {
		if t.GetKind() == kind && t.GetName() == name {
			return t
		}
	}
	return nil
}

// object creates the object of a body.
func object(body *pluginv1.Body, given map[string]any) (cty.Value, error) {
	attrs, left := map[string]cty.Value{}, len(given)
	add := func(name string, v cty.Value, err error) error {
		if _, ok := given[name]; ok {
			left--
		}
		attrs[name] = v
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	for _, a := range body.GetArguments() {
		v, err := argument(a, given)
		if err := add(a.GetName(), v, err); err != nil {
			return cty.NilVal, err
		}
	}
	for _, b := range body.GetBlocks() {
		v, err := blocks(b, given[b.GetName()])
		if err := add(b.GetName(), v, err); err != nil {
			return cty.NilVal, err
		}
	}
	if left > 0 {
		return cty.NilVal, fmt.Errorf("the schema lacks arguments of %v", given)
	}
	return cty.ObjectVal(attrs), nil
}

func argument(a *pluginv1.Argument, given map[string]any) (cty.Value, error) {
	v, ok := given[a.GetName()]
	typ := cty.DynamicPseudoType
	if isPlain := !a.GetPerRow() && len(a.GetAccepts()) == 0; isPlain {
		if err := json.Unmarshal(a.GetType(), &typ); err != nil {
			return cty.NilVal, err
		}
	}
	switch {
	case !ok && len(a.GetDefaultValue()) > 0:
		return verbatim.JSON(a.GetDefaultValue(), typ)
	case !ok || v == nil:
		return cty.NullVal(typ), nil
	case v == unknown:
		return cty.UnknownVal(typ), nil
	case v == refined:
		return cty.UnknownVal(typ).RefineNotNull(), nil
	}
	value, err := implied(v)
	if err != nil {
		return cty.NilVal, err
	}
	return convert.Convert(value, typ)
}

// blocks creates the tuple of a block's objects.
func blocks(b *pluginv1.Block, v any) (cty.Value, error) {
	given, _ := v.([]any)
	out := make([]cty.Value, len(given))
	for i, g := range given {
		members, _ := g.(map[string]any)
		labels, rest := map[string]cty.Value{}, map[string]any{}
		for name, v := range members {
			rest[name] = v
		}
		for _, l := range b.GetLabels() {
			labels[l] = cty.StringVal(fmt.Sprint(rest[l]))
			delete(rest, l)
		}
		o, err := object(b.GetBody(), rest)
		if err != nil {
			return cty.NilVal, err
		}
		for name, v := range o.AsValueMap() {
			labels[name] = v
		}
		out[i] = cty.ObjectVal(labels)
	}
	return cty.TupleVal(out), nil
}
