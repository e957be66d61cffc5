// Package arguments declares the flags and positional arguments of quern's
// commands. Each command has a type: Flags binds its flags to the type's fields, and
// Parse checks what the user wrote, as a whole, before any work begins.
//
// A flag's name appears once, where the flag is declared. Everything else uses
// the field, so a misspelled name does not compile. Contradictory flags are
// rejected here, so no command has to consider them.
package arguments

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/lang/diag"
)

// Set is the arguments of a command.
type Set interface {
	// Flags declares the flags. After the command line has been parsed, their
	// values are in the fields of the set.
	Flags() []cli.Flag
	// Parse checks the flags against each other and reads the positional
	// arguments. It reports all errors.
	Parse(given Positional) hcl.Diagnostics
}

// Positional are the arguments of a command that are not flags.
type Positional struct {
	// Command is the name of the command, such as "quern state mv", and Usage what its
	// help says about the arguments, such as "FROM TO".
	Command, Usage string
	Given          []string
}

// Of returns the positional arguments of a command whose flags were parsed.
func Of(cmd *cli.Command) Positional {
	return Positional{Command: cmd.FullName(), Usage: cmd.ArgsUsage, Given: cmd.Args().Slice()}
}

// none rejects positional arguments.
func (p Positional) none() hcl.Diagnostics {
	if len(p.Given) == 0 {
		return nil
	}
	return refuse(fmt.Sprintf("%s takes no arguments, but got %q", p.Command, p.Given[0]), fmt.Sprintf("Run \"%s -help\" to see its flags.", p.Command))
}

// between rejects fewer arguments than least and more than most. what describes
// the arguments.
func (p Positional) between(least, most int, what string) hcl.Diagnostics {
	usage := fmt.Sprintf("Usage: %s %s", p.Command, p.Usage)
	switch n := len(p.Given); {
	case n < least:
		return refuse(fmt.Sprintf("%s needs %s", p.Command, what), usage)
	case n > most:
		return refuse(fmt.Sprintf("%s takes %s, but got %d arguments", p.Command, what, n), usage)
	}
	return nil
}

// one stores the only argument in to.
func (p Positional) one(to *string, what string) hcl.Diagnostics {
	if diags := p.between(1, 1, what); diags.HasErrors() {
		return diags
	}
	*to = p.Given[0]
	return nil
}

// optional stores the only argument in to, if there is one.
func (p Positional) optional(to *string, what string) hcl.Diagnostics {
	if diags := p.between(0, 1, what); diags.HasErrors() || len(p.Given) == 0 {
		return diags
	}
	*to = p.Given[0]
	return nil
}

// refuse returns an error about the command line.
func refuse(summary, detail string) hcl.Diagnostics {
	return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: diag.Capital(summary), Detail: diag.Capital(detail)}}
}

// all concatenates the errors of several checks.
func all(checks ...hcl.Diagnostics) hcl.Diagnostics { return slices.Concat(checks...) }
