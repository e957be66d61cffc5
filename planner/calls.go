package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/disk"
)

// calls starts plugins, each once and only when it is needed.
type calls struct {
	ctx     context.Context
	plugins Plugins

	mu      sync.Mutex
	started map[string]*starting
}

type starting struct {
	once    sync.Once
	service pluginv1.PluginServiceClient
	err     error
	// reported is set when the error was shown: it is one and the same for
	// all stages of the plugin.
	reported bool
}

func newCalls(ctx context.Context, plugins Plugins) *calls {
	return &calls{ctx: ctx, plugins: plugins, started: map[string]*starting{}}
}

func (c *calls) get(plugin string) *starting {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.started[plugin]
	if s == nil {
		s = &starting{}
		c.started[plugin] = s
	}
	return s
}

func (c *calls) service(plugin string) (pluginv1.PluginServiceClient, error) {
	s := c.get(plugin)
	s.once.Do(func() {
		p, err := c.plugins.Client(c.ctx, plugin)
		if err != nil {
			s.err = err
			return
		}
		s.service = p.Service()
	})
	return s.service, s.err
}

// failed makes a diagnostic of a call that failed as a whole. A plugin that
// can't be started gives one for all its stages.
func (b *builder) failed(plugin, what string, err error, at *hcl.Range) {
	s := b.calls.get(plugin)
	if s.err != nil {
		b.mu.Lock()
		first := !s.reported
		s.reported = true
		b.mu.Unlock()
		if !first {
			return
		}
		what = "start"
	}
	if b.ctx.Err() != nil {
		return // build says that it was interrupted
	}
	summary := "Plugin failed"
	if trouble := disk.TooManyOpen(err); trouble != nil {
		summary, err = trouble.What, trouble
	}
	b.report(diag.Errorf(at, summary, "The plugin %q could not %s:\n%s", plugin, what, err))
}

// heard reports what a plugin says about an instance, and says whether that
// leaves the instance broken. That a plugin can't do with an argument that a
// validation has no value for is no mistake: what needs it is not looked at.
func (b *builder) heard(n *node, all []*pluginv1.Diagnostic) bool {
	open := false
	if b.validating {
		all = slices.DeleteFunc(slices.Clone(all), func(d *pluginv1.Diagnostic) bool {
			assumed := d.Severity != pluginv1.Diagnostic_SEVERITY_WARNING && b.assumes(n, d.Argument)
			open = open || assumed
			return assumed
		})
	}
	return b.report(n.diagnosed(all)...) || open
}

// assumes says whether an argument of an instance, or any if key is empty,
// comes from a variable that nobody has given a value.
func (b *builder) assumes(n *node, key string) bool {
	found := false
	n.Body.Expressions(func(k string, _ *plan.Arg, e *expr.Compiled) {
		if key == "" || k == key || strings.HasPrefix(k, key+".") || strings.HasPrefix(key, k+".") {
			found = found || slices.ContainsFunc(e.Secrets, func(name string) bool { return !b.isGiven(name) })
		}
	})
	return found
}

// isGiven says whether a variable has a value.
func (b *builder) isGiven(variable string) bool {
	if _, hidden := b.hiddenValue(variable); hidden {
		return true
	}
	v, ok := b.Variables[variable]
	v, _ = v.UnmarkDeep()
	return ok && v.IsWhollyKnown()
}

// diagnosed turns a plugin's diagnostics about an instance into ones that
// point at the user's lines.
func (n *node) diagnosed(all []*pluginv1.Diagnostic) []*hcl.Diagnostic {
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
