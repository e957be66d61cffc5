package dedup

import (
	"context"
	"fmt"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/dedup/minhash"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type dedupArgs struct {
	Input     plugin.Dataset `quern:"input,required" doc:"The dataset to deduplicate."`
	Method    string         `quern:"method,required" oneof:"exact,near" doc:"How duplicates are found: 'exact' compares the values of 'by', 'near' compares texts by the runs of words that they share."`
	By        plugin.Column  `quern:"by" type:"dynamic" doc:"With method 'exact': rows for which this is equal are duplicates, such as 'lower(trimspace(row.text))'. Null equals nothing."`
	Text      plugin.Column  `quern:"text" type:"string" doc:"With method 'near': the text to compare, such as 'row.text'. Null equals nothing."`
	Threshold float64        `quern:"threshold" default:"0.8" doc:"With method 'near': the similarity from which texts are duplicates: the share of their n-grams that both have (Jaccard index), from 0 to 1."`
	NGram     int            `quern:"ngram" default:"5" doc:"With method 'near': the number of units in an n-gram."`
	Unit      string         `quern:"unit" default:"\"words\"" oneof:"words,characters" doc:"With method 'near': the unit of n-grams. Words are compared without case and punctuation. Use characters for very short texts."`
	Bands     *int           `quern:"bands" doc:"With method 'near': the number of bands. Without it, quern derives 'bands' and 'rows' from 'threshold'; the plan shows both, and how likely they find a pair."`
	Rows      *int           `quern:"rows" doc:"With method 'near': the number of hashes in each band."`
	Verify    bool           `quern:"verify" default:"false" doc:"With method 'near': compute the similarity of texts from all of their n-grams. Otherwise it is estimated, with a standard error of at most 0.045."`
	Keep      plugin.Column  `quern:"keep" type:"number" doc:"Which row of a group is kept: the one with the highest value, such as 'length(row.text)'. Null is lowest. Among equal values, the content of the rows decides, never their order."`
	ID        plugin.Column  `quern:"id" type:"string" doc:"What identifies a row in 'duplicate_of'. Without it, that is the group."`
	Drop      bool           `quern:"drop" default:"true" doc:"Drop duplicates. Without this, all rows stay, with columns that describe their groups."`

	params minhash.Params
}

const dedupDoc = `Finds duplicates, and drops them or marks them.

Duplicates form groups. One row of each group is kept: the one with the highest 'keep'. With method 'near', every other row of the group has at least the similarity 'threshold' with that very row, so a chain of small changes does not make different texts duplicates of each other. The result does not depend on the order of rows.

With 'drop = false', no row is dropped, and three columns are added: 'cluster' identifies the group of a row (a row without duplicates has a group of its own), 'duplicate_of' is the 'id' of the row that is kept in its place, and null if that is this row, and 'similarity' is the similarity of the two.

The dataset 'transform.NAME.clusters' shows the 20 largest groups, and the values are 'rows', 'kept', 'duplicates', 'clusters' (groups of several rows), and 'largest' (the number of rows in the largest group).

What is known about the texts of a shard is kept for the next run. When rows are added, only new texts are read and compared with all others, and the result is the same as that of a run from scratch.

` + "```hcl" + `
transform "dedup" "unique" {
  input     = source.pages
  method    = "near"
  text      = row.text
  threshold = 0.8
  keep      = length(row.text)
}
` + "```"

// dedup implements transform "dedup".
type dedup struct{}

// The columns of rows that are not dropped, and of the largest groups.
var (
	markColumns    = data.Schema{{Name: "cluster", Type: "string"}, {Name: "duplicate_of", Type: "string"}, {Name: "similarity", Type: "float64"}}
	clusterColumns = data.Schema{{Name: "cluster", Type: "string"}, {Name: "rows", Type: "int64"}, {Name: "text", Type: "string"}}
)

// valueType has how many rows there are, and in which groups.
var valueType = cty.Object(map[string]cty.Type{
	"rows": cty.Number, "kept": cty.Number, "duplicates": cty.Number, "clusters": cty.Number, "largest": cty.Number,
})

