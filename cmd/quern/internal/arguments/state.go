package arguments

import (
	"fmt"
	"math"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/store/state"
)

// StateList is quern state list.
type StateList struct {
	Environment
	Document
	// Addresses are the instances to list, or empty for all.
	Addresses []string
}

// Flags implements [Set].
func (s *StateList) Flags() []cli.Flag { return append(s.Environment.flags(), s.Document.flag()) }

// Parse implements [Set].
func (s *StateList) Parse(given Positional) hcl.Diagnostics {
	s.Addresses = given.Given
	return nil
}

// StateShow is quern state show.
type StateShow struct {
	Environment
	Document
	Address string
}

// Flags implements [Set].
func (s *StateShow) Flags() []cli.Flag { return append(s.Environment.flags(), s.Document.flag()) }

// Parse implements [Set].
func (s *StateShow) Parse(given Positional) hcl.Diagnostics { return given.one(&s.Address, instance) }

// StateChange are the flags of a command that changes a state.
type StateChange struct {
	Environment
	Lock
}

// Flags implements [Set].
func (s *StateChange) Flags() []cli.Flag { return flags(s.Environment.flags(), s.Lock.flags()) }

// StateMove is quern state mv.
type StateMove struct {
	StateChange
	File Flag[string]
	// Moves are the pairs of addresses on the command line.
	Moves []state.Move
}

// Flags implements [Set].
func (s *StateMove) Flags() []cli.Flag {
	return append(s.StateChange.Flags(),
		declare(&s.File, cli.StringFlag{Name: "file", Usage: "read the moves from `FILE` (- is standard input), a JSON list of objects with from and to, such as moves in the plan's JSON"}))
}

// Parse implements [Set].
func (s *StateMove) Parse(given Positional) hcl.Diagnostics {
	s.Lock.parse(given)
	if s.File.Value != "" {
		return given.none()
	}
	if diags := given.between(2, math.MaxInt, "two addresses, or -file"); diags.HasErrors() {
		return diags
	}
	if len(given.Given)%2 != 0 {
		return refuse(fmt.Sprintf("%s needs pairs of addresses, but got %d", given.Command, len(given.Given)), fmt.Sprintf("Usage: %s %s", given.Command, given.Usage))
	}
	for pair := range slices.Chunk(given.Given, 2) {
		s.Moves = append(s.Moves, state.Move{From: pair[0], To: pair[1]})
	}
	return nil
}

// StateRemove is quern state rm.
type StateRemove struct {
	StateChange
	Addresses []string
}

// Parse implements [Set].
func (s *StateRemove) Parse(given Positional) hcl.Diagnostics {
	s.Lock.parse(given)
	s.Addresses = given.Given
	return given.between(1, math.MaxInt, "an address")
}

// StatePush is quern state push.
type StatePush struct {
	StateChange
	Force Flag[bool]
	// File is the state to push; - is standard input.
	File string
}

// Flags implements [Set].
func (s *StatePush) Flags() []cli.Flag {
	return append(s.StateChange.Flags(),
		declare(&s.Force, cli.BoolFlag{Name: "force", Usage: "push the state regardless of its lineage, environment, and serial"}))
}

// Parse implements [Set].
func (s *StatePush) Parse(given Positional) hcl.Diagnostics {
	s.Lock.parse(given)
	return given.one(&s.File, "a file, or - for standard input")
}

// StatePull is quern state pull.
type StatePull struct{ Environment }

// Flags implements [Set].
func (s *StatePull) Flags() []cli.Flag { return s.Environment.flags() }

// Parse implements [Set].
func (s *StatePull) Parse(given Positional) hcl.Diagnostics { return given.none() }

// StateUnlock is quern state unlock.
type StateUnlock struct {
	Environment
	ID string // of the lease
}

// Flags implements [Set].
func (s *StateUnlock) Flags() []cli.Flag { return s.Environment.flags() }

// Parse implements [Set].
func (s *StateUnlock) Parse(given Positional) hcl.Diagnostics {
	return given.one(&s.ID, "the ID of a lease")
}
