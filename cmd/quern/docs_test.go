package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheLabelerOfTheDocsWorks follows docs/plugins.md exactly.
func TestTheLabelerOfTheDocsWorks(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs/plugins.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, _ := strings.Cut(string(text), "\n## A labeler in ten minutes\n")
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	home, pipeline := t.TempDir(), t.TempDir()
	plugin := filepath.Join(home, "quern-plugin-langid")
	do := func(dir, name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "QUERN_PLUGIN_PATH="+home)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	quern := filepath.Join(binaries, "quern")
	do(home, quern, "plugin", "new", "-replace="+root, "label", "langid")
	code, tests, _ := strings.Cut(strings.Join(fenced(chapter, "go"), "\n"), "\npackage main\n")
	write(t, plugin, "mapper.go", code)
	write(t, plugin, "mapper_test.go", "package main\n"+tests)
	do(plugin, "go", "test", "./...")
	do(plugin, "go", "build", "-o", filepath.Join(home, "quern-plugin-langid.out"), ".")
	if err := os.RemoveAll(plugin); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(home, "quern-plugin-langid.out"), plugin); err != nil {
		t.Fatal(err)
	}
	write(t, pipeline, "mails.csv", strings.Join(fenced(chapter, "csv"), ""))
	write(t, pipeline, "main.quern.hcl", strings.Join(fenced(chapter, "hcl"), ""))
	do(pipeline, quern, "init")
	if out := do(pipeline, quern, "apply", "-auto-approve"); !strings.Contains(out, "de = 1") || !strings.Contains(out, "en = 1") {
		t.Errorf("it printed:\n%s", out)
	}
}

// fenced returns the code blocks of a language.
func fenced(markdown, language string) []string {
	var blocks []string
	for {
		_, rest, found := strings.Cut(markdown, "```"+language+"\n")
		if !found {
			return blocks
		}
		var block string
		block, markdown, _ = strings.Cut(rest, "```")
		blocks = append(blocks, block)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// quotation matches a quoted declaration in the docs: a comment that names the
// file and the declaration, and the code.
var quotation = regexp.MustCompile("(?s)(<!-- quote (\\S+) (\\S+) -->\n```go\n)(.*?)\n```")

// TestTheDocsQuoteExamplesThatRun compares the code in docs/plugins.md with the
// runnable examples that it quotes. "go test -update" copies it from there.
func TestTheDocsQuoteExamplesThatRun(t *testing.T) {
	page := filepath.Join("..", "..", "docs", "plugins.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	quotes := 0
	fresh := quotation.ReplaceAllStringFunc(string(text), func(quote string) string {
		quotes++
		part := quotation.FindStringSubmatch(quote)
		code := declaration(t, filepath.Join("..", "..", part[2]), part[3])
		if code != part[4] && !*update {
			t.Errorf("docs/plugins.md quotes %s of %s differently: run the test with -update", part[3], part[2])
		}
		return part[1] + code + "\n```"
	})
	if quotes < 8 {
		t.Errorf("docs/plugins.md quotes %d examples, want one for each kind of plugin", quotes)
	}
	if *update {
		if err := os.WriteFile(page, []byte(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// declaration returns the source of a function, a method (TYPE.NAME), or a type in
// a Go file, without its comment.
func declaration(t *testing.T, file, name string) string {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Decls {
		if declaredName(d) == name {
			return string(source[files.Position(d.Pos()).Offset:files.Position(d.End()).Offset])
		}
	}
	t.Fatalf("%s does not declare %s", file, name)
	return ""
}

func declaredName(d ast.Decl) string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return d.Name.Name
		}
		if of, ok := d.Recv.List[0].Type.(*ast.Ident); ok {
			return of.Name + "." + d.Name.Name
		}
	case *ast.GenDecl:
		if s, ok := d.Specs[0].(*ast.TypeSpec); ok {
			return s.Name.Name
		}
	}
	return ""
}
