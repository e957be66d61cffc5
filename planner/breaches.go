package planner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
)

// reportBreaches reports the columns that contracts require and that datasets do not
// have, each with everything that reads it.
func (b *builder) reportBreaches() {
	for _, level := range b.levels {
		for _, s := range level.Stages {
			for _, n := range s.Instances() {
				for _, breach := range n.Breaches {
					d := *breach.Diagnostic
					d.Detail += b.reach(n, breach).String()
					s.Module.Report(&d)
				}
			}
		}
	}
}

// reached are the stages that a change to a column reaches.
type reached struct {
	// readers says which arguments or prompts of a stage read the column.
	readers map[string][]string
	// beyond are the stages that depend on readers.
	beyond []string
}

func (r reached) String() string {
	if len(r.readers) == 0 {
		return ""
	}
	var text strings.Builder
	text.WriteString("\n\nThe column is read by:\n")
	for _, address := range ordered.Keys(r.readers) {
		how := r.readers[address]
		slices.Sort(how)
		fmt.Fprintf(&text, "  %s (%s)\n", address, strings.Join(slices.Compact(how), ", "))
	}
	if len(r.beyond) > 0 {
		fmt.Fprintf(&text, "\nThrough them, a change reaches %s.", diag.List(r.beyond))
	}
	return text.String()
}

// columnOf is a column of an output.
type columnOf struct {
	from           *module.Instance
	output, column string
}

// reach follows a column to all that read it: also under other names, if row-wise
// stages pass it on.
func (b *builder) reach(from *module.Instance, breach module.Breach) reached {
	r := reached{readers: map[string][]string{}}
	queue := []columnOf{{from, breach.Output, breach.Column}}
	for i := 0; i < len(queue); i++ {
		for _, level := range b.levels {
			for _, s := range level.Stages {
				for _, n := range s.Instances() {
					queue = append(queue, r.follow(n, queue[i])...)
				}
				r.addBroken(b, s, queue[i])
			}
		}
	}
	r.addBeyond(b)
	return r
}

// follow records how an instance reads a column, and returns the columns of its
// outputs that are the same.
func (r *reached) follow(n *module.Instance, c columnOf) (same []columnOf) {
	for key, h := range n.Inputs {
		if !slices.ContainsFunc(h.Each(), func(one *module.Handle) bool {
			return one.From == c.from && one.Port != nil && one.Port.Name == c.output
		}) {
			continue
		}
		if reads := n.Reads[key]; reads.All || slices.Contains(reads.Columns, c.column) {
			r.readers[n.Address] = append(r.readers[n.Address], readingArguments(n.Node, key, c.column)...)
		}
		for i := range n.Outputs {
			for name, origin := range n.Outputs[i].Origins {
				if n.Outputs[i].RowsOf == key && origin == "input:"+c.column {
					same = append(same, columnOf{n, n.Outputs[i].Name, name})
				}
			}
		}
	}
	return same
}

// readingArguments returns the arguments and prompts that read a column of an input,
// or the input itself if the plugin reads it.
func readingArguments(n *plan.Node, key, column string) []string {
	var how []string
	n.Body.Expressions(func(argument string, a *plan.Arg, e *expr.Compiled) {
		switch {
		case a.Row == nil || a.Row.Of != key || !slices.Contains(e.Columns, column):
		case a.Row.Prompt != "":
			how = append(how, a.Row.Prompt)
		default:
			how = append(how, argument)
		}
	})
	if len(how) == 0 {
		return []string{key}
	}
	return how
}

// addBroken records a stage that could not be planned, perhaps because the column is
// missing, and whose expressions or prompts mention the column.
func (r *reached) addBroken(b *builder, s *module.Stage, c columnOf) {
	if !s.Broken() || !slices.Contains(s.Refs.Stages, c.from.Addr.Stage) {
		return
	}
	bodies := map[string]*hclsyntax.Body{"row." + c.column: s.Config.Body}
	for _, a := range s.Refs.Stages {
		if p := b.root.Tree.Stage(a); a.Kind == kind.Prompt && p != nil {
			bodies[p.Addr.String()] = p.Config.Body
		}
	}
	for how, body := range bodies {
		if slices.ContainsFunc(config.BodyReferences(body), func(t hcl.Traversal) bool { return readsColumn(t, c.column) }) {
			r.readers[s.Addr.String()] = append(r.readers[s.Addr.String()], how)
		}
	}
}

func readsColumn(t hcl.Traversal, column string) bool {
	if t.RootName() != expr.RowName || len(t) < 2 {
		return false
	}
	name, ok := expr.AttributeName(t[1])
	return ok && name == column
}

// addBeyond adds what depends on the readers.
func (r *reached) addBeyond(b *builder) {
	affected := map[string]bool{}
	for address := range r.readers {
		affected[address] = true
	}
	for _, level := range b.levels { // dependencies come first
		for _, s := range level.Stages {
			for _, n := range s.Instances() {
				if kind.Of(n.Kind).IsStage() && !affected[n.Address] && slices.ContainsFunc(n.DependsOn, func(d string) bool { return affected[d] }) {
					affected[n.Address] = true
					r.beyond = append(r.beyond, n.Address)
				}
			}
		}
	}
}
