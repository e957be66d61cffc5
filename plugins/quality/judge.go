package quality

import (
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/internal/spacy"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

var stringType = arrow.BinaryTypes.String

// nullText is the reason to remove a text that is null.
const nullText = "null"

// judge applies the sets of rules to the rows of a batch.
type judge struct {
	args     *args
	batch    *plugin.Batch
	document document
	sets     []prepared
	found    []string
}

// prepared is a set of rules with what does not change from row to row.
type prepared struct {
	set
	rules    []rule
	enabled  []bool
	reasons  []string
	columns  []string
	measures []float64
}

func newJudge(a *args, name string) *judge {
	j := &judge{args: a, document: document{tokenizer: tokenizer(a.Words)}}
	for _, s := range a.sets {
		p := prepared{set: s, rules: s.rules()}
		for _, r := range p.rules {
			p.enabled = append(p.enabled, !slices.Contains(s.disabled(), r.name))
			p.reasons = append(p.reasons, s.name()+"."+r.name)
			p.columns = append(p.columns, name+"_"+s.name()+"_"+r.name)
		}
		p.measures = make([]float64, len(p.rules))
		j.sets = append(j.sets, p)
	}
	return j
}

func tokenizer(words string) *spacy.Tokenizer {
	if words == "xx" {
		return spacy.Multilingual()
	}
	return spacy.English()
}

// judge returns the reasons to remove a row, and sets the columns of its text
// and measures. The result is valid until the next call.
func (j *judge) judge(row int, text string, ok bool) []string {
	j.found = j.found[:0]
	if !ok {
		return append(j.found, nullText)
	}
	j.document.reset(text)
	for k := range j.sets {
		s := &j.sets[k]
		j.apply(s, row)
		if e, ok := s.set.(editor); ok {
			edited := e.edit(&j.document)
			j.batch.SetString(j.args.text, row, edited)
			j.document.reset(edited)
		}
	}
	return j.found
}

func (j *judge) apply(s *prepared, row int) {
	if !s.measure(&j.document, s.measures) {
		j.found = append(j.found, s.name()+".empty")
		return
	}
	for i, m := range s.measures {
		if math.IsNaN(m) {
			continue
		}
		if s.enabled[i] && s.rules[i].failed(m) {
			j.found = append(j.found, s.reasons[i])
		}
		if j.args.Measures {
			j.batch.SetFloat(s.columns[i], row, m)
		}
	}
}
