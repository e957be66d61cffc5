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
)

// Languages binds the blocks of language models, each one once. It is safe for
// concurrent use.
type Languages struct {
	Plugins  Plugins
	Redactor *secret.Redactor
	Seal     func([]byte) (string, error)

	mu        sync.Mutex
	byAddress map[string]*Language
}

// Language is a language model and its block, with everything known that the
// block waited for.
type Language struct {
	modelhost.Language
	Model *plan.Model
}

// Bind binds a block. vars returns the values that expressions with references
// to stages and sensitive variables are evaluated with.
func (l *Languages) Bind(m *plan.Model, secrets Secrets, vars func(refs, secrets []string) map[string]cty.Value) (*Language, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if bound := l.byAddress[m.Address]; bound != nil {
		return bound, nil
	}
	bound, err := l.bind(m, secrets, vars)
	if err != nil {
		return nil, err
	}
	if l.byAddress == nil {
		l.byAddress = map[string]*Language{}
	}
	l.byAddress[m.Address] = bound
	return bound, nil
}

func (l *Languages) bind(m *plan.Model, secrets Secrets, vars func(refs, secrets []string) map[string]cty.Value) (*Language, error) {
	refs, names := m.Body.Refs()
	bound, diags := m.Body.Bind(vars(refs, names))
	if diags.HasErrors() {
		return nil, &failure.Diagnosed{Diagnostics: diags}
	}
	Conceal(l.Redactor, bound)
	// The planner computes the definition key from it, too.
	n := &plan.Node{
		Address: m.Address, Kind: kind.Model, Type: m.Type, Plugin: m.Plugin, Mode: plan.ModeModel, Behavior: m.Behavior, Body: m.Body, Files: m.Files, Pins: m.Pins,
		Outputs: []plan.Port{{Kind: plan.KindModel, Format: plan.FormatRemote, Capabilities: m.Info.Capabilities}},
	}
	known := *m
	known.Body, known.DependsOn = bound.Body, nil
	if known.Definition == "" {
		var err error
		if known.Definition, _, err = fingerprint.Definition(n, bound.Body, secrets.Seal(l.Seal)); err != nil {
			return nil, err
		}
		if known.Definition == "" {
			return nil, fmt.Errorf("the definition of %s depends on values that are not known yet", m.Address)
		}
	}
	instance, err := bound.Instance(n, nil)
	if err != nil {
		return nil, err
	}
	hidden := slices.AppendSeq(slices.Clone(bound.Secrets), maps.Values(secrets.Values(names)))
	return &Language{Model: &known, Language: modelhost.Language{
		Address: m.Address, Name: textAttr(bound.Config, "name"), Plugin: m.Plugin, Definition: known.Definition,
		Instance: instance, Info: m.Info, Defaults: parameters(bound.Config), Secrets: texts(hidden), Connect: Connect(l.Plugins, m.Plugin),
	}}, nil
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
