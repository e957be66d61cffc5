package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type baseArgs struct {
	Name  string `quern:"name,required" doc:"The model's name."`
	Size  int    `quern:"size" default:"1" doc:"The model's size."`
	Hub   string `quern:"hub,operational" doc:"Folder with a file for each name, which contains its commit."`
	Trace string `quern:"trace,operational" doc:"File that each name is appended to when it is resolved."`
}

// base is a model whose name refers to a commit.
type base struct{}

func (base) Prepare(_ context.Context, p *plugin.Prepare[baseArgs]) error {
	zero := 0.0
	p.SetModelInfo(plugin.ModelInfo{Cache: true, Price: &llm.Price{Input: &zero, Output: &zero}})
	if p.Args.Hub == "" {
		return nil
	}
	_, err := p.Pin("hub.test/"+p.Args.Name, func() (string, error) {
		commit, err := os.ReadFile(filepath.Join(p.Args.Hub, p.Args.Name))
		return strings.TrimSpace(string(commit)), errors.Join(err, appendTo(p.Args.Trace, p.Args.Name+"\n"))
	})
	return err
}

func (base) Chat(_ context.Context, a *baseArgs, r *llm.Request) (*llm.Response, error) {
	return &llm.Response{Text: a.Name + ": " + r.Messages[len(r.Messages)-1].Content}, nil
}

type tuneArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"Rows to learn from."`
	Text    plugin.Column  `quern:"text,required" type:"string" doc:"Text to learn."`
	Base    plugin.Model   `quern:"base,required" doc:"Model to start from."`
	Checked string         `quern:"checked,operational" doc:"File that the number of rows is appended to when they are checked."`
}

// tune says what it starts from.
type tune struct{}

func (tune) Prepare(_ context.Context, p *plugin.Prepare[tuneArgs]) error {
	p.AddReport("")
	p.SetValueType(cty.Object(map[string]cty.Type{"base": cty.String, "size": cty.Number, "commit": cty.String}))
	block := p.ModelBlock(p.Args.Base)
	if block == nil {
		p.Errorf("base", "base must be a model of this plugin")
		return nil
	}
	args := &baseArgs{}
	if err := block.Decode(args); err != nil {
		return err
	}
	if block.Known("size") && args.Size < 1 {
		p.Errorf("base", "%s is too small\nIts size is %d.", block.Address(), args.Size)
	}
	return nil
}

// CheckSample refuses empty texts.
func (tune) CheckSample(_ context.Context, c *plugin.SampleCheck[tuneArgs]) error {
	s := c.Sample(c.Args.Dataset)
	texts := data.Arguments.Find(s.Rows, c.Args.Text.Key).(*array.String)
	for i := range texts.Len() {
		switch texts.Value(i) {
		case "":
			c.Errorf("text", "text is empty\nRow %d of the sample has none.", i)
		case "?":
			c.Warnf("text", "text is a question\nRow %d of the sample has one.", i)
		}
	}
	seconds, tokens := float64(*s.Total), 10**s.Total
	c.SetEstimate(plugin.Estimate{Seconds: &seconds, InputTokens: &tokens})
	return appendTo(c.Args.Checked, fmt.Sprintf("%d of %d, complete: %t\n", texts.Len(), *s.Total, s.Complete))
}

func (tune) Run(ctx context.Context, r *plugin.Run[tuneArgs]) error {
	block, args := r.ModelBlock(r.Args.Base), &baseArgs{}
	if err := block.Decode(args); err != nil {
		return err
	}
	rows := int64(0)
	for rec, err := range r.Dataset(r.Args.Dataset).Batches(ctx, data.Arguments.Refs(r.Args.Text.Key)) {
		if err != nil {
			return err
		}
		rows += rec.NumRows()
		r.Progress(rows, r.Dataset(r.Args.Dataset).Rows, "rows", "")
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{
		"base": cty.StringVal(args.Name), "size": cty.NumberIntVal(int64(args.Size)), "commit": cty.StringVal(block.Pins()["hub.test/"+args.Name]),
	}))
	_, err := r.Folder("")
	return err
}
