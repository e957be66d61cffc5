package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/garbage"
	"github.com/quern-dev/quern/internal/printable"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/testfile"
	"github.com/quern-dev/quern/lang/vars"
	"github.com/quern-dev/quern/registry"
	"github.com/quern-dev/quern/tester"
)

func testCommand(ui *terminal) *cli.Command {
	c := &cli.Command{
		Name:  "test",
		Usage: "run the tests of the pipeline",
		Description: "Runs the *.quern-test.hcl files in the current folder and in the folder tests. Each file has a store of its own.\n" +
			"Sources, models, and deployments are mocked; everything else runs as always.\n\n" +
			"The exit code is 0 if all tests pass, and 1 otherwise.",
	}
	return command(ui, c, &arguments.Test{}, func(ctx context.Context, args *arguments.Test) error {
		return runTests(ctx, ui, args)
	})
}

func runTests(ctx context.Context, ui *terminal, args *arguments.Test) error {
	ctx, stop, done := stoppable(ctx)
	defer done()
	module, files, err := loadTests(ctx, ui)
	if err != nil {
		return err
	}
	v := &testView{ui: ui, args: args}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-stop:
			ui.notef("Stopping ... Press Ctrl-C again to end immediately.\n")
		case <-ended:
		}
	}()
	garbage.Allow(garbage.Workspace)
	result, err := tester.Test(ctx, tester.Options{
		Module: module, Files: files, Open: openTestPlugins(ui, module),
		Inputs:  vars.Inputs{Flags: args.Vars.Value, Files: args.VarFiles.Value, Env: os.Environ()},
		Filters: args.Filter.Value, Update: args.Update.Value, Parallelism: args.Parallelism.Value,
		Stop: stop, Redactor: &ui.secrets, Done: v.file, QuernVersion: version, StartedIn: ui.startedIn,
	})
	if err != nil {
		return err
	}
	if len(result.Files) == 0 {
		return diag.Failed("no test matches", "No run of the test files matches -filter. Each filter is a part of FILE/RUN, such as %q, or a pattern.", files[0].Name+"/"+files[0].Runs[0].Name)
	}
	return v.finish(result, module)
}

// loadTests reads the pipeline and its test files.
func loadTests(ctx context.Context, ui *terminal) (*config.Module, []*testfile.File, error) {
	module, err := loadModule(ctx, ui)
	if err != nil {
		return nil, nil, err
	}
	files, diags := checkedTests(ui, module)
	if err := ui.failed(diags); err != nil {
		return nil, nil, err
	}
	if len(files) == 0 {
		return nil, nil, diag.Failed("no test files", "This folder and its folder %s contain no files whose names end in %s.", testfile.Folder, testfile.Suffix)
	}
	for _, v := range testfile.MockedVariables(module, files) {
		if d := module.StandIn(v); d != nil {
			diags = append(diags, d)
		}
	}
	return module, files, ui.failed(diags)
}

// checkedTests reads the test files of a pipeline and checks them against it.
func checkedTests(ui *terminal, module *config.Module) ([]*testfile.File, hcl.Diagnostics) {
	files, diags := testfile.Load(module.Dir)
	ui.sources = maps.Clone(ui.sources)
	for _, f := range files {
		ui.sources[f.Name] = f.Source
		diags = append(diags, f.Check(module)...)
	}
	return files, diags
}

// openTestPlugins returns a function that opens the plugins of a pipeline for a test file.
func openTestPlugins(ui *terminal, module *config.Module) func(context.Context) (tester.Plugins, hcl.Diagnostics) {
	return func(ctx context.Context) (tester.Plugins, hcl.Diagnostics) {
		options, _, err := registryOptions(ui, module)
		if err != nil {
			return nil, diag.Of(err)
		}
		return registry.Open(ctx, options)
	}
}

// testView prints what tests report.
type testView struct {
	ui   *terminal
	args *arguments.Test
}

// file prints a file that is done.
func (v *testView) file(f *tester.File) {
	if v.args.JSON.Value {
		return
	}
	v.ui.printf("%s ... %s\n", f.Name, v.status(f.Status))
	v.print(f.Diagnostics)
	for _, r := range f.Runs {
		v.ui.printf("  run %q ... %s%s\n", r.Name, v.status(r.Status), because(r))
		if v.args.Verbose.Value {
			v.carriedOut(r)
		}
		v.print(r.Diagnostics)
	}
}

func (v *testView) print(diags hcl.Diagnostics) {
	if len(diags) > 0 {
		diag.Print(v.ui.out, diags, v.ui.texts(diags), diag.PrintOptions{Color: v.ui.color(v.ui.out), Width: v.ui.width(v.ui.out), Redact: v.ui.secrets.Text})
	}
}

// status is a status in its color.
func (v *testView) status(s tester.Status) string {
	colors := map[tester.Status]string{tester.Passed: "32", tester.Failed: "31", tester.Broken: "31", tester.Skipped: "33"}
	if !v.ui.color(v.ui.out) {
		return string(s)
	}
	return "\x1b[" + colors[s] + "m" + string(s) + "\x1b[0m"
}

// because says why a run was skipped.
func because(r *tester.Run) string {
	if r.Why == "" {
		return ""
	}
	return " (" + r.Why + ")"
}

