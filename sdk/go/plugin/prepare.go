package plugin

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Prepare is an instance that is being validated, and the place to declare
// what it will make. It belongs to one goroutine.
type Prepare[A any] struct {
	// Args holds zeros where values are not known yet.
	Args *A
	*preparation
}

// preparation is the part of Prepare that does not depend on the arguments'
// type.
type preparation struct {
	instance *pluginv1.Instance
	unknown  []string
	out      *pluginv1.Prepared
	// dropped are columns of a Mapper's input that its output goes without.
	dropped []string
	err     error
}

func newPreparation(instance *pluginv1.Instance, unknown []string) *preparation {
	return &preparation{instance: instance, unknown: unknown, out: &pluginv1.Prepared{}}
}

// InputInfo is what is known about an input before anything runs.
type InputInfo struct {
	Kind ArtifactKind
	// Schema and Rows of a dataset; nil Rows: not known yet.
	Schema data.Schema
	Rows   *int64
	// Format and Signature of a model.
	Format    string
	Signature Signature
	// Capabilities of a model: chat, embed, predict.
	Capabilities []string
}

// Can says whether the input is a model with a capability. A trained model
// has a format and predicts.
func (i *InputInfo) Can(capability string) bool {
	return i != nil && (slices.Contains(i.Capabilities, capability) || capability == CanPredict && i.Format != "")
}

// Signature is what a model's prediction takes and gives.
type Signature struct{ Inputs, Outputs data.Schema }

// Estimate is what the work will take; nil: unknown, which is not zero.
type Estimate struct {
	Rows         *int64
	Seconds      *float64
	InputTokens  *int64
	OutputTokens *int64
}

// Calls are the requests that a stage makes to one model with one prompt.
type ModelCalls struct {
	// Prompt is the key of the argument that holds the request: a Prompt, or
	// a Column whose text is the user's message.
	Prompt string
	// Model is the key of the model.
	Model string
	// PerRow is how many requests a row takes.
	PerRow float64
	// Added is what the stage adds to each request: instructions, a schema.
	Added string
	// OutputTokens of an answer; nil: they cannot be foreseen.
	OutputTokens *int64
	// LongestAnswer is the longest answer of the form that is asked for; empty:
	// answers may be of any length.
	LongestAnswer string
	// ReadsAnswers: the requests hold an answer to another of the calls and, of
	// the prompt, the last message of the user alone.
	ReadsAnswers bool
	// Texts are the keys of further row arguments whose texts the requests hold.
	Texts []string
	// Draws is how often each request is made, for answers that vary; 0: once.
	Draws int
}

// Address is the instance's address, for messages: label.intent["a"].
func (p *preparation) Address() string { return p.instance.Address }

// Name is the block's name, the second part of the address: intent.
func (p *preparation) Name() string { return addressName(p.instance.Address) }

func addressName(address string) string {
	name, _, _ := strings.Cut(address, "[")
	return name[strings.LastIndex(name, ".")+1:]
}

// Known says whether the argument at a key has its value already. What is
// inside an unknown value is unknown.
func (p *preparation) Known(key string) bool { return knownKey(p.unknown, key) }

// knownKey is false where key, something that it is in, or something in it is
// unknown.
func knownKey(unknown []string, key string) bool {
	for _, u := range unknown {
		if u == "" || u == key || strings.HasPrefix(key, u+".") || strings.HasPrefix(u, key+".") {
			return false
		}
	}
	return true
}

// Input returns what is known of the artifact at a key; nil: there is none.
func (p *preparation) Input(key string) *InputInfo {
	in := p.instance.Inputs[key]
	if in == nil {
		return nil
	}
	return &InputInfo{
		Kind: artifactKind(in.Kind), Schema: data.FromProto(in.Columns), Rows: in.Rows,
		Format: in.Format, Signature: signatureFromProto(in.Signature), Capabilities: in.Capabilities,
	}
}

// InputKeys returns the keys of all inputs, sorted.
func (p *preparation) InputKeys() []string {
	return slices.Sorted(maps.Keys(p.instance.Inputs))
}

