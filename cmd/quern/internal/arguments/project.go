package arguments

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/lang/diag"
)

// Init is quern init.
type Init struct {
	Document
	LockFile
	Upgrade, Vendor Flag[bool]
	From, CI, Ref   Flag[string]
	// Examples are the names that From may have, and Systems those that CI may have.
	Examples, Systems []string
}

// Flags implements [Set].
func (i *Init) Flags() []cli.Flag {
	return []cli.Flag{
		declare(&i.Upgrade, cli.BoolFlag{Name: "upgrade", Usage: "choose the newest versions that the constraints allow, even if others are pinned, and resolve pinned names again"}),
		declare(&i.Vendor, cli.BoolFlag{Name: "vendor", Usage: "install modules in the folder quern_modules, to keep them in version control and use them without a network"}),
		declare(&i.From, cli.StringFlag{Name: "from", Usage: "start from the example `NAME`: " + strings.Join(i.Examples, ", ")}),
		declare(&i.CI, cli.StringFlag{Name: "ci", Usage: "also write workflows for the CI system `NAME`: " + strings.Join(i.Systems, ", ")}),
		declare(&i.Ref, cli.StringFlag{Name: "ref", Usage: "only install the modules of the Git `REVISION`, so that plans and comparisons can read it"}),
		i.LockFile.flag(),
		i.Document.flag(),
	}
}

// Parse implements [Set].
func (i *Init) Parse(given Positional) hcl.Diagnostics {
	diags := all(given.none(), i.LockFile.parse(),
		exclusive("The lock file of a revision does not change, and nothing else is written.", &i.Ref, &i.Upgrade, &i.Vendor, &i.From, &i.CI))
	if name := i.CI.Value; i.CI.Given() && !slices.Contains(i.Systems, name) {
		diags = append(diags, refuse(fmt.Sprintf("%s does not support %q", &i.CI, name), fmt.Sprintf("The CI systems are %s.%s", strings.Join(i.Systems, ", "), diag.Suggest(name, i.Systems)))...)
	}
	if i.ReadOnly && i.Upgrade.inUse() {
		diags = append(diags, refuse(fmt.Sprintf("%s and %s=readonly cannot be combined", &i.Upgrade, &i.Lockfile), "")...)
	}
	return diags
}

// Validate is quern validate.
type Validate struct{ Document }

// Flags implements [Set].
func (v *Validate) Flags() []cli.Flag { return []cli.Flag{v.Document.flag()} }

// Parse implements [Set].
func (v *Validate) Parse(given Positional) hcl.Diagnostics { return given.none() }

// Fmt is quern fmt.
type Fmt struct {
	Check, Diff, Recursive Flag[bool]
	// Paths are files and folders, or empty for the current folder.
	Paths []string
	// Stdin is set if standard input is formatted.
	Stdin bool
}

// Flags implements [Set].
func (f *Fmt) Flags() []cli.Flag {
	return []cli.Flag{
		declare(&f.Check, cli.BoolFlag{Name: "check", Usage: "change nothing; exit with 1 if any file is not formatted"}),
		declare(&f.Diff, cli.BoolFlag{Name: "diff", Usage: "print the changes"}),
		declare(&f.Recursive, cli.BoolFlag{Name: "recursive", Usage: "also format files in subfolders"}),
	}
}

// Parse implements [Set].
func (f *Fmt) Parse(given Positional) hcl.Diagnostics {
	f.Paths, f.Stdin = given.Given, slices.Contains(given.Given, "-")
	const why = "With -, quern formats standard input and nothing else."
	switch {
	case f.Stdin && len(given.Given) > 1:
		return refuse("- and other paths cannot be combined", why)
	case f.Stdin && f.Recursive.inUse():
		return refuse(f.Recursive.String()+" and - cannot be combined", why)
	}
	return nil
}

// Import is quern import TOOL.
type Import struct {
	Document
	Out   Flag[string]
	Force Flag[bool]
	// Tool names the tool whose configuration is converted.
	Tool string
	From string
}

// Flags implements [Set].
func (i *Import) Flags() []cli.Flag {
	return []cli.Flag{
		declare(&i.Out, cli.StringFlag{Name: "out", Usage: "write to the folder `DIR`", Value: "."}),
		declare(&i.Force, cli.BoolFlag{Name: "force", Usage: "overwrite existing files"}),
		i.Document.flag(),
	}
}

// Parse implements [Set].
func (i *Import) Parse(given Positional) hcl.Diagnostics {
	return given.one(&i.From, "a "+i.Tool+" configuration or its folder")
}

// PluginList is quern plugin list.
type PluginList struct{ Document }

// Flags implements [Set].
func (p *PluginList) Flags() []cli.Flag { return []cli.Flag{p.Document.flag()} }

// Parse implements [Set].
func (p *PluginList) Parse(given Positional) hcl.Diagnostics { return given.none() }

// PluginDocs is quern plugin docs.
type PluginDocs struct {
	// Plugin is the plugin whose reference to print, or empty for the built-in
	// one.
	Plugin string
}

// Flags implements [Set].
func (p *PluginDocs) Flags() []cli.Flag { return nil }

// Parse implements [Set].
func (p *PluginDocs) Parse(given Positional) hcl.Diagnostics {
	return given.optional(&p.Plugin, "at most one plugin")
}

// PluginNew is quern plugin new.
type PluginNew struct {
	Dir, Language, Replace Flag[string]
	// Languages are those that a plugin can be written in, and Kinds returns the
	// kinds that it can have in one of them.
	Languages  []string
	Kinds      func(language string) []string
	Kind, Name string
}

// Flags implements [Set].
func (p *PluginNew) Flags() []cli.Flag {
	return []cli.Flag{
		declare(&p.Dir, cli.StringFlag{Name: "dir", Usage: "write to the folder `DIR` (default: quern-plugin-NAME)"}),
		declare(&p.Language, cli.StringFlag{Name: "lang", Value: p.Languages[0], Usage: "write it in `LANGUAGE`: " + strings.Join(p.Languages, ", ")}),
		declare(&p.Replace, cli.StringFlag{Name: "replace", Usage: "build against quern's source in the folder `DIR` instead of a release"}),
	}
}

// Parse implements [Set].
func (p *PluginNew) Parse(given Positional) hcl.Diagnostics {
	if diags := given.between(2, 2, "a kind and a name"); diags.HasErrors() {
		return diags
	}
	p.Kind, p.Name = given.Given[0], given.Given[1]
	language := p.Language.Value
	if !slices.Contains(p.Languages, language) {
		return refuse(fmt.Sprintf("unknown language %q", language), fmt.Sprintf("The languages are %s.%s", strings.Join(p.Languages, ", "), diag.Suggest(language, p.Languages)))
	}
	if kinds := p.Kinds(language); !slices.Contains(kinds, p.Kind) {
		return refuse(fmt.Sprintf("unknown kind %q", p.Kind), fmt.Sprintf("The kinds are %s.%s", strings.Join(kinds, ", "), diag.Suggest(p.Kind, kinds)))
	}
	return nil
}

// Version is quern version.
type Version struct{ Document }

// Flags implements [Set].
func (v *Version) Flags() []cli.Flag { return []cli.Flag{v.Document.flag()} }

// Parse implements [Set].
func (v *Version) Parse(given Positional) hcl.Diagnostics { return given.none() }

// Man is quern man.
type Man struct{ Dir string }

// Flags implements [Set].
func (m *Man) Flags() []cli.Flag { return nil }

// Parse implements [Set].
func (m *Man) Parse(given Positional) hcl.Diagnostics { return given.one(&m.Dir, "a folder") }
