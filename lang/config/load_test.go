package config

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// folder writes files to a new folder.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func printed(m *Module, opts diag.PrintOptions, dir string) string {
	_, diags := LoadTree(dir, nil)
	var b bytes.Buffer
	diag.Print(&b, diags, m.Sources, opts)
	return b.String()
}

func TestAllMistakesAreShownTogether(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no test data", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { golden(t, path) })
	}
}

func golden(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	var want *txtar.File
	for i, f := range archive.Files {
		if f.Name == "want" {
			want = &archive.Files[i]
			continue
		}
		files[f.Name] = string(f.Data)
	}
	dir := folder(t, files)
	m, _ := LoadTree(dir, nil)
	got := strings.ReplaceAll(printed(m, diag.PrintOptions{Width: 100}, dir), dir, "DIR")
	if *update {
		want.Data = []byte(got)
		if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(want.Data), got); d != "" {
		t.Error(d)
	}
}

const pipeline = `
quern {
  required_version = ">= 0.1"
  required_plugins {
    acme = { source = "example.com/acme", version = "~> 1.2" }
    side = "2.0.0"
  }
  store "local" {}
  budget {
    money  = 10
    tokens = var.tokens
  }
}

plugin "acme" {
  region = "eu"
}

variable "tokens" {
  type        = object({ a = optional(number, 3), b = string })
  default     = { b = "x" }
  description = "How many."
  sensitive   = true
  nullable    = false
  validation {
    condition     = var.tokens.a > 1
    error_message = "Too few."
  }
}

locals {
  intents = ["a", "b"]
}

source "csv" "tickets" {
  path = "data/*.csv"
}

label "rules" "intent" {
  for_each   = toset(local.intents)
  input      = source.tickets
  depends_on = [gate.ship]
  plugin     = acme
  timeout    = "5m"
  retries    = 2

  rule "spam" {
    when  = strcontains(row.text, each.key)
    label = "spam"
  }

  dynamic "rule" {
    for_each = local.intents
    iterator = it
    labels   = [it.value]
    content {
      when  = row.text == it.value
      label = var.tokens.b
    }
  }

  resources {
    cpu    = 2
    memory = "4GiB"
  }

  lifecycle {
    precondition {
      condition     = source.tickets.rows > 0
      error_message = "Nothing to label."
    }
    postcondition {
      condition     = self.errors == 0
      error_message = "Errors."
    }
  }
}

gate "ship" {
  condition     = source.tickets.rows > 10
  error_message = "Too few rows."
  check {
    condition     = true
    error_message = "Never."
  }
}

output "rows" {
  value       = source.tickets.rows
  description = "Rows."
  sensitive   = true
}
`

func TestAPipelineIsReadIntoItsParts(t *testing.T) {
	m, diags := Load(folder(t, map[string]string{"a.quern.hcl": pipeline, "notes.hcl": "x", "quern.vars.hcl": "tokens = {}"}))
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	s := m.Settings
	if s.RequiredVersion != ">= 0.1" || s.Store.Type != "local" || s.Engine != nil || s.Budget.Tokens == nil || s.Budget.Seconds != nil {
		t.Errorf("settings: %+v", s)
	}
	if acme := s.RequiredPlugins["acme"]; acme.Source != "example.com/acme" || acme.Version != "~> 1.2" || s.RequiredPlugins["side"].Version != "2.0.0" {
		t.Errorf("required plugins: %+v", s.RequiredPlugins)
	}
	if len(m.Plugins) != 1 || m.Plugins["acme"].Body.Attributes["region"] == nil {
		t.Errorf("plugins: %+v", m.Plugins)
	}
	v := m.Variables["tokens"]
	want := cty.ObjectVal(map[string]cty.Value{"a": cty.NumberIntVal(3), "b": cty.StringVal("x")})
	if !v.Default.RawEquals(want) || !v.Sensitive || v.Nullable || !v.Typed || len(v.Validations) != 1 || v.Description != "How many." {
		t.Errorf("variable: %+v", v)
	}
	if o := m.Outputs["rows"]; o == nil || !o.Sensitive || o.Expr == nil {
		t.Errorf("output: %+v", o)
	}
	var addresses []string
	for _, s := range m.Stages {
		addresses = append(addresses, s.Addr.String())
	}
	if d := cmp.Diff([]string{"source.tickets", "label.intent", "gate.ship"}, addresses); d != "" {
		t.Error(d)
	}
	if gate := m.Stage(addr.Stage{Kind: "gate", Name: "ship"}); len(gate.Conditions) != 2 || gate.Type != "" || len(gate.Body.Attributes) != 0 {
		t.Errorf("gate: %+v", gate)
	}
}

