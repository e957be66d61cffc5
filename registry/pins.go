package registry

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
)

// Pin is a pin that changed in the lock file.
type Pin struct {
	Plugin string `json:"plugin"`
	Name   string `json:"name"`
	// Before and After are what the name referred to and refers to now. Before is
	// empty if it was not pinned, After if it no longer is.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// SetPins adds pins to the lock file of a root module, and removes others. It
// returns what changed, by plugin and name. With readonly, a change is an error.
func SetPins(dir string, add, remove plan.Pins, readonly bool) ([]Pin, hcl.Diagnostics) {
	lock, diags := ReadLock(dir)
	if diags.HasErrors() {
		return nil, diags
	}
	changed := lock.change(add, remove)
	switch {
	case len(changed) == 0:
		return nil, nil
	case readonly:
		return nil, hcl.Diagnostics{diag.Errorf(nil, "Pins are missing", "%s", missingPins(changed))}
	}
	if err := lock.write(dir, false); err != nil {
		return nil, hcl.Diagnostics{diag.Errorf(nil, "Lock file cannot be written", "%s.", err)}
	}
	return changed, nil
}

func (l *Lock) change(add, remove plan.Pins) []Pin {
	var changed []Pin
	for plugin, pins := range remove {
		for name, value := range pins {
			if _, kept := add[plugin][name]; !kept {
				delete(l.Pins[plugin], name)
				changed = append(changed, Pin{Plugin: plugin, Name: name, Before: value})
			}
		}
	}
	for plugin, pins := range add {
		for name, value := range pins {
			before := l.Pins[plugin][name]
			if before == value {
				continue
			}
			if l.Pins == nil {
				l.Pins = plan.Pins{}
			}
			l.Pins.Set(plugin, name, value)
			changed = append(changed, Pin{Plugin: plugin, Name: name, Before: before, After: value})
		}
	}
	slices.SortFunc(changed, func(a, b Pin) int { return cmp.Or(cmp.Compare(a.Plugin, b.Plugin), cmp.Compare(a.Name, b.Name)) })
	return changed
}

// missingPins describes changes that a lock file must not have.
func missingPins(changed []Pin) string {
	var lines strings.Builder
	for _, p := range changed {
		switch {
		case p.After == "":
			fmt.Fprintf(&lines, "  - %s of plugin %q is no longer used\n", p.Name, p.Plugin)
		default:
			fmt.Fprintf(&lines, "  - %s of plugin %q refers to %s\n", p.Name, p.Plugin, p.After)
		}
	}
	return fmt.Sprintf("%s would change, and -lockfile=readonly does not allow that:\n%sRun the command without it, and commit the file.", LockFile, lines.String())
}
