// Package config reads the configuration files of a folder into a Module:
// blocks sorted by kind, with their expressions left unevaluated.
//
// It reports every error that can be found without plugins, variables,
// or state, for all files at once, with its position and
// a way to fix it, and returns what could be read along with the errors. It
// evaluates only what must be constant (versions, types, defaults of
// variables) and does not know which arguments a stage type takes.
package config

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
)

// Suffix is the end of the names of configuration files.
const Suffix = ".quern.hcl"

// JSONSuffix is the end of the names of configuration files in JSON.
const JSONSuffix = ".quern.json"

// Module is the configuration of a folder.
type Module struct {
	// Dir is the folder as it was given to Load.
	Dir string
	// Sources contains the text of every file that was read, by its name
	// relative to the folder of the root module: the snippets of diagnostics
	// are cut from it. The modules of a tree share it.
	Sources map[string][]byte
	// Incomplete is set if a file could not be parsed as a whole: blocks
	// may be missing, so a name that seems undeclared may still be correct.
	Incomplete bool

	Settings  Settings
	Variables map[string]*Variable
	Locals    map[string]*Local
	Outputs   map[string]*Output
	Checks    map[string]*Check
	// Calls are the module blocks by name.
	Calls map[string]*Call
	// Stages are in the order in which they are written, with files in the order of
	// their names. They include gates, models, and prompts.
	Stages []*Stage
	// Plugins are the plugin blocks by local name.
	Plugins map[string]*Plugin
	Moved   []*Moved
	Removed []*Removed
	Imports []*Import
	// StandIns are the blocks that StandIn replaced variables with.
	StandIns []addr.Stage

	stages map[addr.Stage]*Stage
	// bodies are the contents of the module's files, if StandIn may need them.
	bodies []*hclsyntax.Body
}

// Stage returns the stage at an address, or nil if it is not declared.
func (m *Module) Stage(a addr.Stage) *Stage { return m.stages[a] }

// Settings combines the settings of all quern blocks.
type Settings struct {
	// RequiredVersion constrains quern's version, as in "~> 1.2". If it is
	// empty, any version is accepted.
	RequiredVersion      string
	RequiredVersionRange hcl.Range
	// RequiredPlugins by local name.
	RequiredPlugins map[string]RequiredPlugin
	Store           *Store  // nil for the default
	Engine          *Block  // nil for the default
	Budget          *Budget // nil for no limit
	// Environments are the environments with settings of their own, by name.
	Environments map[string]*Environment
}

// RequiredPlugin says where a plugin comes from and which versions are acceptable.
type RequiredPlugin struct {
	Name    string
	Source  string // if empty, the plugin is searched for by name only
	Version string // a constraint; empty: any
	// Command starts a plugin under development: a program and its arguments. It
	// excludes the others.
	Command []string
	Range   hcl.Range
}

// Store says where artifacts and state are kept.
type Store struct {
	Block
	// Path of a local store, relative to the module's folder. If it is empty,
	// the path is .quern.
	Path      string
	PathRange hcl.Range
}

// Block is a typed settings block: engine "local" {}.
type Block struct {
	Type  string
	Range hcl.Range
}

// Environment contains the settings of one environment.
type Environment struct {
	Name string
	// Budgets by what they limit. The one for runs replaces that of the pipeline.
	Budgets map[Per]*Budget
	Range   hcl.Range
}

// Per is what a budget limits: one run, or all runs of an environment within a
// calendar day or month in UTC.
type Per string

// What a budget limits.
const (
	PerRun   Per = "run"
	PerDay   Per = "day"
	PerMonth Per = "month"
)

// Budget limits costs. A nil field means no limit.
type Budget struct {
	Money   hcl.Expression // in the currency of the models' prices
	Tokens  hcl.Expression // input and output
	Calls   hcl.Expression // of language models
	Seconds hcl.Expression // machine time
	Range   hcl.Range
}

// Variable is an input of the module.
type Variable struct {
	Name        string
	Description string
	// Type is the constraint that values are converted to;
	// cty.DynamicPseudoType accepts any type. Attributes of objects may be
	// optional, with Defaults.
	Type     cty.Type
	Defaults *typeexpr.Defaults // nil if there are no optional attributes
	// Typed is set when the block gives a type of values.
	Typed bool
	// Artifact is set if the variable is an artifact or a prompt. Only a module
	// that another one calls can have a value for it.
	Artifact *ArtifactType
	// Default is converted to Type. If it is cty.NilVal, the variable must be set.
	Default     cty.Value
	Sensitive   bool
	Nullable    bool
	Validations []Condition
	Range       hcl.Range
}

