package module

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/lang/expr"
)

// foreignCall matches names such as acme::normalize.
var foreignCall = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[\pL_][\pL\pN_-]*(?:\s*::\s*[\pL_][\pL\pN_-]*)+`) })

// foreignNames returns the names of functions of plugins in the files of a
// configuration. A name that is only in a comment does no harm.
func foreignNames(sources map[string][]byte) []string {
	var names []string
	for _, text := range sources {
		if !bytes.Contains(text, []byte("::")) {
			continue
		}
		for _, name := range foreignCall().FindAll(text, -1) {
			names = append(names, strings.Join(strings.Fields(string(name)), ""))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// addForeign adds the functions of plugins with these names to those that the module's
// expressions can call.
func (m *Module) addForeign(names []string) {
	if len(names) == 0 || m.Settings.Foreign == nil {
		return
	}
	m.foreign = m.Settings.Foreign.Scope(names, m.plugin)
	m.root = m.root.NewChild()
	m.root.Functions = m.foreign.Functions()
}

// Foreign returns the functions of plugins that the module's expressions can call, or
// nil.
func (m *Module) Foreign() *expr.ForeignScope { return m.foreign }

// plugin returns the root module's name of a plugin.
func (m *Module) plugin(name string) string {
	if m.node == nil {
		return name
	}
	return m.node.plugin(name)
}

// ForeignIn returns the values with the functions of plugins that an expression calls
// which is in no file of the configuration.
func (m *Module) ForeignIn(e hcl.Expression, values *hcl.EvalContext) *hcl.EvalContext {
	node, ok := e.(hclsyntax.Node)
	if !ok || m.Settings.Foreign == nil {
		return values
	}
	var names []string
	_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && expr.IsForeign(call.Name) {
			names = append(names, call.Name)
		}
		return nil
	})
	if len(names) == 0 {
		return values
	}
	ctx := values.NewChild()
	ctx.Functions = m.Settings.Foreign.Scope(names, m.plugin).Functions()
	return ctx
}