// Prepare declares the outputs.
func (dedup) Prepare(_ context.Context, p *plugin.Prepare[dedupArgs]) error {
	a := p.Args
	if !p.Known("method") || !p.Known("drop") {
		p.Errorf("", "method and drop must be known at plan time\nThey cannot depend on the result of another stage.")
		return nil
	}
	if err := a.check(); err != nil {
		return err
	}
	p.ReadAll("input") // the content of rows decides between equal ones
	p.KeepInput("input")
	if a.Drop {
		p.Select("", plugin.Selection{RowsOf: "input"})
	}
	compared := plugin.LineageSource{Argument: a.compared().Key}
	deciding := []plugin.LineageSource{compared}
	if a.Keep.IsSet() {
		deciding = append(deciding, plugin.LineageSource{Argument: a.Keep.Key})
	}
	if a.Drop {
		p.SetRowsLineage("", deciding...)
	} else {
		for _, c := range markColumns {
			p.AddColumn(c.Name, c.Type)
		}
		p.SetLineage("", "cluster", deciding...)
		p.SetLineage("", "similarity", deciding...)
		if a.ID.IsSet() {
			deciding = append(deciding, plugin.LineageSource{Argument: a.ID.Key})
		}
		p.SetLineage("", "duplicate_of", deciding...)
	}
	p.AddDataset("clusters", clusterColumns)
	p.SetValueType(valueType)
	if a.Method == "near" && p.Known("threshold") && p.Known("bands") && p.Known("rows") {
		p.Notef("%s", a.curve())
	}
	return nil
}

// compared is the row expression by which rows are compared.
func (a *dedupArgs) compared() plugin.Column {
	if a.Method == "near" {
		return a.Text
	}
	return a.By
}

// check checks the arguments, and sets the parameters of signatures.
func (a *dedupArgs) check() error {
	switch {
	case a.Method == "exact" && !a.By.IsSet():
		return plugin.ArgumentErrorf("method", "The method exact needs the argument by\nIt compares the values of by, such as 'by = row.text'.")
	case a.Method == "near" && !a.Text.IsSet():
		return plugin.ArgumentErrorf("method", "The method near needs the argument text\nIt compares texts, such as 'text = row.text'.")
	case a.Method == "exact" && a.Text.IsSet():
		return plugin.ArgumentErrorf("text", "The argument text needs the method near\nThe method exact compares the values of by.")
	case a.Method == "near" && a.By.IsSet():
		return plugin.ArgumentErrorf("by", "The argument by needs the method exact\nThe method near compares the texts of text.")
	case a.Drop && a.ID.IsSet():
		return plugin.ArgumentErrorf("id", "The argument id needs drop = false\nIt is for the column duplicate_of, which exists only if duplicates are not dropped.")
	case a.Method == "exact":
		return nil
	case !(a.Threshold > 0 && a.Threshold <= 1):
		return plugin.ArgumentErrorf("threshold", "The threshold %g is out of range\nthreshold must be above 0 and at most 1.", a.Threshold)
	case (a.Bands == nil) != (a.Rows == nil):
		return plugin.ArgumentErrorf("", "The arguments bands and rows belong together\nGive both, or neither to derive them from threshold.")
	}
	a.params = minhash.Params{NGram: a.NGram, Characters: a.Unit == "characters"}
	if a.Bands != nil {
		a.params.Bands, a.params.Rows = *a.Bands, *a.Rows
	} else {
		a.params.Bands, a.params.Rows = minhash.Derive(a.Threshold)
	}
	if err := a.params.Check(); err != nil {
		return plugin.ArgumentErrorf("", "The parameters of the comparison are out of range\n%s.", err)
	}
	return nil
}

// curve says how likely pairs of texts are compared.
func (a *dedupArgs) curve() string {
	var points []string
	for tenth := 3; tenth <= 9; tenth++ {
		s := float64(tenth) / 10
		points = append(points, fmt.Sprintf("%.1f: %.3g%%", s, 100*a.params.Probability(s)))
	}
	return fmt.Sprintf("%d bands of %d rows; chance that two texts are compared, by their similarity: %s", a.params.Bands, a.params.Rows, strings.Join(points, ", "))
}
