package quality

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

type args struct {
	Input      plugin.Dataset     `quern:"input,required" doc:"The dataset whose texts are judged."`
	Text       plugin.Column      `quern:"text,required" type:"string" doc:"The text to judge, such as 'row.text'."`
	Words      string             `quern:"words" default:"\"en\"" oneof:"en,xx" doc:"How texts are divided into words and sentences: as spaCy does for English (en), or for languages without rules of their own (xx). The latter needs spaces between words. The stop words of gopher_quality are English by default."`
	Measures   bool               `quern:"measures" default:"false" doc:"Whether to add a column for each measure, 'NAME_SET_RULE', such as 'clean_fineweb_max_short_lines'. Use them to choose limits."`
	Repetition []gopherRepetition `quern:"gopher_repetition,block,single" doc:"The rules of Gopher against repetition (Rae et al. 2021, arXiv:2112.11446, table A1). Shares are of the characters of the text, unless stated otherwise."`
	Gopher     []gopherQuality    `quern:"gopher_quality,block,single" doc:"The other rules of Gopher (Rae et al. 2021, arXiv:2112.11446, section A1.1)."`
	C4         []c4               `quern:"c4,block,single" doc:"The rules of C4 (Raffel et al. 2020, JMLR 21:140, section 2.2), except for its list of bad words. Lines without a terminal punctuation mark, with too few or too long words, and those that mention JavaScript or a policy are removed, as are citations in the style of Wikipedia."`
	RefinedWeb []refinedWeb       `quern:"refinedweb,block,single" doc:"The line-wise corrections of RefinedWeb (Penedo et al. 2023, arXiv:2306.01116, appendix G.2), with the patterns of DCLM (Li et al. 2024, arXiv:2406.11794). Lines that are mainly capital letters, only digits, a counter, or a single word are removed, and remains of web pages in short lines. RefinedWeb also uses both sets of Gopher."`
	FineWeb    []fineWeb          `quern:"fineweb,block,single" doc:"The rules of FineWeb (Penedo et al. 2024, arXiv:2406.17557, section 3.6)."`
	Rules      []ownRule          `quern:"rule,block" doc:"A rule of your own, with a unique name. They come after the others."`

	// reasons, keep, and text are the names of columns.
	reasons, keep, text string
	sets                []set
	// judges are those of earlier batches, whose tokenizers know many words.
	judges sync.Pool
}

type ownRule struct {
	Name string        `quern:"name,label"`
	When plugin.Column `quern:"when,required" type:"bool" doc:"The condition. If it is true, the row has the rule's name as a reason. False and null are no reason."`
}

// set is a set of rules.
type set interface {
	name() string
	// rules are those of the set, in the order in which they are applied.
	rules() []rule
	// disabled are the names of the rules that the user does not want.
	disabled() []string
	// measure returns the measures for the rules, or false if the text has nothing
	// that can be measured. NaN means that a rule does not apply.
	measure(d *document, out []float64) bool
}

// editor is a set that changes the text that later sets judge.
type editor interface{ edit(d *document) string }

// rule compares a measure with a limit.
type rule struct {
	name  string
	limit float64
}

// failed reports whether a measure violates the rule. The name says whether the
// limit is a minimum or a maximum.
func (r rule) failed(measure float64) bool {
	if strings.HasPrefix(r.name, "min_") {
		return measure < r.limit
	}
	return measure > r.limit
}

// transform implements transform "quality".
type transform struct{}

// Prepare declares the columns.
func (transform) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	a := p.Args
	a.reasons, a.keep, a.text = p.Name()+"_reasons", p.Name()+"_keep", p.Name()+"_text"
	a.collect()
	p.KeepInput("input")
	p.AddColumn(a.reasons, "list<string>")
	p.CountValues(a.reasons)
	p.AddColumn(a.keep, "bool")
	p.CountValues(a.keep)
	if len(a.C4)+len(a.RefinedWeb) > 0 {
		p.AddColumn(a.text, "string")
	}
	for _, s := range a.sets {
		checkDisabled(p, s)
		for _, r := range s.rules() {
			if a.Measures {
				p.AddColumn(p.Name()+"_"+s.name()+"_"+r.name, "float64")
			}
		}
	}
	seen := map[string]bool{}
	for _, r := range a.Rules {
		if seen[r.Name] {
			p.Errorf("rule."+r.Name, "There are two rules named %q\nGive each rule a unique name.", r.Name)
		}
		seen[r.Name] = true
	}
	if len(a.sets)+len(a.Rules) == 0 {
		p.Errorf("", "The stage has no rules\nAdd a block such as gopher_quality {}, or a rule of your own.")
	}
	return nil
}

func checkDisabled(p *plugin.Prepare[args], s set) {
	var names []string
	for _, r := range s.rules() {
		names = append(names, r.name)
	}
	for _, name := range s.disabled() {
		if !slices.Contains(names, name) {
			p.Errorf(s.name(), "%s has no rule %q\nIts rules are %s.", s.name(), name, strings.Join(names, ", "))
		}
	}
}

// collect lists the sets in the order in which they are applied.
func (a *args) collect() {
	a.sets = nil
	if len(a.Repetition) > 0 {
		a.sets = append(a.sets, &a.Repetition[0])
	}
	if len(a.Gopher) > 0 {
		a.sets = append(a.sets, &a.Gopher[0])
	}
	if len(a.C4) > 0 {
		a.sets = append(a.sets, &a.C4[0])
	}
	if len(a.RefinedWeb) > 0 {
		a.sets = append(a.sets, &a.RefinedWeb[0])
	}
	if len(a.FineWeb) > 0 {
		a.sets = append(a.sets, &a.FineWeb[0])
	}
}

// Concurrency is the number of processors: Map only computes.
func (transform) Concurrency() int { return runtime.GOMAXPROCS(0) }

// Map judges the texts.
func (transform) Map(ctx context.Context, a *args, b *plugin.Batch) error {
	texts, conditions := b.Strings(a.Text), make([]plugin.Values[bool], len(a.Rules))
	for k, r := range a.Rules {
		conditions[k] = b.Bools(r.When)
	}
	j, ok := a.judges.Get().(*judge)
	if !ok {
		j = newJudge(a, b.Name())
	}
	j.batch = b
	defer a.judges.Put(j)
	reasons := array.NewListBuilder(memory.DefaultAllocator, stringType)
	defer reasons.Release()
	names := reasons.ValueBuilder().(*array.StringBuilder)
	for i := range b.N {
		if err := ctx.Err(); err != nil {
			return err
		}
		text, ok := texts.At(i)
		found := j.judge(i, text, ok)
		for k, r := range a.Rules {
			if applies, _ := conditions[k].At(i); applies {
				found = append(found, r.Name)
			}
		}
		reasons.Append(true)
		for _, name := range found {
			names.Append(name)
		}
		b.SetBool(a.keep, i, len(found) == 0)
	}
	b.SetArray(a.reasons, reasons.NewArray())
	return nil
}
