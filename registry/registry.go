// Package registry knows which plugins a pipeline may use: the built-in one,
// the programs that come with quern, and those in required_plugins. It finds
// their programs, checks them against the lock file, returns their schemas from
// a cache, and starts each one when it is first called.
//
// A program whose digest differs from the locked one is never started, not even
// for its schema.
package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/registry/python"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Builtin is the name of the plugin that is part of quern.
const Builtin = "builtin"

// Options configure where plugins are searched for.
type Options struct {
	// Root is the root module's folder. It contains the lock file and
	// .quern/plugins, and relative paths in configurations start from it.
	Root string
	// Version is quern's version. Plugins see it as QUERN_VERSION.
	Version string
	// Required are the plugins in the quern block.
	Required []Requirement
	// CacheDir is a folder for schemas and digests. If it is empty, nothing is
	// cached.
	CacheDir string
	// VenvDir is the folder of the virtual environments of plugins in Python.
	VenvDir string
	// TransferDir is the folder in which sources keep what they transferred from
	// elsewhere. Plugins see it as QUERN_TRANSFERS. If it is empty, they keep
	// nothing.
	TransferDir string
	// Program is the quern program, or empty for the running one. BuiltinArgs
	// are its arguments for serving the built-in plugin, or nil for
	// "serve-plugin". The name of another plugin that it serves follows them.
	Program     string
	BuiltinArgs []string
	// Vendors are the plugins that Program serves in addition to the built-in
	// one. nil means the variable Vendors.
	Vendors []string
	// Bundled are the plugins that come as programs next to Program, and their
	// types. nil means the variable Bundled.
	Bundled map[string][]string
	// Search are the folders in which required plugins are searched for. nil
	// means SearchPath.
	Search []string
	// DevOverrides substitute a program, or the folder that contains it, for a
	// required plugin, by its source or local name. The lock file and version
	// constraints do not apply to it.
	DevOverrides map[string]string
	// Reattach are plugins that are already being served, such as under a
	// debugger, by source or local name.
	Reattach map[string]*goplugin.ReattachConfig
	// StartTimeout is how long a plugin may take to start. 0 means
	// client.DefaultStartTimeout.
	StartTimeout time.Duration
	// Log receives the output of plugins and what is done with them. It may be
	// nil.
	Log hclog.Logger
	// Slow receives messages about slow calls. It may be nil.
	Slow func(text string)
}

// command returns how to start a program.
func (o *Options) command(name, path, digest string) client.Command {
	env := []string{"QUERN_VERSION=" + o.Version}
	if o.TransferDir != "" {
		env = append(env, "QUERN_TRANSFERS="+o.TransferDir)
	}
	return client.Command{
		Name: name, Path: path, Digest: digest, StartTimeout: o.StartTimeout, Log: o.Log, Slow: o.Slow,
		Dir: o.Root, Env: env,
	}
}

// Requirement is an entry of required_plugins.
type Requirement struct {
	// Name is the plugin's local name.
	Name string
	// Source is where it comes from. If it is empty, the plugin is searched for
	// by name.
	Source string
	// Version is a constraint. If it is empty, any version is accepted.
	Version string
	// Command starts a plugin under development: a program and its arguments, in
	// the root module's folder. Without it, the plugin is a program.
	Command []string
	Range   hcl.Range
}

// Bundled are the plugins that come with quern as separate programs, and the
// types that each serves. A program may be absent, because a build or an
// installation can leave it out; the table then says which program is missing.
var Bundled = map[string][]string{
	"database":   {"source sql"},
	"documents":  {"source docx", "source email", "source epub", "source excel", "source html", "source pdf", "source warc"},
	"kubernetes": {"deploy kubernetes"},
	"sql":        {"source duckdb", "transform sql"},
	"storage":    {"deploy azure", "deploy gcs", "deploy s3", "source azure", "source gcs", "source s3"},
}

// Vendors are the plugins that quern itself serves, each in a separate process,
// so that no other plugin has the credentials of the vendor or registry in its
// environment.
var Vendors = []string{"anthropic", "git", "huggingface", "oci", "openai", "vllm"}

// Registry is safe for concurrent use.
type Registry struct {
	// ctx ends requests for schemas.
	ctx     context.Context
	options Options
	digests *digests
	schemas schemaCache
	pins    plan.Pins

	mu      sync.Mutex
	plugins map[string]*entry
	order   []string // builtin, vendors, bundled, required by name
}

