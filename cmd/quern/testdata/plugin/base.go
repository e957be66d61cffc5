package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
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
	p.AddDataset("curves", curveColumns)
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
	return errors.Join(err, r.Write("curves", curves()))
}

var curveColumns = data.Schema{
	{Name: "step", Type: "int64"}, {Name: "epoch", Type: "float64"}, {Name: "loss", Type: "float64"}, {Name: "eval_loss", Type: "float64"},
	{Name: "learning_rate", Type: "float64"}, {Name: "tokens", Type: "int64"}, {Name: "seconds", Type: "float64"},
}

// curves are those of a training with 120 steps, evaluated every 20.
func curves() arrow.RecordBatch {
	const steps = 120
	b := array.NewRecordBuilder(memory.DefaultAllocator, curveColumns.Arrow())
	defer b.Release()
	for step := 1; step <= steps; step++ {
		x := float64(step)
		loss := 1 + 2*math.Exp(-x/30) + 0.1*math.Sin(x)
		b.Field(0).(*array.Int64Builder).Append(int64(step))
		b.Field(5).(*array.Int64Builder).Append(int64(step) * 512)
		for field, v := range map[int]float64{1: 3 * x / steps, 2: loss, 4: 2e-5 * (1 - x/steps), 6: x/4 + 0.02*math.Sin(x)} {
			b.Field(field).(*array.Float64Builder).Append(v)
		}
		if eval := b.Field(3).(*array.Float64Builder); step%20 == 0 {
			eval.Append(loss + 0.2)
		} else {
			eval.AppendNull()
		}
	}
	return b.NewRecordBatch()
}
