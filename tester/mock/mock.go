// Package mock takes the place of what a pipeline reaches outside of quern while
// it is tested: sources, models, and deployments, and whichever other stages a test
// file mocks.
//
// A mock is a plugin. It is served in this process, over the same protocol as any
// other, and has the schema of the stage's own type, so that the planner and the runner
// do not distinguish them: a Set is the plugins that they see, and its Configuration is that
// in which the mocked stages name their mocks as their plugins. What a
// mock does not know, such as the columns of a label, it asks the real plugin.
package mock

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/lang/testfile"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/processes"
	"github.com/quern-dev/quern/registry"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Plugins are the real plugins. registry.Registry implements it.
type Plugins interface {
	processes.Plugins
	// Pins returns the pins in the lock file.
	Pins() plan.Pins
}

// Options are what mocks are made of.
type Options struct {
	Plugins Plugins
	Module  *config.Module
	File    *testfile.File
	// Run has mocks that take precedence over those of the file.
	Run *testfile.Run
	// Variables are the values of the pipeline's variables.
	Variables map[string]cty.Value
	// Recordings are the recorded answers of models.
	Recordings *Recordings
	// Folder is a temporary folder for this set alone.
	Folder string
}

// Set are the plugins of one run of a test: mocks, and the real plugins of all other
// stages. It is safe for concurrent use.
type Set struct {
	Options
	// module is the configuration with the mocks.
	module *config.Module
	scope  *hcl.EvalContext

	byName map[string]*server
	used   map[*testfile.Mock]bool

	mu       sync.Mutex
	calls    map[string][]Call
	unmocked []Unmocked
	// asked counts equal requests to recorded models, by file and request.
	asked map[[2]string]int
}

// Call is a request to a mocked model and its answer, as values of expressions.
type Call struct{ Request, Answer, ToolCalls cty.Value }

// Unmocked is a request that no mock answers.
type Unmocked struct {
	// Address is the model's.
	Address string
	// Request is the request as text, and Reason says why it has no answer.
	Request, Reason string
}

// prefix is the beginning of the names of mocks as plugins.
const prefix = "mock:"

// New makes the mocks of a run. The caller closes the set.
func New(o Options) (*Set, hcl.Diagnostics) {
	s := &Set{Options: o, byName: map[string]*server{}, used: map[*testfile.Mock]bool{}, calls: map[string][]Call{}, asked: map[[2]string]int{}}
	s.scope = &hcl.EvalContext{
		Functions: funcs.Functions(o.Module.Dir),
		Variables: map[string]cty.Value{"var": plain(o.Variables), "path": paths(o.Module.Dir)},
	}
	var diags hcl.Diagnostics
	s.module, diags = s.substitute(o.Module, addr.Module{}, nil)
	for _, m := range slices.Concat(o.Run.Mocks, o.File.Mocks) {
		if !s.used[m] && !m.Stage.Module.IsRoot() {
			diags = append(diags, diag.Errorf(&m.Range, "Undeclared stage", "The pipeline has no %s.", m.Stage))
		}
	}
	return s, diags
}

// plain returns the values of variables without their marks.
func plain(variables map[string]cty.Value) cty.Value {
	values := make(map[string]cty.Value, len(variables))
	for name, v := range variables {
		values[name], _ = v.UnmarkDeep()
	}
	return cty.ObjectVal(values)
}

func paths(dir string) cty.Value {
	at := cty.StringVal(filepath.ToSlash(dir))
	return cty.ObjectVal(map[string]cty.Value{"module": at, "root": at})
}

// Configuration returns the pipeline's configuration, in which mocked stages name their mocks
// as their plugins.
func (s *Set) Configuration() *config.Module { return s.module }

