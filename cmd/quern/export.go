package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/excerpt"
	"github.com/quern-dev/quern/store/state"
)

func exportCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:      "export",
		Usage:     "write all that is needed to reproduce results elsewhere",
		ArgsUsage: "[ADDRESS]... FILE.tar",
		Description: "Writes an archive with the configuration, its files and modules, the values of variables that are not sensitive,\n" +
			"the results and what they came from, the answers of language models, the history, and the programs. To use it,\n" +
			"unpack it anywhere; no network is needed. With addresses, only these stages and what they depend on have their results.",
	}
	return command(ui, c, &arguments.Export{}, func(ctx context.Context, args *arguments.Export) error {
		ctx, cancel := interruptible(ctx)
		defer cancel()
		return exportPipeline(ctx, ui, args)
	})
}

// exportFormat is the version of the archive's description.
const exportFormat = "quern.export/v1"

// exportFolder is the folder that an archive contains, and exportDescription the file
// in it that describes the others.
const exportFolder, exportDescription = "quern-export", "export.json"

// exported describes an archive.
type exported struct {
	Format       string `json:"format"`
	QuernVersion string `json:"quern_version"`
	// Platform is that of the programs, or empty if there are none.
	Platform    string `json:"platform,omitempty"`
	Environment string `json:"environment"`
	// Folder is the pipeline's folder in the archive.
	Folder    string   `json:"folder"`
	Addresses []string `json:"addresses,omitempty"`
	Commit    string   `json:"commit,omitempty"`
	Dirty     bool     `json:"dirty,omitempty"`
	// Instances are those whose results are in the archive.
	Instances []string `json:"instances"`
	// Secrets are the sensitive variables, whose values are not in the archive.
	Secrets []string `json:"secrets,omitempty"`
	Runs    []string `json:"runs,omitempty"`
	// Answers is set if the answers of language models are in the archive.
	Answers bool                      `json:"answers,omitempty"`
	Plugins map[string]exportedPlugin `json:"plugins"`
	Files   []exportedFile            `json:"files"`
}

// exportedPlugin identifies a plugin. Program is the path of its program in the archive,
// or empty if it is not there.
type exportedPlugin struct {
	Source  string `json:"source"`
	Version string `json:"version"`
	Digest  string `json:"digest"`
	Program string `json:"program,omitempty"`
}

// exportedFile is a file of an archive.
type exportedFile struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func exportPipeline(ctx context.Context, ui *terminal, args *arguments.Export) error {
	to, err := filepath.Abs(args.File)
	if err != nil {
		return err
	}
	files, err := exportedFiles(ctx, ui, args, to)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "quern-export-")
	if err != nil {
		return diag.Failed("the archive cannot be prepared", "%w", err)
	}
	defer os.RemoveAll(temp)
	e := &exporting{ui: ui, args: args, files: files, temp: temp, about: exported{Format: exportFormat, QuernVersion: version, Environment: args.Env.Value, Addresses: args.Addresses}}
	e.about.Commit, e.about.Dirty = gitCommit()
	if err := e.plan(ctx); err != nil {
		return err
	}
	if err := e.excerpt(); err != nil {
		return diag.Failed("the results cannot be exported", "%w", err)
	}
	err = replaceFile(to, 0o600, func(w io.Writer) error { return e.write(ctx, w) })
	if ctx.Err() != nil {
		return diag.Failed("the export was interrupted", "%s was not written.", args.File)
	}
	if err != nil {
		return diag.Failed(fmt.Sprintf("%s cannot be written", args.File), "%w", err)
	}
	return e.report()
}

// exporting is one quern export.
type exporting struct {
	ui    *terminal
	args  *arguments.Export
	files *exportFiles
	temp  string
	about exported

	plugins   map[string]string // paths of programs, by plugin
	variables []byte
	from      *store.Store
	state     *state.State
	part      *excerpt.Excerpt
	store     string // folder of the new store
	answers   bool
}

// plan plans the pipeline where only the files of the archive exist, so that an archive
// from which one is missing is not written, and finds the instances to export.
func (e *exporting) plan(ctx context.Context) error {
	view := filepath.Join(e.temp, "view")
	if err := e.files.view(view); err != nil {
		return diag.Failed("the archive cannot be prepared", "%w", err)
	}
	variables, err := e.args.Absolute()
	if err != nil {
		return err
	}
	r := arguments.Request{
		Environment: e.args.Env.Value, Variables: variables, Refresh: true, Targets: e.args.Targets, ReadOnlyLock: true,
	}
	err = elsewhere(e.ui, filepath.Join(view, filepath.FromSlash(e.files.folder)), e.files.store, func() error { return e.planned(ctx, r) })
	if err != nil {
		return e.incomplete(err)
	}
	return nil
}

