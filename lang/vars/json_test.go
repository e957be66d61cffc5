package vars

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

func TestFilesOfVariablesMayBeJSON(t *testing.T) {
	files := map[string]string{
		"a.quern.hcl":     variable("x", ``) + variable("y", `type = list(number)`),
		"quern.vars.hcl":  `x = "hcl"`,
		"quern.vars.json": "\ufeff" + `{"x": "${a}", "y": [1, 2.5]}`,
	}
	expect := func(x string, in Inputs) {
		t.Helper()
		got, diags := Resolve(load(t, files), in)
		want := cty.ListVal([]cty.Value{cty.NumberIntVal(1), cty.NumberFloatVal(2.5)})
		if diags.HasErrors() || !got["x"].RawEquals(cty.StringVal(x)) || !got["y"].RawEquals(want) {
			t.Errorf("%#v %v", got, diags)
		}
	}
	expect("${a}", Inputs{})
	files["a.auto.vars.json"] = `{"x": "a"}`
	expect("a", Inputs{})
	files["b.auto.vars.hcl"] = `x = "b"`
	expect("b", Inputs{})
	extra := filepath.Join(t.TempDir(), "extra.json")
	if err := os.WriteFile(extra, []byte(`{"x": "extra"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	expect("extra", Inputs{Files: []string{extra}})
}

func TestMistakesInJSONFilesAreFound(t *testing.T) {
	for text, want := range map[string]string{
		`{"y": 1}`:           "Undeclared variable",
		`{"x": 1`:            "",
		`{"x": 1, "x": 2}`:   "",
		`[1]`:                "",
		"{\"x\": \"\xff\"}":  "File is not UTF-8",
		`{"x": 1e999999999}`: "",
		`{"x": ` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`: "Nested too deeply",
	} {
		m := load(t, map[string]string{"a.quern.hcl": variable("x", `default = 1`), "quern.vars.json": text})
		_, diags := Resolve(m, Inputs{})
		if !diags.HasErrors() || (want != "" && diags[0].Summary != want) {
			t.Errorf("%.60s: %v", text, diags)
		}
	}
}
