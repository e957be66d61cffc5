package redact

import (
	"slices"
	"sync"
)

// everything finds all kinds, with what transform "redact" does by default.
var everything = sync.OnceValue(func() *detector {
	d := &detector{wanted: map[string]bool{}}
	for _, name := range kindNames() {
		for _, kind := range kindsOf(name) {
			d.wanted[kind] = true
		}
	}
	d.prepare()
	return d
})

// Kinds returns the kinds of personal data and secrets that a text contains, in
// order, without the data themselves.
func Kinds(text string) []string {
	var kinds []string
	for _, m := range everything().find(text) {
		kinds = append(kinds, m.kind)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}
