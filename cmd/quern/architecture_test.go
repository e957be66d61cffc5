package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/quern-dev/quern/"

// mayImport says, for each folder, which other folders of the module its
// packages can import. The longest matching folder applies.
var mayImport = map[string][]string{
	"internal":            {"internal", "sdk"},
	"sdk":                 {"sdk"},
	"plugins":             {"sdk", "plugins", "internal"},
	"plugins/publication": {"sdk", "plugins", "internal", "ui/export"}, // the formats of exports
	"lang":                {"lang", "sdk", "internal"},
	"store":               {"store", "sdk", "lang/value", "internal"},
	"planner":             {"planner", "lang", "store", "sdk", "internal"},
	"registry":            {"registry", "planner/plan", "lang/diag", "lang/kind", "lang/limit", "lang/value", "store/disk", "sdk", "internal"},
	"importers":           {"importers", "lang", "sdk", "internal"},
	"planner/plan":        {"lang/addr", "lang/diag", "lang/expr", "lang/funcs", "lang/kind", "lang/limit", "lang/value", "store", "sdk", "internal"},
	"runner":              {"runner", "planner/plan", "planner/contract", "planner/fingerprint", "lang/addr", "lang/columnar", "lang/diag", "lang/expr", "lang/funcs", "lang/kind", "lang/limit", "lang/secret", "lang/value", "store", "sdk", "internal"},
	// The walls inside the runner separate the description of a stage, the
	// reason for a failure, the interface for executing a stage, and its
	// implementation, which knows no run.
	"runner/events":               {"lang/diag", "store/pending", "sdk"},
	"runner/walk":                 {"sdk", "internal"},
	"runner/modelhost":            {"planner/plan", "lang/columnar", "lang/expr", "lang/secret", "lang/value", "store/batches", "store/responses", "sdk", "internal"},
	"runner/rowwise":              {"lang/columnar", "lang/expr", "store", "sdk", "internal"},
	"runner/failure":              {"runner/events", "runner/modelhost", "runner/rowwise", "planner/plan", "lang/diag", "lang/kind", "store/blob", "store/disk", "sdk", "internal"},
	"runner/stage":                {"runner/failure", "runner/modelhost", "planner/plan", "planner/fingerprint", "lang/columnar", "lang/diag", "lang/expr", "lang/kind", "lang/secret", "lang/value", "store", "sdk"},
	"runner/engine":               {"runner/events", "runner/failure", "runner/modelhost", "planner/plan", "lang/value", "store/artifact", "store/pending", "sdk"},
	"runner/engine/local":         {"runner/engine", "runner/events", "runner/failure", "runner/modelhost", "runner/overlap", "runner/rowwise", "runner/stage", "planner/plan", "planner/fingerprint", "lang/addr", "lang/diag", "lang/expr", "lang/secret", "lang/value", "store", "sdk", "internal"},
	"tester":                      {"tester", "inspect", "lang", "planner", "registry", "runner", "store", "sdk", "internal"},
	"inspect":                     {"inspect", "planner/plan", "planner/contract", "planner/fingerprint", "plugins/figures", "plugins/profile/drift", "plugins/profile/survey", "plugins/stats", "lang/addr", "lang/diag", "lang/kind", "lang/value", "store", "ui/export", "ui/results", "sdk", "internal"},
	"ui":                          {"ui", "planner/plan", "lang/diag", "lang/value", "store", "sdk", "internal"},
	"cmd":                         {"cmd", "inspect", "ui", "tester", "runner", "planner", "registry", "importers", "lang", "store", "plugins/builtin", "sdk", "internal"},
	"cmd/quern-plugin-sql":        {"plugins/sql", "sdk", "internal"},
	"cmd/quern-plugin-database":   {"plugins/database", "sdk", "internal"},
	"cmd/quern-plugin-documents":  {"plugins/documents", "sdk", "internal"},
	"cmd/quern-plugin-kubernetes": {"plugins/kubernetes", "sdk", "internal"},
	"cmd/quern-plugin-onnx":       {"plugins/onnx", "sdk", "internal"},
	"cmd/quern-plugin-storage":    {"plugins/storage", "sdk", "internal"},
	"bench":                       {"bench", "lang", "store", "sdk", "plugins/openai/openaitest"},
}