func TestAStageKeepsMetaArgumentsApartFromItsBody(t *testing.T) {
	m, _ := Parse("a.quern.hcl", []byte(pipeline))
	s := m.Stages[1]
	if s.Type != "rules" || s.Plugin != "acme" || s.ForEach == nil || s.Count != nil || s.Timeout == nil || s.Retries == nil || len(s.Pre) != 1 || len(s.Post) != 1 {
		t.Errorf("meta-arguments: %+v", s)
	}
	if s.Resources == nil || s.Resources.CPU == nil || s.Resources.Memory == nil || s.Resources.GPU != nil {
		t.Errorf("resources: %+v", s.Resources)
	}
	if names := sortedAttributes(s.Body.Attributes); len(names) != 1 || names[0] != "input" {
		t.Errorf("arguments left: %v", names)
	}
	if len(s.Body.Blocks) != 2 {
		t.Errorf("blocks left: %d", len(s.Body.Blocks))
	}
	var refs []string
	for _, r := range s.References() {
		refs = append(refs, diag.Traversal(r))
	}
	want := []string{
		"local.intents", "gate.ship", "source.tickets.rows", "self.errors", "source.tickets",
		"row.text", "each.key", "local.intents", "row.text", "var.tokens.b",
	}
	if d := cmp.Diff(want, refs); d != "" {
		t.Error(d)
	}
}

func TestAModelKeepsItsOwnTimeoutAndAPromptItsBlocks(t *testing.T) {
	m, diags := Parse("a.quern.hcl", []byte(`
model "openai" "teacher" {
  for_each = toset(["small", "large"])
  plugin   = side
  name     = each.key
  timeout  = "60s"
  price {
    input = 0.4
  }
}

prompt "classify" {
  system = "Sort."
  user   = "Message: ${row.text}"
  dynamic "example" {
    for_each = ["a"]
    content {
      user      = example.value
      assistant = "x"
    }
  }
  tool "look_up" {
    description = "Looks a customer up."
  }
  output {
    schema = { type = "object" }
  }
}

evaluate "prompt" "e" {
  metrics = { exact = output.text == row.answer }
}
`))
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	model := m.Stage(addr.Stage{Kind: "model", Name: "teacher"})
	if model.Type != "openai" || model.Plugin != "side" || model.ForEach == nil || model.Timeout != nil {
		t.Errorf("meta-arguments of the model: %+v", model)
	}
	if names := sortedAttributes(model.Body.Attributes); !slices.Equal(names, []string{"name", "timeout"}) || len(model.Body.Blocks) != 1 {
		t.Errorf("arguments left to the model's type: %v", names)
	}
	prompt := m.Stage(addr.Stage{Kind: "prompt", Name: "classify"})
	if names := sortedAttributes(prompt.Body.Attributes); prompt.Type != "" || !slices.Equal(names, []string{"system", "user"}) || len(prompt.Body.Blocks) != 3 {
		t.Errorf("the prompt: %+v, %v", prompt, names)
	}
}

func TestAFileThatIsNotUTF8IsReportedWithThePosition(t *testing.T) {
	for name, c := range map[string]struct{ src, want string }{
		"Latin-1": {"# ok\nlocals { a = \"caf\xe9\" }\n", "older encoding"},
		"UTF-16":  {"\xff\xfel\x00o\x00", "UTF-16"},
		"binary":  {"a\x00\x01\xff", "binary data"},
	} {
		m, diags := Parse("a.quern.hcl", []byte(c.src))
		if len(diags) != 1 || diags[0].Summary != "File is not UTF-8" || !strings.Contains(diags[0].Detail, c.want) || !m.Incomplete {
			t.Errorf("%s: %v", name, diags)
		}
		if name == "Latin-1" && (diags[0].Subject.Start.Line != 2 || diags[0].Subject.Start.Column != 18) {
			t.Errorf("the range is %v", diags[0].Subject)
		}
	}
}

