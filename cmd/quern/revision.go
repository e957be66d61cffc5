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
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner"
	"github.com/quern-dev/quern/planner/comparison"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/registry"
	"github.com/quern-dev/quern/store/state"
)

// requestedPlan makes the plan of a revision, of what has changed since one, or
// of the working folder.
func requestedPlan(ctx context.Context, ui *terminal, r arguments.Request) (*plan.Plan, error) {
	ctx, cancel := interruptible(ctx)
	defer cancel()
	var repo *revision.Repository
	var planned, since *revision.Revision
	var err error
	if r.Ref != "" || r.Since != "" {
		repo, err = revision.Open(ctx, ".")
	}
	if err == nil && r.Ref != "" {
		planned, err = resolve(ctx, repo, r.Ref)
	}
	if err == nil && r.Since != "" {
		since, err = resolve(ctx, repo, r.Since)
	}
	if err != nil {
		return nil, err
	}
	var earlier *plan.Plan
	if since != nil {
		if earlier, err = describeAt(ctx, ui, repo, since, r); err != nil {
			return nil, err
		}
	}
	var p *plan.Plan
	err = at(ctx, ui, repo, planned, r, func(r arguments.Request) (err error) {
		if since == nil {
			p, _, err = planHere(ctx, ui, r)
			return err
		}
		p, err = planSince(ctx, ui, r, *since, earlier)
		return err
	})
	return p, err
}

func resolve(ctx context.Context, repo *revision.Repository, name string) (*revision.Revision, error) {
	v, err := repo.Resolve(ctx, name)
	return &v, err
}

// describeAt describes the configuration of a revision, or of the working folder
// if v is nil. The description of a revision without a pipeline is empty.
func describeAt(ctx context.Context, ui *terminal, repo *revision.Repository, v *revision.Revision, r arguments.Request) (*plan.Plan, error) {
	var described *plan.Plan
	err := quietly(ctx, ui, repo, v, r, func(w *workspace, r arguments.Request) (err error) {
		described, err = w.describe(ctx, r)
		return err
	})
	if errors.Is(err, errNoPipeline) {
		ui.notef("%s has no pipeline in this folder, so every stage counts as new.\n", v)
		return &plan.Plan{}, nil
	}
	return described, err
}

// quietly does work that prints no warnings in the workspace of a revision, or of
// the working folder if v is nil.
func quietly(ctx context.Context, ui *terminal, repo *revision.Repository, v *revision.Revision, r arguments.Request, work func(*workspace, arguments.Request) error) error {
	variables := *r.Variables
	variables.AllowUndeclared = v != nil
	r.Variables, r.Compared = &variables, true
	ui.mute = true
	defer func() { ui.mute = false }()
	return at(ctx, ui, repo, v, r, func(r arguments.Request) error {
		w, err := openWorkspace(ctx, ui, r.Environment, r.Variables, nil)
		if err != nil {
			return err
		}
		defer w.close()
		return work(w, r)
	})
}

// describe returns the configuration for comparisons.
func (w *workspace) describe(ctx context.Context, r arguments.Request) (*plan.Plan, error) {
	p, diags := planner.Describe(ctx, w.plannerOptions(r, nil))
	return p, w.ui.failed(diags)
}

// planSince makes a plan of what differs from an earlier configuration, and what
// depends on it. Like any plan, it contains what its stages need.
func planSince(ctx context.Context, ui *terminal, r arguments.Request, since revision.Revision, earlier *plan.Plan) (*plan.Plan, error) {
	w, err := openWorkspace(ctx, ui, r.Environment, r.Variables, nil)
	if err != nil {
		return nil, err
	}
	defer w.close()
	st, err := loadState(w.store, r.Environment)
	if err != nil {
		return nil, err
	}
	ui.mute = true // the plan repeats the warnings
	described, err := w.describe(ctx, r)
	ui.mute = false
	if err != nil {
		return nil, err
	}
	for _, address := range comparison.Of(earlier, described).Touched(described) {
		a, err := addr.ParseTarget(address)
		if err != nil {
			return nil, err
		}
		r.Targets = append(r.Targets, a)
	}
	r.IgnoreUnknown = true // what is removed may never have run
	p := nothing(described, st)
	if len(r.Targets) > 0 {
		if p, err = w.plan(ctx, r, st); err != nil {
			return nil, err
		}
	}
	p.Since = &plan.Revision{Name: since.Name, Commit: since.Commit}
	return p, nil
}