// entry is a plugin that may be used.
type entry struct {
	name    string
	source  string
	program string
	args    []string
	digest  string
	// required distinguishes plugins in required_plugins from quern's own.
	required bool
	// version is the locked version, which the program must report, or "" for
	// any.
	version string
	// development is set if the plugin is overridden, attached to, or started by
	// a command.
	development bool
	// venv is the virtual environment of a plugin in Python, or nil. release ends
	// its use.
	venv    *python.Venv
	release func()
	// timeout is how long the program may take to start, unless the options say
	// so. 0 means client.DefaultStartTimeout.
	timeout  time.Duration
	reattach *goplugin.ReattachConfig

	mu          sync.Mutex
	schema      *pluginv1.GetSchemaResponse
	client      *client.Plugin
	configured  bool
	config      cty.Value
	environment []string
	// always are the variables that every plugin receives.
	always []string
}

// network are the variables that configure access to the network.
var network = []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// cloudCredentials are the variables that lead to a Kubernetes cluster, and those
// that the programs which get a cloud's credentials for it read.
var cloudCredentials = []string{
	"KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT",
	"AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE",
	"AWS_SHARED_CREDENTIALS_FILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
	"GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "CLOUDSDK_CORE_PROJECT",
	"AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_CONFIG_DIR", "AAD_LOGIN_METHOD",
}

// storageCredentials are the variables from which clients of object stores take
// credentials.
var storageCredentials = []string{
	"AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE",
	"AWS_SHARED_CREDENTIALS_FILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE",
	"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_EC2_METADATA_DISABLED",
	"GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "STORAGE_EMULATOR_HOST",
	"AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_CONNECTION_STRING",
	"AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_CONFIG_DIR", "AZURE_AUTHORITY_HOST",
}

// gitSettings are the variables with the configuration of Git, and of ssh, which it
// starts.
var gitSettings = []string{
	"XDG_CONFIG_HOME", "SSH_AUTH_SOCK", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_ASKPASS", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM",
	"GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_CERT", "GIT_SSL_KEY", "GIT_EXEC_PATH",
}

