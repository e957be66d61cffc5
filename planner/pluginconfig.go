package planner

import (
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/schema"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// configurePlugins evaluates the plugin blocks and hands their values over
// before any plugin is started.
func (b *builder) configurePlugins() {
	b.configs = map[string]*plan.Body{}
	for _, name := range sortedKeys(b.Module.Plugins) {
		b.configurePlugin(b.Module.Plugins[name])
	}
}

func (b *builder) configurePlugin(cfg *config.Plugin) {
	fail := func(err error) {
		b.report(diag.Errorf(&cfg.Range, "Cannot configure the plugin", "%s", diag.Sentence(err)))
	}
	found, err := b.Plugins.ConfigSchema(cfg.Name)
	if err != nil {
		fail(err)
		return
	}
	takes, err := schema.NewBody(found)
	if err != nil {
		fail(err)
		return
	}
	takesEnvironment := takes.Args[environmentName] == nil
	if takesEnvironment {
		takes.Args[environmentName] = &schema.Argument{
			Argument: &pluginv1.Argument{Name: environmentName, Operational: true}, Element: cty.List(cty.String),
		}
	}
	title := `The plugin "` + cfg.Name + `"`
	if b.report(cfg.Shape(takes.Shape)...) || b.report(schema.Check(cfg.Body, takes, title)...) {
		return
	}
	n := &node{Node: &plan.Node{Address: title, Kind: "plugin"}, stage: &stage{cfg: &config.Stage{DeclRange: cfg.Range, Body: cfg.Body}}}
	var ok bool
	if n.scope, ok = b.pluginScope(n, cfg.Body); !ok {
		return
	}
	d := &decoder{b: b, n: n}
	body := d.body(cfg.Body, takes, n.scope, "")
	body.Type = value.Type{Type: takes.Object}
	if b.report(d.diags...) {
		return
	}
	if takesEnvironment {
		b.setEnvironment(cfg.Name, body)
	}
	b.configs[cfg.Name] = body
	_, secrets := body.Refs()
	bound, diags := body.Bind(map[string]cty.Value{"var": cty.ObjectVal(b.secrets(secrets))})
	if b.report(diags...) || !bound.Config.IsWhollyKnown() {
		return
	}
	if err := b.Plugins.SetConfig(cfg.Name, bound.Config); err != nil {
		fail(err)
	}
}

// environmentName is the argument of every plugin block that names the
// variables of the environment which the plugin sees.
const environmentName = "environment"

func (b *builder) setEnvironment(plugin string, body *plan.Body) {
	a := body.Args[environmentName]
	delete(body.Args, environmentName)
	if a == nil || a.Value == nil {
		return
	}
	var names []string
	for _, e := range iterate(a.Value.Value) {
		if !e.value.IsNull() {
			names = append(names, e.value.AsString())
		}
	}
	b.Plugins.SetEnvironment(plugin, names)
}

// pluginScope evaluates what a plugin block refers to. It is configured before
// any stage, so it can't refer to one.
func (b *builder) pluginScope(n *node, body *hclsyntax.Body) (*scope, bool) {
	r := &n.stage.refs
	r.add(config.BodyReferences(body)...)
	if !b.evaluateLocals(r.locals, map[string]bool{}) || len(r.stages) > 0 {
		b.report(diag.Errorf(&n.stage.cfg.DeclRange, "Reference in a plugin block", "Plugins are configured before any stage runs, so a plugin block cannot refer to stages. Use variables."))
		return nil, false
	}
	return b.scope(r), !b.brokenUpstream(r)
}

// evaluateLocals evaluates locals, and those that they refer to first. It is
// false where one refers to a stage, or to itself.
func (b *builder) evaluateLocals(names []string, open map[string]bool) bool {
	for _, name := range names {
		l := b.locals[name]
		if l == nil || l.value != cty.NilVal || l.broken {
			continue
		}
		if open[name] || len(l.refs.stages) > 0 {
			return false
		}
		open[name] = true
		if !b.evaluateLocals(l.refs.locals, open) {
			return false
		}
		b.evaluateLocal(l)
	}
	return true
}
