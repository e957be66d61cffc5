package planner_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/planner"
	"github.com/quern-dev/quern/planner/render"
)

var update = flag.Bool("update", false, "write what plans look like now into testdata")

// TestPlansLookAsTheyShould runs the archives of testdata/plans. Files whose
// names begin with apply are applied one after the other. Then world changes
// what sources contain ("a.txt = 120 rows") and what is deployed to shelves.
// plan.quern.hcl is planned with the flags in options, and the plan must equal
// plan.txt.
func TestPlansLookAsTheyShould(t *testing.T) {
	golden(t, "testdata/plans", "plan.txt", func(p *pipeline, files map[string]string, options func(*planner.Options)) string {
		made := p.mustPlan(files["plan.quern.hcl"], options)
		var b bytes.Buffer
		if err := render.Text(&b, made, render.Options{}); err != nil {
			p.t.Fatal(err)
		}
		return b.String()
	})
}

// TestMistakesAreExplained runs the archives of testdata/mistakes as
// TestPlansLookAsTheyShould does. Planning must end with diagnostics.txt.
func TestMistakesAreExplained(t *testing.T) {
	golden(t, "testdata/mistakes", "diagnostics.txt", func(p *pipeline, files map[string]string, options func(*planner.Options)) string {
		_, diags := p.plan(files["plan.quern.hcl"], options)
		return p.print(diags)
	})
}

// TestValidationFindsTheSameMistakes validates the configurations of
// testdata/mistakes whose errors do not depend on a state.
func TestValidationFindsTheSameMistakes(t *testing.T) {
	names, _ := filepath.Glob("testdata/mistakes/*.txtar")
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files := contents(archive)
		if files["options"] != "" || files["apply.quern.hcl"] != "" || files["only planning sees it"] != "" {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			p := newPipeline(t)
			p.modules = modulesIn(files)
			o, diags := p.options(files["plan.quern.hcl"])
			if !diags.HasErrors() {
				diags = planner.Validate(context.Background(), o)
			}
			if got := p.print(diags); got != files["diagnostics.txt"] {
				t.Errorf("validation says:\n%s\nplanning says:\n%s", got, files["diagnostics.txt"])
			}
		})
	}
}

func golden(t *testing.T, folder, result string, run func(*pipeline, map[string]string, func(*planner.Options)) string) {
	names, err := filepath.Glob(filepath.Join(folder, "*.txtar"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no archives in %s: %v", folder, err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files := contents(archive)
			p := newPipeline(t)
			p.modules = modulesIn(files)
			for _, f := range archive.Files {
				if strings.HasPrefix(f.Name, "apply") {
					p.apply(string(f.Data))
				}
			}
			p.change(files["world"])
			got := run(p, files, p.flags(files["options"]))
			if got == files[result] {
				return
			}
			if !*update {
				t.Fatalf("got:\n%s\nwant:\n%s", got, files[result])
			}
			rewrite(t, name, archive, result, got)
		})
	}
}

func contents(a *txtar.Archive) map[string]string {
	files := map[string]string{}
	for _, f := range a.Files {
		files[f.Name] = string(f.Data)
	}
	return files
}

// modulesIn returns the files in folders, which are modules.
func modulesIn(files map[string]string) map[string]string {
	modules := map[string]string{}
	for name, text := range files {
		if strings.Contains(name, "/") {
			modules[name] = text
		}
	}
	return modules
}

func rewrite(t *testing.T, name string, a *txtar.Archive, file, text string) {
	found := false
	for i := range a.Files {
		if a.Files[i].Name == file {
			a.Files[i].Data, found = []byte(text), true
		}
	}
	if !found {
		a.Files = append(a.Files, txtar.File{Name: file, Data: []byte(text)})
	}
	if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

// change changes the world by lines of the form NAME = CONTENT. Without content, it
// removes something.
func (p *pipeline) change(text string) {
	for line := range strings.Lines(text) {
		name, content, _ := strings.Cut(strings.TrimSpace(line), " = ")
		_, isShelf := p.world.shelves[name]
		switch {
		case isShelf && content == "":
			delete(p.world.shelves, name)
		case isShelf:
			p.world.shelves[name] = content
		default:
			p.world.sources[name] = content
		}
	}
}

// flags turns lines such as "target = train.student" into options.
func (p *pipeline) flags(text string) func(*planner.Options) {
	return func(o *planner.Options) {
		for line := range strings.Lines(text) {
			name, v, _ := strings.Cut(strings.TrimSpace(line), " = ")
			list := map[string]*[]addr.Target{"target": &o.Targets, "exclude": &o.Excludes, "replace": &o.Replace}[name]
			switch {
			case list != nil:
				a, err := addr.ParseTarget(v)
				if err != nil {
					p.t.Fatal(err)
				}
				*list = append(*list, a)
			case name == "destroy":
				o.Destroy = true
			case name == "no refresh":
				o.Refresh = false
			}
		}
	}
}