// nothing returns a plan that does nothing.
func nothing(described *plan.Plan, st *state.State) *plan.Plan {
	none := *described
	none.Nodes, none.Models, none.Outputs, none.Checks, none.Secrets, none.Deferred = nil, nil, nil, nil, nil, nil
	none.Partial, none.State = true, plan.StateRef{Lineage: st.Lineage, Serial: st.Serial}
	return &none
}

// at does work in a checkout of a revision, or in the working folder if v is nil.
// Paths in flags mean the same in both.
func at(ctx context.Context, ui *terminal, repo *revision.Repository, v *revision.Revision, r arguments.Request, work func(arguments.Request) error) error {
	r.Ref, r.Since = "", ""
	if v == nil {
		return work(r)
	}
	variables, err := r.Variables.Absolute()
	if err != nil {
		return err
	}
	r.Variables = variables
	return checkout(ctx, ui, repo, *v, func() error { return work(r) })
}

// errNoPipeline is in the error for a revision that has no pipeline in the folder.
var errNoPipeline = errors.New("no pipeline")

// checkout does work in a temporary checkout of a revision, in the folder of the
// pipeline there. The store is that of the working folder, and so is everything
// that Git ignores. Errors say which revision they are about.
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
	failed := func(err error) error { return diag.Failed(fmt.Sprintf("%s cannot be checked out", v), "%w", err) }
	temp, err := os.MkdirTemp("", "quern-revision-")
	if err != nil {
		return failed(err)
	}
	defer os.RemoveAll(temp)
	folder, err := repo.Export(ctx, v, temp, localDir)
	if err == nil {
		_, diags = config.FileNames(folder)
	}
	switch {
	case errors.Is(err, revision.ErrNoFolder), diags.HasErrors():
		return noPipeline(v)
	case err != nil:
		return failed(err)
	}
	return elsewhere(ui, folder, store, func() error { return inRevision(v, work()) })
}

// elsewhere does work in another folder, with the store in a third one.
func elsewhere(ui *terminal, folder, store string, work func() error) error {
	back, err := os.Getwd()
	if err == nil {
		err = os.Chdir(folder)
	}
	if err != nil {
		return diag.Failed(fmt.Sprintf("cannot change to the folder %q", folder), "%w", err)
	}
	before := ui.store
	ui.store = store
	err = work()
	ui.store = before
	return errors.Join(err, os.Chdir(back))
}

func noPipeline(v revision.Revision) error {
	name, _, _ := strings.Cut(v.Name, ":")
	place := "its top folder"
	if v.Folder != "" {
		place = fmt.Sprintf("the folder %q", v.Folder)
	}
	e := diag.Failed(fmt.Sprintf("%s has no pipeline in %s", v, place), "If the pipeline was in another folder, name it: %s:FOLDER.", name)
	e.Cause = errNoPipeline
	return e
}

// inRevision adds to an error which revision it is about, and how to install its modules.
func inRevision(v revision.Revision, err error) error {
	err = prefixed(fmt.Sprintf("In %s", v), err)
	var found diagnosed
	if errors.As(err, &found) {
		for _, d := range found.diags {
			if why, ok := hcl.DiagnosticExtra[registry.NotInstalled](d); ok {
				d.Detail = fmt.Sprintf("%s Run \"quern init -ref=%s\".", why, v.Name)
			}
		}
	}
	return err
}

// prefixed adds to an error what it is about.
func prefixed(what string, err error) error {
	if _, said := exitCode(err); err == nil || said {
		return err
	}
	var diags hcl.Diagnostics
	for _, d := range diagnosticsOf(err) {
		of := *d
		of.Summary = what + ": " + d.Summary
		diags = append(diags, &of)
	}
	return diagnosed{diags}
}
