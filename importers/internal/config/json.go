package config

import (
	"bytes"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v4"

	"github.com/quern-dev/quern/lang/diag"
)

// ParseJSON parses JSON into the same nodes as YAML. The YAML parser accepts
// most of JSON, but not its tabs. firstLine is the line of the file where src
// begins.
func ParseJSON(file string, src []byte, firstLine int) (Node, error) {
	p := &jsonParser{src: src, line: firstLine, dec: json.NewDecoder(bytes.NewReader(src))}
	p.dec.UseNumber()
	y, err := p.value(MaxDepth)
	if err == nil && p.dec.More() {
		err = fmt.Errorf("there is more text after the value")
	}
	if err != nil {
		return Node{}, diag.Failed(fmt.Sprintf("the file %s is not valid JSON", file), "line %d: %w", p.here(), err)
	}
	return Node{file, y}, nil
}

type jsonParser struct {
	src  []byte
	dec  *json.Decoder
	line int // line of pos
	pos  int
}

// here returns the line of the last token.
func (p *jsonParser) here() int {
	to := min(int(p.dec.InputOffset()), len(p.src))
	if to > p.pos {
		p.line += bytes.Count(p.src[p.pos:to], []byte("\n"))
		p.pos = to
	}
	return p.line
}

func (p *jsonParser) value(depth int) (*yaml.Node, error) {
	token, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	if depth == 0 {
		return nil, fmt.Errorf("values are nested too deeply")
	}
	line := p.here()
	switch t := token.(type) {
	case json.Delim:
		kind := yaml.SequenceNode
		if t == '{' {
			kind = yaml.MappingNode
		}
		return p.container(&yaml.Node{Kind: kind, Line: line}, depth-1)
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: t, Line: line}, nil
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: t.String(), Line: line}, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(t), Line: line}, nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null", Line: line}, nil
}

func (p *jsonParser) container(y *yaml.Node, depth int) (*yaml.Node, error) {
	y.Tag = map[yaml.Kind]string{yaml.SequenceNode: "!!seq", yaml.MappingNode: "!!map"}[y.Kind]
	for p.dec.More() {
		v, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		y.Content = append(y.Content, v)
	}
	_, err := p.dec.Token()
	return y, err
}
