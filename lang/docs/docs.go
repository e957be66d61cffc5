// Package docs describes a module as Markdown, for the people who call it: its
// inputs and outputs with their types, the plugins that it requires, the modules that
// it calls, and its stages.
package docs

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/config"
)

// The lines between which a README contains the description.
const (
	Begin = "<!-- BEGIN_QUERN_DOCS -->"
	End   = "<!-- END_QUERN_DOCS -->"
)

// Insert returns a README with the description between Begin and End. If
// it has no such lines, they are added at its end.
func Insert(readme []byte, description string) ([]byte, error) {
	section := Begin + "\n\n" + description + "\n" + End
	from, to := bytes.Index(readme, []byte(Begin)), bytes.Index(readme, []byte(End))
	switch {
	case from < 0 && to < 0 && len(readme) == 0:
		return []byte(section + "\n"), nil
	case from < 0 && to < 0:
		return fmt.Appendf(bytes.TrimRight(bytes.Clone(readme), "\n"), "\n\n%s\n", section), nil
	case from < 0:
		return nil, fmt.Errorf("it contains %s without %s", End, Begin)
	case to < from:
		return nil, fmt.Errorf("it contains %s without %s after it", Begin, End)
	case bytes.Count(readme, []byte(Begin)) > 1 || bytes.Count(readme, []byte(End)) > 1:
		return nil, fmt.Errorf("it contains %s or %s twice", Begin, End)
	}
	return slices.Concat(readme[:from], []byte(section), readme[to+len(End):]), nil
}

// Markdown describes a module. The text depends only on the module: everything is
// sorted by name, but for stages, models, and prompts, which are in the order of the files.
func Markdown(m *config.Module) string {
	w := &writer{}
	w.requirements(m)
	w.inputs(m)
	w.outputs(m)
	w.modules(m)
	w.blocks(m)
	return w.String()
}

type writer struct{ strings.Builder }

func (w *writer) requirements(m *config.Module) {
	s := m.Settings
	if s.RequiredVersion == "" && len(s.RequiredPlugins) == 0 {
		return
	}
	w.table("Requirements", "Name", "Source", "Version")
	if s.RequiredVersion != "" {
		w.row("quern", "", code(s.RequiredVersion))
	}
	for _, name := range ordered.Keys(s.RequiredPlugins) {
		p := s.RequiredPlugins[name]
		source := p.Source
		if len(p.Command) > 0 {
			source = strings.Join(p.Command, " ")
		}
		w.row(name, code(source), code(p.Version))
	}
}

func (w *writer) inputs(m *config.Module) {
	names := ordered.Keys(m.Variables)
	if len(names) == 0 {
		w.nothing("Inputs", "This module has no inputs.")
		return
	}
	w.table("Inputs", "Name", "Type", "Default", "Description")
	for _, name := range names {
		v := m.Variables[name]
		w.row(anchor("input", name), typeOf(v.Type, v.Typed, v.Artifact), defaultOf(v), text(v.Description))
	}
	for _, name := range names {
		w.columns(name, m.Variables[name].Artifact)
	}
}

func (w *writer) outputs(m *config.Module) {
	names := ordered.Keys(m.Outputs)
	if len(names) == 0 {
		w.nothing("Outputs", "This module has no outputs.")
		return
	}
	w.table("Outputs", "Name", "Type", "Description")
	for _, name := range names {
		o := m.Outputs[name]
		description := text(o.Description)
		if o.Sensitive {
			description = strings.TrimSpace(description + " (sensitive)")
		}
		w.row(anchor("output", name), typeOf(o.Type, o.Typed, o.Artifact), description)
	}
	for _, name := range names {
		w.columns(name, m.Outputs[name].Artifact)
	}
}

