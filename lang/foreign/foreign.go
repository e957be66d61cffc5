// Package foreign calls functions of plugins for expressions.
//
// A Set knows the functions of all plugins. Compiled expressions name a function by
// the namespace of its plugin, which depends on where the plugin comes from, and not
// on its local names. The functions are pure, so a Set caches results of calls with
// single values. Calls for whole batches, which come while stages run, are not
// cached.
package foreign

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Plugins are the plugins that may be called. The methods are safe for concurrent
// use.
type Plugins interface {
	// Namespaces returns the namespaces of all plugins by their local names. Plugins
	// with the same source have the same namespace.
	Namespaces() map[string]string
	// Functions returns the functions that a plugin offers, by its local name.
	Functions(plugin string) ([]*pluginv1.Function, error)
	// Build returns the digest of a plugin's program if it is under development, so
	// that each build may behave differently, and otherwise "".
	Build(plugin string) string
	// Client returns a plugin's process and starts it if it is not running yet.
	Client(ctx context.Context, plugin string) (*client.Plugin, error)
}

// Set contains the functions of plugins.
type Set struct {
	ctx     context.Context
	plugins Plugins
	offers  sync.Map // by local name: func() (map[string]*expr.Foreign, error)
}

// New returns the functions of plugins. Calls with single values end when ctx ends.
func New(ctx context.Context, p Plugins) *Set { return &Set{ctx: ctx, plugins: p} }

// Offer returns the functions that a plugin offers, by their own names.
func (s *Set) Offer(plugin string) (map[string]*expr.Foreign, error) {
	load, _ := s.offers.LoadOrStore(plugin, sync.OnceValues(func() (map[string]*expr.Foreign, error) { return s.load(plugin) }))
	return load.(func() (map[string]*expr.Foreign, error))()
}

func (s *Set) load(plugin string) (map[string]*expr.Foreign, error) {
	offered, err := s.plugins.Functions(plugin)
	if err != nil {
		return nil, err
	}
	namespace := s.plugins.Namespaces()[plugin]
	out := make(map[string]*expr.Foreign, len(offered))
	for _, f := range offered {
		made, err := s.function(plugin, namespace, f)
		if err != nil {
			return nil, fmt.Errorf("the plugin %q offers an invalid function %q: %w", plugin, f.GetName(), err)
		}
		out[f.Name] = made
	}
	return out, nil
}

// function checks what a plugin says about a function.
func (s *Set) function(plugin, namespace string, f *pluginv1.Function) (*expr.Foreign, error) {
	behavior := strconv.FormatInt(f.BehaviorVersion, 10)
	if build := s.plugins.Build(plugin); build != "" {
		behavior += " " + build
	}
	out := &expr.Foreign{
		ForeignName: expr.ForeignName{Name: namespace + "::" + f.Name, Behavior: behavior},
		Result:      f.Result, Deprecated: f.Deprecated,
	}
	for _, p := range f.Parameters {
		out.Parameters = append(out.Parameters, expr.Parameter{Name: p.Name, Type: p.Type, Nullable: p.Nullable})
	}
	if p := f.Variadic; p != nil {
		out.Variadic = &expr.Parameter{Name: p.Name, Type: p.Type, Nullable: p.Nullable}
	}
	if len(out.Parameters) == 0 && out.Variadic == nil {
		return nil, fmt.Errorf("it has no parameters")
	}
	if err := check(out); err != nil {
		return nil, err
	}
	c := &caller{set: s, plugin: plugin, name: f.Name, of: out}
	out.Call = c.call
	out.Value = c.value()
	out.Prefetch = c.prefetch
	return out, nil
}

// check returns an error if a type cannot be used in expressions.
func check(f *expr.Foreign) error {
	types := []string{f.Result}
	for _, p := range f.Parameters {
		types = append(types, p.Type)
	}
	if f.Variadic != nil {
		types = append(types, f.Variadic.Type)
	}
	for _, name := range types {
		t, err := data.ArrowType(name)
		if err != nil {
			return err
		}
		if expr.IsEncoded(t) {
			return fmt.Errorf("type %s: functions cannot take or return dates, timestamps, and bytes; use strings", name)
		}
	}
	return nil
}

// Foreign implements expr.Plugins.
func (s *Set) Foreign(of expr.ForeignName) (*expr.Foreign, error) {
	namespace, name, _ := strings.Cut(of.Name, "::")
	namespaces := s.plugins.Namespaces()
	for _, plugin := range slices.Sorted(maps.Keys(namespaces)) {
		if namespaces[plugin] != namespace {
			continue
		}
		offered, err := s.Offer(plugin)
		if err != nil {
			return nil, err
		}
		f := offered[name]
		switch {
		case f == nil:
			return nil, fmt.Errorf("an expression calls %s(), but this version of the plugin %q has no function %q", of.Name, plugin, name)
		case f.Behavior != of.Behavior:
			return nil, fmt.Errorf("an expression calls %s() with behavior version %s, but this version of the plugin %q has %s; "+
				"if the expression is that of a trained model, train the model again, or install the version of the plugin that it was trained with",
				of.Name, of.Behavior, plugin, f.Behavior)
		}
		return f, nil
	}
	return nil, fmt.Errorf("an expression calls %s(), but no plugin here has the namespace %q; add the plugin to required_plugins in the quern block, and run \"quern init\"", of.Name, namespace)
}

// Scope returns the functions that the expressions of a module can call, and the
// names that are not among them. names are those that the module's files contain,
// such as acme::normalize, and local returns the root module's name of a plugin by the
// module's.
func (s *Set) Scope(names []string, local func(string) string) *expr.ForeignScope {
	functions := map[string]*expr.Foreign{}
	missing := func(full string) string { return s.missing(full, local) }
	var others []string
	for _, full := range names {
		namespace, name, _ := strings.Cut(full, "::")
		if offered, err := s.Offer(local(namespace)); err == nil && offered[name] != nil {
			functions[full] = offered[name]
		} else {
			others = append(others, full)
		}
	}
	out := expr.NewForeignScope(s, functions, missing)
	for _, full := range others {
		out.Functions()[full] = unknown(func() string { return missing(full) })
	}
	return out
}

// unknown is a function that does not exist. It is there for expressions that hcl
// evaluates, for the sake of its error.
func unknown(why func() string) function.Function {
	return function.New(&function.Spec{
		VarParam: &function.Parameter{Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true, AllowMarked: true},
		Type:     func([]cty.Value) (cty.Type, error) { return cty.DynamicPseudoType, &funcs.Missing{Detail: why()} },
	})
}

// missing explains why there is no function of a name.
func (s *Set) missing(full string, local func(string) string) string {
	namespace, name, _ := strings.Cut(full, "::")
	plugin := local(namespace)
	namespaces := s.plugins.Namespaces()
	if _, ok := namespaces[plugin]; !ok {
		return fmt.Sprintf("%s() is a function of a plugin %q, which this configuration does not require.%s Add the plugin to required_plugins in the quern block, and run \"quern init\".",
			full, namespace, diag.Suggest(namespace, slices.Sorted(maps.Keys(namespaces))))
	}
	offered, err := s.Offer(plugin)
	switch {
	case err != nil:
		return fmt.Sprintf("The functions of the plugin %q are not known: %s.", plugin, err)
	case len(offered) == 0:
		return fmt.Sprintf("The plugin %q has no functions.", plugin)
	}
	names := slices.Sorted(maps.Keys(offered))
	return fmt.Sprintf("The plugin %q has no function %q.%s Its functions are: %s.", plugin, name, diag.Suggest(name, names), diag.List(names))
}
