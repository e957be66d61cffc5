// Package vars assigns values to the variables of a module: from defaults,
// files, the environment, and the command line.
//
// Every variable ends up with a value of its type that its
// validations accept, or in a diagnostic that says how to set it. Values of
// sensitive variables carry the mark value.Sensitive, so that they
// are never shown.
package vars

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/value"
	"github.com/zclconf/go-cty/cty"
)

// Inputs are the sources of values in addition to the module's folder. Later sources
// take precedence over earlier ones: defaults, the environment, quern.vars.hcl,
// quern.vars.json, *.auto.vars.hcl and *.auto.vars.json in the order of their
// names, quern.ENVIRONMENT.vars.hcl and quern.ENVIRONMENT.vars.json, Files in
// their order, Flags in their order.
type Inputs struct {
	// Environment is the environment whose files are read, or "" for none.
	Environment string
	// Flags are NAME=VALUE, as given with -var.
	Flags []string
	// Files are paths, as given with -var-file, relative to the folder that
	// the process runs in.
	Files []string
	// Env is the environment as os.Environ returns it. Entries that don't begin with
	// EnvPrefix are ignored.
	Env []string
	// Planned are the values that a saved plan was made with. They take precedence over all
	// others.
	Planned map[string]value.Value
	// AllowUndeclared ignores values of variables that do not exist, because they
	// are meant for another revision of the module.
	AllowUndeclared bool
	// Test are the values that a test sets, as literal expressions by name. They
	// take precedence over Flags.
	Test map[string]hcl.Expression
}

// EnvPrefix is the prefix of environment variables that set variables.
const EnvPrefix = "QUERN_VAR_"

// Resolve returns the value of every variable of the module. A variable whose
// value is missing or invalid has an unknown value of its type in the result and is in
// the diagnostics. The texts of the files that were read are added to the
// module's Sources.
func Resolve(m *config.Module, in Inputs) (map[string]cty.Value, hcl.Diagnostics) {
	r := &resolver{m: m, given: map[string]given{}, planned: in.Planned}
	r.environment(in.Env)
	r.folder(in.Environment)
	for _, path := range in.Files {
		r.file(path, path)
	}
	r.flags(in.Flags)
	for _, name := range ordered.Keys(in.Test) {
		at := in.Test[name].Range()
		r.set(name, given{expr: in.Test[name], from: at.Filename, at: &at})
	}
	if !in.AllowUndeclared {
		r.undeclaredErrors()
	}

	values := make(map[string]cty.Value, len(m.Variables))
	for _, name := range ordered.Keys(m.Variables) {
		values[name] = r.value(m.Variables[name])
	}
	r.validate(values)
	diag.Sort(r.diags)
	return values, r.diags
}

// Set returns the names of the variables that are set by flags or by files that flags name.
func Set(m *config.Module, in Inputs) []string {
	r := &resolver{m: m, given: map[string]given{}}
	for _, path := range in.Files {
		r.file(path, path)
	}
	r.flags(in.Flags)
	return ordered.Keys(r.given)
}

// given is a value as a user gave it.
type given struct {
	// text is set for values given as text (environment and
	// command line); expr for those of files.
	text *string
	expr hcl.Expression
	// from says where it was given, for messages: "-var", "QUERN_VAR_x", the
	// name of a file.
	from string
	// at is its position, if it comes from a file.
	at *hcl.Range
}

type resolver struct {
	m       *config.Module
	given   map[string]given
	planned map[string]value.Value
	// undeclared values, in the order in which they were found.
	undeclared []undeclared
	// ignored are names in the environment that match no variable.
	ignored []string
	diags   hcl.Diagnostics
}

type undeclared struct {
	name string
	given
}

func (r *resolver) add(d *hcl.Diagnostic) { r.diags = append(r.diags, d) }

func (r *resolver) set(name string, g given) {
	if r.m.Variables[name] == nil {
		r.undeclared = append(r.undeclared, undeclared{name, g})
		return
	}
	r.given[name] = g
}

func (r *resolver) names() []string { return slices.Collect(maps.Keys(r.m.Variables)) }

// undeclaredErrors reports values for variables that do not exist. They may
// exist after all if a file of the module could not be read.
func (r *resolver) undeclaredErrors() {
	if r.m.Incomplete {
		return
	}
	for _, u := range r.undeclared {
		hint := diag.Suggest(u.name, r.names())
		if hint == "" {
			hint = " Declare it with variable \"" + u.name + "\" { }, or remove this value."
		}
		r.add(diag.Errorf(u.at, "Undeclared variable", "%s sets var.%s, but the pipeline does not declare this variable.%s", u.from, u.name, hint))
	}
}

