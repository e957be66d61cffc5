package refactor

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/store/state"
)

// Moves returns which of the addresses in a state change, sorted. An instance
// whose new address is taken stays where it is, and a warning says so.
func (b *Blocks) Moves(st *state.State) ([]state.Move, hcl.Diagnostics) {
	if len(b.moves) == 0 || st == nil {
		return nil, nil
	}
	var paths []path
	to := map[string]string{}
	for address := range st.Addresses() {
		if p := b.follow(address); len(p.moves) > 0 {
			paths = append(paths, p)
		}
	}
	slices.SortFunc(paths, path.compare)
	var diags hcl.Diagnostics
	moving := map[string]bool{}
	for _, p := range paths {
		moving[p.from] = true
	}
	// An instance that stays may be in the way of another one.
	for again := true; again; {
		again = false
		clear(to)
		paths = slices.DeleteFunc(paths, func(p path) bool {
			first, taken := to[p.to]
			if !taken && (moving[p.to] || !st.Has(p.to)) {
				to[p.to] = p.from
				return false
			}
			diags = append(diags, p.blocked(first))
			delete(moving, p.from)
			again = true
			return true
		})
	}
	moves := make([]state.Move, len(paths))
	for i, p := range paths {
		moves[i] = state.Move{From: p.from, To: p.to}
	}
	slices.SortFunc(moves, func(a, b state.Move) int { return strings.Compare(a.From, b.From) })
	return moves, diags
}

// path is how an instance gets its new address.
type path struct {
	from, to string
	moves    []*Move
}

// compare orders paths by length. Of two instances with the same new address,
// the one that moved last has it.
func (p path) compare(q path) int {
	if d := len(p.moves) - len(q.moves); d != 0 {
		return d
	}
	return strings.Compare(p.from, q.from)
}

func (p path) blocked(first string) *hcl.Diagnostic {
	why := "the state already has an instance with that address"
	if first != "" {
		why = first + " moves there"
	}
	return diag.Warningf(&p.moves[len(p.moves)-1].Range, "Instance cannot be moved",
		"%s cannot move to %s, because %s. It keeps its address. To move it, first move or remove the other one with \"quern state mv\" or \"quern state rm\".", p.from, p.to, why)
}

// follow applies one move after the other, each at most once, and of several
// the one of the smallest target.
func (b *Blocks) follow(address string) path {
	p := path{from: address, to: address}
	for {
		m, to := b.next(p)
		if m == nil {
			return p
		}
		p.moves, p.to = append(p.moves, m), to
	}
}

func (b *Blocks) next(p path) (*Move, string) {
	for target, rest := range addr.Enclosing(p.to) {
		if m := b.from[target]; m != nil && m.covers(rest) && !slices.Contains(p.moves, m) {
			return m, m.To.String() + rest
		}
	}
	return nil, ""
}
