package config

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
)

func TestJSONNodesHaveTheRangesOfTheirText(t *testing.T) {
	const src = `{
  "locals": {
    "plain": "${var.a} and ${upper(var.b)}",
    "escaped": "\"é\" \\ \u00e9\ud83d\ude00\n${var.c[\"k\"]} ${length(\"y\\\"z\") + var.d}",
    "nested": [{ "k\t${var.e}": "\/${var.f}" }]
  },
  "variable": { "a": {}, "b": {}, "c": {}, "d": {}, "e": {}, "f": {} }
}`
	m, diags := Parse("main.quern.json", []byte(src))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var found []string
	for _, name := range []string{"plain", "escaped", "nested"} {
		for _, v := range Variables(m.Locals[name].Expr) {
			r := v.SourceRange()
			found = append(found, src[r.Start.Byte:r.End.Byte])
			line := src[strings.LastIndexByte(src[:r.Start.Byte], '\n')+1 : r.Start.Byte]
			if r.Start.Line != 1+strings.Count(src[:r.Start.Byte], "\n") || r.Start.Column != 1+utf8.RuneCountInString(line) {
				t.Errorf("%s is at %s", found[len(found)-1], r)
			}
		}
	}
	if want := []string{"var.a", "var.b", `var.c[\"k\"]`, "var.d", "var.e", "var.f"}; !slices.Equal(found, want) {
		t.Errorf("%q", found)
	}
}

func TestJSONReadsStringsByTheirPosition(t *testing.T) {
	m, diags := Parse("main.quern.json", []byte(`{
  "//": "about all",
  "quern": { "required_version": ">= 0.1", "required_plugins": { "acme": { "source": "example.com/acme", "version": "~> 1.0" }, "b": "1.0.0" }, "budget": { "money": "${var.v}" } },
  "variable": { "v": { "type": "list(string)", "default": ["${x}"], "description": "a ${b}", "//": "c" } },
  "gate": { "g": { "condition": true, "error_message": "x" } },
  "output": { "o": { "value": "$${x} %{ if true }y%{ endif }", "depends_on": ["gate.g"] }, "n": { "value": null } },
  "check": { "c": { "assert": [ { "condition": true, "error_message": "x" }, { "condition": true, "error_message": "y" } ] } }
}`))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	v := m.Variables["v"]
	if !v.Type.Equals(cty.List(cty.String)) || !v.Default.RawEquals(cty.ListVal([]cty.Value{cty.StringVal("${x}")})) || v.Description != "a ${b}" {
		t.Errorf("%#v", v)
	}
	if len(m.Outputs["o"].DependsOn) != 1 || len(m.Checks["c"].Asserts) != 2 {
		t.Errorf("%+v %+v", m.Outputs["o"], m.Checks["c"])
	}
	if o, diags := m.Outputs["o"].Expr.Value(nil); diags.HasErrors() || o.AsString() != "${x} y" {
		t.Errorf("%#v %v", o, diags)
	}
	if p := m.Settings.RequiredPlugins["acme"]; p.Source != "example.com/acme" || p.Version != "~> 1.0" || m.Settings.RequiredPlugins["b"].Version != "1.0.0" {
		t.Errorf("%+v", p)
	}
	if refs := Variables(m.Settings.Budget.Money); len(refs) != 1 {
		t.Errorf("%v", refs)
	}
}