// value returns the value of a variable: of its type, with its marks.
func (r *resolver) value(v *config.Variable) cty.Value {
	if v.Artifact != nil {
		return r.artifact(v)
	}
	got, ok := r.unmarked(v)
	if !ok {
		got = cty.UnknownVal(v.Type.WithoutOptionalAttributesDeep())
	}
	if v.Sensitive {
		return got.Mark(value.Sensitive{Variable: v.Name})
	}
	return got
}

// artifact returns the value of a variable that is an artifact, which the root module
// cannot have: null, if that is its default.
func (r *resolver) artifact(v *config.Variable) cty.Value {
	g, given := r.given[v.Name]
	if !given && !v.Required() {
		return v.Default
	}
	detail := fmt.Sprintf("var.%s is a %s, which only the module block of another module can pass: module \"NAME\" { source = \"./FOLDER\", %s = … }. Run quern in the folder of that module.", v.Name, v.Artifact.Kind, v.Name)
	if given {
		detail = fmt.Sprintf("%s sets var.%s. ", g.from, v.Name) + detail
	}
	r.add(diag.Errorf(r.place(v, g), "Variable is an artifact", "%s", detail))
	return cty.DynamicVal
}

func (r *resolver) unmarked(v *config.Variable) (cty.Value, bool) {
	if planned, ok := r.planned[v.Name]; ok && !v.Sensitive {
		return planned.Value, true
	}
	g, ok := r.given[v.Name]
	if !ok {
		if v.Required() {
			r.add(r.missing(v))
			return cty.NilVal, false
		}
		return v.Default, true
	}
	raw, ok := r.raw(v, g)
	if !ok {
		return cty.NilVal, false
	}
	got, err := v.Convert(raw)
	if err != nil {
		r.add(r.discreet(v, g, diag.Errorf(r.place(v, g), "Value does not match the type", "%s sets var.%s to a value that is not %s: %s.", g.from, v.Name, config.TypeName(v.Type), config.ConversionError(err))))
		return cty.NilVal, false
	}
	if got.IsNull() && !v.Nullable {
		if !v.Required() {
			return v.Default, true
		}
		r.add(diag.Errorf(r.place(v, g), "Value is null", "var.%s has nullable = false, but %s sets it to null.", v.Name, g.from))
		return cty.NilVal, false
	}
	return got, true
}

// place returns the position of a value or, for a value that is not in a file, where its
// variable is declared.
func (r *resolver) place(v *config.Variable, g given) *hcl.Range {
	if g.at != nil {
		return g.at
	}
	return v.Range.Ptr()
}

// discreet keeps an error from showing the value of a sensitive
// variable: it hides the lines that the value is on, and the detail, because the value is
// not yet known to be redacted.
func (r *resolver) discreet(v *config.Variable, g given, d *hcl.Diagnostic) *hcl.Diagnostic {
	if !v.Sensitive {
		return d
	}
	quiet := *d
	quiet.Detail = fmt.Sprintf("%s sets var.%s to a value that is not %s. The value is sensitive, so it is not shown.", g.from, v.Name, config.TypeName(v.Type))
	if g.at != nil {
		quiet.Extra = diag.SecretLines{}
	}
	return &quiet
}

// missing lists all the ways to set a variable.
func (r *resolver) missing(v *config.Variable) *hcl.Diagnostic {
	example := Example(v)
	d := diag.Errorf(v.Range.Ptr(), "Variable is not set", "var.%s has no default, so it needs a value. Set it in one of these ways:\n\n  quern … -var '%s=%s'\n  %s%s='%s' quern …\n  %s = %s   in quern.vars.hcl, or in a file given with -var-file=FILE\n\nor add a default to the variable.",
		v.Name, v.Name, bare(v, example), EnvPrefix, v.Name, bare(v, example), v.Name, example)
	if v.Description != "" {
		d.Detail = "Description of var." + v.Name + ": " + v.Description + "\n\n" + d.Detail
	}
	if near := diag.Closest(v.Name, r.ignored); near != "" {
		d.Detail += " The environment contains " + EnvPrefix + near + ". Did you mean that for this variable?"
	}
	return d
}