// RowArgument returns the type of a row expression's values (a column type:
// string, int64, …) and, if the expression is a bare row.x, x. Without such an
// argument both are empty.
func (p *preparation) RowArgument(key string) (typ, column string) {
	a := p.instance.RowArguments[key]
	return a.GetType(), a.GetColumn()
}

// RowArgumentKeys returns the keys of all row expressions, sorted.
func (p *preparation) RowArgumentKeys() []string {
	return slices.Sorted(maps.Keys(p.instance.RowArguments))
}

// Errorf reports a mistake in the argument at a key; with an empty key, in the
// whole instance. The user sees it at that place of the configuration. The
// text up to the first line break is its summary.
func (p *preparation) Errorf(argument, format string, args ...any) {
	p.diagnose(pluginv1.Diagnostic_SEVERITY_ERROR, argument, format, args)
}

// Warnf reports something that may be a mistake.
func (p *preparation) Warnf(argument, format string, args ...any) {
	p.diagnose(pluginv1.Diagnostic_SEVERITY_WARNING, argument, format, args)
}

func (p *preparation) diagnose(severity pluginv1.Diagnostic_Severity, argument, format string, args []any) {
	summary, detail, _ := strings.Cut(legible(fmt.Sprintf(format, args...)), "\n")
	p.out.Diagnostics = append(p.out.Diagnostics, &pluginv1.Diagnostic{
		Severity: severity, Summary: summary, Detail: strings.TrimSpace(detail), Argument: argument,
	})
}

func (p *preparation) hasErrors() bool {
	return slices.ContainsFunc(p.out.Diagnostics, func(d *pluginv1.Diagnostic) bool {
		return d.Severity == pluginv1.Diagnostic_SEVERITY_ERROR
	})
}

// ReadAll declares that all columns of a dataset input are read.
func (p *preparation) ReadAll(input string) { p.reads(input).All = true }

// ReadColumns declares that columns of a dataset input are read, beside those
// that row expressions read. A change to a column that is not declared makes
// nothing run again, and the plugin does not get it.
func (p *preparation) ReadColumns(input string, columns ...string) {
	r := p.reads(input)
	for _, c := range columns {
		if !slices.Contains(r.Columns, c) {
			r.Columns = append(r.Columns, c)
		}
	}
}

func (p *preparation) reads(input string) *pluginv1.Reads {
	if p.out.Reads == nil {
		p.out.Reads = map[string]*pluginv1.Reads{}
	}
	r := p.out.Reads[input]
	if r == nil {
		r = &pluginv1.Reads{}
		p.out.Reads[input] = r
	}
	return r
}

// SetValueType declares the plain values (metrics and the like) that the
// instance makes: an object type.
func (p *preparation) SetValueType(t cty.Type) {
	if !t.IsObjectType() {
		p.misuse("SetValueType wants an object type and got %s", t.FriendlyName())
		return
	}
	b, err := t.MarshalJSON()
	if err != nil {
		p.misuse("SetValueType: %s", err)
		return
	}
	p.out.ValueType = b
}

// SetEstimate says what the work will take.
func (p *preparation) SetEstimate(e Estimate) {
	p.out.Estimate = &pluginv1.Estimate{
		Rows: e.Rows, Seconds: e.Seconds, InputTokens: e.InputTokens, OutputTokens: e.OutputTokens,
	}
}

// Calls says which requests to a model the work makes for each row, so that
// quern can say what they will cost.
func (p *preparation) AddModelCalls(c ModelCalls) {
	p.out.Calls = append(p.out.Calls, &pluginv1.ModelCalls{
		Prompt: c.Prompt, Model: c.Model, PerRow: c.PerRow, Added: c.Added, OutputTokens: c.OutputTokens,
		LongestAnswer: c.LongestAnswer, ReadsAnswers: c.ReadsAnswers, Texts: c.Texts, Draws: int64(c.Draws),
	})
}

// misuse notes an author's mistake, as against a user's.
func (p *preparation) misuse(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}