// incomplete adds to an error that the plan was made with the files of the archive.
func (e *exporting) incomplete(err error) error {
	var d *diag.Error
	if errors.As(err, &d) || len(diagnosticsOf(err)) == 0 {
		return err
	}
	e.ui.notef("An archive has the files that Git tracks or would add. To add others, name them with -include.\n")
	return prefixed("With the files of the archive", err)
}

func (e *exporting) planned(ctx context.Context, r arguments.Request) error {
	w, err := openWorkspace(ctx, e.ui, r.Environment, r.Variables, nil)
	if err != nil {
		return err
	}
	defer w.close()
	st, err := loadState(w.store, r.Environment)
	if err != nil {
		return err
	}
	p, err := w.plan(ctx, r, st)
	if err != nil {
		return err
	}
	if e.variables, err = plainVariables(p); err != nil {
		return err
	}
	e.from, e.answers = w.store, len(p.Models) > 0
	for name, v := range w.module.Variables {
		if v.Sensitive {
			e.about.Secrets = append(e.about.Secrets, name)
		}
	}
	slices.Sort(e.about.Secrets)
	e.addPlugins(p, w)
	e.state, err = upToDate(p, st)
	return err
}

// upToDate returns the part of a state that a plan covers. Results that are missing or
// out of date are an error.
func upToDate(p *plan.Plan, st *state.State) (*state.State, error) {
	part := *st
	part.Instances, part.Outputs = map[string]*state.Instance{}, map[string]*state.Output{}
	var missing []string
	for _, n := range p.Nodes {
		inst := st.Instances[n.Address]
		switch {
		case n.Kind == kind.Deploy, n.Action == plan.Forget:
		case n.Action == plan.Keep && inst != nil, n.Action == plan.Check && inst != nil:
			part.Instances[n.Address] = inst
		case n.Action != plan.Check:
			missing = append(missing, n.Address)
		}
	}
	if p.Deferred != nil {
		for _, s := range p.Deferred.Stages {
			missing = append(missing, s.Address)
		}
	}
	if len(missing) > 0 {
		return nil, diag.Failed("results are missing or out of date", "Environment %q has no current result of %s. First run \"quern apply -env=%s\".", p.Environment, english.And(atMost(missing, 10)), p.Environment)
	}
	for _, o := range p.Outputs {
		if o.Action == plan.Keep && st.Outputs[o.Name] != nil {
			part.Outputs[o.Name] = st.Outputs[o.Name]
		}
	}
	return &part, nil
}

// atMost returns n names, and then how many there are in addition.
func atMost(names []string, n int) []string {
	if len(names) <= n {
		return names
	}
	return append(slices.Clone(names[:n]), fmt.Sprintf("%d more", len(names)-n))
}

// excerpt copies the results into a store of their own.
func (e *exporting) excerpt() error {
	e.store = filepath.Join(e.temp, "store")
	to, err := store.Open(e.store)
	if err != nil {
		return err
	}
	e.part, err = excerpt.Copy(e.from, to, e.state, e.answers)
	if err != nil {
		return err
	}
	e.about.Runs, e.about.Answers = e.part.Runs, e.part.Answers
	e.about.Folder = path.Join(exportFolder, e.files.folder)
	for address := range e.part.State.Instances {
		e.about.Instances = append(e.about.Instances, address)
	}
	slices.Sort(e.about.Instances)
	return nil
}

func (e *exporting) report() error {
	if e.args.JSON.Value {
		return e.ui.json(e.about)
	}
	var size int64
	for _, f := range e.about.Files {
		size += f.Size
	}
	e.ui.printf("Exported %s in %s (%s) to %s.\n", english.Count(len(e.about.Instances), "instance"), english.Count(len(e.about.Files), "file"), byteSize(size), e.args.File)
	for _, name := range sortedNames(e.about.Plugins) {
		if p := e.about.Plugins[name]; p.Program == "" && e.args.Programs.Value {
			e.ui.notef("The plugin %s is not in the archive, because it is not a single program. Install %s %s where you use the archive.\n", name, cmp.Or(p.Source, name), p.Version)
		}
	}
	e.ui.printf("To use it, run:\n    tar xf %s\n%s", filepath.Base(e.args.File), e.usage())
	return nil
}

// usage says how an archive is used.
func (e *exporting) usage() string {
	program, flags := "quern", ""
	if e.about.Platform != "" {
		program = strings.Repeat("../", strings.Count(e.about.Folder, "/")) + "bin/quern"
	}
	if env := e.about.Environment; env != "default" {
		flags = " -env=" + env
	}
	for _, a := range e.about.Addresses {
		flags += " -target='" + a + "'"
	}
	lines := []string{"cd " + e.about.Folder}
	for _, name := range e.about.Secrets {
		lines = append(lines, "export QUERN_VAR_"+name+"=...")
	}
	lines = append(lines, program+" plan"+flags)
	var b strings.Builder
	for _, l := range lines {
		b.WriteString("    " + l + "\n")
	}
	return b.String()
}
