package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
)

// Deferred is what a plan leaves to the run: stages and modules whose instances
// depend on results that do not exist yet, and whatever depends on them. When
// everything else is done, the run plans them, and applies that plan, too.
type Deferred struct {
	// Stages are in an order in which each comes after what it needs.
	Stages []*DeferredStage `json:"stages"`
	// Configuration is the digest of the configuration's files, which are read
	// again.
	Configuration string `json:"configuration"`
	// Targets, Excludes, and Replace are the addresses in the flags.
	Targets  []string `json:"targets,omitempty"`
	Excludes []string `json:"excludes,omitempty"`
	Replace  []string `json:"replace,omitempty"`
}

// DeferredStage is a stage that is planned during the run, or all stages of a module
// whose instances are not known yet.
type DeferredStage struct {
	Address string `json:"address"` // of the stage or the module, without a key
	Kind    string `json:"kind"`    // KindModule for a module
	Type    string `json:"type,omitempty"`
	// Stages is the number of stages in each instance of a module.
	Stages int `json:"stages,omitempty"`
	// Expands is set if its own for_each or count is not known. Otherwise it
	// depends on a stage that is deferred.
	Expands bool     `json:"expands,omitempty"`
	Reasons []Reason `json:"reasons"`
	// DependsOn are the addresses of all instances, and of deferred stages, that
	// must come before.
	DependsOn []string `json:"depends_on,omitempty"`
	// Instances is the number of instances in the state.
	Instances int        `json:"instances,omitempty"`
	Range     diag.Range `json:"range"`
}

// KindModule is the kind of a module whose instances are not known yet.
const KindModule = "module"

// Has reports whether an address is that of something deferred, or of a part of it.
func (d *Deferred) Has(address string) bool {
	if d == nil {
		return false
	}
	for target := range addr.Enclosing(address) {
		if slices.ContainsFunc(d.Stages, func(s *DeferredStage) bool { return s.Address == target }) {
			return true
		}
	}
	return false
}

// Count returns the number of deferred stages, and that of modules whose instances
// are not known yet. A plan that defers nothing has a nil Deferred.
func (d *Deferred) Count() (stages, modules int) {
	if d == nil {
		return 0, 0
	}
	for _, s := range d.Stages {
		if s.Kind == KindModule {
			modules++
		}
	}
	return len(d.Stages) - modules, modules
}

// Instances returns the number of instances, by address, of everything in d that
// a later plan of the run no longer defers. A module without stages is left out.
func (d *Deferred) Instances(p *Plan) map[string]int {
	counts := map[string]int{}
	for _, s := range d.Stages {
		if !p.Deferred.Has(s.Address) && (s.Kind != KindModule || s.Stages > 0) {
			counts[s.Address] = 0
		}
	}
	seen := map[string]bool{}
	count := func(address string) {
		instance := address
		for target := range addr.Enclosing(address) {
			if _, planned := counts[target]; planned && !seen[instance] {
				seen[instance] = true
				counts[target]++
			}
			instance = target
		}
	}
	for _, n := range p.Nodes {
		if n.Action != Forget && n.Action != Delete {
			count(n.Address)
		}
	}
	if p.Deferred != nil {
		for _, s := range p.Deferred.Stages {
			count(s.Address)
		}
	}
	return counts
}

func (d *Deferred) check() error {
	if d == nil {
		return nil
	}
	for _, s := range d.Stages {
		if s == nil {
			return errors.New("a deferred stage is missing")
		}
		if t, err := addr.ParseTarget(s.Address); err != nil || t.HasKey() || t.IsModule() != (s.Kind == KindModule) {
			return fmt.Errorf("%q is not the address of a deferred stage", s.Address)
		}
	}
	for _, a := range slices.Concat(d.Targets, d.Excludes, d.Replace) {
		if _, err := addr.ParseTarget(a); err != nil {
			return err
		}
	}
	return nil
}

// ConfigurationDigest returns the digest of the files of a configuration.
func ConfigurationDigest(sources map[string][]byte) string {
	h := sha256.New()
	for _, name := range ordered.Keys(sources) {
		sum := sha256.Sum256(sources[name])
		fmt.Fprintf(h, "%q %x\n", name, sum)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
