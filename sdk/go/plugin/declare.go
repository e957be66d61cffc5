package plugin

import (
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// ArtifactKind is the kind of an artifact.
type ArtifactKind string

// The kinds of artifacts.
const (
	KindDataset ArtifactKind = "dataset"
	KindModel   ArtifactKind = "model"
	KindReport  ArtifactKind = "report"
)

// AddDataset declares a dataset that a Source or Runner produces. name is the
// attribute under which users refer to it; if it is empty, the stage itself is
// the dataset. A source has one dataset, with an empty name.
func (p *preparation) AddDataset(name string, columns data.Schema) {
	seen := make(map[string]bool, len(columns))
	for i, c := range columns {
		switch {
		case p.hasErrors(): // of which this may well be a consequence
		case c.Name == "":
			p.Errorf("", "Column %d has no name\nEvery column of a dataset needs one.", i+1)
		case seen[c.Name]:
			p.Errorf("", "Two columns would be named %q\nThe names of a dataset's columns are unique. %s", c.Name, p.otherName(c.Name))
		}
		seen[c.Name] = true
	}
	p.addOutput(&pluginv1.Output{Name: name, Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET, Columns: columns.Proto()})
}

// Selection describes rows of an input that a dataset contains.
type Selection struct {
	// RowsOf is the key of the input. The dataset has all of its columns, those
	// of KeepInput, or those that SetLineage describes.
	RowsOf string
	// Where is the key of a Column of type bool that is true for the candidate
	// rows; empty if all rows are candidates.
	Where string
	// Some is set if only the stage itself can tell which rows are candidates.
	// Then Where must be empty.
	Some bool
	// Share is the share of the candidates that is selected; nil means all. With more
	// than 1, rows are repeated.
	Share *float64
	// Most is the maximum number of selected rows; nil means no limit.
	Most *int64
	// MostOf is the key of another input: at most as many rows are selected as it
	// has.
	MostOf string
	// Exactly is how many rows are selected, whatever the number of candidates, in
	// place of Share, Most, and MostOf; nil means that this is not known.
	Exactly *float64
	// Weight is set if the selections of an output are in the proportion of their
	// weights, and only as much is selected as the scarcest allows, in place of
	// Exactly.
	Weight *float64
	// Size is the key of a Column with numbers. Then Exactly and Weight are about
	// their sum, not about the number of rows.
	Size string
}

// someRows is no key of a row argument, so quern cannot evaluate it.
const someRows = "*"

// Select declares that a dataset output consists of rows of an input, as far as
// that is known before the stage runs. Call it after AddDataset. If the dataset
// contains rows of several inputs, call it for each, and describe its columns with
// SetLineage: a column is known in advance in the rows of those inputs that it comes
// from Unchanged. quern uses selections to estimate the rows of the dataset and the
// cost of later stages; they do not affect results.
func (p *preparation) Select(name string, s Selection) {
	switch out := p.output(name); {
	case p.hasErrors():
	case out == nil || out.Kind != pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET:
		p.misuse("Select(%q) needs a dataset that was declared with AddDataset", name)
	case p.instance.Inputs[s.RowsOf] == nil:
		p.misuse("Select(%q) chooses rows of an input %q that does not exist", name, s.RowsOf)
	case s.Where != "" && p.instance.RowArguments[s.Where] == nil:
		p.misuse("Select(%q) chooses rows by a row argument %q that does not exist", name, s.Where)
	case s.Where != "" && s.Some:
		p.misuse("Select(%q) has both Where and Some", name)
	case s.MostOf != "" && p.instance.Inputs[s.MostOf] == nil:
		p.misuse("Select(%q) is limited by an input %q that does not exist", name, s.MostOf)
	case s.Size != "" && p.instance.RowArguments[s.Size] == nil:
		p.misuse("Select(%q) measures rows by a row argument %q that does not exist", name, s.Size)
	case s.Exactly != nil && (s.Share != nil || s.Most != nil || s.MostOf != "" || s.Weight != nil):
		p.misuse("Select(%q) has Exactly, which replaces Share, Most, MostOf, and Weight", name)
	default:
		out.Selections = append(out.Selections, s.proto())
	}
}

func (s Selection) proto() *pluginv1.Selection {
	out := &pluginv1.Selection{
		RowsOf: s.RowsOf, Where: s.Where, Share: s.Share, Most: s.Most, MostOf: s.MostOf, Exactly: s.Exactly, Weight: s.Weight, Size: s.Size,
	}
	if s.Some {
		out.Where = someRows
	}
	return out
}

// LineageSource is something that values come from: a column of a dataset input,
// or a row argument.
type LineageSource struct {
	// Input is the key of a dataset input, and Column one of its columns.
	Input, Column string
	// Argument is the key of a row expression, in place of Input and Column.
	Argument string
	// Unchanged is true if each value is a value of that column or row expression,
	// unchanged.
	Unchanged bool
}

// SetLineage declares everything that the values of a column come from. Call it
// after the column is declared. Without it, quern knows only that they come from
// what the stage reads. It informs people and does not affect results. output is
// the name of the dataset, empty for the stage itself.
func (p *preparation) SetLineage(output, column string, sources ...LineageSource) {
	if l := p.lineage(sources); l != nil {
		if c := columnOf(p.output(output), column); c != nil {
			c.Lineage = l
		} else {
			p.misuse("SetLineage(%q, %q): this output has no such column", output, column)
		}
	}
}

// SetRowsLineage declares everything that determines which rows a Runner's dataset
// has and in which order, such as the columns of a condition.
func (p *preparation) SetRowsLineage(output string, sources ...LineageSource) {
	if l := p.lineage(sources); l != nil {
		if out := p.output(output); out != nil {
			out.RowsLineage = l
		} else {
			p.misuse("SetRowsLineage(%q): there is no such output", output)
		}
	}
}

// lineage returns the message for sources, or nil if there are errors.
func (p *preparation) lineage(sources []LineageSource) *pluginv1.Lineage {
	l := &pluginv1.Lineage{}
	for _, s := range sources {
		switch {
		case p.hasErrors():
			return nil
		case s.Argument != "" && p.instance.RowArguments[s.Argument] == nil:
			p.misuse("no row expression %q exists", s.Argument)
			return nil
		case s.Argument == "" && p.instance.Inputs[s.Input] == nil:
			p.misuse("no input %q exists", s.Input)
			return nil
		}
		l.Sources = append(l.Sources, &pluginv1.LineageSource{Input: s.Input, Column: s.Column, Argument: s.Argument, Unchanged: s.Unchanged})
	}
	return l
}

// AddModel declares a model that a Runner trains: its format, such as
// acme.tree/v1, and the columns that a prediction reads and returns. The inputs
// are the arguments with the option feature, by their keys.
func (p *preparation) AddModel(name, format string, s Signature) {
	p.addOutput(&pluginv1.Output{
		Name: name, Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL, Format: format, Signature: s.proto(),
	})
}

// AddReport declares a report that a Runner writes: files for people.
func (p *preparation) AddReport(name string) {
	p.addOutput(&pluginv1.Output{Name: name, Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_REPORT})
}

// PromptMessages is the type of the value "messages" of a stage that is a prompt:
// the messages before the question.
var PromptMessages = cty.List(cty.Object(map[string]cty.Type{"role": cty.String, "content": cty.String}))

// AddPrompt declares that the stage itself is a prompt that a Runner makes from the
// one in an argument, by its key. The system message and the examples are those of
// the value "messages", which must be declared with the type PromptMessages; the
// question stays.
func (p *preparation) AddPrompt(argument string) {
	p.addOutput(&pluginv1.Output{Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_PROMPT, RowsOf: argument})
}

func (p *preparation) addOutput(o *pluginv1.Output) {
	if p.output(o.Name) != nil {
		p.misuse("output %q is declared twice", o.Name)
		return
	}
	p.out.Outputs = append(p.out.Outputs, o)
}

func (p *preparation) output(name string) *pluginv1.Output {
	for _, o := range p.out.Outputs {
		if o.Name == name {
			return o
		}
	}
	return nil
}

// KeepInput declares that a mapper's output begins with all columns of a
// dataset input, unchanged. It also sets the input whose rows are mapped; a
// mapper that keeps no columns calls SetRowsOf instead.
//
// A Runner can call it, too. The stage itself is then a dataset with the rows of
// the input in their order, whose files it shares. Run writes only the columns of
// AddColumn. To drop rows, declare a Selection with Select, and write rows with
// WriteSelected.
func (p *preparation) KeepInput(input string) {
	out := p.rowsOf(input)
	if out == nil {
		return
	}
	for _, c := range p.instance.Inputs[input].Columns {
		p.addColumn(out, input, &pluginv1.Column{
			Name: c.Name, Type: c.Type, Origin: pluginv1.ColumnOrigin_COLUMN_ORIGIN_INPUT, From: c.Name,
		})
	}
}

// SetRowsOf sets the dataset input whose rows a mapper works on. Without it,
// that is the only dataset input.
func (p *preparation) SetRowsOf(input string) { p.rowsOf(input) }

func (p *preparation) rowsOf(input string) *pluginv1.Output {
	in := p.instance.Inputs[input]
	if in == nil || in.Kind != pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET {
		p.misuse("no dataset input %q exists", input)
		return nil
	}
	out := p.output("")
	if out == nil {
		out = &pluginv1.Output{Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET, RowsOf: input}
		p.out.Outputs = append(p.out.Outputs, out)
	}
	out.RowsOf = input
	return out
}

// DropColumn removes a column from a mapper's output. A column of the same name
// can then be added.
func (p *preparation) DropColumn(column string) {
	if out := p.output(""); out != nil {
		out.Columns = slices.DeleteFunc(out.Columns, func(c *pluginv1.Column) bool { return c.Name == column })
		p.dropped = append(p.dropped, column)
	}
}

// HasColumn reports whether a mapper's output has a column so far.
func (p *preparation) HasColumn(column string) bool { return columnOf(p.output(""), column) != nil }

// AddColumn declares a column that Map or Run fills. typ is a column type: string,
// int64, float64, bool, binary, date, timestamp, list<T>, or
// struct<name:T,...>. If the output already has a column of that name, the user
// gets an error: a stage never replaces a column silently.
func (p *preparation) AddColumn(name, typ string) {
	if out := p.mapped(); out != nil {
		p.addColumn(out, "", &pluginv1.Column{Name: name, Type: typ})
	}
}

// CountValues declares that quern counts how often each value of a transform's
// column occurs, or each element of its lists. The counts are in the stage's
// value, as those of labelers are: counts.COLUMN["VALUE"] and coverage.COLUMN, the
// share of rows that are not null. Call it after AddColumn. The column has the type
// string, bool, int64, or a list of one of them.
func (p *preparation) CountValues(column string) {
	c := columnOf(p.output(""), column)
	switch {
	case c == nil:
		p.misuse("CountValues needs a column that the output has, but it has no column %q", column)
	case !data.Countable(c.Type):
		p.misuse("CountValues needs a column of type string, bool, int64, or a list of one of them, but %q is %s", column, c.Type)
	default:
		c.Counted = true
	}
}

// AddArgumentColumn declares a column whose values are those of a row
// expression; quern fills it. If all columns come from the input and from
// arguments, Map is never called. As with AddColumn, the name must be free,
// unless the expression is that very column.
func (p *preparation) AddArgumentColumn(name, argument string) {
	out := p.mapped()
	a := p.instance.RowArguments[argument]
	if a == nil {
		p.misuse("no row expression %q exists", argument)
	}
	if out == nil || a == nil {
		return
	}
	if c := columnOf(out, name); c != nil && c.Type == a.Type && a.Column == name && c.Origin == pluginv1.ColumnOrigin_COLUMN_ORIGIN_INPUT {
		return
	}
	p.addColumn(out, argument, &pluginv1.Column{
		Name: name, Type: a.Type, Origin: pluginv1.ColumnOrigin_COLUMN_ORIGIN_ARGUMENT, From: argument,
	})
}

func (p *preparation) mapped() *pluginv1.Output {
	if out := p.output(""); out != nil {
		return out
	}
	var datasets []string
	for _, key := range p.InputKeys() {
		if p.instance.Inputs[key].Kind == pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET {
			datasets = append(datasets, key)
		}
	}
	if len(datasets) != 1 {
		p.misuse("call KeepInput or SetRowsOf before you add columns: the stage has %d dataset inputs", len(datasets))
		return nil
	}
	return p.rowsOf(datasets[0])
}

func columnOf(out *pluginv1.Output, name string) *pluginv1.Column {
	for _, c := range out.GetColumns() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// addColumn adds a column whose name must be free. argument is the key at which
// to report an error.
func (p *preparation) addColumn(out *pluginv1.Output, argument string, column *pluginv1.Column) {
	have := columnOf(out, column.Name)
	switch {
	case column.Name == "":
		p.Errorf(argument, "A column needs a name\nThis name is empty.")
	case have == nil:
		column.Replaces = slices.Contains(p.dropped, column.Name)
		out.Columns = append(out.Columns, column)
	case have.Origin == pluginv1.ColumnOrigin_COLUMN_ORIGIN_INPUT:
		p.Errorf(argument, "The dataset already has a column named %q\n%s would replace it. %s", column.Name, p.instance.Address, p.otherName(column.Name))
	default:
		p.Errorf(argument, "Two columns would be named %q\n%s", column.Name, p.otherName(column.Name))
	}
}

// otherName suggests what to do if the name of a column is taken.
func (p *preparation) otherName(column string) string {
	if column == p.Name() || strings.HasPrefix(column, p.Name()+"_") {
		return "The new column is named after the block: rename the block, or rename the input's column with transform \"map\"."
	}
	return "Rename the input's column with transform \"map\", or choose another name for the new column if the stage has an argument for it."
}

func (s Signature) proto() *pluginv1.Signature {
	return &pluginv1.Signature{Inputs: s.Inputs.Proto(), Outputs: s.Outputs.Proto()}
}

func signatureFromProto(s *pluginv1.Signature) Signature {
	return Signature{Inputs: data.FromProto(s.GetInputs()), Outputs: data.FromProto(s.GetOutputs())}
}

func artifactKind(k pluginv1.ArtifactKind) ArtifactKind {
	switch k {
	case pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET:
		return KindDataset
	case pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL:
		return KindModel
	case pluginv1.ArtifactKind_ARTIFACT_KIND_REPORT:
		return KindReport
	}
	return ""
}
