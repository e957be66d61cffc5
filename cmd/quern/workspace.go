package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/vars"
	"github.com/quern-dev/quern/planner"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/registry"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/state"
)

// localDir is the folder next to the configuration that contains the project's
// plugins and, unless a store block says otherwise, the store.
const localDir = ".quern"

// workspace is the folder that a command works in: its configuration, its
// variables, its store, and the plugins that it needs.
type workspace struct {
	ui        *terminal
	module    *config.Module
	variables map[string]cty.Value
	hidden    map[string]cty.Value // values that sensitive() hides, by name
	store     *store.Store
	plugins   *registry.Registry
	logs      *logs
	build     build
	// ctx ends when everything must end immediately.
	ctx  context.Context
	once bool // it makes only one plan
}

// build makes a plan.
type build = func(context.Context, planner.Options) (*plan.Plan, hcl.Diagnostics)

// loadModule reads the configuration in the current folder and in those of the
// modules that it calls, which must be installed. If it has errors, loadModule reports
// everything that validate finds, not only syntax errors.
func loadModule(ctx context.Context, ui *terminal) (*config.Module, error) {
	return loadTree(ctx, ui, registry.OpenModules(".").Find)
}

// loadTree is loadModule with a way to find the modules.
func loadTree(ctx context.Context, ui *terminal, find findModule) (*config.Module, error) {
	module, diags := readTree(ui, find)
	diags = append(diags, module.CheckVersion(version)...)
	if diags.HasErrors() {
		return nil, diagnosed{validateTree(ctx, ui, module, diags)}
	}
	return module, ui.failed(diags)
}

// findModule returns the folder of a called module.
type findModule func(registry.ModuleCall) (string, hcl.Diagnostics)

// readTree reads the configuration without looking for plugins.
func readTree(ui *terminal, find findModule) (*config.Module, hcl.Diagnostics) {
	module, diags := config.LoadTree(".", func(parent *config.Module, call *config.Call) (string, hcl.Diagnostics) {
		return find(registry.ModuleCall{Source: call.Source, Version: call.Version, Parent: parent.Dir, Range: call.SourceRange})
	})
	ui.sources = module.Sources
	return module, diags
}

// openStore opens the store of the current folder. If the folder contains a
// pipeline without a store, it creates the store.
func openStore(ui *terminal) (*store.Store, error) {
	settings, sources, diags := config.LoadStore(".")
	if diags.HasErrors() {
		ui.sources = sources
		return nil, diagnosed{diags}
	}
	dir := ui.storeDir(settings)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if _, diags := config.FileNames("."); diags.HasErrors() {
			return nil, diagnosed{diags}
		}
	}
	s, err := store.Open(dir)
	if err == nil {
		return s, nil
	}
	failed := diag.Failed("the store cannot be opened", "%w", err)
	if settings != nil && settings.Path != "" {
		ui.sources, failed.Subject = sources, &settings.PathRange
	}
	return nil, failed
}

// storeDir returns the folder of the store, or of what belongs to this machine if
// the store is elsewhere.
func (t *terminal) storeDir(settings *config.Store) string {
	if t.store != "" {
		return t.store
	}
	if settings != nil && settings.Path != "" {
		return settings.Path
	}
	return localDir
}

// shortPath returns a path relative to the current folder, if it is inside it.
func shortPath(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if short, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(short) {
		return short
	}
	return path
}

// openRegistry finds the plugins of a module, without starting any. When ctx
// ends, requests for schemas end, too.
func openRegistry(ctx context.Context, ui *terminal, module *config.Module) (*registry.Registry, *logs, error) {
	options, logs, err := registryOptions(ui, module)
	if err != nil {
		return nil, nil, err
	}
	plugins, diags := registry.Open(ctx, options)
	if err := ui.failed(diags); err != nil {
		return nil, nil, err
	}
	return plugins, logs, nil
}

func registryOptions(ui *terminal, module *config.Module) (registry.Options, *logs, error) {
	root, err := filepath.Abs(".")
	if err != nil {
		root = "."
	}
	cli, err := loadCLIConfig()
	if err != nil {
		return registry.Options{}, nil, err
	}
	attached, err := reattached()
	if err != nil {
		return registry.Options{}, nil, err
	}
	logs, err := newLogs(ui.err, ui.secrets.Text)
	if err != nil {
		return registry.Options{}, nil, err
	}
	return registry.Options{
		Root:         root,
		Version:      version,
		CacheDir:     cacheDir(),
		VenvDir:      filepath.Join(ui.storeDir(module.Settings.Store), store.VenvFolder),
		TransferDir:  filepath.Join(ui.storeDir(module.Settings.Store), store.TransferFolder),
		Required:     required(module),
		DevOverrides: cli.DevOverrides,
		StartTimeout: cli.startTimeout,
		Reattach:     attached,
		Log:          logs,
		Slow:         ui.slow,
	}, logs, nil
}

// cacheDir is where quern caches digests and schemas of programs: the user's
// cache, so that a new project or checkout does not read them again, or the
// project's if the user has none.
func cacheDir() string {
	if dir, err := os.UserCacheDir(); err == nil {
		dir = filepath.Join(dir, "quern")
		if os.MkdirAll(dir, 0o755) == nil {
			return dir
		}
	}
	return filepath.Join(localDir, "cache")
}

