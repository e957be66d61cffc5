// Package plan is what the planner makes and the runner carries out: an
// immutable, serialisable graph of stage instances, each with an action and
// its reasons. It is plain data. It holds no secret: a value that comes from
// a sensitive variable stands in it as a reference to that variable.
package plan

import (
	"slices"
	"time"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
)

// Format is the version of the plan's encoding. It changes when a reader of
// the former version could misread a plan.
const Format = "quern.plan/v2"

// Plan is a compiled pipeline with what is to be done about it.
type Plan struct {
	Format       string    `json:"format"`
	QuernVersion string    `json:"quern_version"`
	Created      time.Time `json:"created"`
	Environment  string    `json:"environment"`
	// State is what the plan was made against; an apply against another
	// state is refused.
	State StateRef `json:"state"`
	// Destroy is set for a plan that undeploys everything.
	Destroy bool `json:"destroy,omitempty"`
	// RefreshOnly is set for a plan that only brings the state up to what deployments
	// are now. Its nodes are those that have drifted.
	RefreshOnly bool `json:"refresh_only,omitempty"`
	// Partial is set when -target or -exclude left something out.
	Partial bool `json:"partial,omitempty"`
	// Plugins by local name: which program each must be.
	Plugins map[string]Plugin `json:"plugins"`
	// Nodes in an order in which everything comes after what it needs.
	Nodes []*Node `json:"nodes"`
	// Models are the language models that nodes were given, by address.
	Models  map[string]*Model `json:"models,omitempty"`
	Outputs []*Output         `json:"outputs,omitempty"`
	// Checks are conditions that block nothing.
	Checks []*CheckBlock `json:"checks,omitempty"`
	// Variables are the values that the plan was made with of the variables that
	// are not sensitive.
	Variables map[string]value.Value `json:"variables,omitempty"`
	// Secrets are the names of the sensitive variables that expressions
	// refer to; their values are given again at apply.
	Secrets []string `json:"secrets,omitempty"`
	// Sealed are keyed digests, by variable, of those of them that influence
	// results: with other values the plan is another one.
	Sealed map[string]string `json:"sealed,omitempty"`
	// Budget is what the run may cost; nil: no limit was set.
	Budget *Budget `json:"budget,omitempty"`
}

// StateRef names one version of a state.
type StateRef struct {
	Lineage string `json:"lineage"`
	Serial  int64  `json:"serial"`
}

// Plugin names a plugin program and what it was when the plan was made.
type Plugin struct {
	Source  string `json:"source"` // builtin, or as in required_plugins
	Version string `json:"version"`
	Digest  string `json:"digest"` // of the program
	// Config is the plugin's block; nil: it has none.
	Config *Body `json:"config,omitempty"`
}

// Budget limits a run.
type Budget struct {
	Money  *float64 `json:"money,omitempty"`
	Tokens *int64   `json:"tokens,omitempty"`
	// Seconds of machine time.
	Seconds *float64 `json:"seconds,omitempty"`
}

// Action is what is to be done about an instance.
type Action string

const (
	Keep    Action = "keep"    // stands in the state as it would come out
	Run     Action = "run"     // is computed
	Reuse   Action = "reuse"   // is in the store already, made elsewhere
	MayRun  Action = "may run" // waits for an upstream result
	Check   Action = "check"   // a gate: its conditions are checked
	Create  Action = "create"
	Update  Action = "update"
	Replace Action = "replace"
	Delete  Action = "delete"
	Refresh Action = "refresh" // a deployment: the state takes over what stands there now
	Forget  Action = "forget"  // is no longer configured; its result is dropped from the state
)

// How a node runs: Node.Mode. Gates have none.
const (
	ModeRead   = "read"
	ModeMap    = "map"
	ModeRun    = "run"
	ModeDeploy = "deploy"
	ModeModel  = "model" // of a model block, which is no node
	// ModeFlatMap is as ModeMap, but each row gives any number of rows.
	ModeFlatMap = "flat_map"
)

// RowWise says whether a stage of a mode is given rows, of which only those whose
// result is not known are computed.
func RowWise(mode string) bool { return mode == ModeMap || mode == ModeFlatMap }

// RowWise says whether the node is given rows; see the function.
func (n *Node) RowWise() bool { return RowWise(n.Mode) }

