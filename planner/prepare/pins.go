package prepare

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Pins are what the names that plugins pinned refer to, by plugin and name: the
// commit of a branch, for example. Names that are not in the lock file are
// resolved by the plugins while a plan is made. A plan uses one value for a name.
type Pins struct {
	locked plan.Pins
	// known are the locked ones and those that were resolved.
	known plan.Pins
	used  plan.Pins
	// partial are plugins with locked pins and with instances whose pins are not all
	// known.
	partial map[string]bool
}

// NewPins returns pins as they are in the lock file.
func NewPins(locked plan.Pins) *Pins {
	p := &Pins{locked: locked, known: plan.Pins{}, used: plan.Pins{}, partial: map[string]bool{}}
	for plugin, pins := range locked {
		p.known[plugin] = maps.Clone(pins)
	}
	return p
}

// Used returns the pins of the instances that were prepared.
func (p *Pins) Used() plan.Pins { return p.used }

// Unused returns the locked pins that no instance uses, as far as that is certain.
func (p *Pins) Unused() plan.Pins {
	unused := plan.Pins{}
	for plugin, pins := range p.locked {
		for name, value := range pins {
			if _, used := p.used[plugin][name]; !used && !p.partial[plugin] {
				unused.Set(plugin, name, value)
			}
		}
	}
	return unused
}

// given returns the pins that a plugin is given.
func (p *Pins) given(plugin string) map[string]string { return maps.Clone(p.known[plugin]) }

// take records the pins in the answers to questions, and reports names that were
// resolved in two ways.
func (p *Pins) take(questions []*question) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, q := range questions {
		if len(p.locked[q.Plugin]) > 0 && (q.failed || q.answer == nil || !q.Bound.Config.IsWhollyKnown()) {
			p.partial[q.Plugin] = true
		}
		for _, name := range ordered.Keys(q.answer.GetPins()) {
			value := q.answer.Pins[name]
			if known, ok := p.known[q.Plugin][name]; ok && known != value {
				q.failed = true
				diags = append(diags, moved(q, name, known, value))
				continue
			}
			p.known.Set(q.Plugin, name, value)
			p.used.Set(q.Plugin, name, value)
		}
	}
	return diags
}

func moved(q *question, name, known, value string) *hcl.Diagnostic {
	at := q.Range.Ptr()
	if _, given := q.asked.Pins[name]; given {
		return diag.Errorf(at, "Plugin is faulty", "%s %q of plugin %q was given the pin %q with the value %q, and used %q. Report this to the plugin's author.",
			diag.Capital(q.Kind), q.Type, q.Plugin, name, known, value)
	}
	return diag.Errorf(at, "A name has changed while planning", "%q referred to %q first, and then to %q. Plan again.", name, known, value)
}

// isPinned reports whether an answer depends on no name that was resolved for it.
func isPinned(asked *pluginv1.Instance, answer *pluginv1.Prepared) bool {
	return !slices.ContainsFunc(ordered.Keys(answer.Pins), func(name string) bool { return asked.Pins[name] != answer.Pins[name] })
}

// takePins records what the instance's names refer to.
func (n *answered) takePins() error {
	for name, value := range n.prepared.Pins {
		if name == "" || value == "" {
			return fmt.Errorf("it pins the name %q to %q", name, value)
		}
	}
	n.Pins = n.prepared.Pins
	return nil
}