// Required reports whether the variable must be set.
func (v *Variable) Required() bool { return v.Default == cty.NilVal }

// Local is a named expression.
type Local struct {
	Name  string
	Expr  hcl.Expression
	Range hcl.Range
}

// Output is a value that the module exports.
type Output struct {
	Name        string
	Description string
	Sensitive   bool
	// Type and Typed, or Artifact, are as for a Variable.
	Type      cty.Type
	Typed     bool
	Artifact  *ArtifactType
	Expr      hcl.Expression
	DependsOn []hcl.Traversal
	// Pre must be true before the output gets its value.
	Pre   []Condition
	Range hcl.Range
}

// Check is a set of conditions that are evaluated but block nothing.
type Check struct {
	Name    string
	Asserts []Condition
	Range   hcl.Range
}

// Plugin configures a plugin.
type Plugin struct {
	Name  string
	Body  *hclsyntax.Body
	Range hcl.Range

	json *jsonBody
}

// Condition is a condition that must be true, and the message for when it is not.
type Condition struct {
	Condition    hcl.Expression
	ErrorMessage hcl.Expression
	Range        hcl.Range
}

// Stage is a stage block, or the block of a model or prompt, which are not
// run by themselves.
type Stage struct {
	Addr addr.Stage
	// Type is the block's first label; empty for a gate or a prompt.
	Type string
	// Plugin is the local name given with `plugin`, or empty for the type's own
	// plugin.
	Plugin string
	// At most one of Count and ForEach is set.
	Count, ForEach hcl.Expression
	DependsOn      []hcl.Traversal
	// Pre and Post are the conditions of the lifecycle block.
	Pre, Post []Condition
	// Contracts say what the datasets that the stage produces must be like.
	Contracts []Contract
	// PreventDestroy keeps plans from deleting or replacing a deployment.
	PreventDestroy bool
	// CreateBeforeDestroy says in which order a deployment is replaced, and is nil if
	// that depends on what is possible.
	CreateBeforeDestroy *bool
	// Conditions of a gate: its own condition first, then its check blocks.
	Conditions []Condition
	// Timeout is a duration as a string ("90s"), Retries a whole number; nil
	// if they are not set.
	Timeout, Retries hcl.Expression
	Resources        *Resources // nil if not set
	// Budget limits what one run may spend on an instance. It is nil if not set.
	Budget *Budget
	// Body is what remains for the type's schema: neither meta-arguments nor
	// meta-blocks. Dynamic blocks are not yet expanded. A model's timeout and
	// retries belong to its type, so they remain; a prompt's arguments and
	// blocks have been checked.
	Body *hclsyntax.Body

	// inBody are the references in Body.
	inBody []hcl.Traversal
	// json is what Body was built from in a JSON file; own selects what remains for
	// the type's schema.
	json *jsonBody
	own  func(*hclsyntax.Body) *hclsyntax.Body

	// DeclRange is the block's header, and Range the whole block.
	TypeRange, NameRange, DeclRange, Range hcl.Range
}

// DropBody drops the body, and the references in it.
func (s *Stage) DropBody() { s.Body, s.inBody, s.json = nil, nil, nil }

// Locate sets the address of diagnostics about stages: those with a place in the
// block of one. in is the address of the module.
func (m *Module) Locate(diags hcl.Diagnostics, in addr.Module) {
	for _, d := range diags {
		if d.Subject == nil {
			continue
		}
		for _, s := range m.Stages {
			if s.Range.Filename == d.Subject.Filename && s.Range.ContainsPos(d.Subject.Start) {
				diag.About(s.Addr.In(in).String(), d)
			}
		}
	}
}

// Resources are what an instance of a stage occupies while it runs. A nil field
// is not set.
type Resources struct {
	CPU    hcl.Expression // cores
	Memory hcl.Expression // bytes, or a string with a unit: "4GiB"
	GPU    hcl.Expression // devices
	Range  hcl.Range
}
