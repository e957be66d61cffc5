// Package funcs contains the functions of the language: those of Terraform that
// make sense here, with the same names and results, and metrics, which measure
// how good an answer is.
//
// Every function is deterministic, except those for which Impure is true, which
// are refused wherever they would become part of a key. The functions that Pure
// leaves out in addition read the file system. They may be folded at plan time,
// but are not available when a stage runs.
package funcs

import (
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty/function"
)

// Doc describes a function for people.
type Doc struct {
	Name  string
	Group string // the heading in the documentation
	Text  string
	// Example is a call; Result is what it returns, empty if that depends on
	// files or the time.
	Example, Result string
}

// entry is a function with its description.
type entry struct {
	Doc
	call function.Function
}

// Groups of functions whose results describe their arguments without
// revealing them.
const (
	Likeness = "Text similarity"
	Hashes   = "Hashes and identifiers"
)

// groups are the functions that need no base folder, by heading, in the order
// of the documentation.
var groups = []struct {
	name    string
	entries []entry
}{
	{"Strings", stringFunctions},
	{"Numbers", numberFunctions},
	{"Collections", collectionFunctions},
	{"Types and errors", typeFunctions},
	{Likeness, likenessFunctions},
	{"Answer formats", answerFunctions},
	{"Encoding", encodingFunctions},
	{Hashes, hashFunctions},
	{"Dates and times", timeFunctions},
}

// filesGroup is the heading of the functions that read the file system.
const filesGroup = "Files and paths"

// impure functions can return a different result each time.
var impure = []string{planTimestampName, "timestamp", "uuid"}

// fileless are the functions of filesGroup that only use a path's text.
var fileless = []string{"basename", "dirname"}

// Functions returns all functions. Relative paths start from baseDir.
func Functions(baseDir string) map[string]function.Function {
	all := plain()
	for _, e := range fileFunctions(baseDir, maps.Clone(all)) {
		all[e.Name] = e.call
	}
	return all
}

// Pure returns the functions whose results depend only on their arguments.
func Pure() map[string]function.Function {
	all := plain()
	for _, e := range fileFunctions(".", nil) {
		if slices.Contains(fileless, e.Name) {
			all[e.Name] = e.call
		}
	}
	for _, name := range impure {
		delete(all, name)
	}
	return all
}

// Impure reports whether a function returns a different result each time it is called,
// or in each plan.
func Impure(name string) bool { return slices.Contains(impure, name) }

// ImpureWithin reports whether a function returns a different result each time it is
// called, even within one plan.
func ImpureWithin(name string) bool { return Impure(name) && name != planTimestampName }

// Names returns the names of all functions, sorted.
func Names() []string {
	var names []string
	for _, d := range Docs() {
		names = append(names, d.Name)
	}
	slices.Sort(names)
	return names
}

// Docs describes all functions, sorted by group and then by name.
func Docs() []Doc {
	var docs []Doc
	add := func(group string, entries []entry) {
		from := len(docs)
		for _, e := range entries {
			d := e.Doc
			d.Group = group
			docs = append(docs, d)
		}
		slices.SortFunc(docs[from:], func(a, b Doc) int {
			if a.Name < b.Name {
				return -1
			}
			return 1
		})
	}
	for _, g := range groups {
		add(g.name, g.entries)
	}
	add(filesGroup, fileFunctions(".", nil))
	return docs
}

// plain returns the functions of groups.
func plain() map[string]function.Function {
	all := make(map[string]function.Function, 128)
	for _, g := range groups {
		for _, e := range g.entries {
			all[e.Name] = e.call
		}
	}
	return all
}

func describe(name, text, example, result string, call function.Function) entry {
	return entry{Doc{Name: name, Text: text, Example: example, Result: result}, call}
}