// carriedOut prints what a run carried out.
func (v *testView) carriedOut(r *tester.Run) {
	v.ui.printf("    %.1f s\n", r.Seconds)
	for _, s := range r.Stages {
		what := ""
		if s.Mocked {
			what = " (mocked)"
		}
		v.ui.printf("    %s%s\n", s.Address, what)
	}
	for _, address := range slices.Sorted(maps.Keys(r.Calls)) {
		v.ui.printf("    %s: %s\n", address, english.Count(r.Calls[address], "call"))
	}
}

// finish prints the end of the tests and writes the report.
func (v *testView) finish(result *tester.Result, module *config.Module) error {
	if v.args.JUnit.Given() {
		if err := v.junit(result); err != nil {
			return err
		}
	}
	var coverage *tester.Coverage
	if v.args.Coverage.Value {
		coverage = result.Coverage(module)
	}
	if v.args.JSON.Value {
		if err := v.json(result, coverage); err != nil {
			return err
		}
	} else {
		v.summary(result, coverage)
	}
	if !result.Passed() {
		return exitStatus(exitError)
	}
	return nil
}

func (v *testView) summary(result *tester.Result, coverage *tester.Coverage) {
	if coverage != nil {
		v.coverage(coverage)
	}
	for _, path := range result.Saved {
		v.ui.printf("\nRecorded answers in %s.\n", shortPath(path))
	}
	var counts []string
	for _, s := range []struct {
		status tester.Status
		text   string
	}{{tester.Passed, "passed"}, {tester.Failed, "failed"}, {tester.Broken, "could not be carried out"}, {tester.Skipped, "skipped"}} {
		if n := result.Count(s.status); n > 0 || s.status == tester.Passed || s.status == tester.Failed {
			counts = append(counts, fmt.Sprintf("%s %s", english.Number(n), s.text))
		}
	}
	lead := "Success!"
	if !result.Passed() {
		lead = "Failure!"
	}
	v.ui.printf("\n%s %s.\n", lead, strings.Join(counts, ", "))
}

func (v *testView) coverage(c *tester.Coverage) {
	v.ui.printf("\nCoverage: %d of %s\n", c.Tested, english.Count(c.Total, "block"))
	for _, s := range c.Stages {
		v.ui.printf("  %s %s\n", printable.Pad(s.Address, 40), covered(s))
	}
	for _, g := range c.Gates {
		v.ui.printf("  %s %s\n", printable.Pad(g.Address, 40), coveredGate(g))
	}
}

func covered(s tester.StageCoverage) string {
	switch {
	case s.Ran > 0 && s.Mocked > 0:
		return fmt.Sprintf("ran in %s, mocked in %s", english.Count(s.Ran, "run"), english.Number(s.Mocked))
	case s.Ran > 0:
		return "ran in " + english.Count(s.Ran, "run")
	case s.Mocked > 0:
		return "mocked in " + english.Count(s.Mocked, "run")
	}
	return "not tested"
}

func coveredGate(g tester.GateCoverage) string {
	switch {
	case g.Met > 0 && g.NotMet > 0:
		return "seen met and not met"
	case g.Met > 0:
		return "never seen not met"
	case g.NotMet > 0:
		return "never seen met"
	}
	return "not tested"
}

// junit writes the report for other tools.
func (v *testView) junit(result *tester.Result) error {
	name := v.args.JUnit.Value
	err := replaceFile(name, 0o644, func(w io.Writer) error {
		return result.JUnit(w, func(diags hcl.Diagnostics) string {
			var b strings.Builder
			diag.Print(&b, diags, v.ui.texts(diags), diag.PrintOptions{Redact: v.ui.secrets.Text})
			return b.String()
		})
	})
	if err != nil {
		return diag.Failed(fmt.Sprintf("the report %s cannot be written", name), "%w", err)
	}
	return nil
}

// testRunJSON is a run in the output of -json.
type testRunJSON struct {
	Name        string            `json:"name"`
	Status      tester.Status     `json:"status"`
	Seconds     float64           `json:"seconds"`
	Diagnostics []diag.Diagnostic `json:"diagnostics"`
	Why         string            `json:"why,omitempty"`
	Calls       map[string]int    `json:"calls,omitempty"`
}

// testFileJSON is a file in the output of -json.
type testFileJSON struct {
	Name        string            `json:"name"`
	Status      tester.Status     `json:"status"`
	Seconds     float64           `json:"seconds"`
	Diagnostics []diag.Diagnostic `json:"diagnostics"`
	Runs        []testRunJSON     `json:"runs"`
}

func (v *testView) json(result *tester.Result, coverage *tester.Coverage) error {
	files := []testFileJSON{}
	for _, f := range result.Files {
		out := testFileJSON{Name: f.Name, Status: f.Status, Seconds: f.Seconds, Diagnostics: v.diagnostics(f.Diagnostics), Runs: []testRunJSON{}}
		for _, r := range f.Runs {
			out.Runs = append(out.Runs, testRunJSON{r.Name, r.Status, r.Seconds, v.diagnostics(r.Diagnostics), r.Why, r.Calls})
		}
		files = append(files, out)
	}
	document := map[string]any{
		"files": files, "passed": result.Count(tester.Passed), "failed": result.Count(tester.Failed),
		"errors": result.Count(tester.Broken), "skipped": result.Count(tester.Skipped),
	}
	if coverage != nil {
		document["coverage"] = coverage
	}
	return v.ui.json(document)
}

func (v *testView) diagnostics(diags hcl.Diagnostics) []diag.Diagnostic {
	out := diag.JSON(diags, v.ui.texts(diags), diag.PrintOptions{Redact: v.ui.secrets.Text})
	if out == nil {
		out = []diag.Diagnostic{}
	}
	return out
}
