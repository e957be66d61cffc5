// Package refactor evaluates the blocks that describe how the state continues
// after a change of the configuration: moved, removed, and import. It decides
// which instances of a state get a new address, which deployments stay when
// they are no longer configured, and which exist already.
package refactor

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/dag"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
)

// Move is what one moved block says, for one element of its for_each.
type Move struct {
	From, To addr.Target
	Range    hcl.Range
}

// exact reports whether the move is of single instances. Otherwise all
// instances move, and keep their keys.
func (m *Move) exact() bool { return m.From.HasKey() || m.To.HasKey() }

func (m *Move) String() string { return m.From.String() + " → " + m.To.String() }

// Removal is what one removed block says, for one element of its for_each.
type Removal struct {
	From addr.Target
	// Keep leaves deployments in place.
	Keep  bool
	Range hcl.Range
}

// Import is an existing deployment.
type Import struct {
	// ID is what the plugin finds the deployment by.
	ID    string
	Range hcl.Range
}

// Blocks are the blocks of a pipeline.
type Blocks struct {
	moves    []*Move
	from     map[string]*Move // by the text of From
	to       map[string]*Move // by the text of To
	removals map[string]*Removal
	// Imports are by the address of the instance.
	Imports map[string]*Import
}

func newBlocks() *Blocks {
	return &Blocks{from: map[string]*Move{}, to: map[string]*Move{}, removals: map[string]*Removal{}, Imports: map[string]*Import{}}
}

// add adds a move, or returns an error if it contradicts another one.
func (b *Blocks) add(m *Move) *hcl.Diagnostic {
	from, to := m.From.String(), m.To.String()
	if from == to {
		return diag.Errorf(&m.Range, "Redundant move", "%s is moved to itself. Remove the block.", from)
	}
	if other := b.from[from]; other != nil {
		if other.To.String() == to {
			return nil
		}
		return diag.Errorf(&m.Range, "Ambiguous move", "%s is moved to %s here, and to %s at %s. Keep one of the blocks.", from, to, other.To, place(other.Range))
	}
	if other := b.to[to]; other != nil {
		return diag.Errorf(&m.Range, "Ambiguous move", "%s is moved to %s here, and %s is moved there at %s. Keep one of the blocks.", from, to, other.From, place(other.Range))
	}
	b.from[from], b.to[to] = m, m
	b.moves = append(b.moves, m)
	return nil
}

func place(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

// cycles returns an error for each cycle of moves.
func (b *Blocks) cycles() (diags hcl.Diagnostics) {
	index := make(map[*Move]int, len(b.moves))
	for i, m := range b.moves {
		index[m] = i
	}
	g := make(dag.Graph, len(b.moves))
	for i, m := range b.moves {
		// After m, what it moved can be moved again by next,
		for target, rest := range addr.Enclosing(m.To.String()) {
			if next := b.from[target]; next != nil && next.covers(rest) {
				g[i] = append(g[i], index[next])
			}
		}
		// and before m, another may have moved something into what it moves.
		for target, rest := range addr.Enclosing(m.From.String()) {
			if before := b.to[target]; rest != "" && before != nil && before != m && before.covers(rest) {
				g[index[before]] = append(g[index[before]], i)
			}
		}
	}
	for _, cycle := range g.Cycles() {
		var lines []string
		for _, i := range cycle {
			lines = append(lines, fmt.Sprintf("  %s at %s", b.moves[i], place(b.moves[i].Range)))
		}
		diags = append(diags, diag.Errorf(&b.moves[cycle[0]].Range, "Cycle of moves", "These moves lead back to where they begin, so there is no last address. Remove one of the blocks:\n%s", strings.Join(lines, "\n")))
	}
	return diags
}

// covers reports whether a move applies to something whose address continues
// with rest after that of the move.
func (m *Move) covers(rest string) bool { return !m.exact() || !strings.HasPrefix(rest, "[") }

// CheckDeclared returns an error if something that is in the configuration is
// said to have moved away or to be removed.
func (b *Blocks) CheckDeclared(address string) *hcl.Diagnostic {
	if len(b.moves) == 0 && len(b.removals) == 0 {
		return nil
	}
	for target, rest := range addr.Enclosing(address) {
		if m := b.from[target]; m != nil && m.covers(rest) {
			return diag.Errorf(&m.Range, "Moved object still exists", "This block says that %s has moved to %s, but the configuration still contains %s. Rename it, or remove the moved block.", m.From, m.To, address)
		}
		if r := b.removals[target]; r != nil {
			return diag.Errorf(&r.Range, "Removed object still exists", "This block says that %s was removed, but the configuration still contains %s. Remove it, or remove the removed block.", r.From, address)
		}
	}
	return nil
}

// Keeps reports whether a removed block leaves the deployment at an address in
// place.
func (b *Blocks) Keeps(address string) bool {
	if len(b.removals) == 0 {
		return false
	}
	for target := range addr.Enclosing(address) {
		if r := b.removals[target]; r != nil {
			return r.Keep
		}
	}
	return false
}
