package funcs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/quern-dev/quern/lang/value"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

func evaluate(t *testing.T, text string, functions map[string]function.Function) (cty.Value, hcl.Diagnostics) {
	t.Helper()
	e, diags := hclsyntax.ParseExpression([]byte(text), "test", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return e.Value(&hcl.EvalContext{Functions: functions})
}

func TestEveryFunctionReturnsWhatItsDocumentationSays(t *testing.T) {
	functions := Functions(".")
	for _, d := range Docs() {
		if d.Text == "" || d.Example == "" || d.Group == "" {
			t.Errorf("%s is not documented in full", d.Name)
		}
		if d.Result == "" {
			continue
		}
		got, diags := evaluate(t, d.Example, functions)
		want, wantDiags := evaluate(t, d.Result, functions)
		if diags.HasErrors() || wantDiags.HasErrors() {
			t.Errorf("%s: %v %v", d.Example, diags, wantDiags)
			continue
		}
		if want, err := convert.Convert(want, got.Type()); err != nil || !want.RawEquals(got) {
			t.Errorf("%s = %s, not %s", d.Example, value.Format(got), d.Result)
		}
	}
}

func TestEveryFunctionIsDocumentedOnce(t *testing.T) {
	functions := Functions(".")
	names := Names()
	for i, name := range names {
		if i > 0 && names[i-1] == name {
			t.Errorf("%s is documented twice", name)
		}
		if _, ok := functions[name]; !ok {
			t.Errorf("%s is documented but does not exist", name)
		}
	}
	if len(names) != len(functions) {
		t.Errorf("%d functions, %d documented", len(functions), len(names))
	}
}

func TestPureFunctionsNeedNoFilesAndNoClock(t *testing.T) {
	pure := Pure()
	for _, name := range []string{"file", "fileset", "templatefile", "abspath", "pathexpand", "timestamp", "uuid"} {
		if _, ok := pure[name]; ok {
			t.Errorf("%s counts as pure", name)
		}
	}
	for _, name := range []string{"basename", "lower", "try", "jsonencode", "uuidv5", "templatestring"} {
		if _, ok := pure[name]; !ok {
			t.Errorf("%s is not among the pure functions", name)
		}
	}
	if !Impure("uuid") || Impure("uuidv5") {
		t.Error("Impure does not distinguish uuid from uuidv5")
	}
}

// write creates files in a folder.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFileFunctionsReadRelativeToTheBaseFolder(t *testing.T) {
	dir := write(t, map[string]string{
		"a.txt":       "hi",
		"t/user.tmpl": "Hello, ${upper(name)}${file(\"a.txt\")}!",
		"t/only.tmpl": "${list}",
		"t/sub/b.txt": "b",
	})
	functions := Functions(dir)
	for text, want := range map[string]cty.Value{
		`file("a.txt")`:                                 cty.StringVal("hi"),
		`filebase64("a.txt")`:                           cty.StringVal("aGk="),
		`filemd5("a.txt")`:                              cty.StringVal("49f68a5c8493ec2c0bf489821c21fc3b"),
		`fileexists("a.txt")`:                           cty.True,
		`fileexists("b.txt")`:                           cty.False,
		`fileset(".", "**/*.txt")`:                      cty.SetVal([]cty.Value{cty.StringVal("a.txt"), cty.StringVal("t/sub/b.txt")}),
		`fileset("t", "*.md")`:                          cty.SetValEmpty(cty.String),
		`abspath("a.txt")`:                              cty.StringVal(filepath.ToSlash(filepath.Join(dir, "a.txt"))),
		`templatefile("t/only.tmpl", { list = [1] })`:   cty.TupleVal([]cty.Value{cty.NumberIntVal(1)}),
		`templatefile("t/user.tmpl", { name = "Ada" })`: cty.StringVal("Hello, ADAhi!"),
	} {
		got, diags := evaluate(t, text, functions)
		if diags.HasErrors() || !got.RawEquals(want) {
			t.Errorf("%s = %#v %v", text, got, diags)
		}
	}
}

