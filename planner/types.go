package planner

import (
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/diagnostics"
	"github.com/quern-dev/quern/planner/processes"
	"github.com/quern-dev/quern/planner/schema"
	"github.com/quern-dev/quern/store/disk"
)

// types finds the types of stages, each once.
type types struct {
	plugins processes.Plugins
	diags   *diagnostics.Collector
	found   map[typeKey]*schema.Type
	// tooManyOpen is set once the error about too many open files is reported.
	tooManyOpen bool
}

type typeKey struct{ kind, name, plugin string }

func newTypes(plugins processes.Plugins, diags *diagnostics.Collector) *types {
	return &types{plugins: plugins, diags: diags, found: map[typeKey]*schema.Type{}}
}

// of returns a stage's type, or nil if it needs none. It returns false if the
// type is not available, which it has reported. plugin is the root module's name of
// the stage's plugin, or empty.
func (t *types) of(s *config.Stage, plugin string) (*schema.Type, bool) {
	if !kind.Of(s.Addr.Kind).Typed() {
		return nil, true
	}
	key := typeKey{s.Addr.Kind, s.Type, plugin}
	if found, ok := t.found[key]; ok {
		return found, true
	}
	found, err := t.find(key)
	if err != nil {
		t.missing(s, err)
		return nil, false
	}
	t.found[key] = found
	return found, true
}

func (t *types) find(key typeKey) (*schema.Type, error) {
	found, plugin, err := t.plugins.Type(key.kind, key.name, key.plugin)
	if err != nil {
		return nil, err
	}
	out, err := schema.NewType(found, plugin)
	if err == nil && t.plugins.Development(plugin) {
		// Each build of it may behave differently.
		out.Behavior += " " + t.plugins.Describe()[plugin].Digest
	}
	return out, err
}

// missing reports why a stage's type is not available. Too many open files are
// reported once, because the error is the same for all types.
func (t *types) missing(s *config.Stage, err error) {
	summary := "Unknown stage type"
	if trouble := disk.TooManyOpen(err); trouble != nil {
		if t.tooManyOpen {
			return
		}
		t.tooManyOpen = true
		summary, err = trouble.What, trouble
	}
	t.diags.Report(diag.Errorf(s.TypeRange.Ptr(), summary, "%s", diag.Sentence(err)))
}