func required(module *config.Module) []registry.Requirement {
	var all []registry.Requirement
	for _, r := range module.Settings.RequiredPlugins {
		all = append(all, registry.Requirement{Name: r.Name, Source: r.Source, Version: r.Version, Command: r.Command, Range: r.Range})
	}
	return all
}

// openWorkspace reads everything that planning for an environment needs. saved is
// the saved plan whose variables are used, or nil. The caller closes the
// workspace.
func openWorkspace(ctx context.Context, ui *terminal, environment string, given *arguments.Variables, saved *plan.Plan) (*workspace, error) {
	module, err := loadModule(ctx, ui)
	if err != nil {
		return nil, err
	}
	inputs := vars.Inputs{
		Environment: environment, Flags: given.Vars.Value, Files: given.VarFiles.Value, Env: os.Environ(),
		AllowUndeclared: given.AllowUndeclared,
	}
	if saved != nil {
		if err := checkSavedVariables(module, inputs); err != nil {
			return nil, err
		}
		inputs.Planned = saved.Variables
	}
	variables, diags := vars.Resolve(module, inputs)
	ui.conceal(variables)
	if err := ui.failed(diags); err != nil {
		return nil, err
	}
	st, err := openStore(ui)
	if err != nil {
		return nil, err
	}
	plugins, logs, err := openRegistry(ctx, ui, module)
	if err != nil {
		return nil, err
	}
	return &workspace{ui: ui, module: module, variables: variables, hidden: map[string]cty.Value{}, store: st, build: planner.Build, plugins: plugins, logs: logs, ctx: ctx}, nil
}

// checkSavedVariables refuses values that a saved plan already has.
func checkSavedVariables(module *config.Module, inputs vars.Inputs) error {
	for _, name := range vars.Set(module, inputs) {
		if !module.Variables[name].Sensitive {
			return diag.Failed(fmt.Sprintf("var.%s cannot be set with a saved plan", name), "The plan contains the values that it was made with. With a saved plan, -var and -var-file can set only sensitive variables, whose values are not in the plan. Set the value with \"quern plan -out=FILE\" instead.")
		}
	}
	return nil
}

// close ends the plugins, immediately if everything must end.
func (w *workspace) close() {
	if w.ctx.Err() != nil {
		w.plugins.Kill()
		return
	}
	w.plugins.Close()
}

// plannerOptions combines a request and the workspace.
func (w *workspace) plannerOptions(r arguments.Request, st *state.State) planner.Options {
	return planner.Options{
		Module: w.module, Variables: w.variables, Store: w.store, State: st, Plugins: w.plugins, Pins: w.plugins.Pins(),
		Once: w.once, Hidden: w.hide, QuernVersion: version, StartedIn: w.ui.startedIn,
		Environment: r.Environment, Refresh: r.Refresh, RefreshOnly: r.RefreshOnly, Destroy: r.Destroy,
		Targets: r.Targets, Excludes: r.Excludes, Replace: r.Replace,
		Compared: r.Compared, IgnoreUnknown: r.IgnoreUnknown,
	}
}

// hide removes a value that sensitive() hides from all messages.
func (w *workspace) hide(name string, v cty.Value) {
	w.hidden[name] = v
	w.ui.conceal(map[string]cty.Value{name: v})
}

// planHere makes the plan that a command requests, and returns the state that
// it was made for. It is for commands that change nothing.
func planHere(ctx context.Context, ui *terminal, r arguments.Request) (*plan.Plan, *state.State, error) {
	ctx, cancel := interruptible(ctx)
	defer cancel()
	w, err := openWorkspace(ctx, ui, r.Environment, r.Variables, nil)
	if err != nil {
		return nil, nil, err
	}
	defer w.close()
	w.once = true
	st, err := loadState(w.store, r.Environment)
	if err != nil {
		return nil, nil, err
	}
	p, err := w.plan(ctx, r, st)
	return p, st, err
}

// plan makes a plan and prints its warnings.
func (w *workspace) plan(ctx context.Context, r arguments.Request, st *state.State) (*plan.Plan, error) {
	done := w.ui.waiting("Planning ...")
	p, diags := w.build(ctx, w.plannerOptions(r, st))
	if p != nil && !r.Compared {
		w.compareProfiles(p, st)
	}
	done()
	return w.pinned(p, diags, r)
}

// pinned prints the warnings of a plan and adds the names that plugins resolved to
// the lock file, unless that is in a temporary checkout or the plan is only
// compared.
func (w *workspace) pinned(p *plan.Plan, diags hcl.Diagnostics, r arguments.Request) (*plan.Plan, error) {
	if err := w.ui.failed(diags); err != nil {
		return nil, err
	}
	if (w.ui.store != "" || r.Compared) && !r.ReadOnlyLock {
		return p, nil
	}
	pinned, diags := registry.SetPins(".", p.Pins, nil, r.ReadOnlyLock)
	if err := w.ui.failed(diags); err != nil {
		return nil, err
	}
	for _, pin := range pinned {
		w.ui.notef("Pinned %s to %s in %s.\n", pin.Name, pin.After, registry.LockFile)
	}
	return p, nil
}

// loadState reads the state of an environment.
func loadState(s *store.Store, env string) (*state.State, error) {
	st, err := s.States().Load(env)
	var damaged *state.Damaged
	if err != nil && !errors.As(err, &damaged) {
		return nil, diag.Failed(fmt.Sprintf("the state of environment %q cannot be read", env), "%w", err)
	}
	return st, err
}
