package config

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

// Node is a value in a configuration with its position. The zero node is a
// missing value.
type Node struct {
	File string
	YAML *yaml.Node
}

// Entry is a key of a mapping with its value.
type Entry struct {
	Key   string
	At    Node
	Value Node
}

// IsSet reports whether there is a value other than null.
func (n Node) IsSet() bool { return n.YAML != nil && n.YAML.Tag != "!!null" }

// IsMap reports whether the node is a mapping.
func (n Node) IsMap() bool { return n.YAML != nil && n.YAML.Kind == yaml.MappingNode }

// IsList reports whether the node is a list.
func (n Node) IsList() bool { return n.YAML != nil && n.YAML.Kind == yaml.SequenceNode }

// IsText reports whether the node is a string rather than another scalar.
func (n Node) IsText() bool {
	return n.YAML != nil && n.YAML.Kind == yaml.ScalarNode && (n.YAML.Tag == "!!str" || n.YAML.Tag == "!!timestamp" || n.YAML.Tag == "!!binary")
}

// Line returns the line of the node, from 1.
func (n Node) Line() int {
	if n.YAML == nil || n.YAML.Line == 0 {
		return 1
	}
	return n.YAML.Line
}

// Text returns the text of a scalar, or "" for anything else.
func (n Node) Text() string {
	if n.YAML == nil || n.YAML.Kind != yaml.ScalarNode || n.YAML.Tag == "!!null" {
		return ""
	}
	if n.IsText() {
		return n.YAML.Value
	}
	return AsText(n.Plain())
}

// Number returns the number in a scalar, even if it is quoted.
func (n Node) Number() (float64, bool) {
	if n.YAML == nil || n.YAML.Kind != yaml.ScalarNode {
		return 0, false
	}
	if n.IsText() {
		f, err := strconv.ParseFloat(strings.TrimSpace(n.YAML.Value), 64)
		return f, err == nil
	}
	f, ok := n.Plain().(float64)
	return f, ok
}

// IsTrue reports whether the node is the bool true.
func (n Node) IsTrue() bool {
	b, ok := n.Plain().(bool)
	return ok && b
}

// in returns the node for a value inside this one.
func (n Node) in(y *yaml.Node) Node {
	for y != nil && y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	return Node{n.File, y}
}

// Items returns the elements of a list.
func (n Node) Items() []Node {
	if !n.IsList() {
		return nil
	}
	items := make([]Node, len(n.YAML.Content))
	for i, y := range n.YAML.Content {
		items[i] = n.in(y)
	}
	return items
}

// Listed returns the elements of a list, or the value itself if it is not a
// list.
func (n Node) Listed() []Node {
	switch {
	case n.IsList():
		return n.Items()
	case n.IsSet():
		return []Node{n}
	}
	return nil
}

// Entries returns the keys of a mapping in their order, followed by those that
// << merges into it.
func (n Node) Entries() []Entry {
	return n.merged(map[*yaml.Node]bool{})
}

func (n Node) merged(seen map[*yaml.Node]bool) []Entry {
	if !n.IsMap() || seen[n.YAML] {
		return nil
	}
	seen[n.YAML] = true
	defer delete(seen, n.YAML)
	var own, merged []Entry
	for i := 0; i+1 < len(n.YAML.Content); i += 2 {
		key, value := n.in(n.YAML.Content[i]), n.in(n.YAML.Content[i+1])
		if key.YAML.Tag != "!!merge" {
			own = append(own, Entry{key.YAML.Value, key, value})
			continue
		}
		for _, from := range value.Listed() {
			merged = append(merged, from.merged(seen)...)
		}
	}
	for _, e := range merged {
		if !has(own, e.Key) {
			own = append(own, e)
		}
	}
	return own
}

func has(entries []Entry, key string) bool {
	for _, e := range entries {
		if e.Key == key {
			return true
		}
	}
	return false
}

// Get returns the value of a key, or the zero node if it is missing.
func (n Node) Get(key string) Node {
	for _, e := range n.Entries() {
		if e.Key == key {
			return e.Value
		}
	}
	return Node{}
}

// Member is a member of an object. The order of members is preserved.
type Member struct {
	Name  string
	Value any
}

// Object is a mapping as a plain value.
type Object []Member

// Get returns a member's value, or nil if there is none.
func (o Object) Get(name string) any {
	for _, m := range o {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

// MarshalJSON encodes the members in their order.
func (o Object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(Encode(m.Name))
		b.WriteByte(':')
		b.Write(Encode(m.Value))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Encode encodes JSON without escaping characters that only HTML requires to be
// escaped.
func Encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return []byte("null") // an infinite number
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// MaxDepth is the maximum nesting depth of values. Aliases can make a short
// file infinitely deep.
const MaxDepth = 64

// Plain returns the value without positions: nil, bool, float64, string, []any,
// or object.
func (n Node) Plain() any { return n.plainAt(MaxDepth) }

func (n Node) plainAt(depth int) any {
	switch {
	case !n.IsSet() || depth == 0:
		return nil
	case n.IsMap():
		o := Object{}
		for _, e := range n.Entries() {
			o = append(o, Member{e.Key, e.Value.plainAt(depth - 1)})
		}
		return o
	case n.IsList():
		list := []any{}
		for _, item := range n.Items() {
			list = append(list, item.plainAt(depth-1))
		}
		return list
	case n.IsText():
		return n.YAML.Value
	}
	return scalar(n.YAML)
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

// AsText formats a plain value as part of a text.
func AsText(v any) string {
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
	return string(Encode(v))
}

// ParseYAML parses the first document of a file.
func ParseYAML(file string, src []byte) (Node, error) {
	var doc yaml.Node
	err := yaml.NewDecoder(bytes.NewReader(src)).Decode(&doc)
	if errors.Is(err, io.EOF) {
		return Node{}, nil
	}
	if err != nil {
		return Node{}, diag.Failed(fmt.Sprintf("the file %s is not valid YAML", file), "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return Node{}, nil
	}
	return Node{File: file}.in(doc.Content[0]), nil
}
