package dedup

import (
	"context"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type dedupArgs struct {
	Input     plugin.Dataset `quern:"input,required" doc:"The dataset to deduplicate."`
	Method    string         `quern:"method,required" oneof:"exact,near,semantic,substrings" doc:"How duplicates are found: 'exact' compares the values of 'by', 'near' compares texts by the runs of words that they share, 'semantic' compares embeddings, 'substrings' finds the passages of texts that occur several times."`
	By        plugin.Column  `quern:"by" type:"dynamic" doc:"With method 'exact': rows for which this is equal are duplicates, such as 'lower(trimspace(row.text))'. Null equals nothing."`
	Text      plugin.Column  `quern:"text" type:"string" doc:"With methods 'near' and 'substrings': the text to compare, such as 'row.text'. Null equals nothing. With method 'semantic': the text that 'model' embeds or, with 'embedding', the text that 'clusters' shows."`
	Model     plugin.Model   `quern:"model" doc:"With method 'semantic': the model that embeds the texts, such as 'model.embedder'. Either this or 'embedding'."`
	Embedding plugin.Column  `quern:"embedding" type:"dynamic" doc:"With method 'semantic', without a 'model': the embedding to compare, such as 'row.embedding': a list of numbers, of the same length in all rows. Null equals nothing."`
	Threshold *float64       `quern:"threshold" doc:"The similarity from which rows are duplicates, up to 1. With method 'near', it is the share of the n-grams of two texts that both have (Jaccard index); the default is 0.8. With method 'semantic', it is the cosine of two embeddings; the default is 0.95."`
	NGram     *int           `quern:"ngram" doc:"With method 'near': the number of units in an n-gram; the default is 5. With method 'substrings': the number of words from which a repeated passage counts; the default is 50."`
	Unit      string         `quern:"unit" default:"\"words\"" oneof:"words,characters" doc:"With method 'near': the unit of n-grams. Words are compared without case and punctuation. Use characters for very short texts."`
	Bands     *int           `quern:"bands" doc:"With methods 'near' and 'semantic': the number of bands. Without it, quern derives 'bands' and 'rows' from 'threshold'; the plan shows both, and how likely they find a pair."`
	Rows      *int           `quern:"rows" doc:"With methods 'near' and 'semantic': the number of hashes in each band."`
	Verify    bool           `quern:"verify" default:"false" doc:"With method 'near': compute the similarity of texts from all of their n-grams. Otherwise it is estimated, with a standard error of at most 0.045."`
	Remove    bool           `quern:"remove" default:"false" doc:"With method 'substrings': add the column 'rest', the text without its repeated passages."`
	Keep      plugin.Column  `quern:"keep" type:"number" doc:"Which row of a group is kept: the one with the highest value, such as 'length(row.text)'. Null is lowest. Among equal values, the content of the rows decides, never their order."`
	ID        plugin.Column  `quern:"id" type:"string" doc:"What identifies a row in 'duplicate_of'. Without it, that is the group."`
	Drop      bool           `quern:"drop" default:"true" doc:"Drop duplicates. Without this, all rows stay, with columns that describe their groups. Method 'substrings' drops no rows."`
}

const dedupDoc = `Finds duplicates, and drops them or marks them.

Duplicates form groups. One row of each group is kept: the one with the highest 'keep'. With methods 'near' and 'semantic', every other row of the group has at least the similarity 'threshold' with that very row, so a chain of small changes does not make different texts duplicates of each other. The result does not depend on the order of rows.

With 'drop = false', no row is dropped, and three columns are added: 'cluster' identifies the group of a row (a row without duplicates has a group of its own), 'duplicate_of' is the 'id' of the row that is kept in its place, and null if that is this row, and 'similarity' is the similarity of the two.

The dataset 'transform.NAME.clusters' shows the 20 largest groups, and the values are 'input_rows', 'kept', 'duplicates', 'groups' (of several rows), and 'largest' (the number of rows in the largest group).

Method 'substrings' finds passages of at least 'ngram' words that occur several times, in different texts or in one. It drops no rows, but adds the column 'repeated': a list of where they are, as 'start' and 'end' in bytes of UTF-8. Words are compared without case and punctuation. One text keeps each passage, which is not repeated there: the one whose hash is lowest. Equal texts count as one text, so drop them first. The values are 'repeated_rows', 'bytes', and 'repeated_bytes'. What is kept for the next run takes about 12 bytes for each word.

Method 'semantic' compares the embeddings of a column, or those that a model computes of texts. A model is asked once about each text, also in other stages and runs. A text that it cannot embed fails the stage. To continue without such texts, compute the column with transform "embed" and its 'max_errors'.

What is known about the texts of a shard is kept for the next run. When rows are added, only new texts are read and compared with all others, and the result is the same as that of a run from scratch.

` + "```hcl" + `
transform "dedup" "unique" {
  input     = source.pages
  method    = "near"
  text      = row.text
  threshold = 0.8
  keep      = length(row.text)
}

transform "dedup" "different" {
  input     = source.questions
  method    = "semantic"
  model     = model.embedder
  text      = row.question
  threshold = 0.95
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
	"input_rows": cty.Number, "kept": cty.Number, "duplicates": cty.Number, "groups": cty.Number, "largest": cty.Number,
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
	p.VerifyWhenRead()
	if a.Method == "substrings" {
		prepareRepeated(p)
		return nil
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
		addColumns(p, markColumns)
		p.SetLineage("", "cluster", deciding...)
		p.SetLineage("", "similarity", deciding...)
		if a.ID.IsSet() {
			deciding = append(deciding, plugin.LineageSource{Argument: a.ID.Key})
		}
		p.SetLineage("", "duplicate_of", deciding...)
	}
	p.AddDataset("clusters", clusterColumns)
	p.SetValueType(valueType)
	a.prepareModel(p)
	if a.Method == "semantic" && !a.Model.IsSet() {
		if typ, _ := p.RowArgument(a.Embedding.Key); typ != "list<float64>" && typ != "list<int64>" {
			p.Errorf("embedding", "The embedding must be a list of numbers\nThis expression is of type %s.", typ)
		}
	}
	if !p.Known("threshold") || !p.Known("bands") || !p.Known("rows") {
		return nil
	}
	c, err := a.newComparison()
	if err != nil || c == nil {
		return err
	}
	p.Notef("%s", c.curve())
	return nil
}

// prepareModel checks the model that embeds texts, and declares its calls.
func (a *dedupArgs) prepareModel(p *plugin.Prepare[dedupArgs]) {
	if !a.Model.IsSet() {
		return
	}
	if in := p.Input("model"); in != nil && !in.Can(plugin.CanEmbed) {
		p.Errorf("model", "This model cannot embed\nIt can: %v. This transform needs a model that computes embeddings.", in.Capabilities)
	}
	var none int64
	p.AddModelCalls(plugin.ModelCalls{Prompt: a.Text.Key, Model: "model", PerRow: 1, OutputTokens: &none})
}

// compared is the row expression by which rows are compared.
func (a *dedupArgs) compared() plugin.Column { return a.expression(a.needed()) }

// needed is the argument with that expression.
func (a *dedupArgs) needed() string {
	switch {
	case a.Method == "exact":
		return "by"
	case a.Method == "semantic" && !a.Model.IsSet():
		return "embedding"
	}
	return "text"
}

func (a *dedupArgs) expression(argument string) plugin.Column {
	return map[string]plugin.Column{"by": a.By, "text": a.Text, "embedding": a.Embedding, "keep": a.Keep, "id": a.ID}[argument]
}

// threshold is the similarity from which rows are duplicates.
func (a *dedupArgs) threshold() float64 {
	switch {
	case a.Threshold != nil:
		return *a.Threshold
	case a.Method == "semantic":
		return 0.95
	}
	return 0.8
}

// ngram is the number of units in an n-gram.
func (a *dedupArgs) ngram() int {
	switch {
	case a.NGram != nil:
		return *a.NGram
	case a.Method == "substrings":
		return 50
	}
	return 5
}

// check checks the arguments.
func (a *dedupArgs) check() error {
	if err := a.checkCompared(); err != nil {
		return err
	}
	switch t := a.threshold(); {
	case a.Drop && a.ID.IsSet():
		return plugin.ArgumentErrorf("id", "The argument id needs drop = false\nIt is for the column duplicate_of, which exists only if duplicates are not dropped.")
	case a.Verify && a.Method != "near":
		return plugin.ArgumentErrorf("verify", "The argument verify needs the method near\nOther methods do not estimate similarities.")
	case !(t > 0 && t <= 1):
		return plugin.ArgumentErrorf("threshold", "The threshold %g is out of range\nthreshold must be above 0 and at most 1.", t)
	case a.Method == "substrings" && (a.ngram() < 2 || a.ngram() > maxPassage):
		return plugin.ArgumentErrorf("ngram", "The n-gram is out of range\nngram must be from 2 to %d, not %d.", maxPassage, a.ngram())
	case (a.Bands == nil) != (a.Rows == nil):
		return plugin.ArgumentErrorf("", "The arguments bands and rows belong together\nGive both, or neither to derive them from threshold.")
	}
	return nil
}

// maxPassage is the largest number of words from which a repeated passage counts.
const maxPassage = 10_000

// methods are the row expressions of each method.
var methods = map[string][]string{
	"exact": {"by", "keep", "id"}, "near": {"text", "keep", "id"}, "semantic": {"embedding", "text", "keep", "id"}, "substrings": {"text"},
}

// checkCompared checks that the arguments are those of the method.
func (a *dedupArgs) checkCompared() error {
	switch needed := a.needed(); {
	case a.Model.IsSet() && a.Method != "semantic":
		return plugin.ArgumentErrorf("model", "The argument model needs the method semantic\nOther methods do not compare embeddings.")
	case a.Model.IsSet() && a.Embedding.IsSet():
		return plugin.ArgumentErrorf("embedding", "The arguments model and embedding cannot be combined\nGive model and text to embed texts, or embedding to compare embeddings that the rows have.")
	case !a.compared().IsSet() && a.Method == "semantic" && !a.Model.IsSet():
		return plugin.ArgumentErrorf("method", "The method semantic needs the argument embedding, or model and text\nIt compares embeddings, such as 'embedding = row.embedding', or those that a model computes of texts.")
	case !a.compared().IsSet():
		return plugin.ArgumentErrorf("method", "The method %s needs the argument %s\nIt compares this, such as '%[2]s = row.%[2]s'.", a.Method, needed)
	}
	can := methods[a.Method]
	for _, argument := range []string{"by", "text", "embedding", "keep", "id"} {
		if a.expression(argument).IsSet() && !slices.Contains(can, argument) {
			return plugin.ArgumentErrorf(argument, "The argument %s does not apply to the method %s\nThat method takes the row expressions %s.", argument, a.Method, strings.Join(can, ", "))
		}
	}
	if a.Remove && a.Method != "substrings" {
		return plugin.ArgumentErrorf("remove", "The argument remove needs the method substrings\nOther methods drop rows, not parts of texts.")
	}
	return nil
}
