package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNoCommandReadsAFlagByItsName: commands read the fields of their
// arguments, so a misspelled flag does not compile.
func TestNoCommandReadsAFlagByItsName(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	readers := []string{"String", "Bool", "Int", "Duration", "StringSlice", "IsSet", "Value", "Count"}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			literal, isLiteral := call.Args[0].(*ast.BasicLit)
			if ok && isLiteral && literal.Kind == token.STRING && slices.Contains(readers, method.Sel.Name) {
				t.Errorf("%s: %s(%s) reads a flag by its name; use a field of package arguments", set.Position(n.Pos()), method.Sel.Name, literal.Value)
			}
			return true
		})
	}
}

func TestArgumentsOfTheEnvironmentComeBeforeThoseOfTheCommandLine(t *testing.T) {
	env := map[string]string{
		"QUERN_CLI_ARGS":            "-no-input",
		"QUERN_CLI_ARGS_plan":       `-var 'a=b c' -lock=false`,
		"QUERN_CLI_ARGS_state_list": "-json",
	}
	app := newApp(newTerminal(os.Stdin, os.Stdout, os.Stderr))
	for _, c := range []struct{ given, want []string }{
		{[]string{"quern"}, []string{"quern"}},
		{[]string{"quern", "-chdir", "plan", "plan", "-json"},
			[]string{"quern", "-chdir", "plan", "plan", "-no-input", "-var", "a=b c", "-lock=false", "-json"}},
		{[]string{"quern", "-chdir=x", "state", "list", "a.b"}, []string{"quern", "-chdir=x", "state", "list", "-no-input", "-json", "a.b"}},
		{[]string{"quern", "apply", "plan"}, []string{"quern", "apply", "-no-input", "plan"}},
		{[]string{"quern", "nothing", "plan"}, []string{"quern", "nothing", "plan"}},
	} {
		got, err := withArguments(app, c.given, func(name string) string { return env[name] })
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q becomes %q (%v), not %q", c.given, got, err, c.want)
		}
	}
	if _, err := withArguments(app, []string{"quern", "plan"}, func(string) string { return `-var 'a` }); err == nil {
		t.Error("an open quote is not an error")
	}
}