// What an artifact is: Port.Kind and Input.Kind.
const (
	KindDataset = "dataset"
	KindModel   = "model"
	KindReport  = "report"
	KindPrompt  = "prompt" // what an argument takes; it is compiled into a row expression
)

// FormatRemote is the format of a model that is called rather than read: one
// of a model block.
const FormatRemote = "remote"

// When a condition is checked: Condition.When.
const (
	WhenGate = "gate"
	WhenPre  = "pre"
	WhenPost = "post"

	WhenOutput = "output" // before an output gets its value
	WhenCheck  = "check"  // when all else is done; what does not hold is a warning
)

// Node is an instance of a stage and what is to be done about it.
type Node struct {
	Address string `json:"address"`
	Kind    string `json:"kind"`
	Type    string `json:"type,omitempty"`
	Plugin  string `json:"plugin,omitempty"`
	Mode    string `json:"mode,omitempty"` // read, map, run, deploy; gates: ""
	// Behaviour is the type's behaviour version; of a plugin under
	// development, followed by the program's digest.
	Behaviour string `json:"behaviour,omitempty"`

	Action  Action   `json:"action"`
	Reasons []Reason `json:"reasons,omitempty"`

	// DependsOn are the addresses of all that must come before.
	DependsOn []string `json:"depends_on,omitempty"`

	Body *Body `json:"body,omitempty"`
	// Reads says, by dataset input key, which columns are read: by row
	// expressions, by features of models that predict, and by the plugin.
	Reads map[string]Reads `json:"reads,omitempty"`
	// PluginReads are those of Reads that the plugin asked for itself
	// (Prepared.reads): it is given them beside its row arguments.
	PluginReads map[string]Reads `json:"plugin_reads,omitempty"`
	// Outputs are the artifacts that it makes. A row-wise label stage makes,
	// beside the plugin's, a dataset "errors": row (int64) and message
	// (string) of each row that failed.
	Outputs []Port `json:"outputs,omitempty"`
	// ValueType is the type of the plain values that it makes: an object,
	// cty.NilType where there are none. That of a row-wise label stage has
	// coverage, the share of rows that are not null by column that it makes
	// (a map of numbers), and counts, by column and value (a map of maps of
	// numbers): quern counts them itself.
	ValueType value.Type `json:"value_type"`

	// Definition and ActionKey are empty where they are not known yet.
	Definition string `json:"definition,omitempty"`
	ActionKey  string `json:"action_key,omitempty"`
	// Preimage is what the keys were made of, as far as it is known, so that
	// two keys can be compared by a person.
	Preimage []Field `json:"preimage,omitempty"`
	// Fingerprint is what a source held when it was looked at.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Memo is what the source's plugin wants to be told the next time.
	Memo []byte `json:"memo,omitempty"`

	// StopSeconds is how long a stage that is asked to stop may take to leave a
	// checkpoint; 0: the default.
	StopSeconds float64 `json:"stop_seconds,omitempty"`
	// BatchRows is how many rows a request to a row-wise stage's plugin should
	// have at most; 0: it does not matter.
	BatchRows int64 `json:"batch_rows,omitempty"`
	// Added is what the stage adds to requests of its own, by the key of the
	// prompt: instructions about the form of answers, a schema. It is for people;
	// D has it by the arguments that it follows from.
	Added map[string]string `json:"added,omitempty"`

	Estimate Estimate `json:"estimate"`
	// Changes are those that a deployment's plugin names.
	Changes []Change `json:"changes,omitempty"`
	// Deployment is what stands there now; nil: nothing.
	Deployment *Deployment `json:"deployment,omitempty"`
	// MovedFrom is the address under which the state has that deployment, where
	// it is another one; it goes from there when this node is carried out.
	MovedFrom string `json:"moved_from,omitempty"`

	// Conditions: those of a gate, or pre- and postconditions.
	Conditions []Condition `json:"conditions,omitempty"`

	// PreventDestroy: the deployment must not be deleted or replaced.
	PreventDestroy bool `json:"prevent_destroy,omitempty"`

	Timeout time.Duration `json:"timeout,omitempty"` // 0: none
	Retries int           `json:"retries,omitempty"`
	// MaxErrors is how many rows of a row-wise stage, or answers and grades of
	// an evaluation, may fail; AnyNumber: all.
	MaxErrors int64     `json:"max_errors,omitempty"`
	Resources Resources `json:"resources"`

	// Range is where the block stands, for messages.
	Range diag.Range `json:"range"`
}