// columns lists the columns of a dataset.
func (w *writer) columns(name string, t *config.ArtifactType) {
	if t == nil || len(t.Columns) == 0 {
		return
	}
	fmt.Fprintf(w, "\nColumns of %s:\n\n| Column | Type | Required |\n| --- | --- | --- |\n", code(name))
	for _, c := range t.Columns {
		required := "yes"
		if c.Optional {
			required = "no"
		}
		w.row(code(c.Name), code(c.Type), required)
	}
}

func (w *writer) modules(m *config.Module) {
	if len(m.Calls) == 0 {
		return
	}
	w.table("Modules", "Name", "Source", "Version")
	for _, name := range ordered.Keys(m.Calls) {
		w.row(name, code(m.Calls[name].Source), code(m.Calls[name].Version))
	}
}

func (w *writer) blocks(m *config.Module) {
	if len(m.Stages) == 0 {
		return
	}
	w.table("Blocks", "Address", "Type", "Instances")
	for _, s := range m.Stages {
		instances := "one"
		switch {
		case s.Count != nil:
			instances = "`count`"
		case s.ForEach != nil:
			instances = "`for_each`"
		}
		w.row(code(s.Addr.String()), code(s.Type), instances)
	}
}

func (w *writer) heading(title string) {
	if w.Len() > 0 {
		w.WriteString("\n")
	}
	w.WriteString("## " + title + "\n\n")
}

func (w *writer) nothing(title, sentence string) {
	w.heading(title)
	w.WriteString(sentence + "\n")
}

func (w *writer) table(title string, columns ...string) {
	w.heading(title)
	w.row(columns...)
	w.row(slices.Repeat([]string{"---"}, len(columns))...)
}

func (w *writer) row(cells ...string) { w.WriteString("| " + strings.Join(cells, " | ") + " |\n") }

// anchor is a name that others can link to.
func anchor(what, name string) string {
	return fmt.Sprintf(`<a id="%s_%s"></a>%s`, what, name, code(name))
}

// code is text as it is written. A vertical line would end a cell of a table even
// there.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(strings.ReplaceAll(s, "`", "'"), "|", `\|`) + "`"
}

// text is prose in one line.
func text(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
}

// typeOf returns the type of a variable or output. The columns of a dataset have a
// table of their own.
func typeOf(t cty.Type, typed bool, artifact *config.ArtifactType) string {
	switch {
	case artifact != nil && artifact.Kind == "dataset":
		return code("dataset")
	case artifact != nil:
		return code(artifact.String())
	case !typed:
		return code("any")
	}
	return code(typeString(t))
}

// typeString returns a type of values as it is written.
func typeString(t cty.Type) string {
	switch {
	case t.IsListType():
		return "list(" + typeString(t.ElementType()) + ")"
	case t.IsSetType():
		return "set(" + typeString(t.ElementType()) + ")"
	case t.IsMapType():
		return "map(" + typeString(t.ElementType()) + ")"
	case t.IsTupleType():
		var elements []string
		for _, e := range t.TupleElementTypes() {
			elements = append(elements, typeString(e))
		}
		return "tuple([" + strings.Join(elements, ", ") + "])"
	case t.IsObjectType():
		return objectString(t)
	}
	return typeexpr.TypeString(t)
}

func objectString(t cty.Type) string {
	var attributes []string
	for _, name := range ordered.Keys(t.AttributeTypes()) {
		of := typeString(t.AttributeType(name))
		if t.AttributeOptional(name) {
			of = "optional(" + of + ")"
		}
		attributes = append(attributes, name+" = "+of)
	}
	if len(attributes) == 0 {
		return "object({})"
	}
	return "object({ " + strings.Join(attributes, ", ") + " })"
}

func defaultOf(v *config.Variable) string {
	switch {
	case v.Required():
		return "required"
	case v.Sensitive:
		return "(sensitive)"
	case !v.Default.IsWhollyKnown():
		return ""
	}
	b, err := ctyjson.Marshal(v.Default, v.Default.Type())
	if err != nil {
		return ""
	}
	return code(string(b))
}
