package vars

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/value"
	"github.com/zclconf/go-cty/cty"
)

// load writes files to a folder and reads the configuration in it.
func load(t *testing.T, files map[string]string) *config.Module {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, diags := config.Load(dir)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return m
}

func declare(t *testing.T, text string) *config.Module {
	return load(t, map[string]string{"a.quern.hcl": text})
}

// variable declares one variable on a line.
func variable(name, body string) string {
	return "variable \"" + name + "\" {\n" + body + "\n}\n"
}

func TestLaterSourcesTakePrecedence(t *testing.T) {
	files := map[string]string{"a.quern.hcl": variable("x", `default = "default"`)}
	extra := filepath.Join(t.TempDir(), "extra.hcl")
	if err := os.WriteFile(extra, []byte(`x = "-var-file"`), 0o644); err != nil {
		t.Fatal(err)
	}
	var in Inputs
	expect := func(want string) {
		t.Helper()
		m := load(t, files)
		got, diags := Resolve(m, in)
		if diags.HasErrors() || !got["x"].RawEquals(cty.StringVal(want)) {
			t.Errorf("%#v %v, wanted %s", got["x"], diags, want)
		}
	}
	expect("default")
	in.Env = []string{"PATH=/", "QUERN_VAR_x=env", "QUERN_VAR_other=1"}
	expect("env")
	files["quern.vars.hcl"] = `x = "file"`
	expect("file")
	files["b.auto.vars.hcl"] = `x = "b"`
	files["a.auto.vars.hcl"] = `x = "a"`
	expect("b")
	in.Files = []string{extra}
	expect("-var-file")
	in.Flags = []string{"x=one", "x=a=b"}
	expect("a=b")
}

func TestValuesAreConvertedToTheirTypes(t *testing.T) {
	for _, c := range []struct {
		body, flag string
		want       cty.Value
	}{
		{``, "x=[1]", cty.StringVal("[1]")},
		{`type = string`, "x=1", cty.StringVal("1")},
		{`type = string`, "x=", cty.StringVal("")},
		{`type = number`, "x=1.5", cty.NumberFloatVal(1.5)},
		{`type = bool`, "x=true", cty.True},
		{`type = any`, "x=[1, \"a\"]", cty.TupleVal([]cty.Value{cty.NumberIntVal(1), cty.StringVal("a")})},
		{`type = list(number)`, `x=["1", 2]`, cty.ListVal([]cty.Value{cty.NumberIntVal(1), cty.NumberIntVal(2)})},
		{`type = set(string)`, `x=["a", "a"]`, cty.SetVal([]cty.Value{cty.StringVal("a")})},
		{`type = map(string)`, `x={ a = 1 }`, cty.MapVal(map[string]cty.Value{"a": cty.StringVal("1")})},
		{`type = object({ a = string, n = optional(number, 3), o = optional(string) })`, `x={ a = "b", extra = 1 }`,
			cty.ObjectVal(map[string]cty.Value{"a": cty.StringVal("b"), "n": cty.NumberIntVal(3), "o": cty.NullVal(cty.String)})},
		{`type = list(string)`, `x=null`, cty.NullVal(cty.List(cty.String))},
		{"type = list(string)\nnullable = false\ndefault = []", `x=null`, cty.ListValEmpty(cty.String)},
	} {
		m := declare(t, variable("x", c.body))
		got, diags := Resolve(m, Inputs{Flags: []string{c.flag}})
		if diags.HasErrors() || !got["x"].RawEquals(c.want) {
			t.Errorf("%s with %s = %#v %v", c.body, c.flag, got["x"], diags)
		}
	}
}

