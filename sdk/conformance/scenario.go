package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"go.yaml.in/yaml/v4"
)

//go:embed scenarios/*.yaml
var files embed.FS

// Scenario is one file of scenarios. README.md specifies the form.
type Scenario struct {
	Name string `json:"-"`
	Doc  string `json:"doc"`
	// Define holds what the anchors of the file name.
	Define any `json:"define"`
	// Configuration is that of the plugin's block. If it is set, the scenario has
	// a process of its own.
	Configuration map[string]any `json:"configuration"`
	// Files are written to the scenario's folder at first.
	Files map[string]string `json:"files"`
	Steps []Step            `json:"steps"`
	// End says how the process ends.
	End string `json:"end"`
}

// Step is one call and what is expected of it.
type Step struct {
	Call     string           `json:"call"`
	Request  map[string]any   `json:"request"`
	Requests []map[string]any `json:"requests"`
	// Host serves the models that README.md specifies to the call.
	Host bool `json:"host"`
	// Parallel is how often the call is made at the same time; 0: once.
	Parallel int `json:"parallel"`
	// After names what happens once the first response has come: stop or cancel.
	After  string         `json:"after"`
	Expect map[string]any `json:"expect"`
	Status string         `json:"status"`
	// Files are files of the scenario's folder afterward, and their contents.
	Files map[string]any `json:"files"`
	// Within is a time limit in seconds; 0: 60.
	Within float64 `json:"within"`
}

// scenarios reads all scenarios, in the order of their names.
func scenarios() ([]Scenario, error) {
	entries, err := files.ReadDir("scenarios")
	if err != nil {
		return nil, err
	}
	var all []Scenario
	for _, e := range entries {
		text, err := files.ReadFile(path.Join("scenarios", e.Name()))
		if err != nil {
			return nil, err
		}
		s, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		s.Name = strings.TrimSuffix(e.Name(), ".yaml")
		all = append(all, s)
	}
	return all, nil
}

// unknown is the text that stands for a value tagged !unknown, and refined for
// one tagged !refined.
const (
	unknown = "\x00unknown"
	refined = "\x00refined"
)

func parse(text []byte) (s Scenario, err error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return s, err
	}
	tree, err := plain(doc.Content[0])
	if err != nil {
		return s, err
	}
	asJSON, err := json.Marshal(tree)
	if err != nil {
		return s, err
	}
	d := json.NewDecoder(bytes.NewReader(asJSON))
	d.UseNumber()
	d.DisallowUnknownFields()
	err = d.Decode(&s)
	return s, err
}

// plain converts YAML to what JSON can hold. Numbers keep all their digits.
func plain(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.AliasNode:
		return plain(n.Alias)
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, c := range n.Content {
			var err error
			if out[i], err = plain(c); err != nil {
				return nil, err
			}
		}
		return out, nil
	case yaml.MappingNode:
		return plainMap(n)
	}
	switch n.Tag {
	case "!unknown":
		return unknown, nil
	case "!refined":
		return refined, nil
	case "!!int", "!!float":
		return json.Number(n.Value), nil
	}
	var v any
	err := n.Decode(&v)
	return v, err
}

// plainMap converts a mapping. Members of what << names come first.
func plainMap(n *yaml.Node) (any, error) {
	out := map[string]any{}
	for i := 0; i < len(n.Content); i += 2 {
		v, err := plain(n.Content[i+1])
		if err != nil {
			return nil, err
		}
		if key := n.Content[i].Value; key != "<<" {
			out[key] = v
			continue
		}
		base, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("line %d: << needs a mapping", n.Line)
		}
		for k, v := range base {
			if _, set := out[k]; !set {
				out[k] = v
			}
		}
	}
	return out, nil
}
