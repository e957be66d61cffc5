// Package diagnostics collects what the phases of planning report, so that all
// independent errors are shown together.
package diagnostics

import (
	"sync"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/secret"
)

// Collector collects diagnostics and removes secrets from them. It is safe for
// concurrent use.
type Collector struct {
	redactor *secret.Redactor
	module   *config.Module

	mu    sync.Mutex
	diags hcl.Diagnostics
}

// New returns an empty collector for diagnostics about a module.
func New(m *config.Module, r *secret.Redactor) *Collector {
	return &Collector{module: m, redactor: r}
}

// Report adds diagnostics and reports whether any of them is an error.
func (c *Collector) Report(diags ...*hcl.Diagnostic) bool {
	if len(diags) == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.diags = append(c.diags, c.redactor.Diagnostics(funcs.Explain(diags))...)
	return hcl.Diagnostics(diags).HasErrors()
}

// Sorted returns the collected diagnostics in the order of the configuration,
// without duplicates, and with the addresses of the stages that they are about.
func (c *Collector) Sorted() hcl.Diagnostics {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.module.Locate(c.diags)
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
