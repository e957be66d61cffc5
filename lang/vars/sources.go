package vars

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
	"github.com/zclconf/go-cty/cty"
)

// The variables files that are read if they exist: first those with these names,
// in this order, then those whose names end with these suffixes, and then those
// of the environment.
var (
	defaultFiles = []string{"quern.vars.hcl", "quern.vars.json"}
	autoSuffixes = []string{".auto.vars.hcl", ".auto.vars.json"}
)

func (r *resolver) environment(env []string) {
	for _, e := range env {
		name, text, ok := strings.Cut(e, "=")
		name, prefixed := strings.CutPrefix(name, EnvPrefix)
		if !ok || !prefixed {
			continue
		}
		if r.m.Variables[name] == nil {
			// The environment is shared by all pipelines of a shell.
			r.ignored = append(r.ignored, name)
			continue
		}
		r.given[name] = given{text: &text, from: EnvPrefix + name}
	}
}

// folder reads the variables files in the module's folder.
func (r *resolver) folder(environment string) {
	var names, auto []string
	existing := func(candidates ...string) {
		for _, name := range candidates {
			if _, err := os.Stat(filepath.Join(r.m.Dir, name)); err == nil {
				names = append(names, name)
			}
		}
	}
	existing(defaultFiles...)
	entries, _ := os.ReadDir(r.m.Dir) // Load has reported an error if the folder can't be read
	for _, e := range entries {
		ends := func(suffix string) bool { return strings.HasSuffix(e.Name(), suffix) }
		if !e.IsDir() && slices.ContainsFunc(autoSuffixes, ends) {
			auto = append(auto, e.Name())
		}
	}
	slices.Sort(auto)
	names = append(names, auto...)
	if environment != "" {
		existing("quern."+environment+".vars.hcl", "quern."+environment+".vars.json")
	}
	for _, name := range names {
		r.file(name, filepath.Join(r.m.Dir, name))
	}
}

// file reads a variables file. Messages refer to it as name.
func (r *resolver) file(name, path string) {
	src, err := os.ReadFile(path)
	if err != nil {
		r.add(diag.Errorf(nil, "Cannot read variables file", "%s. Check the path given with -var-file.", err))
		return
	}
	if strings.HasSuffix(name, ".json") {
		r.json(name, src)
		return
	}
	src = config.UnixLines(src)
	r.m.Sources[name] = src
	if d := config.CheckText(name, src); d != nil {
		r.add(d)
		return
	}
	f, diags := limit.ParseConfig(src, name, hcl.InitialPos)
	r.parsed(diags)
	if f == nil {
		return
	}
	body := f.Body.(*hclsyntax.Body)
	for _, b := range body.Blocks {
		r.add(blockInFile(b))
	}
	for name, a := range body.Attributes {
		r.set(name, given{expr: a.Expr, from: a.SrcRange.Filename, at: a.Expr.Range().Ptr()})
	}
}

// json reads the text of a variables file that is a JSON object.
func (r *resolver) json(name string, src []byte) {
	src = bytes.TrimPrefix(src, []byte("\ufeff"))
	r.m.Sources[name] = src
	d := config.CheckUTF8(name, src)
	if d == nil {
		d = limit.JSON(src, name)
	}
	if d != nil {
		r.add(d)
		return
	}
	f, diags := json.Parse(src, name)
	r.parsed(diags)
	if f == nil || diags.HasErrors() {
		return
	}
	attributes, diags := f.Body.JustAttributes()
	r.parsed(diags)
	for name, a := range attributes {
		r.set(name, given{expr: a.Expr, from: a.Range.Filename, at: a.Expr.Range().Ptr()})
	}
}

// parsed adds the syntax errors of a file.
func (r *resolver) parsed(diags hcl.Diagnostics) {
	if r.hasSecrets() {
		for _, d := range diags {
			d.Extra = diag.SecretLines{} // it is unknown which variable it is about
		}
	}
	r.diags = append(r.diags, diags...)
}

// hasSecrets reports whether any variable is sensitive.
func (r *resolver) hasSecrets() bool {
	for _, v := range r.m.Variables {
		if v.Sensitive {
			return true
		}
	}
	return false
}

func blockInFile(b *hclsyntax.Block) *hcl.Diagnostic {
	d := diag.Errorf(b.TypeRange.Ptr(), "Block in a variables file", "A variables file can contain only values. Write %s = { … } with an equals sign.", b.Type)
	if b.Type == "variable" && len(b.Labels) == 1 {
		d.Detail = fmt.Sprintf("A variables file can contain only values, such as %s = … . Declare variables in files whose names end in %s.", b.Labels[0], config.Suffix)
	}
	return d
}

func (r *resolver) flags(flags []string) {
	for _, f := range flags {
		name, text, ok := strings.Cut(f, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			// It is not shown, since it may be a secret.
			r.add(diag.Errorf(nil, "Invalid -var", "A value given with -var does not have the form NAME=VALUE. Write -var 'NAME=VALUE'."))
			continue
		}
		r.set(name, given{text: &text, from: "-var"})
	}
}

// raw returns a given value before it is converted to its variable's type. Text is
// used literally for a variable that is a string, a number, or a bool, or has no
// type, and parsed as an expression for any other.
func (r *resolver) raw(v *config.Variable, g given) (cty.Value, bool) {
	expr := g.expr
	if g.text != nil {
		if !v.Typed || v.Type.IsPrimitiveType() {
			return verbatim.Text(*g.text), true
		}
		var ok bool
		if expr, ok = r.parse(v, g); !ok {
			return cty.NilVal, false
		}
	}
	// Strings in JSON are literal even if they look like templates.
	_, written := expr.(hclsyntax.Expression)
	if refs := expr.Variables(); written && len(refs) > 0 {
		r.add(r.discreet(v, g, notLiteral(v, g, refs[0])))
		return cty.NilVal, false
	}
	val, diags := eval.Value(expr, nil)
	for _, d := range diags {
		r.add(r.discreet(v, g, r.elsewhere(v, g, d)))
	}
	return val, !diags.HasErrors()
}

// parse parses a text as an expression.
func (r *resolver) parse(v *config.Variable, g given) (hcl.Expression, bool) {
	expr, diags := limit.ParseExpression([]byte(*g.text), g.from, hcl.InitialPos)
	if !diags.HasErrors() {
		return expr, true
	}
	r.add(r.discreet(v, g, r.elsewhere(v, g, diags[0])))
	return nil, false
}

// elsewhere reports an error in a value that is not in a file at its
// variable's declaration.
func (r *resolver) elsewhere(v *config.Variable, g given, d *hcl.Diagnostic) *hcl.Diagnostic {
	if g.at != nil {
		return d
	}
	return diag.Errorf(v.Range.Ptr(), "Invalid value", "%s sets var.%s to a value that is not a valid expression. The variable is %s. %s For example, write %s.", g.from, v.Name, config.TypeName(v.Type), d.Detail, Example(v))
}

func notLiteral(v *config.Variable, g given, ref hcl.Traversal) *hcl.Diagnostic {
	at := ref.SourceRange()
	subject := &at
	if g.at == nil {
		subject = v.Range.Ptr()
	}
	return diag.Errorf(subject, "Value must be constant", "%s sets var.%s to a value that refers to %s. Values of variables must be literals. If you meant a string, put it in quotes: %q.", g.from, v.Name, diag.Traversal(ref), diag.Traversal(ref))
}
