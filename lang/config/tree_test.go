package config

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

func TestModulesFormATree(t *testing.T) {
	dir := folder(t, map[string]string{
		"main.quern.hcl": `
module "a" {
  source   = "./m/a"
  for_each = toset(["x"])
  text     = var.text
  plugins  = { acme = acme_eu }
}
module "b" {
  source     = "./m/b"
  depends_on = [module.a, module.a["x"]]
}
variable "text" { default = "" }
quern {
  required_plugins {
    acme_eu = { source = "registry.example.com/acme/acme", version = "~> 1.0" }
  }
}
output "n" { value = module.a["x"].n }`,
		"m/a/a.quern.json": `{
  "variable": {"text": {}},
  "module": {"b": {"source": "../b"}},
  "quern": {"required_plugins": {"acme": {"source": "registry.example.com/acme/acme", "version": "~> 1.2"}}},
  "output": {"n": {"value": "${module.b.n}"}}
}`,
		"m/b/b.quern.hcl": `
quern {
  required_plugins { acme = ">= 1.3" }
}
output "n" { value = 1 }`,
	})
	m, diags := LoadTree(dir, nil)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	a, b := m.Calls["a"], m.Calls["b"]
	if a.Module.Calls["b"].Module != b.Module {
		t.Error("two calls of one folder have different modules")
	}
	if a.Plugins["acme"] != "acme_eu" || a.Inputs["text"] == nil || len(b.DependsOn) != 2 || len(a.References()) != 1 {
		t.Errorf("a call was not read as it is written: %+v", a)
	}
	want := map[string]string{"acme_eu": "~> 1.0, ~> 1.2, >= 1.3", "acme": ">= 1.3"}
	for name, version := range want {
		if p := m.Settings.RequiredPlugins[name]; p.Version != version || p.Name != name {
			t.Errorf("%s: got %+v, want %s", name, p, version)
		}
	}
	for _, name := range []string{"main.quern.hcl", "m/a/a.quern.json", "m/b/b.quern.hcl"} {
		if m.Sources[name] == nil {
			t.Errorf("the sources do not contain %s", name)
		}
	}
	if got := b.Module.Outputs["n"].Range.Filename; got != "m/b/b.quern.hcl" {
		t.Errorf("the file of a called module has the name %s", got)
	}
	if b.Module.Dir != filepath.Join(dir, "m/b") {
		t.Errorf("the folder of a called module is %s", b.Module.Dir)
	}
}

func TestAFindLocatesModulesElsewhere(t *testing.T) {
	elsewhere := folder(t, map[string]string{"x.quern.hcl": `output "n" { value = 1 }`})
	dir := folder(t, map[string]string{"main.quern.hcl": `
module "a" { source = "acme/clean" }
output "n" { value = module.a.n }`})
	var asked []string
	find := func(parent *Module, c *Call) (string, hcl.Diagnostics) {
		asked = append(asked, parent.Dir, c.Source)
		return elsewhere, nil
	}
	m, diags := LoadTree(dir, find)
	if len(diags) > 0 || m.Calls["a"].Module.Dir != elsewhere || !slices.Equal(asked, []string{dir, "acme/clean"}) {
		t.Error(diags, asked)
	}
}