func TestABodyInJSONTakesTheShapeOfItsType(t *testing.T) {
	m, diags := Parse("main.quern.json", []byte(`{ "label": { "rules": { "l": {
  "depends_on": [],
  "rule": { "a": { "when": "${row.x}" }, "b": [ { "when": true }, { "when": false } ] },
  "dynamic": { "rule": { "for_each": [1], "labels": ["c"], "content": { "when": "${rule.value == row.y}", "inner": { "z": 1 } } } },
  "columns": { "rule": 1 }
} } } }`))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s := m.Stage(addr.Stage{Kind: "label", Name: "l"})
	if s.Body.Attributes["rule"] == nil || len(s.Body.Blocks) != 1 {
		t.Errorf("before: %+v", s.Body)
	}
	for range 2 { // it can be applied twice
		diags = s.Shape(func() map[string]*Shape {
			return map[string]*Shape{"rule": {Labels: []string{"label"}, Blocks: map[string]*Shape{"inner": {}}}}
		})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
	}
	var got []string
	for _, b := range s.Body.Blocks {
		got = append(got, b.Type+" "+strings.Join(b.Labels, " "))
	}
	if want := []string{"rule a", "rule b", "rule b", "dynamic rule"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	content := s.Body.Blocks[3].Body.Blocks[0].Body
	if len(content.Blocks) != 1 || content.Blocks[0].Type != "inner" || content.Attributes["when"] == nil {
		t.Errorf("%+v", content)
	}
	if len(s.Body.Attributes) != 1 || s.Body.Attributes["columns"] == nil {
		t.Errorf("%+v", s.Body.Attributes)
	}
	if _, ok := s.Body.Attributes["columns"].Expr.(*hclsyntax.ObjectConsExpr); !ok {
		t.Errorf("%T", s.Body.Attributes["columns"].Expr)
	}
}

func TestMistakesInJSONAreReported(t *testing.T) {
	for src, want := range map[string]string{
		`{`:                                      "Root value must be object",
		`[]`:                                     "A JSON configuration must be an object",
		`3`:                                      "Root value must be object",
		`{"resource": {}}`:                       `"resource" is not a block type`,
		`{"locals": 3}`:                          "object or a JSON array",
		`{"source": {"csv": 3}}`:                 "object",
		`{"source": {"csv": {}}}`:                "Missing block label",
		`{"locals": {"a": {"x": 1, "x": 2}}}`:    `The key "x" is already set`,
		`{"locals": {"a": "${"}}`:                "expression",
		`{"variable": {"v": {"type": "strin"}}}`: "string",
		`{"output": {"o": {"value": 1, "depends_on": ["1 +"]}}}`: "expression",
		"{\"locals\": {\"a\": \"\xff\"}}":                        "UTF-8",
		strings.Repeat("[", 3000):                                "Nested too deeply",
	} {
		_, diags := Parse("main.quern.json", []byte(src))
		found := false
		for _, d := range diags {
			found = found || strings.Contains(d.Summary+" "+d.Detail, want)
		}
		if !found {
			t.Errorf("%.60s: %v", src, diags)
		}
	}
}

func FuzzParseJSON(f *testing.F) {
	f.Add(`{"locals": {"a": "\"${var.a}\u00e9\ud83d\ude00", "b": {"${x}": ["\\${1}"]}}, "source": {"csv": {"t": {"path": "x", "dynamic": {"a": {"content": {}}}}}}}`)
	f.Fuzz(func(t *testing.T, src string) {
		m, diags := Parse("main.quern.json", []byte(src))
		for _, d := range diags {
			if d.Subject != nil && (d.Subject.Start.Byte < 0 || d.Subject.Start.Byte > len(src)) {
				t.Errorf("%v", d)
			}
		}
		for _, l := range m.Locals {
			for _, v := range Variables(l.Expr) {
				if r := v.SourceRange(); r.Start.Byte < 0 || r.End.Byte > len(src) || r.Start.Byte > r.End.Byte {
					t.Errorf("%v", r)
				}
			}
		}
	})
}

func TestDiagnosticsNameTheStageInWhoseBlockTheyAre(t *testing.T) {
	for name, src := range map[string]string{
		"main.quern.hcl":  "source \"csv\" \"a\" {\n  path = 1\n}\ntransform \"map\" \"b\" {\n  input = source.missing\n}\noutput \"o\" {\n  value = source.gone\n}\n",
		"main.quern.json": `{"source": {"csv": {"a": {"path": 1}}}, "transform": {"map": {"b": {"input": "${source.missing}"}}}, "output": {"o": {"value": "${source.gone}"}}}`,
	} {
		_, diags := Parse(name, []byte(src))
		got := map[string]string{}
		for _, d := range diags {
			for _, word := range []string{"missing", "gone"} {
				if strings.Contains(d.Detail, word) {
					got[word] = diag.Address(d)
				}
			}
		}
		if len(got) != 2 || got["missing"] != "transform.b" || got["gone"] != "" {
			t.Errorf("%s: %v of %v", name, got, diags)
		}
	}
}