func TestWindowsLineEndingsBecomeUnixOnes(t *testing.T) {
	const unix = "locals {\n  a = <<-EOT\n    x\n    y\n  EOT\n}\n"
	m, diags := Parse("main.quern.hcl", []byte(strings.ReplaceAll(unix, "\n", "\r\n")))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	got, diags := m.Locals["a"].Expr.Value(nil)
	if diags.HasErrors() || got.AsString() != "x\ny\n" {
		t.Errorf("the text is %#v: %v", got, diags)
	}
	if string(m.Sources["main.quern.hcl"]) != unix {
		t.Error("ranges of diagnostics would not match the stored text")
	}
}

func TestBracketsWithoutEndDoNotBreakTheParser(t *testing.T) {
	for _, open := range []string{"(", "[", "{ a = ", "f(", "\"${"} {
		_, diags := Parse("a.quern.hcl", []byte("locals {\n  a = "+strings.Repeat(open, 100_000)))
		if len(diags) != 1 || diags[0].Summary != "Nested too deeply" {
			t.Errorf("%s: %d diagnostics", open, len(diags))
		}
	}
	text := "locals {\n  a = \"" + strings.Repeat("(", 10_000) + "\"\n}\n"
	if _, diags := Parse("a.quern.hcl", []byte(text)); len(diags) > 0 {
		t.Errorf("brackets in a text: %v", diags)
	}
}

func TestAFolderWithoutConfigurationSaysWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"nothing":         {nil, "-chdir"},
		"only plain HCL":  {map[string]string{"main.hcl": ""}, "Rename it to main.quern.hcl"},
		"only variables":  {map[string]string{"quern.vars.hcl": ""}, "contains no files"},
		"only hidden one": {map[string]string{".a.quern.hcl": ""}, "contains no files"},
	} {
		_, diags := Load(folder(t, c.files))
		if len(diags) != 1 || !strings.Contains(diags[0].Detail, c.want) {
			t.Errorf("%s: %v", name, diags)
		}
	}
	if m, diags := Load(filepath.Join(t.TempDir(), "none")); m == nil || len(diags) != 1 || diags[0].Summary != "Cannot read folder" {
		t.Errorf("a folder that does not exist: %v", diags)
	}
}

func TestTheVersionOfQuernIsCheckedAgainstTheModule(t *testing.T) {
	m, _ := Parse("a.quern.hcl", []byte("quern {\n  required_version = \"~> 1.2\"\n}"))
	for version, ok := range map[string]bool{"1.2.0": true, "1.3.0-beta1": true, "1.1.9": false, "2.0.0": false, "dev": true} {
		if diags := m.CheckVersion(version); diags.HasErrors() == ok {
			t.Errorf("%s: %v", version, diags)
		}
	}
}

func TestThePluralOfAKindIsReportedWithTheRightName(t *testing.T) {
	for block, want := range map[string]string{
		"deployments": `deploy "TYPE" "NAME" { … }`, "gates": `gate "NAME" { … }`, "models": `model "TYPE" "NAME" { name = … }`,
	} {
		_, diags := Parse("a.quern.hcl", []byte(block+" {\n}\n"))
		if len(diags) != 1 || !strings.Contains(diags[0].Detail, "has its own block: "+want) {
			t.Errorf("%s: %v", block, diags)
		}
	}
}

func FuzzLoad(f *testing.F) {
	paths, _ := filepath.Glob("testdata/*.txtar")
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(file.Data)
		}
	}
	f.Add([]byte(pipeline))
	f.Add([]byte("a \"\xff\" {"))
	f.Fuzz(func(t *testing.T, src []byte) {
		m, diags := Parse("a.quern.hcl", src)
		if m == nil {
			t.Fatal("no module")
		}
		for _, s := range m.Stages {
			s.References()
		}
		for _, color := range []bool{false, true} {
			diag.Print(&bytes.Buffer{}, diags, m.Sources, diag.PrintOptions{Color: color, Width: 40})
		}
		diag.JSON(diags, m.Sources, diag.PrintOptions{})
	})
}
