// Package diagnostics collects what the phases of planning report, so that all
// independent errors are shown together.
package diagnostics

import (
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/secret"
)

// Collector collects diagnostics about one module and removes secrets from them.
// It is safe for concurrent use.
type Collector struct {
	*collected
	module *config.Module
	path   addr.Module
}

// collected are the diagnostics about all modules.
type collected struct {
	redactor *secret.Redactor
	mu       sync.Mutex
	diags    hcl.Diagnostics
}

// New returns an empty collector for diagnostics about the root module.
func New(m *config.Module, r *secret.Redactor) *Collector {
	return &Collector{collected: &collected{redactor: r}, module: m}
}

// In returns a collector for diagnostics about another module, which c collects,
// too. path is the module's address.
func (c *Collector) In(path addr.Module, m *config.Module) *Collector {
	return &Collector{collected: c.collected, module: m, path: path}
}

// Report adds diagnostics and reports whether any of them is an error.
func (c *Collector) Report(diags ...*hcl.Diagnostic) bool {
	if len(diags) == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	redacted := c.redactor.Diagnostics(funcs.Explain(diags))
	if !c.path.IsRoot() {
		c.module.Locate(redacted, c.path)
	}
	c.diags = append(c.diags, redacted...)
	return hcl.Diagnostics(diags).HasErrors()
}

// Sorted returns the collected diagnostics in the order of the configuration,
// without duplicates, and with the addresses of the stages that they are about.
func (c *Collector) Sorted() hcl.Diagnostics {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.module.Locate(c.diags, c.path)
	slices.SortStableFunc(c.diags, func(a, b *hcl.Diagnostic) int { return strings.Compare(diag.Address(a), diag.Address(b)) })
	diag.Sort(c.diags)
	c.diags = diag.Unique(c.diags)
	return c.diags
}

// Clear removes all diagnostics.
func (c *Collector) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.diags = nil
}
