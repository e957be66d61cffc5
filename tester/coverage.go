package tester

import (
	"maps"
	"slices"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/kind"
)

// Coverage says what of a pipeline its tests have exercised.
type Coverage struct {
	Stages []StageCoverage `json:"stages"`
	Gates  []GateCoverage  `json:"gates"`
	// Tested is the number of stages that ran in some test, mocked or not, and of gates
	// that were seen both met and not met. Total counts all of them.
	Tested int `json:"tested"`
	Total  int `json:"total"`
}

// StageCoverage is how often runs carried out a stage, or called a model.
type StageCoverage struct {
	Address string `json:"address"`
	Ran     int    `json:"ran"`
	Mocked  int    `json:"mocked"`
}

// GateCoverage is how often the conditions of a gate were met and not met.
type GateCoverage struct {
	Address string `json:"address"`
	Met     int    `json:"met"`
	NotMet  int    `json:"not_met"`
}

// Coverage sums up what the runs of all files have exercised of a pipeline.
func (r *Result) Coverage(m *config.Module) *Coverage {
	stages, gates := map[string]*StageCoverage{}, map[string]*GateCoverage{}
	declare(m, addr.Module{}, func(a addr.Stage) {
		switch k := kind.Of(a.Kind); {
		case a.Kind == kind.Gate:
			gates[a.String()] = &GateCoverage{Address: a.String()}
		case k.Typed():
			stages[a.String()] = &StageCoverage{Address: a.String()}
		}
	})
	for _, f := range r.Files {
		for _, run := range f.Runs {
			run.cover(stages, gates)
		}
	}
	c := &Coverage{Total: len(stages) + len(gates), Stages: []StageCoverage{}, Gates: []GateCoverage{}}
	for _, address := range slices.Sorted(maps.Keys(stages)) {
		s := *stages[address]
		c.Stages = append(c.Stages, s)
		if s.Ran+s.Mocked > 0 {
			c.Tested++
		}
	}
	for _, address := range slices.Sorted(maps.Keys(gates)) {
		g := *gates[address]
		c.Gates = append(c.Gates, g)
		if g.Met > 0 && g.NotMet > 0 {
			c.Tested++
		}
	}
	return c
}

// declare calls f with the address of each block of a module and of those that it calls,
// without keys.
func declare(m *config.Module, at addr.Module, f func(addr.Stage)) {
	for _, s := range m.Stages {
		f(s.Addr.In(at))
	}
	for name, call := range m.Calls {
		if call.Module != nil {
			declare(call.Module, at.Child(name, noKey), f)
		}
	}
}

// cover counts what a run has carried out, by the addresses of blocks.
func (r *Run) cover(stages map[string]*StageCoverage, gates map[string]*GateCoverage) {
	for address := range r.Calls {
		if s := stages[address]; s != nil {
			s.Mocked++
		}
	}
	seen := map[string]bool{}
	for _, done := range r.Stages {
		block := blockOf(done.Address)
		if g := gates[block]; g != nil {
			if done.Met {
				g.Met++
			} else {
				g.NotMet++
			}
		}
		s := stages[block]
		if s == nil || seen[block] {
			continue
		}
		seen[block] = true
		if done.Mocked {
			s.Mocked++
		} else {
			s.Ran++
		}
	}
}
