package goplugin

import (
	"context"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

type bothArgs struct {
	First  plugin.Dataset `quern:"first,required" doc:"The first rows."`
	Second plugin.Dataset `quern:"second,required" doc:"The other rows."`
	Size   plugin.Column  `quern:"size,required" type:"number" rows_of:"second" doc:"What a row of second takes of the total."`
	Total  *float64       `quern:"total" doc:"The size of all rows of second. By default, there are as many as of first."`
}

// both declares that its dataset has rows of two inputs.
type both struct{}

func (both) Prepare(_ context.Context, p *plugin.Prepare[bothArgs]) error {
	columns := p.Input("first").Schema
	p.AddDataset("", columns)
	for _, c := range columns {
		p.SetLineage("", c.Name, plugin.LineageSource{Input: "first", Column: c.Name, Unchanged: true},
			plugin.LineageSource{Input: "second", Column: c.Name, Unchanged: true})
	}
	half, most, weight := 0.5, int64(7), 1.0
	if p.Args.Total == nil {
		p.Select("", plugin.Selection{RowsOf: "first", Weight: &weight})
		p.Select("", plugin.Selection{RowsOf: "second", Weight: &weight})
		return nil
	}
	p.Select("", plugin.Selection{RowsOf: "first", Some: true, Share: &half, Most: &most, MostOf: "second"})
	p.Select("", plugin.Selection{RowsOf: "second", Exactly: p.Args.Total, Size: "size"})
	return nil
}

func (both) Run(context.Context, *plugin.Run[bothArgs]) error { return nil }