// substitute returns a module, and those that it calls, with mocks. local are the names
// of plugins in the root module, by those in this one. The stages are copies, because
// planning changes those that are written in JSON, and files are tested in parallel.
func (s *Set) substitute(m *config.Module, at addr.Module, local map[string]string) (*config.Module, hcl.Diagnostics) {
	out := *m
	out.Stages = slices.Clone(m.Stages)
	var diags hcl.Diagnostics
	for i, stage := range m.Stages {
		own := *stage
		out.Stages[i] = &own
		if s.standsIn(stage.Addr.In(at)) && stage.Addr.Kind == kind.Prompt {
			diags = append(diags, s.prompt(&own)...)
			continue
		}
		srv, more := s.serverOf(stage, stage.Addr.In(at), local)
		diags = append(diags, more...)
		if srv != nil {
			s.byName[srv.name] = srv
			own.Plugin = srv.name
		}
	}
	out.Plugins = maps.Clone(m.Plugins)
	for name, plugin := range m.Plugins {
		own := *plugin
		out.Plugins[name] = &own
	}
	out.Calls = maps.Clone(m.Calls)
	for name, call := range m.Calls {
		if call.Module == nil {
			continue
		}
		inner := *call
		var more hcl.Diagnostics
		inner.Module, more = s.substitute(call.Module, at.Child(name, cty.NilVal), rename(call.Plugins, local))
		out.Calls[name], diags = &inner, append(diags, more...)
	}
	return &out, diags
}

// rename returns names of plugins in the root module, given names in a caller.
func rename(names, local map[string]string) map[string]string {
	out := make(map[string]string, len(names))
	for name, caller := range names {
		out[name] = rooted(caller, local)
	}
	return out
}

func rooted(name string, local map[string]string) string {
	if root, ok := local[name]; ok {
		return root
	}
	return name
}

// serverOf returns the server that takes the place of a stage, or nil if the stage runs
// as it is.
func (s *Set) serverOf(stage *config.Stage, at addr.Stage, local map[string]string) (*server, hcl.Diagnostics) {
	if !kind.Of(at.Kind).Typed() {
		return nil, nil
	}
	m := s.mockOf(at)
	switch {
	case m != nil && m.Real:
		return nil, nil
	case m == nil && at.Kind == kind.Source && s.standsIn(at):
		return nil, s.notGiven(at, "a dataset", "rows", "rows = […]")
	case m == nil && at.Kind == kind.Source:
		return nil, s.outside(stage, at, rooted(stage.Plugin, local))
	case m == nil && at.Kind != kind.Model && at.Kind != kind.Deploy:
		return nil, nil
	case m == nil:
		m = &testfile.Mock{Stage: at, Range: stage.DeclRange}
	}
	srv := &server{set: s, mock: m, name: prefix + at.String(), given: rooted(stage.Plugin, local), at: at}
	return srv, srv.load()
}

// mockOf returns the mock of a stage, or nil.
func (s *Set) mockOf(at addr.Stage) *testfile.Mock {
	for _, mocks := range [][]*testfile.Mock{s.Run.Mocks, s.File.Mocks} {
		for _, m := range mocks {
			if m.Stage == at {
				s.used[m] = true
				return m
			}
		}
	}
	return nil
}

// standsIn reports whether a stage takes the place of a variable.
func (s *Set) standsIn(at addr.Stage) bool { return slices.Contains(s.Module.StandIns, at) }

func (s *Set) notGiven(at addr.Stage, what, missing, example string) hcl.Diagnostics {
	return hcl.Diagnostics{diag.Errorf(&s.Run.Range, "Variable is not mocked", "var.%s is %s, which only a caller of the module can pass. Give it %s: mock \"var.%s\" { %s }.", at.Name, what, missing, at.Name, example)}
}

// prompt gives a prompt that takes the place of a variable its content.
func (s *Set) prompt(stage *config.Stage) hcl.Diagnostics {
	m := s.mockOf(stage.Addr)
	if m == nil {
		return s.notGiven(stage.Addr, "a prompt", "a content", "prompt { user = … }")
	}
	stage.Fill(m.Prompt, m.Range)
	s.Module.Sources[s.File.Name] = s.File.Source
	return nil
}

// outside reports a source without a mock that does not read files: it would reach what
// is outside.
func (s *Set) outside(stage *config.Stage, at addr.Stage, plugin string) hcl.Diagnostics {
	_, name, err := s.Plugins.Type(kind.Source, stage.Type, plugin)
	if err != nil || name == registry.Builtin {
		return nil // the planner reports a type that does not exist
	}
	return hcl.Diagnostics{diag.Errorf(&s.Run.Range, "Source is not mocked", "%s is served by the plugin %q, so it may read what is outside of this pipeline. Mock it with mock %q { rows = […] } or, if tests may read it, write real %q {}.", at, name, at, at)}
}

