package plan

import (
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
)

// RangeOf returns the source range of an argument's key: its own, or that of
// the innermost argument around it, or that of the block. It is nil if the plan
// does not contain the block's range.
func (n *Node) RangeOf(key string) *hcl.Range {
	best, at := 0, n.Range.Ptr()
	if n.Body == nil || key == "" {
		return at
	}
	n.Body.places("", func(k string, r diag.Range) {
		inside := k == key || strings.HasPrefix(key, k+".")
		if p := r.Ptr(); inside && p != nil && len(k) > best {
			best, at = len(k), p
		}
	})
	return at
}

// places calls f with the key and the source range of every argument.
func (b *Body) places(prefix string, f func(string, diag.Range)) {
	for name, a := range b.Args {
		a.places(prefix+name, f)
	}
	for i, key := range b.BlockKeys(prefix) {
		b.Blocks[i].Body.places(key+".", f)
	}
}

func (a *Arg) places(key string, f func(string, diag.Range)) {
	f(key, a.Range)
	for name, e := range a.Map {
		e.places(key+"."+name, f)
	}
	for i, e := range a.List {
		e.places(key+"."+strconv.Itoa(i), f)
	}
}
