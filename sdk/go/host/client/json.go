package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/sdk/go/host/verbatim"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// UseJSON adds the JSON form of configurations and states to what is sent to the
// plugin. Call it with GetSchemaResponse.json_values of the plugin's schema, before
// the first call that carries a configuration.
func (p *Plugin) UseJSON(use bool) { p.json.Store(use) }

// request returns a request with the JSON form of its values, if the plugin reads
// JSON. The request itself is not changed: its instances are shared.
func (p *Plugin) request(m any) (any, error) {
	original, ok := m.(proto.Message)
	if !ok || !p.json.Load() {
		return m, nil
	}
	out := proto.Clone(original)
	var instances []*pluginv1.Instance
	if r, ok := out.(interface{ GetInstances() []*pluginv1.Instance }); ok {
		instances = r.GetInstances()
	}
	if r, ok := out.(interface{ GetInstance() *pluginv1.Instance }); ok {
		instances = append(instances, r.GetInstance())
	}
	if r, ok := out.(interface{ GetStart() *pluginv1.Instance }); ok {
		instances = append(instances, r.GetStart())
	}
	if r, ok := out.(interface{ GetModel() *pluginv1.Instance }); ok {
		instances = append(instances, r.GetModel())
	}
	var errs []error
	for _, in := range instances {
		errs = append(errs, addJSON(in))
	}
	if r, ok := out.(*pluginv1.ConfigureRequest); ok {
		var err error
		r.ConfigJson, _, err = encodeJSON(r.Config)
		errs = append(errs, err)
	}
	for _, s := range states(out) {
		var err error
		s.ValueJson, _, err = encodeJSON(s.Value)
		errs = append(errs, err)
	}
	return out, errors.Join(errs...)
}

// addJSON adds the JSON form of an instance's configuration, and of those of its
// model blocks.
func addJSON(in *pluginv1.Instance) error {
	if in == nil {
		return nil
	}
	var err error
	if in.ConfigJson, in.Unknown, err = encodeJSON(in.Config); err != nil {
		return err
	}
	for _, input := range in.Inputs {
		if err := addJSON(input.GetModel()); err != nil {
			return err
		}
	}
	return nil
}

// response replaces the JSON form of the values that a plugin sent by msgpack.
func response(m any) error {
	if r, ok := m.(*pluginv1.RunResponse); ok && len(r.GetDone().GetValueJson()) > 0 {
		var err error
		r.GetDone().Value, err = decodeJSON(r.GetDone().ValueJson)
		return err
	}
	for _, s := range states(m) {
		if len(s.ValueJson) > 0 {
			var err error
			if s.Value, err = decodeJSON(s.ValueJson); err != nil {
				return err
			}
			s.ValueJson = nil
		}
	}
	return nil
}

// states returns the states of deployments in a message.
func states(m any) []*pluginv1.DeploymentState {
	var all []*pluginv1.DeploymentState
	add := func(s *pluginv1.DeploymentState) {
		if s != nil {
			all = append(all, s)
		}
	}
	if r, ok := m.(interface {
		GetState() *pluginv1.DeploymentState
	}); ok {
		add(r.GetState())
	}
	if r, ok := m.(interface {
		GetPrior() *pluginv1.DeploymentState
	}); ok {
		add(r.GetPrior())
	}
	if r, ok := m.(interface {
		GetUpgraded() *pluginv1.DeploymentState
	}); ok {
		add(r.GetUpgraded())
	}
	return all
}

// encodeJSON converts a value from msgpack to JSON. Unknown values become null;
// unknown lists where they are, as JSON Pointers (RFC 6901).
func encodeJSON(value []byte) (text []byte, unknown []string, err error) {
	v, err := DecodeValue(value)
	if err != nil {
		return nil, nil, err
	}
	w := &jsonWriter{}
	if err := w.write(v, ""); err != nil {
		return nil, nil, fmt.Errorf("encode a value for a plugin: %w", err)
	}
	return w.text.Bytes(), w.unknown, nil
}

type jsonWriter struct {
	text    bytes.Buffer
	unknown []string
}

// write writes a value, which is at a JSON Pointer.
func (w *jsonWriter) write(v cty.Value, at string) error {
	switch t := v.Type(); {
	case !v.IsKnown():
		w.unknown = append(w.unknown, at)
		w.text.WriteString("null")
	case v.IsNull():
		w.text.WriteString("null")
	case t == cty.String:
		return w.string(v.AsString())
	case t == cty.Number:
		return w.number(v.AsBigFloat())
	case t == cty.Bool:
		w.text.WriteString(strconv.FormatBool(v.True()))
	case t.IsObjectType() || t.IsMapType():
		return w.object(v, at)
	case t.IsListType() || t.IsSetType() || t.IsTupleType():
		return w.array(v, at)
	default:
		return fmt.Errorf("%s has no JSON form", t.FriendlyName())
	}
	return nil
}

func (w *jsonWriter) string(s string) error {
	e := json.NewEncoder(&w.text)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return err
	}
	w.text.Truncate(w.text.Len() - 1) // the line break that Encode adds
	return nil
}

func (w *jsonWriter) number(f *big.Float) error {
	if f.IsInf() {
		return errors.New("an infinite number has no JSON form")
	}
	w.text.WriteString(f.Text('f', -1))
	return nil
}

// pointerEscapes escapes a name in a JSON Pointer.
var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func (w *jsonWriter) object(v cty.Value, at string) error {
	w.text.WriteByte('{')
	first := true
	for it := v.ElementIterator(); it.Next(); {
		name, element := it.Element()
		if !first {
			w.text.WriteByte(',')
		}
		first = false
		if err := w.string(name.AsString()); err != nil {
			return err
		}
		w.text.WriteByte(':')
		if err := w.write(element, at+"/"+pointerEscapes.Replace(name.AsString())); err != nil {
			return err
		}
	}
	w.text.WriteByte('}')
	return nil
}

func (w *jsonWriter) array(v cty.Value, at string) error {
	w.text.WriteByte('[')
	i := 0
	for it := v.ElementIterator(); it.Next(); i++ {
		_, element := it.Element()
		if i > 0 {
			w.text.WriteByte(',')
		}
		if err := w.write(element, at+"/"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	w.text.WriteByte(']')
	return nil
}

// decodeJSON converts a value from JSON to msgpack. Its type is what the JSON
// implies; the caller converts it to the type that was declared.
func decodeJSON(text []byte) ([]byte, error) {
	t, err := ctyjson.ImpliedType(text)
	if err != nil {
		return nil, fmt.Errorf("a value is not valid JSON: %w", err)
	}
	v, err := verbatim.JSON(text, t)
	if err != nil {
		return nil, fmt.Errorf("a value is not valid JSON: %w", err)
	}
	return EncodeValue(v)
}