// Close ends the mocks.
func (s *Set) Close() {
	for _, srv := range s.byName {
		srv.close()
	}
}

// Calls returns the requests to the model at an address, and their answers, in the order
// of the requests.
func (s *Set) Calls(address string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := slices.Clone(s.calls[address])
	slices.SortStableFunc(calls, func(a, b Call) int {
		return strings.Compare(a.Request.GetAttr("text").AsString(), b.Request.GetAttr("text").AsString())
	})
	return calls
}

// Unmocked returns the requests that no mock answers, by model and then by their text.
func (s *Set) Unmocked() []Unmocked {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.unmocked)
	slices.SortFunc(all, func(a, b Unmocked) int {
		return cmp.Or(strings.Compare(a.Address, b.Address), strings.Compare(a.Request, b.Request))
	})
	return all
}

func (s *Set) called(address string, c Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[address] = append(s.calls[address], c)
}

// turn returns how often a recorded model was asked the same before.
func (s *Set) turn(path, key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.asked[[2]string{path, key}]
	s.asked[[2]string{path, key}]++
	return n
}

func (s *Set) unanswered(u Unmocked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unmocked = append(s.unmocked, u)
}

// Has reports whether the model at an address is mocked.
func (s *Set) Has(address string) bool { return s.byName[prefix+address] != nil }

// Addresses returns the addresses of everything that is mocked, sorted.
func (s *Set) Addresses() []string {
	var all []string
	for _, srv := range s.byName {
		all = append(all, srv.at.String())
	}
	slices.Sort(all)
	return all
}

// Rows evaluates a list of rows as mocks are evaluated.
func (s *Set) Rows(e hcl.Expression) ([]cty.Value, hcl.Diagnostics) { return rowsOfList(e, s.scope) }

// Mocked reports whether a mock takes the place of a plugin of that name.
func Mocked(plugin string) bool { return strings.HasPrefix(plugin, prefix) }

// Type implements processes.Plugins: a mock has the type of its stage.
func (s *Set) Type(of, name, plugin string) (*pluginv1.Type, string, error) {
	srv := s.byName[plugin]
	if srv == nil {
		return s.Plugins.Type(of, name, plugin)
	}
	t, err := srv.find(of, name)
	if err != nil {
		return nil, "", err
	}
	return t, plugin, nil
}

// ConfigSchema implements processes.Plugins.
func (s *Set) ConfigSchema(plugin string) (*pluginv1.Body, error) {
	return s.Plugins.ConfigSchema(plugin)
}

// SetConfig implements processes.Plugins.
func (s *Set) SetConfig(plugin string, v cty.Value) error { return s.Plugins.SetConfig(plugin, v) }

// SetEnvironment implements processes.Plugins.
func (s *Set) SetEnvironment(plugin string, names []string) {
	s.Plugins.SetEnvironment(plugin, names)
}

// Development implements processes.Plugins. A mock counts as under development, so
// that another mock gives other keys.
func (s *Set) Development(plugin string) bool {
	return s.byName[plugin] != nil || s.Plugins.Development(plugin)
}

// Namespaces implements processes.Plugins.
func (s *Set) Namespaces() map[string]string { return s.Plugins.Namespaces() }

// Functions implements processes.Plugins. Functions are pure, so they are not mocked.
func (s *Set) Functions(plugin string) ([]*pluginv1.Function, error) {
	return s.Plugins.Functions(plugin)
}

// Build implements processes.Plugins.
func (s *Set) Build(plugin string) string { return s.Plugins.Build(plugin) }

// Describe implements processes.Plugins.
func (s *Set) Describe() map[string]plan.Plugin {
	all := s.Plugins.Describe()
	for name, srv := range s.byName {
		all[name] = plan.Plugin{Source: "test", Version: all[srv.real()].Version, Digest: srv.digest}
	}
	return all
}

// Client implements processes.Plugins.
func (s *Set) Client(ctx context.Context, plugin string) (*client.Plugin, error) {
	if srv := s.byName[plugin]; srv != nil {
		return srv.start()
	}
	if Mocked(plugin) {
		return nil, fmt.Errorf("%s is no longer part of the pipeline", strings.TrimPrefix(plugin, prefix))
	}
	return s.Plugins.Client(ctx, plugin)
}

