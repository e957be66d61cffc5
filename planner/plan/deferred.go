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

// Deferred is what a plan leaves to the run: stages whose instances depend on
// results that do not exist yet, and whatever depends on these stages. When
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

// DeferredStage is a stage that is planned during the run.
type DeferredStage struct {
	Address string `json:"address"` // of the stage, without a key
	Kind    string `json:"kind"`
	Type    string `json:"type,omitempty"`
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

// Has reports whether a stage is deferred.
func (d *Deferred) Has(stage addr.Stage) bool {
	return d != nil && slices.ContainsFunc(d.Stages, func(s *DeferredStage) bool { return s.Address == stage.String() })
}

// Len returns the number of deferred stages. A plan that defers nothing has a
// nil Deferred.
func (d *Deferred) Len() int {
	if d == nil {
		return 0
	}
	return len(d.Stages)
}

func (d *Deferred) check() error {
	if d == nil {
		return nil
	}
	for _, s := range d.Stages {
		if s == nil {
			return errors.New("a deferred stage is missing")
		}
		if a, err := addr.Parse(s.Address); err != nil || a.HasKey() {
			return fmt.Errorf("%q is not the address of a deferred stage", s.Address)
		}
	}
	for _, a := range slices.Concat(d.Targets, d.Excludes, d.Replace) {
		if _, err := addr.Parse(a); err != nil {
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