func TestErrorsOfFunctionsSayWhatToDo(t *testing.T) {
	dir := write(t, map[string]string{
		"latin1.txt": "caf\xe9",
		"bad.tmpl":   "one\n${two +}",
		"good.tmpl":  "one\n${name}",
		"self.tmpl":  "${templatefile(\"self.tmpl\", {})}",
		"d/x":        "",
		"lfs.csv":    "version https://git-lfs.github.com/spec/v1\noid sha256:0123456789abcdef\nsize 12345\n",
	})
	functions := Functions(dir)
	for text, want := range map[string]string{
		`file("none.txt")`:                         "file none.txt does not exist",
		`file("latin1.txt")`:                       "latin1.txt is not valid UTF-8; filebase64 reads any file",
		`csvdecode(file("lfs.csv"))`:               "lfs.csv is a Git LFS pointer; run git lfs pull",
		`filebase64("lfs.csv")`:                    "lfs.csv is a Git LFS pointer",
		`templatefile("lfs.csv", {})`:              "lfs.csv is a Git LFS pointer",
		`file("d")`:                                "d is a folder, not a file",
		`fileset(".", "[")`:                        "is not a valid pattern",
		`templatefile("bad.tmpl", {})`:             "bad.tmpl, line 2",
		`templatefile("good.tmpl", { nam = 1 })`:   `uses the variable "name" on line 2, but it is not given. Did you mean "nam"?`,
		`templatefile("self.tmpl", {})`:            "templatefile",
		`templatefile("good.tmpl", 1)`:             "the variables must be an object",
		`coalesce(null, "")`:                       "every argument is null or empty",
		`index(["a"], "b")`:                        "does not contain this element",
		`lookup({ a = 1 }, "b")`:                   `no attribute "b"`,
		`lookup(tomap({ a = 1 }), "b")`:            `no element "b"`,
		`length(1)`:                                "not a number",
		`one([1, 2])`:                              "more than one element",
		`sum(["a"])`:                               "every element must be a number",
		`replace("a", "/(/", "")`:                  "missing closing",
		`base64decode("?")`:                        "the string is not valid Base64",
		`base64decode("/w==")`:                     "not valid UTF-8",
		`textencodebase64("a", "none")`:            "is not supported",
		`timecmp("today", "2026-01-01T00:00:00Z")`: "a time must have the form",
		`csvencode([1])`:                           "must be an object",
		`uuidv5("none", "a")`:                      "the namespace must be",
	} {
		_, diags := evaluate(t, text, functions)
		if !diags.HasErrors() || !strings.Contains(diags.Error(), want) || strings.HasSuffix(diags.Error(), "..") {
			t.Errorf("%s: %v, wanted %q", text, diags, want)
		}
	}
}

func TestSensitiveValuesStaySensitiveThroughFunctions(t *testing.T) {
	secret := cty.StringVal("s3cret").Mark(value.Sensitive{Variable: "token"})
	ctx := &hcl.EvalContext{Functions: Functions("."), Variables: map[string]cty.Value{"token": secret}}
	for text, sensitive := range map[string]bool{
		`upper(token)`:                           true,
		`format("%s!", token)`:                   true,
		`jsonencode({ a = token })`:              true,
		`coalesce(null, token)`:                  true,
		`lookup({ a = token }, "a")`:             true,
		`try(token.x, token)`:                    true,
		`templatestring("$${t}", { t = token })`: true,
		`nonsensitive(token)`:                    false,
		`issensitive(token)`:                     false,
		`sensitive("a")`:                         true,
		`[sensitive("a")]`:                       true,
		`upper(sensitive("a"))`:                  true,
		`nonsensitive(sensitive("a"))`:           false,
	} {
		e, _ := hclsyntax.ParseExpression([]byte(text), "test", hcl.InitialPos)
		v, diags := e.Value(ctx)
		if diags.HasErrors() || value.IsSensitive(v) != sensitive {
			t.Errorf("%s = %#v %v", text, v, diags)
		}
	}
}

func TestUnknownArgumentsHaveUnknownResults(t *testing.T) {
	ctx := &hcl.EvalContext{Functions: Functions("."), Variables: map[string]cty.Value{
		"s": cty.UnknownVal(cty.String), "l": cty.UnknownVal(cty.List(cty.Number)), "any": cty.DynamicVal,
		"m": cty.UnknownVal(cty.Map(cty.String)), "b": cty.TupleVal([]cty.Value{cty.True, cty.UnknownVal(cty.Bool)}),
	}}
	for _, text := range []string{
		`file(s)`, `replace(s, "a", "b")`, `coalesce(s, "b")`, `sum(l)`, `length(l)`, `length(any)`, `length(s)`,
		`one(l)`, `index(l, 1)`, `lookup(m, "a", "b")`, `lookup(any, "a")`, `alltrue(b)`, `csvencode(any)`,
		`templatefile("x", any)`, `startswith(s, "a")`, `transpose({ a = [s] })`, `matchkeys(["a"], [s], ["b"])`,
	} {
		e, _ := hclsyntax.ParseExpression([]byte(text), "test", hcl.InitialPos)
		v, diags := e.Value(ctx)
		if diags.HasErrors() || v.IsKnown() {
			t.Errorf("%s = %#v %v", text, v, diags)
		}
	}
	// A result that an unknown element cannot change is known.
	e, _ := hclsyntax.ParseExpression([]byte(`anytrue(b)`), "test", hcl.InitialPos)
	if v, diags := e.Value(ctx); diags.HasErrors() || !v.RawEquals(cty.True) {
		t.Errorf("anytrue of true and unknown = %#v %v", v, diags)
	}
}
