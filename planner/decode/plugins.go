package decode

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/schema"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// ConfigurePlugins decodes the plugin blocks and passes their values on before
// any plugin starts. It returns them by plugin.
func (d *Decoder) ConfigurePlugins() map[string]*plan.Body {
	configs := map[string]*plan.Body{}
	for _, name := range ordered.Keys(d.Config.Plugins) {
		cfg := d.Config.Plugins[name]
		body, err := d.configurePlugin(cfg)
		if err != nil {
			d.Report(diag.Errorf(&cfg.Range, "Cannot configure the plugin", "%s", diag.Sentence(err)))
		}
		if body != nil {
			configs[name] = body
		}
	}
	return configs
}

// configurePlugin decodes the block of a plugin. It returns nil without an
// error if the block has errors, which it has reported.
func (d *Decoder) configurePlugin(cfg *config.Plugin) (*plan.Body, error) {
	takes, takesEnvironment, err := d.pluginSchema(cfg.Name)
	if err != nil {
		return nil, err
	}
	title := `The plugin "` + cfg.Name + `"`
	if d.Report(cfg.Shape(takes.Shape)...) || d.Report(schema.Check(cfg.Body, takes, title)...) {
		return nil, nil
	}
	refs := &module.Refs{}
	refs.Add(config.BodyReferences(cfg.Body)...)
	scope, ok := d.pluginScope(cfg, refs)
	if !ok {
		return nil, nil
	}
	block := &module.Stage{Config: &config.Stage{DeclRange: cfg.Range, Body: cfg.Body}, Refs: refs}
	decoder := d.newBody(block, &plan.Node{Address: title, Kind: "plugin"})
	body := decoder.body(cfg.Body, takes, scope, "")
	body.Type = value.Type{Type: takes.Object}
	if d.Report(decoder.diags...) {
		return nil, nil
	}
	if takesEnvironment {
		d.setEnvironment(cfg.Name, body)
	}
	_, names := body.Refs()
	bound, diags := body.Bind(map[string]cty.Value{"var": cty.ObjectVal(d.Secrets.Values(names))})
	if d.Report(diags...) || !bound.Config.IsWhollyKnown() {
		return body, nil
	}
	return body, d.Plugins.SetConfig(cfg.Name, bound.Config)
}

// pluginSchema returns the schema of a plugin's block. The block also takes
// quern's own argument for the environment, unless the plugin has an argument
// with that name.
func (d *Decoder) pluginSchema(plugin string) (takes *schema.Body, takesEnvironment bool, err error) {
	found, err := d.Plugins.ConfigSchema(plugin)
	if err != nil {
		return nil, false, err
	}
	if takes, err = schema.NewBody(found); err != nil {
		return nil, false, err
	}
	takesEnvironment = takes.Args[environmentName] == nil
	if takesEnvironment {
		takes.Args[environmentName] = &schema.Argument{
			Argument: &pluginv1.Argument{Name: environmentName, Operational: true}, Element: cty.List(cty.String),
		}
	}
	return takes, takesEnvironment, nil
}

// environmentName is the argument of every plugin block that names the
// environment variables that the plugin receives.
const environmentName = "environment"

func (d *Decoder) setEnvironment(plugin string, body *plan.Body) {
	a := body.Args[environmentName]
	delete(body.Args, environmentName)
	if a == nil || a.Value == nil {
		return
	}
	var names []string
	for _, e := range value.Elements(a.Value.Value) {
		if !e.Value.IsNull() {
			names = append(names, e.Value.AsString())
		}
	}
	d.Plugins.SetEnvironment(plugin, names)
}

// pluginScope evaluates the references of a plugin block. A plugin is
// configured before any stage, so its block cannot refer to one.
func (d *Decoder) pluginScope(cfg *config.Plugin, r *module.Refs) (*module.Scope, bool) {
	if !d.EvaluateLocals(r.Locals) || len(r.Stages) > 0 {
		d.Report(diag.Errorf(&cfg.Range, "Reference in a plugin block", "Plugins are configured before any stage runs, so a plugin block cannot refer to stages. Use variables."))
		return nil, false
	}
	return d.Scope(r), !d.BrokenUpstream(r)
}