func TestImportsGoOneWay(t *testing.T) {
	for _, pkg := range listPackages(t) {
		from := strings.TrimPrefix(pkg.ImportPath, modulePath)
		allowed, known := mayImport[longestFolder(from)]
		if !known {
			t.Errorf("package %s is in no folder of the architecture: add its folder to mayImport and to docs/architecture.md", from)
			continue
		}
		for _, imported := range pkg.Imports {
			to, ours := strings.CutPrefix(imported, modulePath)
			if ours && !inAny(to, allowed) {
				t.Errorf("%s imports %s, which docs/architecture.md does not allow", from, to)
			}
		}
	}
}

// The language compiles what is evaluated over rows, and only lang/columnar
// evaluates it. lang/foreign calls functions of plugins with rows.
func TestOnlyColumnarReadsRows(t *testing.T) {
	for _, pkg := range listPackages(t) {
		from := strings.TrimPrefix(pkg.ImportPath, modulePath)
		if !inAny(from, []string{"lang"}) || from == "lang/columnar" || from == "lang/foreign" {
			continue
		}
		for _, imported := range pkg.Imports {
			if strings.HasSuffix(imported, "/arrow/array") || imported == modulePath+"lang/columnar" {
				t.Errorf("%s imports %s, which is for lang/columnar and those that call it", from, imported)
			}
		}
	}
}

// plannerOrder lists the packages of the planner. Each can import only earlier
// ones: first the packages that all phases use, then the phases.
var plannerOrder = []string{
	"planner/plan", "planner/fingerprint", "planner/contract", "planner/comparison", "planner/render",
	"planner/diagnostics", "planner/secrets", "planner/processes", "planner/schema", "planner/phase", "planner/module",
	"planner/refactor", "planner/expand", "planner/condition", "planner/terms", "planner/decode", "planner/prepare", "planner/decide", "planner/estimate", "planner/output",
	"planner",
}

func TestPhasesOfThePlannerGoOneWay(t *testing.T) {
	for _, pkg := range listPackages(t) {
		from := strings.TrimPrefix(pkg.ImportPath, modulePath)
		if !inAny(from, []string{"planner"}) {
			continue
		}
		place := slices.Index(plannerOrder, from)
		if place < 0 {
			t.Errorf("package %s has no place in plannerOrder: add it, and to docs/architecture.md", from)
			continue
		}
		for _, imported := range pkg.Imports {
			to, ours := strings.CutPrefix(imported, modulePath)
			if ours && inAny(to, []string{"planner"}) && !slices.Contains(plannerOrder[:place], to) {
				t.Errorf("%s imports %s, which comes later", from, to)
			}
		}
	}
}

type listedPackage struct {
	ImportPath string
	Imports    []string
}

func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", modulePath+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []listedPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var pkg listedPackage
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, pkg)
	}
}

func longestFolder(pkg string) string {
	longest := ""
	for folder := range mayImport {
		if inAny(pkg, []string{folder}) && len(folder) > len(longest) {
			longest = folder
		}
	}
	return longest
}

func inAny(pkg string, folders []string) bool {
	for _, folder := range folders {
		if pkg == folder || strings.HasPrefix(pkg, folder+"/") {
			return true
		}
	}
	return false
}

// authorsPackages are the packages of the SDK for authors of plugins.
var authorsPackages = []string{"data", "llm", "plugin", "plugintest", "pluginv1"}

func TestTheSDKHasOnlyWhatAuthorsNeed(t *testing.T) {
	for _, pkg := range listPackages(t) {
		inSDK, ok := strings.CutPrefix(pkg.ImportPath, modulePath+"sdk/go/")
		if ok && !inAny(inSDK, append(authorsPackages, "host", "internal")) {
			t.Errorf("package %s is not in the list of docs/decisions/0032-the-sdk-is-a-module.md", pkg.ImportPath)
		}
	}
}

func TestTheSDKRequiresLittle(t *testing.T) {
	out, err := exec.Command("go", "-C", "../../sdk/go", "list", "-m", "all").Output()
	if err != nil {
		t.Fatalf("go list -m: %v", err)
	}
	for _, heavy := range []string{"duckdb", "pebble", "openai", "anthropic", "opentelemetry.io/otel/exporters", "quern-dev/quern "} {
		if strings.Contains(string(out), heavy) {
			t.Errorf("the SDK's module requires %s", heavy)
		}
	}
}