// environments are the variables that quern's own plugins receive whatever
// their configuration says. Only a vendor's plugin receives the vendor's key.
var environments = map[string][]string{
	Builtin:       append([]string{"OLLAMA_HOST"}, network...),
	"database":    append([]string{"PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "MYSQL_PWD"}, network...),
	"openai":      append([]string{"OPENAI_API_KEY"}, network...),
	"anthropic":   append([]string{"ANTHROPIC_API_KEY"}, network...),
	"git":         slices.Concat(gitSettings, network),
	"huggingface": append([]string{"HF_TOKEN", "HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE"}, network...),
	"kubernetes":  slices.Concat(cloudCredentials, network),
	"oci":         append([]string{"DOCKER_CONFIG"}, network...),
	"storage":     slices.Concat(storageCredentials, network),
	"vllm":        append([]string{"VLLM_API_KEY"}, network...),
}

// Open finds the programs and checks them against the lock file, without
// starting any. If it returns errors, the registry can still be used for the
// plugins that were found. When ctx ends, requests for schemas end, too.
func Open(ctx context.Context, options Options) (*Registry, hcl.Diagnostics) {
	options, err := options.complete()
	if err != nil {
		return nil, hcl.Diagnostics{diag.Errorf(nil, "The quern program cannot be found", "%s.", err)}
	}
	r := &Registry{
		ctx: ctx, options: options, digests: openDigests(options.CacheDir), schemas: schemaCache{options.CacheDir},
		plugins: map[string]*entry{},
	}
	r.add(&entry{name: Builtin, source: Builtin, program: options.Program, args: options.BuiltinArgs, always: environments[Builtin]})
	for _, name := range options.Vendors {
		args := append(slices.Clone(options.BuiltinArgs), name)
		r.add(&entry{name: name, source: Builtin, program: options.Program, args: args, always: environments[name]})
	}
	for _, name := range ordered.Keys(options.Bundled) {
		program := filepath.Join(filepath.Dir(options.Program), programName(name))
		if isProgram(program) {
			r.add(&entry{name: name, source: Builtin, program: program, always: environments[name]})
		}
	}
	return r, r.addRequired()
}

func (o Options) complete() (Options, error) {
	var err error
	if o.Root, err = filepath.Abs(o.Root); err != nil {
		return o, err
	}
	if o.VenvDir != "" {
		if o.VenvDir, err = filepath.Abs(o.VenvDir); err != nil {
			return o, err
		}
	}
	if o.TransferDir != "" {
		if o.TransferDir, err = filepath.Abs(o.TransferDir); err != nil {
			return o, err
		}
	}
	if o.CacheDir != "" {
		if o.CacheDir, err = filepath.Abs(o.CacheDir); err != nil {
			return o, err
		}
	}
	o.Required = slices.SortedFunc(slices.Values(o.Required), func(a, b Requirement) int {
		return strings.Compare(a.Name, b.Name)
	})
	if o.Program == "" {
		if o.Program, err = os.Executable(); err != nil {
			return o, err
		}
	}
	// The bundled programs are next to the program, not next to a link to it.
	if o.Program, err = filepath.EvalSymlinks(o.Program); err != nil {
		return o, err
	}
	if o.BuiltinArgs == nil {
		o.BuiltinArgs = []string{"serve-plugin"}
	}
	if o.Vendors == nil {
		o.Vendors = Vendors
	}
	if o.Bundled == nil {
		o.Bundled = Bundled
	}
	if o.Search == nil {
		o.Search = SearchPath(o.Root, o.Program)
	}
	return o, nil
}

func (r *Registry) add(e *entry) {
	e.config = cty.EmptyObjectVal
	r.plugins[e.name] = e
	r.order = append(r.order, e.name)
}

// addRequired adds the required plugins in their locked versions.
func (r *Registry) addRequired() hcl.Diagnostics {
	locked, diags := ReadLock(r.options.Root)
	if diags.HasErrors() {
		return diags
	}
	r.pins = locked.Pins
	var overridden, commands []string
	for _, required := range r.options.Required {
		e, d := r.requiredEntry(required, locked.Plugins[required.Name])
		diags = append(diags, d...)
		if e == nil {
			continue
		}
		e.name, e.source, e.required = required.Name, sourceOf(required), true
		r.add(e)
		switch {
		case !e.development || e.reattach != nil:
		case e.args != nil: // overrides have none
			commands = append(commands, fmt.Sprintf("  - %s: %s", e.name, strings.Join(required.Command, " ")))
		default:
			overridden = append(overridden, fmt.Sprintf("  - %s: %s", sourceOf(required), e.program))
		}
	}
	return slices.Concat(diags, underDevelopment(overridden, commands))
}

// underDevelopment warns about plugins that no version identifies.
func underDevelopment(overridden, commands []string) hcl.Diagnostics {
	var diags hcl.Diagnostics
	if len(overridden) > 0 {
		diags = append(diags, diag.Warningf(nil, "Plugin development overrides are in effect",
			"The CLI configuration overrides these plugins:\n%s\nThe lock file and version constraints do not apply to them, so results may differ from those of any released version.", strings.Join(overridden, "\n")))
	}
	if len(commands) > 0 {
		diags = append(diags, diag.Warningf(nil, "Plugins are under development",
			"These plugins are started by a command in required_plugins:\n%s\nThe lock file does not apply to them. A change to a plugin's folder counts as a change of what the plugin does.", strings.Join(commands, "\n")))
	}
	return diags
}

// requiredEntry returns where a required plugin is: attached to, overridden, or
// in its locked version.
func (r *Registry) requiredEntry(required Requirement, lock *Locked) (*entry, hcl.Diagnostics) {
	if d := r.options.reserved(required); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	for _, name := range []string{sourceOf(required), required.Name} {
		if at := r.options.Reattach[name]; at != nil {
			return &entry{reattach: at, development: true, program: at.Addr.String(), digest: attachedDigest(at)}, nil
		}
	}
	program, d := r.options.override(required)
	if d != nil {
		return nil, hcl.Diagnostics{d}
	}
	if program != "" {
		return &entry{program: program, development: true}, nil
	}
	if required.Command != nil {
		e, d := r.options.commandEntry(r.digests, required)
		return e, diagnostics(d)
	}
	if dir := r.options.pythonProject(required); dir != "" {
		return r.pythonEntry(required, dir, lock)
	}
	found, diags := r.lockedProgram(required, lock)
	if found == nil {
		return nil, diags
	}
	return &entry{program: found.path, digest: found.digest, version: lock.Version}, diags
}

// attachedDigest takes the place of the digest of a plugin that is already
// being served. Its program is unknown, so each serving counts as a different
// program.
func attachedDigest(at *goplugin.ReattachConfig) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", at.Addr, at.Pid))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Names returns the plugins that may be used, quern's own first.
func (r *Registry) Names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.order)
}

