package expr

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/quern-dev/quern/lang/diag"
)

// ForeignName is how a compiled expression names a function of a plugin, and what
// is part of keys. It is plain data.
type ForeignName struct {
	// Name is the name in the text, such as acme::normalize. It does not depend
	// on the plugin's local names.
	Name string `json:"name"`
	// Behavior is the function's behavior version, followed by the digest of the
	// program if the plugin is under development.
	Behavior string `json:"behavior"`
}

// Foreign is a function of a plugin. It may be used by several goroutines at once.
type Foreign struct {
	ForeignName
	Parameters []Parameter
	// Variadic takes any number of further arguments. It is nil if the function takes none.
	Variadic *Parameter
	// Result is the column type of results.
	Result string
	// Deprecated says why the function should not be called, or is empty.
	Deprecated string
	// Value calls the function for one set of values.
	Value function.Function
	// Prefetch calls the function for many sets of arguments, which have the types of
	// Value's parameters, so that Value only has to look up their results. It is an
	// error for arguments that differ in number.
	Prefetch func(args [][]cty.Value) error
	// Call calls the function for each row of a batch with a column for each
	// argument, whose types are those of the parameters. The caller releases the
	// results. The error is for calls that failed as a whole, and for a context that is
	// done.
	Call func(ctx context.Context, args arrow.RecordBatch) (*ForeignResults, error)
}

// Parameter is a parameter of a function of a plugin.
type Parameter struct {
	Name string
	// Type is a column type.
	Type string
	// Nullable is set if arguments can be null.
	Nullable bool
}

// ForeignResults are the results of a function for the rows of a batch.
type ForeignResults struct {
	Values arrow.Array
	// Failed are the rows for which the function failed. Their values are null.
	Failed map[int]ForeignError
}

// ForeignError says why a function failed.
type ForeignError struct {
	// Argument is the index of the argument at fault, or -1.
	Argument int
	Message  string
}

// Parameter returns the parameter of an argument by its index, or nil if there is
// none.
func (f *Foreign) Parameter(i int) *Parameter {
	if i < len(f.Parameters) {
		return &f.Parameters[i]
	}
	return f.Variadic
}

// Plugins finds the functions of plugins that compiled expressions name. It is safe
// for concurrent use.
type Plugins interface {
	// Foreign returns a function. It is an error if the plugin is not available, has no
	// such function, or gives other results than with the behavior version in f.
	Foreign(f ForeignName) (*Foreign, error)
}

// ForeignScope contains the functions of plugins that the expressions of a module
// can call.
type ForeignScope struct {
	// Plugins finds them again when the compiled expressions are evaluated.
	Plugins Plugins

	functions map[string]*Foreign
	missing   func(name string) string
	// source are the functions that the user's text is evaluated with.
	source map[string]function.Function
}

// NewForeignScope returns the scope with these functions, by their names in the
// user's text. missing explains why there is no function of another name.
func NewForeignScope(p Plugins, functions map[string]*Foreign, missing func(name string) string) *ForeignScope {
	s := &ForeignScope{Plugins: p, functions: functions, missing: missing, source: maps.Clone(conversions)}
	for name, f := range functions {
		s.source[name] = f.Value
	}
	return s
}

// Functions returns the functions by their names in the user's text.
func (s *ForeignScope) Functions() map[string]function.Function { return s.source }

// IsForeign reports whether a name is that of a function of a plugin.
func IsForeign(name string) bool { return strings.Contains(name, "::") }

// Lookup returns a function by its name in the user's text, or nil.
func (s *ForeignScope) Lookup(name string) *Foreign {
	if s == nil {
		return nil
	}
	return s.functions[name]
}

// checkForeign reports a function of a plugin that does not exist or is deprecated.
func checkForeign(call *hclsyntax.FunctionCallExpr, s *Scope) hcl.Diagnostics {
	f := s.Foreign.Lookup(call.Name)
	switch {
	case f == nil && (s.Foreign == nil || s.Foreign.missing == nil):
		return hcl.Diagnostics{diag.Errorf(&call.NameRange, "Unknown function",
			"The function %q does not exist here.", call.Name)}
	case f == nil:
		return hcl.Diagnostics{diag.Errorf(&call.NameRange, "Unknown function", "%s", s.Foreign.missing(call.Name))}
	case f.Deprecated != "":
		return hcl.Diagnostics{diag.Warningf(&call.NameRange, "Deprecated function", "%s() is deprecated: %s", call.Name, f.Deprecated)}
	}
	return nil
}

