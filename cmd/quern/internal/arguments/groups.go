package arguments

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
)

// Global are the flags that all commands share.
type Global struct {
	Chdir   Flag[string]
	NoColor Flag[bool]
}

// Flags declares the flags.
func (g *Global) Flags() []cli.Flag {
	return []cli.Flag{
		declare(&g.Chdir, cli.StringFlag{Name: "chdir", Usage: "change to the folder `DIR` before running the command"}),
		declare(&g.NoColor, cli.BoolFlag{Name: "no-color", Usage: "print without color"}),
	}
}

// Document is the flag of a command that prints one JSON document.
type Document struct{ JSON Flag[bool] }

func (d *Document) flag() cli.Flag {
	return declare(&d.JSON, cli.BoolFlag{Name: "json", Usage: "print JSON"})
}

// PrintsJSON reports whether a JSON document was requested, so that errors are
// JSON, too.
func (d *Document) PrintsJSON() bool { return d.JSON.Value }

// Form is how a result is printed. -json is short for -format=json.
type Form struct {
	Document
	Format Flag[string]
}

func (f *Form) formatFlag(byDefault, usage string) cli.Flag {
	return declare(&f.Format, cli.StringFlag{Name: "format", Value: byDefault, Usage: usage})
}

// In returns the requested format, which must be one of formats. Different
// results have different formats.
func (f *Form) In(command string, formats []string) (string, hcl.Diagnostics) {
	format := f.Format.Value
	if f.JSON.Value {
		if f.Format.Given() && format != "json" {
			return "", refuse(fmt.Sprintf("%s and %s=%s cannot be combined", &f.JSON, &f.Format, format), "")
		}
		format = "json"
	}
	if !slices.Contains(formats, format) {
		return "", refuse(fmt.Sprintf("%s does not support the format %q", command, format), fmt.Sprintf("The formats are %s.%s", strings.Join(formats, ", "), diag.Suggest(format, formats)))
	}
	return format, nil
}

// Environment is the flag that chooses the environment.
type Environment struct{ Env Flag[string] }

// flags declares the flag. An empty QUERN_ENV counts as unset.
func (e *Environment) flags() []cli.Flag {
	env := cli.StringFlag{Name: "env", Value: "default", Usage: "use the environment `NAME`; QUERN_ENV sets it, too"}
	if os.Getenv("QUERN_ENV") != "" {
		env.Sources = cli.EnvVars("QUERN_ENV")
	}
	return []cli.Flag{declare(&e.Env, env)}
}

// Variables are the flags that give values to variables.
type Variables struct {
	Vars, VarFiles Flag[[]string]
	// AllowUndeclared ignores values of variables that do not exist.
	AllowUndeclared bool
}

func (v *Variables) flags() []cli.Flag {
	return []cli.Flag{
		declare(&v.Vars, cli.StringSliceFlag{Name: "var", Usage: "set a variable with `NAME=VALUE`; can be repeated"}),
		declare(&v.VarFiles, cli.StringSliceFlag{Name: "var-file", Usage: "set variables from `FILE`; can be repeated"}),
	}
}

// Absolute returns the flags with absolute paths, for work in another folder.
func (v *Variables) Absolute() (*Variables, error) {
	abs := *v
	abs.VarFiles.Value = slices.Clone(v.VarFiles.Value)
	for i, name := range abs.VarFiles.Value {
		path, err := filepath.Abs(name)
		if err != nil {
			return nil, err
		}
		abs.VarFiles.Value[i] = path
	}
	return &abs, nil
}

// Lock are the flags of a command that takes the lease on a state.
type Lock struct {
	Lock    Flag[bool]
	Timeout Flag[time.Duration]
	// Command is the name of the command, for others that wait for the lease.
	Command string
}

func (l *Lock) flags() []cli.Flag {
	return append([]cli.Flag{
		declare(&l.Lock, cli.BoolFlag{Name: "lock", Value: true, Usage: "take the lease on the state; -lock=false is unsafe while other commands run"}),
	}, l.timeoutFlag()...)
}

// timeoutFlag is for a command that requires the lease.
func (l *Lock) timeoutFlag() []cli.Flag {
	l.Lock.Value = true
	return []cli.Flag{declare(&l.Timeout, cli.DurationFlag{Name: "lock-timeout", Usage: "wait up to `DURATION` for another command to release the lease"})}
}

func (l *Lock) parse(given Positional) { l.Command = given.Command }

// LockFile is the flag of a command that may write the lock file.
type LockFile struct {
	Lockfile Flag[string]
	// ReadOnly is set if the lock file must not change.
	ReadOnly bool
}

func (l *LockFile) flag() cli.Flag {
	return declare(&l.Lockfile, cli.StringFlag{Name: "lockfile", Usage: "with `MODE` readonly, fail if the lock file would change (for CI)"})
}

func (l *LockFile) parse() hcl.Diagnostics {
	mode := l.Lockfile.Value
	l.ReadOnly = mode == "readonly"
	if mode == "" || l.ReadOnly {
		return nil
	}
	return refuse(fmt.Sprintf("%s=%s is not a valid mode", &l.Lockfile, mode), "The only mode is readonly.")
}

// Addresses is a flag with the addresses of stages, instances, and modules.
type Addresses struct {
	Flag[[]string]
	Parsed []addr.Target
}

func (a *Addresses) parse() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, text := range a.Value {
		parsed, err := addr.ParseTarget(text)
		if err != nil {
			diags = append(diags, diag.Of(diag.Failed("invalid "+a.String(), "%w", err))...)
		}
		a.Parsed = append(a.Parsed, parsed)
	}
	return diags
}

func parseAddress(text string) (addr.Instance, hcl.Diagnostics) {
	a, err := addr.Parse(text)
	if err != nil {
		return a, diag.Of(err)
	}
	return a, nil
}
