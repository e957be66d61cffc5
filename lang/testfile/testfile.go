// Package testfile reads the files of quern test: *.quern-test.hcl. They contain
// runs of a pipeline, the mocks that take the place of what is outside, and what
// is expected of the results.
//
// It checks the structure of files and the names in mocks. It leaves expressions
// unevaluated, and does not know the pipeline: Check compares the two.
package testfile

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
)

// Suffix is the end of the names of test files.
const Suffix = ".quern-test.hcl"

// Folder is the folder, in that of the pipeline, that can also contain test files.
const Folder = "tests"

// File is a test file.
type File struct {
	// Name is relative to the folder of the pipeline, with slashes.
	Name   string
	Source []byte
	// Variables and Mocks are those of all runs, unless a run has its own.
	Variables map[string]hcl.Expression
	Mocks     []*Mock
	Runs      []*Run
}

// Run is a plan or an apply, and what is expected of it. Runs of a file share a
// state: each one sees what those before it have done.
type Run struct {
	Name      string
	Plan      bool // it plans only
	Variables map[string]hcl.Expression
	Mocks     []*Mock
	Targets   []addr.Target
	Replace   []addr.Target
	Asserts   []Assert
	Expects   []*Expect
	// Errors and Warnings are expected diagnostics. Any other error fails the run.
	Errors, Warnings []Diagnostic
	Range            hcl.Range
}

// Assert is a condition that must be true.
type Assert struct {
	Condition hcl.Expression
	// Message says what is wrong if it is not. nil means that the condition says it.
	Message hcl.Expression
	Range   hcl.Range
}

// Expect compares the rows of a dataset.
type Expect struct {
	// Stage is the instance that produces it, and Port the name of the output, which
	// is empty if the stage itself is the dataset.
	Stage addr.Instance
	Port  string
	Table
	// Ordered compares the order of rows, too. Subset allows further rows.
	Ordered, Subset bool
	Range           hcl.Range
}

// Name returns the dataset as users write it.
func (e *Expect) Name() string {
	if e.Port == "" {
		return e.Stage.String()
	}
	return e.Stage.String() + "." + e.Port
}

// Diagnostic is an expected error or warning.
type Diagnostic struct {
	// Address is the stage or instance that it is about, or empty for any.
	Address string
	// Text is part of its summary or detail, or nil.
	Text  hcl.Expression
	Range hcl.Range
}

// Table is a table of rows: inline, or in a file.
type Table struct {
	Rows hcl.Expression
	// File is relative to the folder of the test file, with slashes.
	File string
	// FileRange is the place of File, and SchemaRange that of Schema.
	FileRange, SchemaRange hcl.Range
	// Schema contains the types of columns that are not inferred, by name.
	Schema map[string]string
}

// Given reports whether there is a table.
func (t *Table) Given() bool { return t.Rows != nil || t.File != "" }

// Mock takes the place of a stage or of a model.
type Mock struct {
	// Stage is what is mocked. A variable of the pipeline that is a dataset, model, or
	// prompt is mocked as the source, model, or prompt of the same name, and Variable is
	// its name.
	Stage    addr.Stage
	Variable string
	// Real is set if the stage is what it is, even if tests would refuse it.
	Real bool
	// Table contains the rows of the dataset that the stage produces, and Outputs
	// those of its datasets that have names.
	Table
	Outputs map[string]*Table
	// Columns are the columns that the stage computes row by row, or that the model
	// that it trains predicts, as expressions over row.
	Columns map[string]hcl.Expression
	// Values are the plain values that the stage produces, by name.
	Values map[string]hcl.Expression
	// Rules, in their order, and then Answer answer requests to a model, as
	// expressions over request. Embedding is over text.
	Rules []Rule
	Reply
	Embedding hcl.Expression
	// Prompt is the content of a prompt, or nil.
	Prompt *hclsyntax.Body
	// Record is the file of recorded answers, relative to the folder of the test
	// file, or empty.
	Record      string
	RecordRange hcl.Range
	// Text is the block as it is written.
	Text  string
	Range hcl.Range
}

// Expressions returns all expressions of the mock, in no particular order.
func (m *Mock) Expressions() []hcl.Expression {
	all := []hcl.Expression{m.Rows, m.Answer, m.ToolCalls, m.Embedding}
	all = slices.AppendSeq(all, maps.Values(m.Columns))
	all = slices.AppendSeq(all, maps.Values(m.Values))
	for _, t := range m.Outputs {
		all = append(all, t.Rows)
	}
	for _, r := range m.Rules {
		all = append(all, r.When, r.Answer, r.ToolCalls, r.Error)
	}
	return slices.DeleteFunc(all, func(e hcl.Expression) bool { return e == nil })
}

// Reply is what a model answers: a text, or anything else as JSON; calls of tools; or
// both. An expression that is not written is nil.
type Reply struct{ Answer, ToolCalls hcl.Expression }

// IsSet reports whether there is a reply.
func (r *Reply) IsSet() bool { return r.Answer != nil || r.ToolCalls != nil }

