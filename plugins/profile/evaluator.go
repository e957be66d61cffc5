package profile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/profile/drift"
	"github.com/quern-dev/quern/plugins/profile/survey"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Types returns the types of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.NewRunner(plugin.Info{Kind: plugin.KindEvaluate, Name: "profile", Doc: profileDoc, BehaviorVersion: 2}, evaluator{}),
	}
}

type args struct {
	Dataset    plugin.Dataset  `quern:"dataset,required" doc:"The dataset to profile."`
	Columns    []string        `quern:"columns" doc:"The columns to profile. The default is all columns. Rows count as duplicates if they are equal in these columns."`
	Baseline   plugin.Artifact `quern:"baseline" doc:"A dataset, or another profile, such as 'evaluate.january', that the distributions are compared with."`
	Top        int             `quern:"top" default:"10" doc:"The number of most frequent values to list for each column, from 0 to 100."`
	Tokenizer  string          `quern:"tokenizer" default:"\"o200k_base\"" oneof:"o200k_base,cl100k_base,estimate,none" doc:"What counts the tokens of texts: a tokenizer, 'estimate' for a rough and fast estimate, or 'none'."`
	Sample     int64           `quern:"sample" default:"10000" doc:"About how many rows to measure tokens, languages, personal data, and associations on, from 100 to 1,000,000. All rows are used if there are not many more."`
	Seed       int64           `quern:"seed" default:"0" doc:"The seed of the sample."`
	Confidence float64         `quern:"confidence" default:"0.95" doc:"The confidence level of the intervals, and of the decision which columns have drifted."`
}

const profileDoc = `Describes the columns of a dataset: nulls, distinct and duplicate values, quantiles, frequent values, lengths and tokens of texts, associations, and what may be wrong. With a ` + "`baseline`" + `, it tests which columns have drifted.

The values are ` + "`rows`, `duplicate_rows`, `duplicate_share`, `null_share`" + `, and ` + "`columns.NAME`" + ` with:

- for all types: ` + "`nulls`, `null_share`, `distinct`, `distinct_exact`, `duplicates`" + ` (values that equal an earlier one), ` + "`constant`, `unique`, `identifier`" + ` (looks as if it only identifies rows), and ` + "`top`" + `, a list of ` + "`{ value, count, share }`" + `. If all distinct values are counted: ` + "`entropy`" + ` in bits, ` + "`evenness`" + ` (its share of the greatest possible entropy), ` + "`majority`" + ` (the share of the most frequent value), and ` + "`imbalance`" + ` (how often the most frequent value occurs for each time that the rarest does).
- for numbers: ` + "`mean`, `std`, `min`, `p1`, `p5`, `p25`, `p50`, `p75`, `p95`, `p99`, `max`, `zeros`, `negatives`, `nan`, `infinite`, and `outliers`" + ` (more than three interquartile ranges outside the quartiles). Figures leave out NaN and infinities. Dates and timestamps have ` + "`min`, `p50`, and `max`" + ` as strings.
- for strings: ` + "`empty`, `blank`, `invalid_utf8`, `bytes`, `characters`, `words`" + ` with ` + "`{ total, mean, min, p5, p25, p50, p75, p95, p99, max }`" + `, and ` + "`tokens`" + ` with ` + "`{ mean, total }`" + `, both as ` + "`{ value, low, high, n }`" + `. ` + "`languages` and `pii`" + ` are maps of the same form, with the shares of texts in a language (of columns with at least 20 characters on average), and of texts that contain a kind of personal data or secrets, as transform "redact" finds them by default. Lists and binary values have ` + "`items`" + ` like ` + "`characters`" + `.

` + "`associations`" + ` lists the strongest ones as ` + "`{ a, b, method, value, low, high, n }`" + `: Pearson's and Spearman's correlations of numbers, and Cramér's V of columns with few values. ` + "`warnings`" + ` lists what may be wrong as ` + "`{ column, kind, text }`" + `. Unknown values are null.

Rows, nulls, sums, means, standard deviations, ` + "`unique`, and `duplicate_rows`" + ` are always exact. Everything else is exact up to 16,384 distinct values, and estimated beyond that: distinct values with a standard error of 0.6%, quantiles in cells of which there are at least 8,192, frequent values with counts that are too low by at most one in 16,384 rows. Tokens, languages, personal data, and associations come from a sample of rows, which the seed and the positions of the rows determine; ` + "`n`" + ` says of how many. No figure depends on shards, batches, or threads. Memory is at most about 10 MB for each column of texts and 3 MB for any other, whatever the number of rows.

If rows are appended to the dataset, the next run reads only the shards that are new, and finds the same as if it read all.

With a ` + "`baseline`" + `, ` + "`drift`" + ` contains ` + "`added`, `removed`, `retyped`, `drifted`" + ` (lists of columns), ` + "`largest_psi`" + `, and ` + "`columns.NAME`" + ` with ` + "`psi`, `distance`, and `nulls`" + ` as ` + "`{ value, low, high, n }`" + `, ` + "`p`, `p_adjusted`, `test`, and `of`" + `. Numbers are compared by the test of Kolmogorov and Smirnov, columns with up to 1,000 distinct values by the chi-square test, and other texts and lists by their lengths. ` + "`p_adjusted`" + ` allows for the number of columns (Holm). With many rows, even differences that do not matter have small p-values, so demand a size, too: the low end of ` + "`psi`" + ` above 0.1, or of ` + "`distance`" + ` above 0.05.

` + "```hcl" + `
evaluate "profile" "tickets" {
  dataset  = source.tickets
  baseline = source.tickets_of_last_month
}

gate "usable" {
  condition = alltrue([
    evaluate.tickets.duplicate_share < 0.01,
    evaluate.tickets.columns.text.null_share == 0,
    evaluate.tickets.drift.largest_psi < 0.2,
  ])
  error_message = "The tickets have duplicates, lack texts, or are about other things than last month."
}
` + "```"

