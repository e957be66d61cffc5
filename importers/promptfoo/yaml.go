package promptfoo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/quern-dev/quern/lang/diag"
)

// node is a value in a configuration with its position. The zero node is a
// missing value.
type node struct {
	file string
	y    *yaml.Node
}

// entry is a key of a mapping with its value.
type entry struct {
	key   string
	at    node
	value node
}

func (n node) there() bool  { return n.y != nil && n.y.Tag != "!!null" }
func (n node) isMap() bool  { return n.y != nil && n.y.Kind == yaml.MappingNode }
func (n node) isList() bool { return n.y != nil && n.y.Kind == yaml.SequenceNode }

// isText reports whether the node is a string rather than another scalar.
func (n node) isText() bool {
	return n.y != nil && n.y.Kind == yaml.ScalarNode && (n.y.Tag == "!!str" || n.y.Tag == "!!timestamp" || n.y.Tag == "!!binary")
}

func (n node) line() int {
	if n.y == nil || n.y.Line == 0 {
		return 1
	}
	return n.y.Line
}

// text returns the text of a scalar, or "" for anything else.
func (n node) text() string {
	if n.y == nil || n.y.Kind != yaml.ScalarNode || n.y.Tag == "!!null" {
		return ""
	}
	if n.isText() {
		return n.y.Value
	}
	return asText(n.plain())
}

// number returns the number in a scalar, even if it is quoted.
func (n node) number() (float64, bool) {
	if n.y == nil || n.y.Kind != yaml.ScalarNode {
		return 0, false
	}
	if n.isText() {
		f, err := strconv.ParseFloat(strings.TrimSpace(n.y.Value), 64)
		return f, err == nil
	}
	f, ok := n.plain().(float64)
	return f, ok
}

// isTrue reports whether the node is the bool true.
func (n node) isTrue() bool {
	b, ok := n.plain().(bool)
	return ok && b
}

// in returns the node for a value inside this one.
func (n node) in(y *yaml.Node) node {
	for y != nil && y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	return node{n.file, y}
}

// items returns the elements of a list.
func (n node) items() []node {
	if !n.isList() {
		return nil
	}
	items := make([]node, len(n.y.Content))
	for i, y := range n.y.Content {
		items[i] = n.in(y)
	}
	return items
}

// listed returns the elements of a list, or the value itself if it is not a
// list.
func (n node) listed() []node {
	switch {
	case n.isList():
		return n.items()
	case n.there():
		return []node{n}
	}
	return nil
}

// entries returns the keys of a mapping in their order, followed by those that
// << merges into it.
func (n node) entries() []entry {
	return n.merged(map[*yaml.Node]bool{})
}

func (n node) merged(seen map[*yaml.Node]bool) []entry {
	if !n.isMap() || seen[n.y] {
		return nil
	}
	seen[n.y] = true
	defer delete(seen, n.y)
	var own, merged []entry
	for i := 0; i+1 < len(n.y.Content); i += 2 {
		key, value := n.in(n.y.Content[i]), n.in(n.y.Content[i+1])
		if key.y.Tag != "!!merge" {
			own = append(own, entry{key.y.Value, key, value})
			continue
		}
		for _, from := range value.listed() {
			merged = append(merged, from.merged(seen)...)
		}
	}
	for _, e := range merged {
		if !has(own, e.key) {
			own = append(own, e)
		}
	}
	return own
}

func has(entries []entry, key string) bool {
	for _, e := range entries {
		if e.key == key {
			return true
		}
	}
	return false
}

// get returns the value of a key, or the zero node if it is missing.
func (n node) get(key string) node {
	for _, e := range n.entries() {
		if e.key == key {
			return e.value
		}
	}
	return node{}
}

// member is a member of an object. The order of members is preserved.
type member struct {
	Name  string
	Value any
}

// object is a mapping as a plain value.
type object []member

func (o object) get(name string) any {
	for _, m := range o {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

// MarshalJSON encodes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(encode(m.Name))
		b.WriteByte(':')
		b.Write(encode(m.Value))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode encodes JSON without escaping characters that only HTML requires to be
// escaped.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return []byte("null") // an infinite number
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// maxDepth is the maximum nesting depth of values. Aliases can make a short
// file infinitely deep.
const maxDepth = 64

// plain returns the value without positions: nil, bool, float64, string, []any,
// or object.
func (n node) plain() any { return n.plainAt(maxDepth) }

func (n node) plainAt(depth int) any {
	switch {
	case !n.there() || depth == 0:
		return nil
	case n.isMap():
		o := object{}
		for _, e := range n.entries() {
			o = append(o, member{e.key, e.value.plainAt(depth - 1)})
		}
		return o
	case n.isList():
		list := []any{}
		for _, item := range n.items() {
			list = append(list, item.plainAt(depth-1))
		}
		return list
	case n.isText():
		return n.y.Value
	}
	return scalar(n.y)
}

func scalar(y *yaml.Node) any {
	var v any
	if err := y.Decode(&v); err != nil {
		return y.Value
	}
	switch v := v.(type) {
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case uint64:
		return float64(v)
	case bool, float64, nil:
		return v
	}
	return y.Value
}

// asText formats a plain value as part of a text.
func asText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return string(encode(v))
}

// parseYAML parses the first document of a file.
func parseYAML(file string, src []byte) (node, error) {
	var doc yaml.Node
	err := yaml.NewDecoder(bytes.NewReader(src)).Decode(&doc)
	if errors.Is(err, io.EOF) {
		return node{}, nil
	}
	if err != nil {
		return node{}, diag.Failed(fmt.Sprintf("the file %s is not valid YAML", file), "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return node{}, nil
	}
	return node{file: file}.in(doc.Content[0]), nil
}
