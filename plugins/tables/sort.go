package tables

import (
	"context"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/text/collate"
	"golang.org/x/text/language"

	"github.com/quern-dev/quern/plugins/ordering"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type sortArgs struct {
	Input     plugin.Dataset  `quern:"input,required" doc:"The dataset to sort."`
	By        []plugin.Column `quern:"by,required" type:"dynamic" doc:"What to sort by, such as '[row.score, row.name]': rows with equal values of the first expression are sorted by the second one, and so on."`
	Order     []string        `quern:"order" default:"[\"asc\"]" doc:"The order of each expression in 'by': asc or desc. A single one applies to all."`
	Nulls     string          `quern:"nulls" default:"\"last\"" oneof:"first,last" doc:"Where rows with a null value go, in both orders."`
	Collation string          `quern:"collation" doc:"The language by whose rules texts are sorted, such as \"de\" or \"sv\". By default, texts are sorted by their bytes in UTF-8, which is the order of code points."`
	ordering.Limit
}

const sortDoc = `Sorts the rows of a dataset.

The sort is stable: rows with equal values keep their order. Numbers are sorted by value, with NaN after all others, false comes before true, and lists are compared element by element.

A dataset that does not fit in memory is sorted in temporary files. To take only the first rows, follow with transform "limit".

` + "```hcl" + `
transform "sort" "best" {
  input = evaluate.answers.rows
  by    = [row.score, row.id]
  order = ["desc", "asc"]
}
` + "```"

// sorting implements transform "sort".
type sorting struct{}

// Prepare declares the input's columns.
func (sorting) Prepare(_ context.Context, p *plugin.Prepare[sortArgs]) error {
	a := p.Args
	if err := a.Check(); p.Known("memory_limit") && err != nil {
		return err
	}
	if len(a.By) == 0 {
		p.Errorf("by", "by is empty\nGive at least one expression, such as by = [row.score].")
	}
	if p.Known("order") {
		checkOrder(p)
	}
	if p.Known("collation") && a.Collation != "" {
		if _, err := collator(a.Collation); err != nil {
			return err
		}
	}
	in := p.Input("input")
	if in == nil {
		return nil
	}
	p.ReadAll("input")
	p.AddDataset("", in.Schema)
	p.Select("", plugin.Selection{RowsOf: "input"})
	p.SetRowsLineage("", argumentSources(a.By)...)
	return nil
}

func checkOrder(p *plugin.Prepare[sortArgs]) {
	if n := len(p.Args.Order); n != 1 && n != len(p.Args.By) {
		p.Errorf("order", "order has %d entries, but by has %d\nGive one for each expression in by, or a single one for all.", n, len(p.Args.By))
	}
	for _, o := range p.Args.Order {
		if o != "asc" && o != "desc" {
			p.Errorf("order", "%q is not an order\nUse \"asc\" or \"desc\".", o)
		}
	}
}

// collator returns the collator of a language, which must be known to it.
func collator(name string) (*collate.Collator, error) {
	tag, err := language.Parse(name)
	if err != nil {
		return nil, plugin.ArgumentErrorf("collation", "%q is not a language\nUse a tag such as \"de\", \"sv\", or \"pt-BR\".", name)
	}
	_, _, confidence := language.NewMatcher(collate.Supported()).Match(tag)
	if confidence < language.High {
		return nil, plugin.ArgumentErrorf("collation", "No rules for sorting texts in the language %q are known\nRemove collation to sort texts by their bytes, or use \"und\" for the rules that most languages share.", name)
	}
	return collate.New(tag), nil
}

// directions returns how each expression is ordered.
func (a *sortArgs) directions() ([]ordering.Direction, error) {
	var text func(string) []byte
	if a.Collation != "" {
		c, err := collator(a.Collation)
		if err != nil {
			return nil, err
		}
		var buf collate.Buffer
		text = func(s string) []byte {
			buf.Reset()
			return c.KeyFromString(&buf, s)
		}
	}
	out := make([]ordering.Direction, len(a.By))
	for i := range out {
		order := a.Order[0]
		if len(a.Order) > 1 {
			order = a.Order[i]
		}
		out[i] = ordering.Direction{Descending: order == "desc", NullsFirst: a.Nulls == "first", Text: text}
	}
	return out, nil
}

// Run sorts the rows.
func (sorting) Run(ctx context.Context, r *plugin.Run[sortArgs]) error {
	in := r.Dataset(r.Args.Input)
	directions, err := r.Args.directions()
	if err != nil {
		return err
	}
	memory, err := r.Args.Bytes()
	if err != nil {
		return err
	}
	schema := in.Schema.Arrow()
	sorter := ordering.NewSorter(schema, filepath.Join(r.WorkDir, "sort"), memory)
	defer sorter.Close()
	keys := data.Arguments.Refs(columnKeys(r.Args.By)...)
	var key []byte
	err = eachBatch(ctx, in, r.Progress, keys, func(rec arrow.RecordBatch, by []arrow.Array) error {
		for i := range int(rec.NumRows()) {
			if key, err = ordering.AppendKey(key[:0], by, directions, i); err != nil {
				return err
			}
			if err := sorter.Add(key, ordering.Row{Batch: rec, Index: i}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	out := ordering.NewOutput(schema, func(rec arrow.RecordBatch) error { return r.Write("", rec) })
	defer out.Release()
	for e, err := range sorter.Sorted(ctx) {
		if err != nil {
			return err
		}
		if err := out.Add(e.Row); err != nil {
			return err
		}
	}
	return out.Flush()
}