// AnyNumber is a Node's MaxErrors where nothing bounds it.
const AnyNumber = -1

// Field is one part of a key's preimage: "argument query", "behaviour",
// "input tickets column text". Long values stand in full.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Reads is what is read of a dataset.
type Reads struct {
	All     bool     `json:"all,omitempty"`
	Columns []string `json:"columns,omitempty"` // sorted
}

// Port is an artifact that a stage makes.
type Port struct {
	// Name is empty where the stage itself is the artifact.
	Name string `json:"name,omitempty"`
	Kind string `json:"kind"` // dataset, model, report
	// Columns of a dataset.
	Columns data.Schema `json:"columns,omitempty"`
	// Origins, by column, of a row-wise stage's output: "" (made by the
	// plugin), "input:NAME" or "argument:KEY".
	Origins map[string]string `json:"origins,omitempty"`
	RowsOf  string            `json:"rows_of,omitempty"`
	// Format and Signature of a model. Features are the expressions that
	// make its inputs from a row, by input name.
	Format    string     `json:"format,omitempty"`
	Signature *Signature `json:"signature,omitempty"`
	// Capabilities of a model: CanChat, CanEmbed, CanPredict; sorted.
	Capabilities []string                  `json:"capabilities,omitempty"`
	Features     map[string]*expr.Compiled `json:"features,omitempty"`
}

// Signature is what a model's prediction takes and gives.
type Signature struct {
	Inputs  data.Schema `json:"inputs"`
	Outputs data.Schema `json:"outputs"`
}

// Estimate is what carrying out a node will take; nil: unknown.
type Estimate struct {
	Rows    *int64   `json:"rows,omitempty"`
	NewRows *int64   `json:"new_rows,omitempty"`
	Seconds *float64 `json:"seconds,omitempty"`
	// RowsEstimated: Rows and NewRows were not counted but told from some of the
	// rows of the sources that they come from.
	RowsEstimated bool `json:"rows_estimated,omitempty"`
	// Calls of language models, if none of the answers is kept already. With
	// CallsAtMost some may be: they, their tokens and Money are bounds from above.
	Calls        *int64   `json:"calls,omitempty"`
	CallsAtMost  bool     `json:"calls_at_most,omitempty"`
	InputTokens  *int64   `json:"input_tokens,omitempty"`
	OutputTokens *int64   `json:"output_tokens,omitempty"`
	Money        *float64 `json:"money,omitempty"`
	// InputEstimated: InputTokens were told from some of the rows, or without the
	// model's own tokenizer.
	InputEstimated bool `json:"input_estimated,omitempty"`
	// OutputAtMost: OutputTokens, and so Money, are bounds from above.
	OutputAtMost bool `json:"output_at_most,omitempty"`
	// CostUnknown: models will be asked, and what that costs is not wholly
	// known; Money is then a bound from below.
	CostUnknown bool `json:"cost_unknown,omitempty"`
	// UnknownUntil are the addresses of the stages that have to run before what
	// is unknown of the cost can be told.
	UnknownUntil []string `json:"unknown_until,omitempty"`
}

// Change is a difference that a deployment's plugin names.
type Change struct {
	Argument          string `json:"argument"`
	Before            string `json:"before,omitempty"`
	After             string `json:"after,omitempty"`
	ForcesReplacement bool   `json:"forces_replacement,omitempty"`
}

// Condition is a gate's condition, a stage's pre- or postcondition, an output's
// precondition, or what a check asserts.
type Condition struct {
	When    string         `json:"when"` // gate, pre, post, output, check
	Test    *expr.Compiled `json:"test"`
	Message *expr.Compiled `json:"message"`
}

// Refs are the stages that the condition or its message reads values of.
func (c *Condition) Refs() []string {
	refs := slices.Clone(c.Test.Refs)
	if c.Message != nil {
		refs = append(refs, c.Message.Refs...)
	}
	return refs
}

