// Package plan defines what the planner produces and the runner executes: an
// immutable, serializable graph of stage instances, each with an action and
// its reasons. It is plain data and contains no secrets: a value that comes
// from a sensitive variable appears as a reference to that variable.
package plan

import (
	"slices"
	"time"

	"github.com/quern-dev/quern/internal/amount"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/store/pending"
	"github.com/quern-dev/quern/store/state"
)

// Format is the version of the plan's encoding. It changes when a reader of
// the previous version could misread a plan.
const Format = "quern.plan/v2"

// Plan is a compiled pipeline and the actions to take.
type Plan struct {
	Format       string    `json:"format"`
	QuernVersion string    `json:"quern_version"`
	Created      time.Time `json:"created"`
	Environment  string    `json:"environment"`
	// State is the version of the state that the plan was made for. Apply
	// refuses the plan for any other version.
	State StateRef `json:"state"`
	// Destroy is set for a plan that destroys everything.
	Destroy bool `json:"destroy,omitempty"`
	// RefreshOnly is set for a plan that only updates the state to match the current
	// deployments. Its nodes are those that have drifted.
	RefreshOnly bool `json:"refresh_only,omitempty"`
	// Adopts says whose results the environment adopts, such as environment
	// "dev", in a plan of promote or rollback. Nothing in such a plan computes
	// results.
	Adopts string `json:"adopts,omitempty"`
	// Partial is set when -target or -exclude left something out.
	Partial bool `json:"partial,omitempty"`
	// Moves are the instances of the state that get new addresses, sorted. They
	// happen before anything else, at the same time.
	Moves []state.Move `json:"moves,omitempty"`
	// Since is the revision whose later changes the plan is limited to, or nil. The
	// plan is then partial.
	Since *Revision `json:"since,omitempty"`
	// Plugins are the programs that plugins must have, by local name.
	Plugins map[string]Plugin `json:"plugins"`
	// Nodes are in an order in which each comes after what it needs.
	Nodes []*Node `json:"nodes"`
	// Deferred are the stages that the run plans, or nil if there are none.
	Deferred *Deferred `json:"deferred,omitempty"`
	// Models are the language models that nodes use, by address.
	Models  map[string]*Model `json:"models,omitempty"`
	Outputs []*Output         `json:"outputs,omitempty"`
	// Checks are conditions that block nothing.
	Checks []*CheckBlock `json:"checks,omitempty"`
	// Variables are the values of the variables that are not sensitive, as they
	// were when the plan was made.
	Variables map[string]value.Value `json:"variables,omitempty"`
	// Secrets are the names of the sensitive variables that expressions refer
	// to. An apply needs their values again.
	Secrets []string `json:"secrets,omitempty"`
	// Sealed are keyed digests, by variable, of the secrets that influence
	// results. With other values, the plan would be different.
	Sealed map[string]string `json:"sealed,omitempty"`
	// Budget is the most that the run may cost, or nil if there is no limit.
	Budget *Budget `json:"budget,omitempty"`
	// Pins are what the names that the plan depends on refer to.
	Pins Pins `json:"pins,omitempty"`
}

// StateRef names one version of a state.
type StateRef struct {
	Lineage string `json:"lineage"`
	Serial  int64  `json:"serial"`
}

// Plugin identifies a plugin program as it was when the plan was made.
type Plugin struct {
	Source  string `json:"source"` // builtin, or as in required_plugins
	Version string `json:"version"`
	Digest  string `json:"digest"` // of the program
	// Config is the plugin's block, or nil if it has none.
	Config *Body `json:"config,omitempty"`
}

// Action is what the plan does with an instance.
type Action string

const (
	Keep    Action = "keep"    // the state already has its result
	Run     Action = "run"     // it is computed
	Reuse   Action = "reuse"   // its result is already in the store
	MayRun  Action = "may run" // it waits for an upstream result
	Check   Action = "check"   // a gate: its conditions are checked
	Create  Action = "create"
	Update  Action = "update"
	Replace Action = "replace"
	Delete  Action = "delete"
	Refresh Action = "refresh" // a deployment: the state is updated to what exists now
	Forget  Action = "forget"  // it is no longer configured; the state drops its result
	Adopt   Action = "adopt"   // the state takes over the result of another environment or an earlier run
)