// Pins returns the pins in the lock file.
func (r *Registry) Pins() plan.Pins { return r.pins }

// ConfigSchema returns the schema of a plugin's block.
func (r *Registry) ConfigSchema(plugin string) (*pluginv1.Body, error) {
	schema, err := r.schema(r.ctx, plugin)
	if err != nil {
		return nil, err
	}
	return schema.Config, nil
}

// SetConfig sets the value of a plugin's block, which must be known and
// unmarked. It has no effect on a plugin that was already called.
func (r *Registry) SetConfig(plugin string, config cty.Value) error {
	e := r.entry(plugin)
	if e == nil {
		return r.noPlugin(plugin)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.config = config
	return nil
}

func (r *Registry) noPlugin(name string) error {
	return fmt.Errorf("unknown plugin %q.%s Plugins are listed in required_plugins in the quern block",
		name, diag.Suggest(name, r.Names()))
}

// SetEnvironment sets the names of the environment variables that a plugin
// receives. It has no effect on a plugin that is already running.
func (r *Registry) SetEnvironment(plugin string, names []string) {
	if e := r.entry(plugin); e != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.environment = names
	}
}

// Program returns the path of the program that serves a plugin, or "" if there is not
// exactly one, as for plugins in Python and those under development. required is false
// for the plugins that come with quern.
func (r *Registry) Program(plugin string) (path string, required bool) {
	e := r.entry(plugin)
	if e == nil || e.venv != nil || e.development {
		return "", false
	}
	return e.program, e.required
}

// Development reports whether a plugin's version is under development. The
// digest of its program is then part of its behavior.
func (r *Registry) Development(plugin string) bool {
	schema, err := r.schema(r.ctx, plugin)
	e := r.entry(plugin)
	return err == nil && (isDevelopment(schema.Version) || e.development)
}

// Describe returns the plugins that were used so far, for a plan.
func (r *Registry) Describe() map[string]plan.Plugin {
	out := map[string]plan.Plugin{}
	for _, name := range r.Names() {
		e := r.entry(name)
		e.mu.Lock()
		if e.schema != nil {
			out[name] = plan.Plugin{Source: e.source, Version: e.schema.Version, Digest: e.digest}
		}
		e.mu.Unlock()
	}
	return out
}

// Check compares the plugins that a plan was made with with the present ones.
func (r *Registry) Check(plugins map[string]plan.Plugin) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, name := range ordered.Keys(plugins) {
		e := r.entry(name)
		if e == nil {
			diags = append(diags, diag.Errorf(nil, "Plugin is missing",
				"The plan was made with plugin %q, which is not installed. Run \"quern init\".", name))
			continue
		}
		digest, err := r.digestOf(e)
		if err != nil {
			diags = append(diags, diag.Errorf(nil, "Plugin cannot be read", "%s.", err))
		} else if digest != plugins[name].Digest {
			diags = append(diags, diag.Errorf(nil, "Plugin has changed",
				"The plan was made with version %s of plugin %q (%s), but %s is %s. Make a new plan.",
				plugins[name].Version, name, plugins[name].Digest, e.program, digest))
		}
	}
	return diags
}

// Close ends all plugins that were started.
func (r *Registry) Close() { r.end((*client.Plugin).Close) }

// Kill ends them immediately.
func (r *Registry) Kill() { r.end((*client.Plugin).Kill) }

func (r *Registry) end(how func(*client.Plugin)) {
	var wg sync.WaitGroup
	for _, name := range r.Names() {
		e := r.entry(name)
		wg.Go(func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.client != nil {
				how(e.client)
				e.client, e.configured = nil, false
			}
			if e.release != nil {
				e.release()
				e.release = nil
			}
		})
	}
	wg.Wait()
	r.digests.save()
}

func (r *Registry) entry(name string) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.plugins[name]
}

func (r *Registry) digestOf(e *entry) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return r.digestLocked(e)
}

func (r *Registry) digestLocked(e *entry) (string, error) {
	if e.digest == "" {
		d, err := r.digests.of(e.program)
		if err != nil {
			return "", fmt.Errorf("digest of plugin %q: %w", e.name, err)
		}
		e.digest = d
	}
	return e.digest, nil
}
