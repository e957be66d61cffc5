package config

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestYAMLIsParsedAsVersion12(t *testing.T) {
	for src, want := range map[string]string{
		`vars: { question: Who is it?, next: "x" }`:  `{"vars":{"question":"Who is it?","next":"x"}}`,
		`vars: {a: why?, b: ?x}`:                     `{"vars":{"a":"why?","b":"?x"}}`,
		`[is it?, or not?]`:                          `["is it?","or not?"]`,
		"a: what? # a comment":                       `{"a":"what?"}`,
		`{a: b?c, d: http://x/?q=1&r=2}`:             `{"a":"b?c","d":"http://x/?q=1\u0026r=2"}`,
		"{? a : 1}":                                  `{"a":1}`,
		"a: 1.0\nb: 0o17\nc: true\nd: ~\ne: 1e3":     `{"a":1,"b":15,"c":true,"d":null,"e":1000}`,
		"a: &x {k: 1}\nb: {<<: *x, l: 2}":            `{"a":{"k":1},"b":{"l":2,"k":1}}`,
		"a: |\n  two\n  lines\nb: >-\n  one\n  line": `{"a":"two\nlines\n","b":"one line"}`,
	} {
		n, err := ParseYAML("a.yaml", []byte(src))
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		var got, wanted any
		if json.Unmarshal(Encode(n.Plain()), &got) != nil || json.Unmarshal([]byte(want), &wanted) != nil || string(Encode(got)) != string(Encode(wanted)) {
			t.Errorf("%s is read as %s, not %s", src, Encode(n.Plain()), want)
		}
	}
}

func TestAMistakeInYAMLIsReportedWithItsLine(t *testing.T) {
	_, err := ParseYAML("a.yaml", []byte("a: 1\nb: {c: 1\nd: [\n"))
	if err == nil || !strings.Contains(err.Error(), "a.yaml is not valid YAML") || !strings.Contains(err.Error(), "line ") {
		t.Errorf("got %v", err)
	}
	t.Log(err)
}