// How a node runs: Node.Mode. Gates have none.
const (
	ModeRead   = "read"
	ModeMap    = "map"
	ModeRun    = "run"
	ModeDeploy = "deploy"
	ModeModel  = "model" // of a model block, which is not a node
	// ModeFlatMap is like ModeMap, but each row produces any number of rows.
	ModeFlatMap = "flat_map"
)

// RowWise reports whether a stage of the mode works row by row, so that only rows
// without a known result are computed.
func RowWise(mode string) bool { return mode == ModeMap || mode == ModeFlatMap }

// RowWise reports whether the node works row by row; see the function RowWise.
func (n *Node) RowWise() bool { return RowWise(n.Mode) }

// What an artifact is: Port.Kind and Input.Kind.
const (
	KindDataset = "dataset"
	KindModel   = "model"
	KindReport  = "report"
	KindPrompt  = "prompt" // it is compiled into a row expression where it is used
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
	WhenCheck  = "check"  // after everything else; a failure is a warning
)

// Node is an instance of a stage and the action to take.
//
// A node of a plan is complete. While it is planned, each phase fills in its own
// fields, and has a type of its own for what is known so far, which contains the
// type of the phase before: expand.Instance (address to behavior, and range),
// decode.Instance (body, dependencies, and how it runs), prepare.Instance (what
// the plugin derives: reads, outputs, the type of values, a fingerprint), and
// decide.Instance (action, reasons, keys, deployment). Later phases take only the
// last of these, and other stages see only a module.Instance. The node itself is
// one record because it is stored, and because the runner needs all of it.
type Node struct {
	Address string `json:"address"`
	Kind    string `json:"kind"`
	Type    string `json:"type,omitempty"`
	Plugin  string `json:"plugin,omitempty"`
	Mode    string `json:"mode,omitempty"` // read, map, run, deploy; gates: ""
	// Behavior is the type's behavior version, followed by the digest of
	// the program if the plugin is under development.
	Behavior string `json:"behaviour,omitempty"`

	Action  Action   `json:"action"`
	Reasons []Reason `json:"reasons,omitempty"`

	// Pending is what the instance has waited for since its last run.
	Pending *pending.Summary `json:"pending,omitempty"`

	// DependsOn are the addresses of all instances that must come before.
	DependsOn []string `json:"depends_on,omitempty"`

	Body *Body `json:"body,omitempty"`
	// Reads says, by dataset input key, which columns are read: by row
	// expressions, by features of models that predict, and by the plugin.
	Reads map[string]Reads `json:"reads,omitempty"`
	// PluginReads are the part of Reads that the plugin itself requested
	// (Prepared.reads): it gets them in addition to its row arguments.
	PluginReads map[string]Reads `json:"plugin_reads,omitempty"`
	// Outputs are the artifacts that it produces. In addition to the plugin's,
	// a row-wise label stage produces a dataset "errors": row (int64) and
	// message (string) of each row that failed.
	Outputs []Port `json:"outputs,omitempty"`
	// ValueType is the type of the plain values that it produces: an object,
	// or cty.NilType if there are none. For a row-wise label stage, it has
	// coverage, the share of rows that are not null by column (a map of
	// numbers), and counts by column and value (a map of maps of numbers):
	// quern computes both itself. For an evaluation of trained models, it has
	// OverlapName, which the runner counts.
	ValueType value.Type `json:"value_type"`

	// Definition and ActionKey are empty if they are not known yet.
	Definition string `json:"definition,omitempty"`
	ActionKey  string `json:"action_key,omitempty"`
	// Preimage is what the keys were computed from, as far as it is known, so
	// that a person can compare two keys.
	Preimage []Field `json:"preimage,omitempty"`
	// Fingerprint identifies the content of a source when it was refreshed.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Memo is what the source's plugin receives again the next time.
	Memo []byte `json:"memo,omitempty"`

	// VerifiesDatasets is set if the plugin verifies the files of datasets before it
	// reads them.
	VerifiesDatasets bool `json:"verifies_datasets,omitempty"`
	// StopSeconds is how long a stage that is asked to stop may take to save a
	// checkpoint. 0 means the default.
	StopSeconds float64 `json:"stop_seconds,omitempty"`
	// OpenAIAPI is set if the plugin calls the stage's language models over HTTP.
	OpenAIAPI bool `json:"openai_api,omitempty"`
	// Files are the user's files that the result depends on.
	Files []SourceFile `json:"files,omitempty"`
	// Pins are what names outside that the result depends on refer to, such as the
	// commit of a branch.
	Pins map[string]string `json:"pins,omitempty"`
	// BatchRows is the maximum number of rows in a request to a row-wise
	// stage's plugin. 0 means no preference.
	BatchRows int64 `json:"batch_rows,omitempty"`
	// Added is the text that the stage itself adds to requests, by the key of
	// the prompt, such as instructions about the form of answers or a schema.
	// It is for display; D covers it through the arguments that it is derived
	// from.
	Added map[string]string `json:"added,omitempty"`

	// Payment is set if the stage pays for something other than calls of models, such
	// as for training at a provider. How much is in the estimate.
	Payment *Payment `json:"payment,omitempty"`

	// Notes are what the plugin tells people about how the stage works, in one line
	// each.
	Notes []string `json:"notes,omitempty"`

	Estimate Estimate `json:"estimate"`
	// Changes are the differences that a deployment's plugin reports.
	Changes []Change `json:"changes,omitempty"`
	// Deployment is what exists now, or nil if nothing does.
	Deployment *Deployment `json:"deployment,omitempty"`
	// MovedFrom is the address of that deployment in the state, if it differs.
	// The old entry is removed when this node runs.
	MovedFrom string `json:"moved_from,omitempty"`
	// Deposes is the address at which the state keeps the deployment that another
	// one replaces, until a node with that address deletes it. If it is empty, a
	// deployment is deleted before the one that replaces it is created.
	Deposes string `json:"deposes,omitempty"`
	// Former deletes the deployment of another type that the state has at this
	// address, before this node creates its own.
	Former *Node `json:"former,omitempty"`

	// Adoption is set for the action Adopt.
	Adoption *Adoption `json:"adoption,omitempty"`
	// Differences say how a profile that the store has already differs from the one
	// that it replaces, in one line each.
	Differences []string `json:"differences,omitempty"`

	// Conditions are those of a gate, or pre- and postconditions.
	Conditions []Condition `json:"conditions,omitempty"`

	// Contracts say what the datasets among its outputs must be like. They are no
	// part of its keys.
	Contracts []*Contract `json:"contracts,omitempty"`

	// PreventDestroy is set if the deployment must not be deleted or replaced.
	PreventDestroy bool `json:"prevent_destroy,omitempty"`
	// CreateBeforeDestroy is false if a deployment must be deleted before another one
	// replaces it, and true if it must not. With nil, it is created first wherever
	// both can exist.
	CreateBeforeDestroy *bool `json:"create_before_destroy,omitempty"`

	Timeout time.Duration `json:"timeout,omitempty"` // 0 means none
	Retries int           `json:"retries,omitempty"`
	// MaxErrors is how many rows of a row-wise stage, or answers and grades of
	// an evaluation, may fail. AnyNumber means no limit.
	MaxErrors int64     `json:"max_errors,omitempty"`
	Resources Resources `json:"resources"`
	// Budget limits what a run may spend on the instance, or is nil.
	Budget *Budget `json:"budget,omitempty"`

	// Range is where the block is, for messages.
	Range diag.Range `json:"range"`
}