func TestValuesOfSensitiveVariablesAreMarked(t *testing.T) {
	m := declare(t, variable("token", "sensitive = true")+variable("plain", `default = 1`))
	got, diags := Resolve(m, Inputs{Env: []string{"QUERN_VAR_token=s3cret"}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if !got["token"].HasMark(value.Sensitive{Variable: "token"}) || value.IsSensitive(got["plain"]) {
		t.Errorf("%#v", got)
	}
}

func TestSensitiveValuesAreNotInMessages(t *testing.T) {
	m := declare(t, variable("token", `
  sensitive = true
  type      = string
  validation {
    condition     = startswith(var.token, "sk-")
    error_message = "Not a token: ${var.token}"
  }`))
	_, diags := Resolve(m, Inputs{Flags: []string{"token=s3cret"}})
	var text bytes.Buffer
	diag.Print(&text, diags, m.Sources, diag.PrintOptions{})
	if len(diags) != 1 || strings.Contains(text.String(), "s3cret") || !strings.Contains(text.String(), "var.token is sensitive") {
		t.Errorf("%s", text.String())
	}
}

func TestErrorsInValuesSayHowToFixThem(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		in    Inputs
		want  []string
	}{
		"a variable that is not set": {
			map[string]string{"a.quern.hcl": variable("token", "type = map(number)\ndescription = \"Weights.\"")},
			Inputs{Env: []string{"QUERN_VAR_tokne=1"}},
			[]string{"Variable is not set: Description of var.token: Weights.\n\nvar.token has no default, so it needs a value. Set it in one of these ways:\n\n" +
				"  quern … -var 'token={ key = 1 }'\n  QUERN_VAR_token='{ key = 1 }' quern …\n  token = { key = 1 }   in quern.vars.hcl, or in a file given with -var-file=FILE\n\n" +
				"or add a default to the variable. The environment contains QUERN_VAR_tokne. Did you mean that for this variable?"},
		},
		"variables that are not declared": {
			map[string]string{"a.quern.hcl": variable("token", "default = 1"), "quern.vars.hcl": "tokne = 1\nother = 2\n"},
			Inputs{Flags: []string{"tokens=1", "none", "=1"}},
			[]string{
				`Invalid -var: A value given with -var does not have the form NAME=VALUE. Write -var 'NAME=VALUE'.`,
				`Invalid -var: A value given with -var does not have the form NAME=VALUE. Write -var 'NAME=VALUE'.`,
				`Undeclared variable: -var sets var.tokens, but the pipeline does not declare this variable. Did you mean "token"?`,
				`Undeclared variable: quern.vars.hcl sets var.tokne, but the pipeline does not declare this variable. Did you mean "token"?`,
				`Undeclared variable: quern.vars.hcl sets var.other, but the pipeline does not declare this variable. Declare it with variable "other" { }, or remove this value.`,
			},
		},
		"values of the wrong type": {
			map[string]string{"a.quern.hcl": variable("n", "type = number") + variable("o", "type = object({ a = list(number) })") + variable("l", "type = list(string)"), "quern.vars.hcl": "o = { a = [\"x\"] }"},
			Inputs{Flags: []string{"n=many", "l=[a]"}},
			[]string{
				`Value does not match the type: -var sets var.n to a value that is not of type number: a number is required.`,
				`Value must be constant: -var sets var.l to a value that refers to a. Values of variables must be literals. If you meant a string, put it in quotes: "a".`,
				`Value does not match the type: quern.vars.hcl sets var.o to a value that is not of type object({a=list(number)}): at a[0]: a number is required.`,
			},
		},
		"values that cannot be read": {
			map[string]string{"a.quern.hcl": variable("l", "type = list(string)"), "quern.vars.hcl": "l = [f(1)]\nvariable \"x\" {}\nb {}\n"},
			Inputs{},
			[]string{
				`Function calls not allowed: Functions may not be called here.`,
				`Block in a variables file: A variables file can contain only values, such as x = … . Declare variables in files whose names end in .quern.hcl.`,
				`Block in a variables file: A variables file can contain only values. Write b = { … } with an equals sign.`,
			},
		},
		"a text that is no expression": {
			map[string]string{"a.quern.hcl": variable("l", "type = list(string)")},
			Inputs{Flags: []string{"l=[1 2]"}},
			[]string{`Invalid value: -var sets var.l to a value that is not a valid expression. The variable is of type list(string). Expected a comma to mark the beginning of the next item. For example, write ["value"].`},
		},
		"null where it is not allowed": {
			map[string]string{"a.quern.hcl": variable("x", "nullable = false"), "quern.vars.hcl": "x = null"},
			Inputs{},
			[]string{`Value is null: var.x has nullable = false, but quern.vars.hcl sets it to null.`},
		},
		"validations that fail": {
			map[string]string{"a.quern.hcl": variable("x", `
  default = 3
  validation {
    condition     = var.x < var.y
    error_message = "x must be below ${var.y}."
  }
  validation {
    condition     = "maybe"
    error_message = "never"
  }`) + variable("y", "default = 2")},
			Inputs{},
			[]string{
				"Invalid value for variable: x must be below 2.\n\nThis was checked by the validation at a.quern.hcl:4.",
				"Invalid condition: The condition of a validation must evaluate to true or false. Compare with ==, or test with can(…).",
			},
		},
		"files that are not there or not UTF-8": {
			map[string]string{"a.quern.hcl": "", "a.auto.vars.hcl": "a = \"\xff\""},
			Inputs{Files: []string{"/nowhere/x.hcl"}},
			[]string{
				"Cannot read variables file: open /nowhere/x.hcl: no such file or directory. Check the path given with -var-file.",
				"File is not UTF-8: The byte 0xff is not valid UTF-8. The file may be in an older encoding such as Latin-1. Save it as UTF-8.",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			values, diags := Resolve(load(t, c.files), c.in)
			var got []string
			for _, d := range diags {
				got = append(got, d.Summary+": "+d.Detail)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			for name, v := range values {
				if v == cty.NilVal {
					t.Errorf("%s has no value at all", name)
				}
			}
		})
	}
}

func TestFilesOfVariablesAreAmongTheSources(t *testing.T) {
	m := load(t, map[string]string{"a.quern.hcl": "", "quern.vars.hcl": "x = 1"})
	_, diags := Resolve(m, Inputs{})
	var text bytes.Buffer
	diag.Print(&text, diags, m.Sources, diag.PrintOptions{})
	if !strings.Contains(text.String(), "   1: x = 1") {
		t.Error(text.String())
	}
}

func TestTheRootModuleHasNoVariablesThatAreArtifacts(t *testing.T) {
	required := map[string]string{"a.quern.hcl": variable("texts", `type = dataset({ text = string })`)}
	optional := map[string]string{"a.quern.hcl": variable("texts", "type = dataset\ndefault = null")}
	for _, c := range []struct {
		files map[string]string
		in    Inputs
		want  string
	}{
		{required, Inputs{}, "only the module block of another module can pass"},
		{optional, Inputs{}, ""},
		{optional, Inputs{Flags: []string{"texts=a.csv"}}, "-var sets var.texts. var.texts is a dataset"},
		{optional, Inputs{Env: []string{EnvPrefix + "texts=a.csv"}}, EnvPrefix + "texts sets var.texts"},
	} {
		got, diags := Resolve(load(t, c.files), c.in)
		if diags.HasErrors() != (c.want != "") || (c.want != "" && !strings.Contains(diags.Error(), c.want)) {
			t.Errorf("%v: %v", c, diags)
		}
		if c.want == "" && !got["texts"].IsNull() {
			t.Errorf("%#v", got)
		}
	}
}
