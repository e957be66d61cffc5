package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/quern-dev/quern/internal/revision"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/store/disk"
)

// ciTemplates are the workflows that quern init can write, by CI system.
//
//go:embed ci
var ciTemplates embed.FS

// ciFile is a file for a CI system. Its name is relative to the repository's top
// folder.
type ciFile struct {
	name string
	text []byte
}

// workflow is what the templates show. Texts are written as JSON, which YAML can
// read, except for Group and Version.
type workflow struct {
	// Name is shown to people, and Group is part of the names of jobs and caches.
	Name, Group string
	// Folder is the pipeline's folder in the repository, and Store the folder of
	// its store, or empty if that is not in the repository and needs no cache.
	Folder, Store string
	// Plan is the file of the saved plan.
	Plan string
	// Branch is the default branch.
	Branch string
	// Mark is the first line of the comment with the plan.
	Mark    string
	Version string
}

// ciSystems are the values of -ci.
var ciSystems = []string{"github", "gitlab"}

// writeCI writes the workflows for a CI system, and returns the paths of the files
// that it wrote. It changes no file that exists.
func writeCI(ctx context.Context, ui *terminal, system string) ([]string, error) {
	repo, err := revision.Open(ctx, ".")
	if err != nil {
		return nil, err
	}
	w, err := newWorkflow(ctx, repo)
	if err != nil {
		return nil, err
	}
	text, err := w.text(system)
	if err != nil {
		return nil, err
	}
	files := []ciFile{{".github/workflows/" + w.Group + ".yml", text}}
	if system == "gitlab" {
		files = w.gitlab(ui, repo, text)
	}
	var written []string
	for _, f := range files {
		at := filepath.Join(repo.Top(), filepath.FromSlash(f.name))
		was, err := os.ReadFile(at)
		switch {
		case err == nil && bytes.Equal(was, f.text):
			continue
		case err == nil:
			return written, diag.Failed(fmt.Sprintf("%s already exists", shortPath(at)), "quern does not overwrite it. To get the workflow of this version, rename the file, run the command again, and compare the two.")
		case !errors.Is(err, fs.ErrNotExist):
			return written, diag.Failed(fmt.Sprintf("%s cannot be read", shortPath(at)), "%w", err)
		}
		if err := writeNew(at, f.text); err != nil {
			return written, diag.Failed(fmt.Sprintf("%s cannot be written", shortPath(at)), "%w", err)
		}
		written = append(written, shortPath(at))
	}
	return written, nil
}

func writeNew(at string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
		return err
	}
	return disk.Replace(at, bytes.NewReader(text), 0o644)
}

// gitlab returns the files for GitLab, which reads only one file: it includes
// others.
func (w workflow) gitlab(ui *terminal, repo *revision.Repository, text []byte) []ciFile {
	const main = ".gitlab-ci.yml"
	included := ".gitlab/" + w.Group + ".yml"
	include := fmt.Sprintf("include:\n  - local: /%s\n", included)
	files := []ciFile{{included, text}}
	was, err := os.ReadFile(filepath.Join(repo.Top(), main))
	switch {
	case err != nil:
		return append(files, ciFile{main, []byte(include)})
	case !bytes.Contains(was, []byte(included)):
		ui.notef("%s exists. To use %s, add these lines to it:\n\n%s\n", main, included, include)
	}
	return files
}

// notInName matches what a name of a job or cache does not contain.
var notInName = regexp.MustCompile(`[^A-Za-z0-9_]+`)

func newWorkflow(ctx context.Context, repo *revision.Repository) (workflow, error) {
	folder := strings.TrimSuffix(repo.Prefix(), "/")
	w := workflow{Name: "quern", Group: "quern", Version: version}
	if folder != "" {
		w.Name += " in " + folder
		w.Group += "-" + strings.Trim(notInName.ReplaceAllString(folder, "-"), "-")
	}
	settings, _, diags := config.LoadStore(".")
	if diags.HasErrors() {
		return w, diagnosed{diags}
	}
	store := localDir
	if settings != nil && settings.Path != "" {
		store = settings.Path
	}
	if !filepath.IsAbs(store) {
		if w.Store = path.Join(folder, filepath.ToSlash(store)); !filepath.IsLocal(w.Store) {
			w.Store = ""
		}
	}
	w.Folder, w.Plan, w.Branch = path.Clean("./"+folder), w.Group+".plan", repo.DefaultBranch(ctx)
	w.Mark = fmt.Sprintf("<!-- quern plan: %s -->", w.Folder)
	return w, nil
}

// text returns the workflow for a CI system.
func (w workflow) text(system string) ([]byte, error) {
	t, err := template.New(system+".yml").Delims("[[", "]]").ParseFS(ciTemplates, "ci/"+system+".yml")
	if err != nil {
		return nil, err
	}
	for _, s := range []*string{&w.Name, &w.Folder, &w.Store, &w.Plan, &w.Branch, &w.Mark} {
		if *s == "" {
			continue
		}
		var quoted bytes.Buffer
		e := json.NewEncoder(&quoted)
		e.SetEscapeHTML(false)
		if err := e.Encode(*s); err != nil {
			return nil, err
		}
		*s = strings.TrimSpace(quoted.String())
	}
	var b bytes.Buffer
	err = t.Execute(&b, w)
	return b.Bytes(), err
}