// Rule answers some of the requests to a model: with a reply, or with an error.
type Rule struct {
	When, Error hcl.Expression
	Reply
	Range hcl.Range
}

// Path returns the path of a file that a test file names, relative to the folder
// of the pipeline.
func (f *File) Path(name string) string {
	if path.IsAbs(name) {
		return name
	}
	return path.Join(path.Dir(f.Name), name)
}

// Load reads the test files of a pipeline: those in its folder, and those in the
// folder tests. It returns what could be read, whatever the diagnostics say.
func Load(dir string) ([]*File, hcl.Diagnostics) {
	var files []*File
	var diags hcl.Diagnostics
	for _, name := range FileNames(dir) {
		src, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			diags = append(diags, diag.Errorf(nil, "Cannot read file", "%s.", err))
			continue
		}
		f, more := Parse(name, src)
		files, diags = append(files, f), append(diags, more...)
	}
	return files, diags
}

// FileNames returns the names of a pipeline's test files, sorted, with slashes.
func FileNames(dir string) []string {
	var names []string
	for _, folder := range []string{".", Folder} {
		entries, _ := os.ReadDir(filepath.Join(dir, folder)) // a folder that does not exist has no tests
		for _, e := range entries {
			if !e.IsDir() && strings.HasSuffix(e.Name(), Suffix) && !strings.HasPrefix(e.Name(), ".") {
				names = append(names, path.Join(folder, e.Name()))
			}
		}
	}
	slices.Sort(names)
	return names
}

// Check reports addresses in a test file that the pipeline does not declare.
func (f *File) Check(m *config.Module) hcl.Diagnostics {
	if m.Incomplete {
		return nil
	}
	var diags hcl.Diagnostics
	for _, mock := range f.allMocks() {
		if mock.Variable != "" {
			diags = append(diags, canStandIn(m, mock)...)
			continue
		}
		diags = append(diags, declared(m, mock.Stage, mock.Range)...)
	}
	for _, r := range f.Runs {
		for _, e := range r.Expects {
			if isMocked(m, e.Stage.Stage) {
				continue
			}
			diags = append(diags, declared(m, e.Stage.Stage, e.Range)...)
		}
	}
	return diags
}

// canStandIn reports a mock of a variable that is a value, or of another kind than the
// mock.
func canStandIn(m *config.Module, mock *Mock) hcl.Diagnostics {
	v := m.Variables[mock.Variable]
	if v == nil {
		return hcl.Diagnostics{diag.Errorf(&mock.Range, "Undeclared variable", "The pipeline does not declare var.%s.%s", mock.Variable, diag.Suggest(mock.Variable, slices.Collect(maps.Keys(m.Variables))))}
	}
	var fix string
	switch v.StandInKind() {
	case mock.Stage.Kind:
		return nil
	case kind.Source:
		fix = "a dataset. Give it rows: rows = […], or file"
	case kind.Model:
		fix = "a model. Give it answers: answer = …, rule blocks, tool_calls, embedding, or record"
	case kind.Prompt:
		fix = "a prompt. Give it a prompt block: prompt { user = … }"
	default:
		return hcl.Diagnostics{diag.Errorf(&mock.Range, "Cannot be mocked", "Only variables that are datasets, models, or prompts can be mocked, and var.%s is a value. Set it in a variables block.", mock.Variable)}
	}
	return hcl.Diagnostics{diag.Errorf(&mock.Range, "Wrong kind of mock", "var.%s is %s.", mock.Variable, fix)}
}

// isMocked reports whether an address is that of the mock of a variable.
func isMocked(m *config.Module, a addr.Stage) bool {
	v := m.Variables[a.Name]
	return a.Module.IsRoot() && v != nil && a.Kind == v.StandInKind()
}

// MockedVariables returns the variables of the pipeline that are datasets, models, or
// prompts, and that take part in tests: those that have to be set, and those that a
// file mocks.
func MockedVariables(m *config.Module, files []*File) []*config.Variable {
	var all []*config.Variable
	for _, name := range slices.Sorted(maps.Keys(m.Variables)) {
		v := m.Variables[name]
		mocked := func(f *File) bool {
			return slices.ContainsFunc(f.allMocks(), func(mock *Mock) bool { return mock.Variable == name })
		}
		if v.Artifact != nil && (v.Required() || slices.ContainsFunc(files, mocked)) {
			all = append(all, v)
		}
	}
	return all
}

func (f *File) allMocks() []*Mock {
	all := slices.Clone(f.Mocks)
	for _, r := range f.Runs {
		all = append(all, r.Mocks...)
	}
	return all
}

func declared(m *config.Module, a addr.Stage, at hcl.Range) hcl.Diagnostics {
	if !a.Module.IsRoot() || m.Stage(a) != nil {
		return nil
	}
	var names []string
	for _, s := range m.Stages {
		names = append(names, s.Addr.String())
	}
	return hcl.Diagnostics{diag.Errorf(&at, "Undeclared stage", "The pipeline has no %s.%s", a, diag.Suggest(a.String(), names))}
}
