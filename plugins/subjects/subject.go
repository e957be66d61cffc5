package subjects

import (
	"maps"
	"slices"

	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Subject is a subject of a comparison, as Prepare describes it.
type Subject struct {
	Name string
	plugin.Subject
	// For a trained model: the names of its inputs, of the output that is the
	// answer, and of the output that is the confidence, or "" if there is none.
	Inputs            []string
	Label, Confidence string
}

// Asked reports whether the subject is a model with a prompt.
func (s *Subject) Asked() bool { return s.Prompt.IsSet() }

// feature returns the name of the column that contains an input of a trained
// model.
func (s *Subject) feature(input string) string { return s.Model.Key + "." + input }

// Columns returns the keys of the row arguments that the subject reads.
func (s *Subject) Columns() []string {
	switch {
	case s.Asked():
		return []string{s.Prompt.Key, prompting.ByKey(s.Prompt.Key)}
	case s.Model.IsSet():
		var columns []string
		for _, input := range s.Inputs {
			columns = append(columns, s.feature(input))
		}
		return columns
	}
	return []string{s.Key}
}

// Names returns the names of the subjects.
func Names(all []Subject) []string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.Name
	}
	return names
}

// Describe determines how each subject of an argument answers, in the order of
// their names, and reports subjects that cannot.
func Describe[A any](p *plugin.Prepare[A], given map[string]plugin.Subject) []Subject {
	var all []Subject
	for _, name := range slices.Sorted(maps.Keys(given)) {
		all = append(all, describe(p, name, given[name]))
	}
	return all
}

func describe[A any](p *plugin.Prepare[A], name string, given plugin.Subject) Subject {
	s := Subject{Name: name, Subject: given}
	in := p.Input(given.Model.Key)
	switch {
	case given.Prompt.IsSet():
		if in != nil && !in.Can(plugin.CanChat) {
			p.Errorf(given.Model.Key, "This model cannot chat\nIt can: %v. A prompt needs a model that answers messages, such as one that a model block defines.", in.Capabilities)
		}
	case given.Model.IsSet() && in != nil:
		if !in.Can(plugin.CanPredict) {
			p.Errorf(given.Model.Key, "A model that chats needs a prompt\nWrite { model = …, prompt = prompt.NAME }.")
			return s
		}
		s.Inputs = in.Signature.Inputs.Names()
		s.Label = labelOf(in.Signature.Outputs)
		if s.Label == "" {
			p.Errorf(given.Model.Key, "The model (%s) does not predict a label\nIts outputs are %v. It needs an output named label of type string.", in.Format, in.Signature.Outputs.Names())
		}
		if c, _, ok := in.Signature.Outputs.Lookup("confidence"); ok && c.Type == "float64" {
			s.Confidence = c.Name
		}
	}
	return s
}

// labelOf returns the name of the output that is a model's answer, or "" if it
// has none.
func labelOf(outputs data.Schema) string {
	var texts []string
	for _, c := range outputs {
		if c.Type == "string" {
			texts = append(texts, c.Name)
		}
	}
	switch {
	case slices.Contains(texts, "label"):
		return "label"
	case len(texts) == 1:
		return texts[0]
	}
	return ""
}