// Resources are what an instance occupies while it runs.
type Resources struct {
	CPU    float64 `json:"cpu,omitempty"`
	Memory int64   `json:"memory,omitempty"` // bytes
	GPU    int     `json:"gpu,omitempty"`
}

// Output is a value that the pipeline hands out.
type Output struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Sensitive   bool   `json:"sensitive,omitempty"`
	// Action is Keep, Create, Update or Delete; MayRun where the value is not
	// known before the apply.
	Action Action `json:"action"`
	// Before is what the state holds; nil: nothing, or it is sensitive.
	Before *value.Value `json:"before,omitempty"`
	// Expr makes the value; nil where the output is deleted.
	Expr *expr.Compiled `json:"expr,omitempty"`
	// DependsOn are the addresses of the stages that must be done before the
	// output gets its value: those that it names in depends_on, and those that
	// its value comes from, known when the plan was made or not.
	DependsOn []string `json:"depends_on,omitempty"`
	// Conditions must hold before the output gets its value.
	Conditions []Condition `json:"conditions,omitempty"`
}

// CheckBlock is a set of conditions whose failure is a warning.
type CheckBlock struct {
	Name string `json:"name"`
	// Status is Pass or Fail, or Unknown where a condition waits for a result.
	Status     CheckStatus `json:"status"`
	Conditions []Condition `json:"conditions"`
	DependsOn  []string    `json:"depends_on,omitempty"` // as of an output
	Range      diag.Range  `json:"range"`
}

// CheckStatus is how a check stands.
type CheckStatus string

const (
	Pass    CheckStatus = "pass"
	Fail    CheckStatus = "fail"
	Unknown CheckStatus = "unknown"
)

// Body is a configuration with its expressions compiled.
type Body struct {
	// Type is the object type of the configuration that Bind makes. Nested
	// bodies have none: theirs is part of it.
	Type   value.Type      `json:"type,omitzero"`
	Args   map[string]*Arg `json:"args,omitempty"`
	Blocks []*Block        `json:"blocks,omitempty"` // in the order written
}

// Block is a nested block. Its labels stand in its body's Args, too, where
// the configuration has them.
type Block struct {
	Name   string   `json:"name"`
	Labels []string `json:"labels,omitempty"`
	Body   *Body    `json:"body"`
}

// Arg is an argument. Exactly one of Value, Expr, Row, Input, Choice, Map and
// List is set.
type Arg struct {
	// Value is known.
	Value *value.Value `json:"value,omitempty"`
	// Expr waits for upstream values, or for a secret.
	Expr *expr.Compiled `json:"expr,omitempty"`
	// Row is evaluated for each row.
	Row *RowArg `json:"row,omitempty"`
	// Input is an artifact.
	Input *Input `json:"input,omitempty"`
	// Choice becomes an Input or a Row once it is known which.
	Choice *Choice `json:"choice,omitempty"`
	// Map and List hold collections whose elements are rows or inputs.
	Map  map[string]*Arg `json:"map,omitempty"`
	List []*Arg          `json:"list,omitempty"`

	// Operational arguments are left out of keys.
	Operational bool `json:"operational,omitempty"`
	// Sensitive arguments are left out of keys and never shown.
	Sensitive bool `json:"sensitive,omitempty"`
	// Range is where the argument's expression stands.
	Range diag.Range `json:"range"`
}

// RowArg is a row expression over the rows of one dataset input.
type RowArg struct {
	Expr *expr.Compiled `json:"expr"`
	// Of is the key of the dataset argument.
	Of string `json:"of"`
	// Schema has the columns that it reads. It is set where the expression
	// waits for values of other stages, and so is compiled once more when they
	// are known.
	Schema data.Schema `json:"schema,omitempty"`
	// Prompt is the address of the prompt block that it was made of; empty:
	// it is an expression of its own.
	Prompt string `json:"prompt,omitempty"`
	// Late: it needs what the stage finds out about a row, so that it is no
	// column of what the plugin is given. Columns that it reads are.
	Late bool `json:"late,omitempty"`
}

// Input refers to an artifact that an upstream instance makes.
type Input struct {
	Address string `json:"address"`
	Port    string `json:"port,omitempty"`
	Kind    string `json:"kind"`
	// Of is set for a model that is to predict over the rows of a dataset
	// argument: that argument's key.
	Of string `json:"of,omitempty"`
}