// evaluator implements evaluate "profile".
type evaluator struct{}

// Prepare checks the arguments and declares the values.
func (evaluator) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	a := p.Args
	a.check(p)
	in := p.Input(a.Dataset.Key)
	if in == nil {
		return nil
	}
	if !p.Known("columns") {
		p.Errorf("columns", "The columns must be known when planning\nThey depend on a stage that has not been applied yet. Write them out.")
		return nil
	}
	columns, ok := chosen(p, in.Schema)
	if !ok {
		return nil
	}
	if a.Columns == nil {
		p.ReadAll(a.Dataset.Key)
	} else {
		p.ReadColumns(a.Dataset.Key, columns.Names()...)
	}
	if base := p.Input(a.Baseline.Key); base != nil {
		a.checkBaseline(p, base, columns)
	}
	p.VerifyWhenRead()
	p.AddReport("")
	p.SetValueType(valueType(columns, p.Input(a.Baseline.Key) != nil))
	return nil
}

func (a *args) check(p *plugin.Prepare[args]) {
	if p.Known("confidence") && !(a.Confidence > 0 && a.Confidence < 1) {
		p.Errorf("confidence", "The confidence level %g is out of range\nIt must be between 0 and 1, such as 0.95.", a.Confidence)
	}
	if p.Known("top") && (a.Top < 0 || a.Top > 100) {
		p.Errorf("top", "Cannot list %d values\ntop must be from 0 to 100.", a.Top)
	}
	if p.Known("sample") && (a.Sample < 100 || a.Sample > 1_000_000) {
		p.Errorf("sample", "A sample of %d rows is out of range\nsample must be from 100 to 1,000,000.", a.Sample)
	}
}