// AnyNumber is the value of Node.MaxErrors without a limit.
const AnyNumber = -1

// Field is one part of a key's preimage: "argument query", "behaviour",
// "input tickets column text". Long values are not shortened.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Reads describes what is read from a dataset.
type Reads struct {
	All     bool     `json:"all,omitempty"`
	Columns []string `json:"columns,omitempty"` // sorted
}

// Estimate is what running a node is expected to take. nil means unknown.
type Estimate struct {
	Rows    *int64   `json:"rows,omitempty"`
	NewRows *int64   `json:"new_rows,omitempty"`
	Seconds *float64 `json:"seconds,omitempty"`
	// RowsEstimated is set if Rows and NewRows were not counted but estimated
	// from some rows of the sources.
	RowsEstimated bool `json:"rows_estimated,omitempty"`
	// RowsAtMost is set if Rows and NewRows are upper bounds, because it is not
	// known which rows a condition selects.
	RowsAtMost bool `json:"rows_at_most,omitempty"`
	// Calls of language models, if none of the answers is cached. If
	// CallsAtMost is set, some may be, and calls, tokens, and Money are upper
	// bounds.
	Calls       *int64 `json:"calls,omitempty"`
	CallsAtMost bool   `json:"calls_at_most,omitempty"`
	// CallsCapped is set if Calls is the most that the stage makes, which it may not
	// need. Tokens and Money are then upper bounds, too.
	CallsCapped  bool     `json:"calls_capped,omitempty"`
	InputTokens  *int64   `json:"input_tokens,omitempty"`
	OutputTokens *int64   `json:"output_tokens,omitempty"`
	Money        *float64 `json:"money,omitempty"`
	// InputEstimated is set if InputTokens were estimated from some of the
	// rows, or without the model's own tokenizer.
	InputEstimated bool `json:"input_estimated,omitempty"`
	// OutputAtMost is set if OutputTokens, and therefore Money, are upper
	// bounds.
	OutputAtMost bool `json:"output_at_most,omitempty"`
	// CostUnknown is set if models will be called and their cost is only partly
	// known. Money is then a lower bound.
	CostUnknown bool `json:"cost_unknown,omitempty"`
	// UnknownUntil are the addresses of the stages that must run before the rest
	// of the cost is known.
	UnknownUntil []string `json:"unknown_until,omitempty"`
	// Range contains the ranges of the figures that are not certain, or is nil.
	Range *amount.Amounts `json:"range,omitempty"`
	// Whole is what the node would take if nothing existed: no result, no known row,
	// and no cached answer. It is nil if nothing is known.
	Whole *amount.Amounts `json:"whole,omitempty"`
}

