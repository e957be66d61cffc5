// Package processes calls plugins for the planner. It starts each plugin when
// it is first needed, and turns failures and the plugins' reports about
// instances into diagnostics.
package processes

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/diagnostics"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/secrets"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/disk"
)

// Processes are the processes of plugins. They are safe for concurrent use.
type Processes struct {
	ctx     context.Context
	plugins Plugins
	diags   *diagnostics.Collector
	secrets *secrets.Secrets

	programs func() map[string]plan.Plugin

	mu      sync.Mutex
	started map[string]*starting
}

type starting struct {
	once    sync.Once
	service pluginv1.PluginServiceClient
	err     error
	// reported is set when the error was shown: all stages of the plugin have
	// the same one.
	reported bool
}

// New returns processes, none of which is started. They run until ctx is
// canceled.
func New(ctx context.Context, plugins Plugins, diags *diagnostics.Collector, s *secrets.Secrets) *Processes {
	return &Processes{ctx: ctx, plugins: plugins, diags: diags, secrets: s, programs: sync.OnceValue(plugins.Describe), started: map[string]*starting{}}
}

// Program returns the program of a plugin. All types must have been found
// before.
func (p *Processes) Program(plugin string) plan.Plugin { return p.programs()[plugin] }

func (p *Processes) get(plugin string) *starting {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.started[plugin]
	if s == nil {
		s = &starting{}
		p.started[plugin] = s
	}
	return s
}

// Service returns a plugin's process and starts it if it is not running yet.
func (p *Processes) Service(plugin string) (pluginv1.PluginServiceClient, error) {
	s := p.get(plugin)
	s.once.Do(func() {
		c, err := p.plugins.Client(p.ctx, plugin)
		if err != nil {
			s.err = err
			return
		}
		s.service = c.Service()
	})
	return s.service, s.err
}

// Failed reports a call about an instance that failed as a whole. what
// describes what the plugin was asked to do. A plugin that cannot be started
// gets one diagnostic for all its stages.
func (p *Processes) Failed(n *plan.Node, what string, err error) {
	s := p.get(n.Plugin)
	if s.err != nil {
		p.mu.Lock()
		first := !s.reported
		s.reported = true
		p.mu.Unlock()
		if !first {
			return
		}
		what = "start"
	}
	if p.ctx.Err() != nil {
		return // the plan reports the interruption
	}
	summary := "Plugin failed"
	if trouble := disk.TooManyOpen(err); trouble != nil {
		summary, err = trouble.What, trouble
	}
	p.report(n, diag.Errorf(n.Range.Ptr(), summary, "The plugin %q could not %s:\n%s", n.Plugin, what, err))
}

// Faulty reports a plugin that violates the protocol.
func (p *Processes) Faulty(n *plan.Node, err error) {
	p.report(n, diag.Errorf(n.Range.Ptr(), "Plugin is faulty", "%s %q of plugin %q returned an invalid response: %s. Report this to the plugin's author.", diag.Capital(n.Kind), n.Type, n.Plugin, err))
}

// Heard reports a plugin's diagnostics about an instance, and whether one of them
// is an error.
func (p *Processes) Heard(n *plan.Node, all []*pluginv1.Diagnostic) bool {
	return p.report(n, diagnosed(n, all)...)
}

// Reveals reports whatever a plugin prepared that contains a secret, such as
// the name of a column, because plans and manifests contain it in clear text.
func (p *Processes) Reveals(n *plan.Node, prepared *pluginv1.Prepared) bool {
	if !p.secrets.InPrepared(prepared) {
		return false
	}
	return p.report(n, diagnosed(n, prepared.Diagnostics)...) || p.report(n, diag.Errorf(n.Range.HCL().Ptr(), "Secret in a plan",
		"Something that %s derives from its arguments, such as the name of a column, contains the value of a sensitive variable and would be stored in plain text. Use a variable that is not sensitive. If the value is not secret here, wrap it in nonsensitive(…).", n.Address))
}

// report reports diagnostics about an instance, and whether any is an error.
func (p *Processes) report(n *plan.Node, diags ...*hcl.Diagnostic) bool {
	diag.About(n.Address, diags...)
	return p.diags.Report(diags...)
}

// diagnosed converts a plugin's diagnostics about an instance to ones that
// point to the user's lines.
func diagnosed(n *plan.Node, all []*pluginv1.Diagnostic) []*hcl.Diagnostic {
	var diags []*hcl.Diagnostic
	for _, d := range all {
		subject := n.RangeOf(d.Argument)
		out := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: diag.Capital(d.Summary), Detail: d.Detail, Subject: subject}
		if d.Severity == pluginv1.Diagnostic_SEVERITY_WARNING {
			out.Severity = hcl.DiagWarning
		}
		if d.Argument != "" && *subject == *n.RangeOf("") {
			out.Detail = fmt.Sprintf("Argument %q: %s", d.Argument, d.Detail)
		}
		diags = append(diags, out)
	}
	return diags
}
