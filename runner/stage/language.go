package stage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/failure"
	"github.com/quern-dev/quern/runner/modelhost"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/blob"
)

// Languages binds language models: blocks, each one once, and models that stages
// trained. It is safe for concurrent use.
type Languages struct {
	Plugins  Plugins
	Redactor *secret.Redactor
	Seal     func([]byte) (string, error)
	// Blobs are where the files of trained models are. It is nil if models are
	// not called.
	Blobs *blob.Store

	mu        sync.Mutex
	byAddress map[string]*Language
}

// Language is a language model.
type Language struct {
	modelhost.Language
	// Model is its block, with everything known that the block waited for, and
	// Wrapped the trained model in it. Both are nil for a model that a stage
	// trained.
	Model   *plan.Model
	Wrapped *Input
}

// Scope is what a block is bound with.
type Scope struct {
	Secrets Secrets
	// Vars returns the values that expressions with references to stages and
	// sensitive variables are evaluated with.
	Vars func(refs, secrets []string) map[string]cty.Value
	// Wrapped returns the trained model that the block wraps.
	Wrapped func(key string, of *plan.Input) (*Input, error)
}

// Bind binds a block.
func (l *Languages) Bind(m *plan.Model, sc Scope) (*Language, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if bound := l.byAddress[m.Address]; bound != nil {
		return bound, nil
	}
	bound, err := l.bind(m, sc)
	if err != nil {
		return nil, err
	}
	if l.byAddress == nil {
		l.byAddress = map[string]*Language{}
	}
	l.byAddress[m.Address] = bound
	return bound, nil
}

func (l *Languages) bind(m *plan.Model, sc Scope) (*Language, error) {
	refs, names := m.Body.Refs()
	bound, diags := m.Body.Bind(sc.Vars(refs, names))
	if diags.HasErrors() {
		return nil, &failure.Diagnosed{Diagnostics: diags}
	}
	Conceal(l.Redactor, bound)
	// The planner computes the definition key from it, too.
	n := &plan.Node{
		Address: m.Address, Kind: kind.Model, Type: m.Type, Plugin: m.Plugin, Mode: plan.ModeModel, Behavior: m.Behavior, Body: m.Body, Files: m.Files, Pins: m.Pins,
		Outputs: []plan.Port{{Kind: plan.KindModel, Format: plan.FormatRemote, Capabilities: m.Info.Capabilities}},
	}
	wrapped, err := wrapped(bound, sc)
	if err != nil {
		return nil, err
	}
	known := *m
	known.Body, known.DependsOn = bound.Body, nil
	if known.Definition == "" {
		if known.Definition, err = definition(n, bound, wrapped, sc.Secrets.Seal(l.Seal)); err != nil {
			return nil, err
		}
	}
	instance, err := bound.Instance(n, inputPorts(m.Plugin, wrapped))
	if err != nil {
		return nil, err
	}
	out := &Language{Model: &known, Language: modelhost.Language{
		Address: m.Address, Name: textAttr(bound.Config, "name"), Plugin: m.Plugin, Definition: known.Definition,
		Instance: instance, Info: m.Info, Defaults: parameters(bound.Config), Connect: Connect(l.Plugins, m.Plugin),
		Secrets: texts(slices.AppendSeq(slices.Clone(bound.Secrets), maps.Values(sc.Secrets.Values(names)))),
	}}
	for _, in := range wrapped {
		out.Wrapped = in
		out.Trained, err = l.files(in)
	}
	return out, err
}

// wrapped returns the inputs of a block: the trained model that it wraps, if any.
func wrapped(bound *plan.Bound, sc Scope) (map[string]*Input, error) {
	inputs := map[string]*Input{}
	for key, of := range bound.Inputs {
		in, err := sc.Wrapped(key, of)
		if err != nil {
			return nil, err
		}
		inputs[key] = in
	}
	return inputs, nil
}

// definition returns the key of a block that waited for values or models.
func definition(n *plan.Node, bound *plan.Bound, wrapped map[string]*Input, seal fingerprint.Seal) (string, error) {
	key, _, err := fingerprint.Definition(n, bound.Body, seal)
	if err != nil {
		return "", err
	}
	if key == "" {
		return "", fmt.Errorf("the definition of %s depends on values that are not known yet", n.Address)
	}
	if len(wrapped) == 0 {
		return key, nil
	}
	var inputs []fingerprint.Input
	for name, in := range wrapped {
		inputs = append(inputs, fingerprint.Input{Key: name, Kind: plan.KindModel, Digest: in.Ref.Digest})
	}
	key, _ = fingerprint.Action(key, "", inputs)
	return key, nil
}

// Trained makes an input that is a trained model callable, if it is a language
// model. The plugin that trained it serves it, and its digest is its definition.
func (l *Languages) Trained(in *Input) error {
	if in.Port.Model == nil {
		return nil
	}
	files, err := l.files(in)
	if err != nil {
		return err
	}
	in.Language = &Language{Language: modelhost.Language{
		Address: in.Of.String(), Name: in.Of.String(), Plugin: in.Plugin, Definition: in.Ref.Digest,
		Trained: files, Info: *in.Port.Model, Connect: Connect(l.Plugins, in.Plugin),
	}}
	return nil
}

// files returns the files of a trained model, or nil if models are not called.
func (l *Languages) files(in *Input) (*pluginv1.Artifact, error) {
	if l.Blobs == nil {
		return nil, nil
	}
	return in.Files(l.Blobs)
}

// Connect returns the function that starts a plugin if it is not running yet.
func Connect(plugins Plugins, name string) func(context.Context) (pluginv1.PluginServiceClient, error) {
	return func(ctx context.Context) (pluginv1.PluginServiceClient, error) {
		p, err := plugins.Client(ctx, name)
		if err != nil {
			return nil, err
		}
		return p.Service(), nil
	}
}

// parameters returns the request parameters that a model's block sets, by the
// names that providers share.
func parameters(config cty.Value) llm.Request {
	return llm.Request{
		Temperature: numberAttr(config, "temperature"), TopP: numberAttr(config, "top_p"),
		MaxTokens: wholeAttr(config, "max_tokens"), Seed: wholeAttr(config, "seed"), Stop: textsAttr(config, "stop"),
	}
}

// attr returns an argument's value, or null if it has none.
func attr(config cty.Value, name string, want cty.Type) cty.Value {
	if !config.Type().HasAttribute(name) {
		return cty.NullVal(want)
	}
	v, err := convert.Convert(config.GetAttr(name), want)
	if err != nil {
		return cty.NullVal(want) // the type has its own argument with that name
	}
	return v
}

func textAttr(config cty.Value, name string) string {
	if v := attr(config, name, cty.String); !v.IsNull() {
		return v.AsString()
	}
	return ""
}

func numberAttr(config cty.Value, name string) *float64 {
	v := attr(config, name, cty.Number)
	if v.IsNull() {
		return nil
	}
	f, _ := v.AsBigFloat().Float64()
	return &f
}

func wholeAttr(config cty.Value, name string) *int64 {
	v := attr(config, name, cty.Number)
	if v.IsNull() {
		return nil
	}
	n, _ := v.AsBigFloat().Int64()
	return &n
}

func textsAttr(config cty.Value, name string) (texts []string) {
	v := attr(config, name, cty.List(cty.String))
	if v.IsNull() {
		return nil
	}
	for _, e := range v.AsValueSlice() {
		if !e.IsNull() {
			texts = append(texts, e.AsString())
		}
	}
	return texts
}