// Payment is money for something other than calls of models.
type Payment struct {
	// Unpriced says why the amount is not known before it is paid, and what the user
	// can do about it. It is empty if the stage knows the amount when it runs.
	Unpriced string `json:"unpriced,omitempty"`
}

// Change is a difference that a deployment's plugin reports.
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

// Refs returns the stages whose values the condition or its message reads.
func (c *Condition) Refs() []string {
	refs := slices.Clone(c.Test.Refs)
	if c.Message != nil {
		refs = append(refs, c.Message.Refs...)
	}
	return refs
}

// Resources are what an instance uses while it runs.
type Resources struct {
	CPU    float64 `json:"cpu,omitempty"`
	Memory int64   `json:"memory,omitempty"` // bytes
	GPU    int     `json:"gpu,omitempty"`
}

// Output is an output value of the pipeline.
type Output struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Sensitive   bool   `json:"sensitive,omitempty"`
	// Action is Keep, Create, Update, or Delete, or MayRun if the value is not
	// known before the apply.
	Action Action `json:"action"`
	// Before is the value in the state, or nil if there is none or it is
	// sensitive.
	Before *value.Value `json:"before,omitempty"`
	// Expr computes the value; nil if the output is deleted or deferred.
	Expr *expr.Compiled `json:"expr,omitempty"`
	// Deferred is set if it depends on a deferred stage, so that it is planned
	// during the run.
	Deferred bool `json:"deferred,omitempty"`
	// DependsOn are the addresses of the stages that must finish before the
	// output gets its value: those in its depends_on, and those that its value
	// comes from, whether or not they were known when the plan was made.
	DependsOn []string `json:"depends_on,omitempty"`
	// Conditions must be met before the output gets its value.
	Conditions []Condition `json:"conditions,omitempty"`
}

// CheckBlock is a set of conditions whose failure is a warning.
type CheckBlock struct {
	Name string `json:"name"`
	// Status is Pass or Fail, or Unknown if a condition waits for a result.
	Status     CheckStatus `json:"status"`
	Conditions []Condition `json:"conditions"`
	DependsOn  []string    `json:"depends_on,omitempty"` // as of an output
	Deferred   bool        `json:"deferred,omitempty"`   // as of an output
	Range      diag.Range  `json:"range"`
}

// CheckStatus is the result of a check.
type CheckStatus string

const (
	Pass    CheckStatus = "pass"
	Fail    CheckStatus = "fail"
	Unknown CheckStatus = "unknown"
)
