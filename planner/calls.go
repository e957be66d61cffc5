package planner

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
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
	b.report(diag.Errorf(at, "Plugin failed", "The plugin %q could not %s:\n%s", plugin, what, err))
}

// diagnosed turns a plugin's diagnostics about an instance into ones that
// point at the user's lines.
func (n *node) diagnosed(all []*pluginv1.Diagnostic) []*hcl.Diagnostic {
	var diags []*hcl.Diagnostic
	for _, d := range all {
		subject := n.rangeOf(d.Argument)
		out := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: d.Summary, Detail: d.Detail, Subject: &subject}
		if d.Severity == pluginv1.Diagnostic_SEVERITY_WARNING {
			out.Severity = hcl.DiagWarning
		}
		if subject == n.stage.cfg.DeclRange && d.Argument != "" {
			out.Detail = fmt.Sprintf("Argument %q: %s", d.Argument, d.Detail)
		}
		diags = append(diags, out)
	}
	return diags
}

// rangeOf finds the place of an argument's key: its own, or that of the
// innermost argument or block around it.
func (n *node) rangeOf(key string) hcl.Range {
	best, at := 0, n.stage.cfg.DeclRange
	if n.Body == nil || key == "" {
		return at
	}
	consider := func(k string, r diag.Range) {
		inside := k == key || (len(key) > len(k) && key[:len(k)] == k && key[len(k)] == '.')
		if p := r.Ptr(); inside && p != nil && len(k) > best {
			best, at = len(k), *p
		}
	}
	places(n.Body, "", consider)
	return at
}

// places calls f with the key and place of every argument.
func places(b *plan.Body, prefix string, f func(string, diag.Range)) {
	for name, a := range b.Args {
		argPlaces(a, prefix+name, f)
	}
	for i, key := range b.BlockKeys(prefix) {
		places(b.Blocks[i].Body, key+".", f)
	}
}

func argPlaces(a *plan.Arg, key string, f func(string, diag.Range)) {
	f(key, a.Range)
	for name, e := range a.Map {
		argPlaces(e, key+"."+name, f)
	}
	for i, e := range a.List {
		argPlaces(e, key+"."+itoa(i), f)
	}
}
