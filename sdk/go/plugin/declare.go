package plugin

import (
	"slices"

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

// AddDataset declares a dataset that a Source or a Runner makes. A source
// makes one, named "". The name is the attribute under which users find it;
// empty: the stage itself is the dataset.
func (p *preparation) AddDataset(name string, columns data.Schema) {
	p.addOutput(&pluginv1.Output{Name: name, Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET, Columns: columns.Proto()})
}

// AddModel declares a model that a Runner makes: the name of its format, and
// what a prediction takes and gives. The inputs are the arguments tagged
// feature, by their keys.
func (p *preparation) AddModel(name, format string, s Signature) {
	p.addOutput(&pluginv1.Output{
		Name: name, Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL, Format: format, Signature: s.proto(),
	})
}

// AddReport declares a report that a Runner makes: files for people.
func (p *preparation) AddReport(name string) {
	p.addOutput(&pluginv1.Output{Name: name, Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_REPORT})
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

// KeepInput declares that a Mapper's output begins with all columns of a
// dataset input, passed on as they are. It says, too, whose rows the mapper
// works on; a mapper that keeps nothing calls RowsOf instead.
func (p *preparation) KeepInput(input string) {
	out := p.rowsOf(input)
	if out == nil {
		return
	}
	for _, c := range p.instance.Inputs[input].Columns {
		p.setColumn(out, &pluginv1.Column{
			Name: c.Name, Type: c.Type, Origin: pluginv1.ColumnOrigin_COLUMN_ORIGIN_INPUT, From: c.Name,
		})
	}
}

// RowsOf declares which dataset input a Mapper works on. Without a call it is
// the only one that there is.
func (p *preparation) RowsOf(input string) { p.rowsOf(input) }

func (p *preparation) rowsOf(input string) *pluginv1.Output {
	in := p.instance.Inputs[input]
	if in == nil || in.Kind != pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET {
		p.misuse("there is no dataset input %q", input)
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

// Drop takes a column out of a Mapper's output again.
func (p *preparation) Drop(column string) {
	if out := p.output(""); out != nil {
		out.Columns = slices.DeleteFunc(out.Columns, func(c *pluginv1.Column) bool { return c.Name == column })
	}
}

// HasColumn says whether a Mapper's output has a column so far.
func (p *preparation) HasColumn(column string) bool {
	out := p.output("")
	return out != nil && slices.ContainsFunc(out.Columns, func(c *pluginv1.Column) bool { return c.Name == column })
}

// AddColumn declares a column that a Mapper makes: Map has to fill it. The
// type is string, int64, float64, bool, …. A column of that name that is there
// already is replaced where it stands.
func (p *preparation) AddColumn(name, typ string) {
	if out := p.mapped(); out != nil {
		p.setColumn(out, &pluginv1.Column{Name: name, Type: typ})
	}
}

// AddArgument declares a column of a Mapper's output that holds the values of
// a row expression: quern fills it. A mapper all of whose columns come from
// the input and from arguments is never called.
func (p *preparation) AddArgument(name, argument string) {
	out := p.mapped()
	a := p.instance.RowArguments[argument]
	if a == nil {
		p.misuse("there is no row expression %q", argument)
	}
	if out == nil || a == nil {
		return
	}
	p.setColumn(out, &pluginv1.Column{
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
		p.misuse("call RowsOf or KeepInput before columns are added: there are %d dataset inputs", len(datasets))
		return nil
	}
	return p.rowsOf(datasets[0])
}

func (p *preparation) setColumn(out *pluginv1.Output, column *pluginv1.Column) {
	for i, c := range out.Columns {
		if c.Name == column.Name {
			out.Columns[i] = column
			return
		}
	}
	out.Columns = append(out.Columns, column)
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
