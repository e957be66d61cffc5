package registry

import (
	"context"
	"slices"

	"github.com/quern-dev/quern/sdk/go/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Client returns a plugin's process, configured. It is started when it is
// first asked for, and again when it has ended; all callers share it, and
// Close ends it. What it does not like about its block is a
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
	if err := configure(ctx, c, e, r.options.Root); err != nil {
		return nil, err
	}
	e.configured = true
	return c, nil
}

// started returns the running process, which may not be configured.
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
	c, err := client.Start(ctx, client.Command{
		Name: e.name, Path: e.program, Args: e.args, Dir: r.options.Root, Env: r.environment(e), Digest: digest,
	})
	if err != nil {
		return nil, err
	}
	e.client = c
	return c, nil
}

// environment are the variables that a plugin sees beside the usual ones.
func (r *Registry) environment(e *entry) []string {
	return slices.Concat([]string{"QUERN_VERSION=" + r.options.Version}, e.always, e.environment)
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

// schema returns what a plugin offers: from memory, from the cache, or by
// starting it.
func (r *Registry) schema(ctx context.Context, plugin string) (*pluginv1.GetSchemaResponse, error) {
	e := r.entry(plugin)
	if e == nil {
		return nil, r.noPlugin(plugin)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.schema != nil {
		return e.schema, nil
	}
	digest, err := r.digestLocked(e)
	if err != nil {
		return nil, err
	}
	if s := r.schemas.get(digest, e.args); s != nil {
		e.schema = s
		return s, nil
	}
	c, err := r.started(ctx, e)
	if err != nil {
		return nil, err
	}
	s, err := c.Schema(ctx)
	if err != nil {
		return nil, err
	}
	r.schemas.put(digest, e.args, s)
	e.schema = s
	return s, nil
}