// rename gives a call of a function of a plugin the name that compiled texts have.
func (r *reducer) rename(call *hclsyntax.FunctionCallExpr) {
	f := r.scope.Foreign.Lookup(call.Name)
	if f == nil {
		return
	}
	call.Name = f.Name
	if r.foreign == nil {
		r.foreign, r.eval.Functions = map[string]*Foreign{}, map[string]function.Function{}
	}
	r.foreign[f.Name], r.eval.Functions[f.Name] = f, f.Value
	if r.plugins == nil {
		r.plugins = r.scope.Foreign.Plugins
	}
}

// calledForeign returns the functions of plugins that a reduced expression still
// calls, sorted by name.
func (r *reducer) calledForeign(e hclsyntax.Expression) []ForeignName {
	var called []ForeignName
	if len(r.foreign) == 0 {
		return nil
	}
	visit(e, func(n hclsyntax.Node, _ names) {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && r.foreign[call.Name] != nil {
			called = append(called, r.foreign[call.Name].ForeignName)
		}
	})
	slices.SortFunc(called, func(a, b ForeignName) int { return strings.Compare(a.Name, b.Name) })
	return slices.Compact(called)
}

// Connect says where the functions of plugins are found that the expression calls. It
// has to be called after the expression was read, and before it is evaluated.
func (c *Compiled) Connect(p Plugins) {
	if c != nil && c.plugins == nil && len(c.Functions) > 0 {
		c.plugins = p
	}
}

// Foreign returns the functions of plugins that the expression calls, by name.
func (c *Compiled) Foreign() (map[string]*Foreign, error) {
	if len(c.Functions) == 0 {
		return nil, nil
	}
	if c.plugins == nil {
		return nil, fmt.Errorf("the expression %s calls %s(), but functions of plugins are not available here", c.Text, c.Functions[0].Name)
	}
	return named(c.plugins, c.Functions)
}

func named(p Plugins, functions []ForeignName) (map[string]*Foreign, error) {
	out := make(map[string]*Foreign, len(functions))
	for _, name := range functions {
		f, err := p.Foreign(name)
		if err != nil {
			return nil, err
		}
		out[name.Name] = f
	}
	return out, nil
}

// ForeignScope returns the scope in which the expression's text can be compiled again.
// It is nil if the expression calls no function of a plugin.
func (c *Compiled) ForeignScope() (*ForeignScope, error) {
	if len(c.Functions) == 0 || c.plugins == nil {
		_, err := c.Foreign()
		return nil, err
	}
	return NamedForeign(c.plugins, c.Functions)
}

// NamedForeign returns the scope of a compiled text that calls these functions.
func NamedForeign(p Plugins, names []ForeignName) (*ForeignScope, error) {
	functions, err := named(p, names)
	if err != nil {
		return nil, err
	}
	for name, f := range functions {
		current := *f
		current.Deprecated = "" // reported when the user's text was compiled
		functions[name] = &current
	}
	return NewForeignScope(p, functions, nil), nil
}

// Identity is the text with the behavior versions of the functions of plugins that it
// calls: what decides which results the expression gives.
func (c *Compiled) Identity() string {
	text := c.Text
	for _, f := range c.Functions {
		text += "\n" + f.Name + " " + f.Behavior
	}
	return text
}

// context returns what the text is evaluated with. vars are as in Eval.
func (c *Compiled) context(vars map[string]cty.Value) (*hcl.EvalContext, error) {
	ctx := &hcl.EvalContext{Variables: vars, Functions: Functions()}
	foreign, err := c.Foreign()
	if len(foreign) == 0 || err != nil {
		return ctx, err
	}
	ctx = ctx.NewChild()
	ctx.Functions = make(map[string]function.Function, len(foreign))
	for name, f := range foreign {
		ctx.Functions[name] = f.Value
	}
	return ctx, nil
}
