package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/revision"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
)

// checkout does work in a temporary checkout of a revision, in the folder of the
// pipeline there. The store is that of the working folder, and so is everything
// that Git ignores. Diagnostics say which revision they are about.
func checkout(ctx context.Context, ui *terminal, repo *revision.Repository, v revision.Revision, work func() error) error {
	settings, sources, diags := config.LoadStore(".")
	if diags.HasErrors() {
		ui.sources = sources
		return diagnosed{diags}
	}
	store, err := filepath.Abs(ui.storeDir(settings))
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "quern-revision-")
	if err != nil {
		return diag.Failed(fmt.Sprintf("%s cannot be checked out", v), "%w", err)
	}
	defer os.RemoveAll(temp)
	folder, err := repo.Export(ctx, v, temp, localDir)
	if err != nil {
		return missingFolder(v, err)
	}
	back, err := os.Getwd()
	if err == nil {
		err = os.Chdir(folder)
	}
	if err != nil {
		return diag.Failed(fmt.Sprintf("%s cannot be checked out", v), "%w", err)
	}
	before := ui.store
	ui.store = store
	err = work()
	ui.store = before
	return errors.Join(inRevision(v, err), os.Chdir(back))
}

// missingFolder explains that a revision does not have the pipeline's folder.
func missingFolder(v revision.Revision, err error) error {
	if errors.Is(err, revision.ErrNoFolder) {
		name, _, _ := strings.Cut(v.Name, ":")
		return diag.Failed(fmt.Sprintf("%s does not have the folder %q", v, v.Folder), "If the pipeline was in another folder, name it: %s:FOLDER.", name)
	}
	return diag.Failed(fmt.Sprintf("%s cannot be checked out", v), "%w", err)
}

// inRevision adds to an error which revision it is about.
func inRevision(v revision.Revision, err error) error {
	if _, said := exitCode(err); err == nil || said {
		return err
	}
	var diags hcl.Diagnostics
	for _, d := range diagnosticsOf(err) {
		of := *d
		of.Summary = fmt.Sprintf("In %s: %s", v, d.Summary)
		diags = append(diags, &of)
	}
	return diagnosed{diags}
}

// atRevision does work in a checkout of the revision that a request names, or in
// the working folder if it names none.
func atRevision(ctx context.Context, ui *terminal, r arguments.Request, work func(arguments.Request) error) error {
	if r.Ref == "" {
		return work(r)
	}
	repo, err := revision.Open(ctx, ".")
	if err != nil {
		return err
	}
	v, err := repo.Resolve(ctx, r.Ref)
	if err != nil {
		return err
	}
	r.Ref = ""
	if r.Variables, err = r.Variables.Absolute(); err != nil {
		return err
	}
	return checkout(ctx, ui, repo, v, func() error { return work(r) })
}