// server is the mock of one stage.
type server struct {
	pluginv1.UnimplementedPluginServiceServer
	set  *Set
	mock *testfile.Mock
	at   addr.Stage
	// name is its name as a plugin, and given the name of the real one as the stage
	// gives it, or empty.
	name, given string
	// tables are the mocked datasets by output.
	tables map[string]*table
	digest string

	mu sync.Mutex
	// plugin is the real plugin, and typ the stage's type there. They are set once the
	// type is found.
	plugin string
	typ    *pluginv1.Type
	served *served
}

// load reads everything that the mock consists of.
func (s *server) load() hcl.Diagnostics {
	var diags hcl.Diagnostics
	s.tables = map[string]*table{}
	given := map[string]*testfile.Table{}
	maps.Copy(given, s.mock.Outputs)
	if s.mock.Given() {
		given[""] = &s.mock.Table
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %#v\n", s.mock.Text, s.variables())
	for _, output := range slices.Sorted(maps.Keys(given)) {
		t, more := s.set.table(given[output])
		diags = append(diags, more...)
		if t == nil {
			continue
		}
		s.tables[output] = t
		content, err := os.ReadFile(t.path)
		if err != nil {
			diags = append(diags, diag.Errorf(&given[output].FileRange, "Cannot read file", "%s.", err))
		}
		fmt.Fprintf(h, "%q %x\n", output, sha256.Sum256(content))
	}
	s.digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	return diags
}

// variables returns the variables that the mock refers to, in order.
func (s *server) variables() []cty.Value {
	all, names := s.set.scope.Variables["var"].AsValueMap(), map[string]bool{}
	for _, e := range s.mock.Expressions() {
		for _, t := range config.Variables(e) {
			if t.RootName() != "var" {
				continue
			}
			if name, ok := attribute(t); ok {
				names[name] = true
				continue
			}
			for name := range all {
				names[name] = true
			}
		}
	}
	var values []cty.Value
	for _, name := range slices.Sorted(maps.Keys(names)) {
		values = append(values, all[name])
	}
	return values
}

// attribute is the name in the second step of a traversal.
func attribute(t hcl.Traversal) (string, bool) {
	if len(t) < 2 {
		return "", false
	}
	step, ok := t[1].(hcl.TraverseAttr)
	return step.Name, ok
}

// find finds the stage's type and returns it as the mock serves it.
func (s *server) find(of, name string) (*pluginv1.Type, error) {
	t, plugin, err := s.set.Plugins.Type(of, name, s.given)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.plugin, s.typ = plugin, t
	s.mu.Unlock()
	rowwise := t.Mode == pluginv1.Mode_MODE_MAP || t.Mode == pluginv1.Mode_MODE_FLAT_MAP
	if !rowwise || len(s.tables) == 0 {
		return t, nil
	}
	// Whole rows do not come from the rows of an input.
	t = proto.Clone(t).(*pluginv1.Type)
	t.Mode = pluginv1.Mode_MODE_RUN
	t.Body.Arguments = append(t.Body.Arguments, &pluginv1.Argument{Name: "max_errors", Type: []byte(`"number"`), Operational: true})
	return t, nil
}

func (s *server) real() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plugin
}

func (s *server) stageType() *pluginv1.Type {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.typ
}

// service starts the real plugin.
func (s *server) service(ctx context.Context) (pluginv1.PluginServiceClient, error) {
	c, err := s.set.Plugins.Client(ctx, s.real())
	if err != nil {
		return nil, err
	}
	return c.Service(), nil
}

// start serves the mock.
func (s *server) start() (*client.Plugin, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.served == nil {
		var err error
		if s.served, err = serve(s); err != nil {
			return nil, err
		}
	}
	return s.served.client, nil
}

func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.served != nil {
		s.served.close()
		s.served = nil
	}
}

// quiet turns a panic of a call into an error, because the mock is part of this process.
func quiet[R any](call func() (R, error)) (r R, err error) {
	caught := parallel.Call(func() error {
		r, err = call()
		return nil
	})
	if caught != nil {
		err = caught
	}
	return r, err
}
