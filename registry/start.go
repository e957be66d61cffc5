package registry

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/host/pep440"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Client returns a plugin's process, configured. It starts the process on the
// first call, and again if the process has ended. All callers share it, and
// Close ends it. If the plugin rejects its block, the error is
// *client.DiagnosticError.
func (r *Registry) Client(ctx context.Context, plugin string) (*client.Plugin, error) {
	e := r.entry(plugin)
	if e == nil {
		return nil, r.noPlugin(plugin)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := r.started(ctx, e)
	if err != nil {
		return nil, err
	}
	if e.configured {
		return c, nil
	}
	s, err := r.offer(ctx, e)
	if err != nil {
		return nil, err
	}
	c.UseJSON(s.GetJsonValues())
	if err := configure(ctx, c, e, r.options.Root); err != nil {
		return nil, err
	}
	e.configured = true
	return c, nil
}

// started returns the running process, which may not be configured yet.
func (r *Registry) started(ctx context.Context, e *entry) (*client.Plugin, error) {
	if e.client != nil && !e.client.Exited() {
		return e.client, nil
	}
	if e.client != nil {
		e.client.Close()
		e.client, e.configured = nil, false
	}
	digest, err := r.digestLocked(e)
	if err != nil {
		return nil, err
	}
	command := r.options.launch(e, digest)
	if e.reattach != nil {
		c, err := client.Attach(command, e.reattach)
		if err != nil {
			return nil, fmt.Errorf("plugin %q in QUERN_REATTACH_PLUGINS is not running: %w", e.name, err)
		}
		e.client = c
		return c, nil
	}
	if e.venv != nil && e.release == nil {
		if e.release, err = e.venv.Use(r.options.Root); err != nil {
			return nil, fmt.Errorf("plugin %q is no longer installed (%w); run \"quern init\"", e.name, err)
		}
	}
	c, err := client.Start(ctx, command)
	if err != nil {
		return nil, err
	}
	e.client = c
	return c, nil
}

// launch returns how to start a plugin.
func (o *Options) launch(e *entry, digest string) client.Command {
	c := o.command(e.name, e.program, digest)
	c.StartTimeout = cmp.Or(c.StartTimeout, e.timeout)
	c.Args, c.Env = e.args, slices.Concat(c.Env, e.always, e.environment)
	return c
}

func configure(ctx context.Context, c *client.Plugin, e *entry, root string) error {
	config, err := client.EncodeValue(e.config)
	if err != nil {
		return err
	}
	resp, err := c.Service().Configure(ctx, &pluginv1.ConfigureRequest{Config: config, Root: root})
	if err != nil {
		return err
	}
	return client.Failure(e.name, resp.Diagnostics)
}

// schema returns the plugin's schema: from memory, from the cache, or by
// starting the plugin.
func (r *Registry) schema(ctx context.Context, plugin string) (*pluginv1.GetSchemaResponse, error) {
	e := r.entry(plugin)
	if e == nil {
		return nil, r.noPlugin(plugin)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return r.offer(ctx, e)
}

// offer is schema for the entry of a plugin. The caller holds its lock.
func (r *Registry) offer(ctx context.Context, e *entry) (*pluginv1.GetSchemaResponse, error) {
	if e.schema != nil {
		return e.schema, nil
	}
	digest, err := r.digestLocked(e)
	if err != nil {
		return nil, err
	}
	if s := r.schemas.get(digest, e.variant()); s != nil {
		return e.take(s)
	}
	c, err := r.started(ctx, e)
	if err != nil {
		return nil, err
	}
	s, err := c.Schema(ctx)
	if err != nil {
		return nil, err
	}
	if e.reattach == nil {
		r.schemas.put(digest, e.variant(), s)
	}
	return e.take(s)
}

// variant distinguishes the plugins that one program serves. The digest of a
// required plugin already covers its arguments.
func (e *entry) variant() []string {
	if e.required {
		return nil
	}
	return e.args
}

// take keeps a plugin's schema, if the plugin reports the locked version.
func (e *entry) take(s *pluginv1.GetSchemaResponse) (*pluginv1.GetSchemaResponse, error) {
	if e.venv != nil {
		// 1.2 is a semantic version, but that of its package is 1.2.0.
		if v, err := pep440.Semantic(s.Version); err == nil {
			s.Version = v
		}
	}
	switch {
	case e.version == "" || s.Version == e.version:
		e.schema = s
		return s, nil
	case e.venv != nil:
		return nil, fmt.Errorf("plugin %q reports version %s, but its package has version %s; both must be the same", e.name, s.Version, e.version)
	}
	return nil, fmt.Errorf("plugin %q (%s) reports version %s, but %s has version %s; run \"quern init -upgrade\"",
		e.name, e.program, s.Version, LockFile, e.version)
}