// chosen returns the columns to profile.
func chosen(p *plugin.Prepare[args], schema data.Schema) (data.Schema, bool) {
	if p.Args.Columns == nil {
		return schema, true
	}
	var out data.Schema
	for _, name := range p.Args.Columns {
		c, _, ok := schema.Lookup(name)
		switch _, _, again := out.Lookup(name); {
		case !ok:
			p.Errorf("columns", "The dataset has no column %q\nIts columns are %s.", name, strings.Join(schema.Names(), ", "))
			return nil, false
		case again:
			p.Errorf("columns", "The column %q is listed twice\nList each column once.", name)
			return nil, false
		}
		out = append(out, c)
	}
	return out, true
}

// checkBaseline declares what is read of the baseline.
func (a *args) checkBaseline(p *plugin.Prepare[args], base *plugin.InputInfo, columns data.Schema) {
	switch base.Kind {
	case plugin.KindReport:
	case plugin.KindDataset:
		if a.Columns == nil {
			p.ReadAll(a.Baseline.Key) // to see which columns were removed
		} else {
			p.ReadColumns(a.Baseline.Key, shared(base.Schema, columns).Names()...)
		}
	default:
		p.Errorf("baseline", "A %s cannot be a baseline\nUse a dataset, or another profile such as evaluate.NAME.", base.Kind)
	}
}

// shared returns the columns that have the same name and type as one of others.
func shared(columns, others data.Schema) data.Schema {
	return slices.DeleteFunc(slices.Clone(columns), func(c data.Column) bool { return !slices.Contains(others, c) })
}

// Run profiles the dataset and compares it with the baseline.
func (evaluator) Run(ctx context.Context, r *plugin.Run[args]) error {
	in := r.Dataset(r.Args.Dataset)
	found, now, err := describe(ctx, r, in, in.Schema, datasetFile)
	if err != nil {
		return err
	}
	base, err := baseline(ctx, r, in.Schema)
	if err != nil {
		return err
	}
	if base != nil {
		if found.Drift, err = drift.Compare(base, now, r.Args.Confidence); err != nil {
			return err
		}
	}
	dir, err := r.Folder("")
	if err != nil {
		return err
	}
	if err := figures.WriteReport(dir, found, page(r.Name(), found)); err != nil {
		return err
	}
	r.SetValue(value(found))
	return now.Write(dir)
}

// baseline returns the distributions to compare those of columns with, or nil.
func baseline(ctx context.Context, r *plugin.Run[args], columns data.Schema) (*drift.Sketches, error) {
	in := r.Artifact(r.Args.Baseline)
	switch {
	case in == nil:
		return nil, nil
	case in.Dataset == nil:
		return sketchesIn(in)
	}
	both := shared(in.Dataset.Schema, columns)
	_, base, err := describe(ctx, r, in.Dataset, both, baselineFile)
	if err != nil {
		return nil, err
	}
	for _, c := range in.Dataset.Schema {
		if !slices.Contains(both, c) {
			base.Columns = append(base.Columns, drift.Column{Name: c.Name, Type: c.Type})
		}
	}
	return base, nil
}

// sketchesIn reads the sketches of a report.
func sketchesIn(report *plugin.ArtifactInput) (*drift.Sketches, error) {
	for _, f := range report.Files {
		if f.Name != drift.File {
			continue
		}
		text, err := os.ReadFile(f.Path)
		if err != nil {
			return nil, fmt.Errorf("read the baseline: %w", err)
		}
		if s, err := drift.Read(text); !errors.Is(err, drift.ErrNoSketches) {
			return s, err
		}
	}
	return nil, plugin.ArgumentErrorf("baseline", "The baseline is not a profile\nUse a dataset, or the result of evaluate \"profile\".")
}

func (a *args) options(dir, file string) survey.Options {
	return survey.Options{
		Top: a.Top, Confidence: a.Confidence, Tokenizer: a.Tokenizer, Sample: a.Sample, Seed: a.Seed, Dir: dir,
		Distributions: file == baselineFile,
	}
}
