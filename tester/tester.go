// Package tester runs the test files of a pipeline: quern test.
//
// Each file has a store of its own, in a temporary folder, and its runs share the state in
// it. Files run in parallel. What is outside of the pipeline is mocked (package mock), and
// everything else is planned and run as always.
package tester

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/sync/semaphore"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/lang/testfile"
	"github.com/quern-dev/quern/lang/vars"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/tester/mock"
)

// Plugins are the plugins of a pipeline. registry.Registry implements it.
type Plugins interface {
	mock.Plugins
	// Close ends all plugins that were started, and Kill ends them immediately.
	Close()
	Kill()
}

// Options are what tests run with.
type Options struct {
	Module *config.Module
	Files  []*testfile.File
	// Open opens the plugins for one file.
	Open func(context.Context) (Plugins, hcl.Diagnostics)
	// Inputs are the values of variables that tests do not set.
	Inputs vars.Inputs
	// Filters limit the tests to files and runs: each is part of FILE/RUN, with or without
	// the suffix of the file, or a pattern such as tests/*. The runs before one of them in its file run, too.
	Filters []string
	// Update asks real models for the answers that recordings lack.
	Update bool
	// Parallelism is how many files run at the same time.
	Parallelism int
	// Stop, when closed, ends the tests: no more runs start, and those that run end
	// gracefully.
	Stop <-chan struct{}
	// Redactor learns the values of sensitive variables.
	Redactor *secret.Redactor
	// Done is called when a file is done, in the order of the files.
	Done func(*File)

	QuernVersion, StartedIn string
}

// Status is how a run ended.
type Status string

// The statuses of runs and files.
const (
	Passed Status = "pass"
	Failed Status = "fail"  // something was not as expected
	Broken Status = "error" // it could not be carried out as the test says
	// Skipped is a run after one that could not be carried out, or after Stop.
	Skipped Status = "skip"
)

// File is how a test file ended.
type File struct {
	Name   string
	Status Status
	Runs   []*Run
	// Diagnostics are those that do not belong to a run.
	Diagnostics hcl.Diagnostics
	Seconds     float64
}

// Run is how a run ended.
type Run struct {
	File, Name string
	Status     Status
	// Diagnostics are the errors of a run that did not pass, and warnings.
	Diagnostics hcl.Diagnostics
	// Why says why a run was skipped.
	Why     string
	Seconds float64
	// Stages are the stages that it carried out.
	Stages []Stage
	// Calls is the number of requests to mocked models, by address.
	Calls map[string]int
}

// Stage is a stage that a run carried out.
type Stage struct {
	Address string
	Mocked  bool
	// Met is set for a gate whose conditions were met.
	Met bool
}

// Result is how all tests ended.
type Result struct {
	Files []*File
	// Saved are the files of recorded answers that were written.
	Saved []string
}

// Count returns the number of runs with a status.
func (r *Result) Count(s Status) int {
	n := 0
	for _, f := range r.Files {
		for _, run := range f.Runs {
			if run.Status == s {
				n++
			}
		}
	}
	return n
}

// Passed reports whether nothing failed and nothing was skipped.
func (r *Result) Passed() bool {
	return !slices.ContainsFunc(r.Files, func(f *File) bool { return f.Status != Passed })
}

// Test runs the test files. The error is about what ended all of them.
func Test(ctx context.Context, o Options) (*Result, error) {
	t := &test{Options: o, recordings: mock.NewRecordings(o.Update, o.Redactor)}
	chosen := t.chosen()
	files := make([]*File, len(chosen))
	done := make([]chan struct{}, len(chosen))
	for i := range done {
		done[i] = make(chan struct{})
	}
	group := parallel.New(-1)
	turns := semaphore.NewWeighted(int64(max(1, o.Parallelism)))
	for i, c := range chosen {
		group.Go(func() error {
			defer close(done[i])
			if turns.Acquire(ctx, 1) == nil {
				defer turns.Release(1)
			}
			files[i] = t.file(ctx, c)
			return nil
		})
	}
	group.Go(func() error {
		for i := range done {
			<-done[i]
			if files[i] != nil && o.Done != nil {
				o.Done(files[i])
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	result := &Result{Files: files}
	var err error
	result.Saved, err = t.recordings.Save(len(o.Filters) == 0 && result.Passed())
	return result, err
}

// stoppedTests is why runs are skipped after Stop.
const stoppedTests = "the tests were stopped"

type test struct {
	Options
	recordings *mock.Recordings
}

// choice is a test file and how many of its runs are chosen.
type choice struct {
	file *testfile.File
	runs int
}

// chosen applies the filters.
func (t *test) chosen() []choice {
	var all []choice
	for _, f := range t.Files {
		last := -1
		for i, r := range f.Runs {
			if t.matches(f.Name, r.Name) {
				last = i
			}
		}
		if last >= 0 {
			all = append(all, choice{f, last + 1})
		}
	}
	return all
}

func (t *test) matches(file, run string) bool {
	if len(t.Filters) == 0 {
		return true
	}
	name, short := file+"/"+run, strings.TrimSuffix(file, testfile.Suffix)+"/"+run
	return slices.ContainsFunc(t.Filters, func(filter string) bool {
		return strings.Contains(name, filter) || strings.Contains(short, filter) ||
			doublestar.MatchUnvalidated(filter, name) || doublestar.MatchUnvalidated(filter, short) || doublestar.MatchUnvalidated(filter, file)
	})
}

// stopped reports whether nothing more may start.
func (t *test) stopped(ctx context.Context) bool {
	select {
	case <-t.Stop:
		return true
	default:
		return ctx.Err() != nil
	}
}

// file runs a test file.
func (t *test) file(ctx context.Context, c choice) (out *File) {
	started := time.Now()
	out = &File{Name: c.file.Name, Status: Passed}
	defer func() { out.Seconds = time.Since(started).Seconds() }()
	var s *session
	if !t.stopped(ctx) {
		var err error
		if s, err = t.open(ctx, c.file); err != nil {
			out.Status, out.Diagnostics = Broken, diag.Of(err)
			return out
		}
		defer s.close(ctx)
	}
	broken := "" // the run that could not be carried out
	for _, r := range c.file.Runs[:c.runs] {
		run := &Run{File: c.file.Name, Name: r.Name, Status: Skipped}
		switch {
		case broken != "":
			run.Why = fmt.Sprintf("run %q could not be carried out", broken)
		case t.stopped(ctx):
			run.Why = stoppedTests
		default:
			began := time.Now()
			s.run(ctx, r, run)
			run.Seconds = time.Since(began).Seconds()
		}
		if run.Status == Broken {
			broken = r.Name
		}
		out.Runs = append(out.Runs, run)
		out.Status = worse(out.Status, run.Status)
	}
	return out
}

// worse returns the worse of two statuses.
func worse(a, b Status) Status {
	order := []Status{Passed, Skipped, Failed, Broken}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

// open makes the store of a file and opens its plugins.
func (t *test) open(ctx context.Context, f *testfile.File) (*session, error) {
	dir, err := os.MkdirTemp("", "quern-test-")
	if err != nil {
		return nil, fmt.Errorf("create a folder for the store of %s: %w", f.Name, err)
	}
	module := *t.Module
	module.Sources = maps.Clone(module.Sources)
	s := &session{test: t, file: f, dir: dir, module: &module, outputs: map[string]map[string]cty.Value{}}
	if err := s.openStore(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	plugins, diags := t.Open(ctx)
	if diags.HasErrors() {
		return nil, errors.Join(diags, os.RemoveAll(dir))
	}
	s.plugins = plugins
	return s, nil
}
