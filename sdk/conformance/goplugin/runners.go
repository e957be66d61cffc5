package goplugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type valuesArgs struct {
	Number float64            `quern:"number" default:"0.1" doc:"A number."`
	Exact  cty.Value          `quern:"exact" doc:"Anything; a number with all its digits."`
	Whole  *int64             `quern:"whole" doc:"A whole number."`
	Text   *string            `quern:"text" doc:"A text."`
	Flag   *bool              `quern:"flag" doc:"Yes or no."`
	Listed []string           `quern:"listed" doc:"A list."`
	Mapped map[string]float64 `quern:"mapped" doc:"A map."`
	Items  []item             `quern:"item,block" doc:"Blocks."`
	File   string             `quern:"file" doc:"A file that the result depends on."`
}

type item struct {
	Name  string   `quern:"name,label"`
	Value *float64 `quern:"value" doc:"A number."`
}

// values returns its arguments.
type values struct{ settings *settings }

var itemType = cty.Object(map[string]cty.Type{"name": cty.String, "value": cty.Number})

func (values) Prepare(_ context.Context, p *plugin.Prepare[valuesArgs]) error {
	p.SetValueType(cty.Object(map[string]cty.Type{
		"greeting": cty.String, "number": cty.Number, "exact": cty.Number, "whole": cty.Number, "text": cty.String, "flag": cty.Bool,
		"listed": cty.List(cty.String), "mapped": cty.Map(cty.Number), "items": cty.List(itemType),
	}))
	for _, key := range []string{"number", "exact", "whole", "text", "flag", "listed", "mapped", "item"} {
		if !p.Known(key) {
			p.Warnf(key, "it is not known yet")
		}
	}
	if p.Args.File == "" {
		return nil
	}
	return p.AddFile(filepath.Base(p.Args.File), p.Args.File)
}

func (v values) Run(_ context.Context, r *plugin.Run[valuesArgs]) error {
	a := r.Args
	list, numbers, items := []cty.Value{}, map[string]cty.Value{}, []cty.Value{}
	for _, s := range a.Listed {
		list = append(list, cty.StringVal(s))
	}
	for k, n := range a.Mapped {
		numbers[k] = cty.NumberFloatVal(n)
	}
	for _, i := range a.Items {
		items = append(items, cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(i.Name), "value": or(i.Value, cty.Number, cty.NumberFloatVal)}))
	}
	value := map[string]cty.Value{
		"greeting": cty.StringVal(v.settings.Greeting), "number": cty.NumberFloatVal(a.Number), "exact": a.Exact,
		"whole": or(a.Whole, cty.Number, cty.NumberIntVal), "text": or(a.Text, cty.String, cty.StringVal), "flag": or(a.Flag, cty.Bool, cty.BoolVal),
		"listed": cty.ListValEmpty(cty.String), "mapped": cty.MapValEmpty(cty.Number), "items": cty.ListValEmpty(itemType),
	}
	if len(list) > 0 {
		value["listed"] = cty.ListVal(list)
	}
	if len(numbers) > 0 {
		value["mapped"] = cty.MapVal(numbers)
	}
	if len(items) > 0 {
		value["items"] = cty.ListVal(items)
	}
	r.SetValue(cty.ObjectVal(value))
	return nil
}

// or converts what v points to; nil is null.
func or[T any](v *T, null cty.Type, convert func(T) cty.Value) cty.Value {
	if v == nil {
		return cty.NullVal(null)
	}
	return convert(*v)
}

type sumArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"The rows."`
	N       plugin.Column  `quern:"n,required" type:"number" doc:"What is added up."`
	Do      string         `quern:"do" doc:"What else it does: warn, fail, pending, pay, or wait."`
}

// sum adds up a column.
type sum struct{}

func (sum) Prepare(_ context.Context, p *plugin.Prepare[sumArgs]) error {
	p.AddReport("")
	p.AddDataset("seen", data.Schema{{Name: "n", Type: "int64"}})
	p.SetLineage("seen", "n", plugin.LineageSource{Argument: p.Args.N.Key, Unchanged: true})
	p.SetRowsLineage("seen", plugin.LineageSource{Input: "dataset", Column: "n"})
	p.SetValueType(cty.Object(map[string]cty.Type{"sum": cty.Number}))
	if p.Args.Do == "pay" {
		money := float64(price)
		p.Pays("Nobody knows.")
		p.SetEstimate(plugin.Estimate{Money: &money})
	}
	return nil
}

// CheckSample warns about rows without n.
func (sum) CheckSample(_ context.Context, c *plugin.SampleCheck[sumArgs]) error {
	s := c.Sample(c.Args.Dataset)
	if s == nil {
		c.Warnf("dataset", "no rows are known yet")
		return nil
	}
	if c.Args.Do == "fail" {
		return plugin.ArgumentErrorf("n", "no n is good\nChange them.")
	}
	ns, ok := data.Arguments.Find(s.Rows, c.Args.N.Key).(*array.Int64)
	if !ok {
		return errors.New("the n are not whole numbers")
	}
	for i := range ns.Len() {
		if ns.IsNull(i) {
			c.Warnf("n", "there is no n\nIt is row %d.", i)
		}
	}
	if !s.Complete && s.Total != nil {
		seconds := float64(*s.Total) / 10
		c.SetEstimate(plugin.Estimate{Rows: s.Total, Seconds: &seconds})
	}
	return nil
}

func (sum) StopGrace() time.Duration { return 7 * time.Second }

func (s sum) Run(ctx context.Context, r *plugin.Run[sumArgs]) error {
	switch r.Args.Do {
	case "warn":
		if err := r.Warnf("n", "some n are odd\nThat is fine."); err != nil {
			return err
		}
	case "fail":
		return plugin.ArgumentErrorf("n", "no n is good\nChange them.")
	case "pending":
		return &plugin.Pending{Reason: "the job runs", CheckAfter: 90 * time.Second}
	case "pay":
		if err := pay(r); err != nil {
			return err
		}
	case "wait":
		if err := wait(ctx, r); err != nil {
			return err
		}
	}
	total, row := int64(0), int64(0)
	for rec, err := range r.Dataset(r.Args.Dataset).Batches(ctx, data.Arguments.Refs(r.Args.N.Key)) {
		if err != nil {
			return err
		}
		if err := r.Write("seen", rec); err != nil {
			return err
		}
		ns := rec.Column(0).(*array.Int64)
		for i := range ns.Len() {
			if ns.IsNull(i) {
				if err := r.FailRow(row, false, errors.New("there is no n")); err != nil {
					return err
				}
			} else {
				total += ns.Value(i)
			}
			row++
		}
	}
	folder, err := r.Folder("")
	if err != nil {
		return err
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"sum": cty.NumberIntVal(total)}))
	return os.WriteFile(filepath.Join(folder, "report.md"), fmt.Appendf(nil, "The sum is %d.\n", total), 0o644)
}

// price is what a stage expects to pay.
const price = 1.5

// pay pays more than expected and gets some of it back.
func pay(r *plugin.Run[sumArgs]) error {
	if left, limited := r.MoneyLeft(); limited && left < price {
		return plugin.ArgumentErrorf("do", "the money is not enough\nThere is %g left.", left)
	}
	return errors.Join(r.Paid(2), r.Paid(-0.25))
}

// wait waits until it is asked to stop and then saves a checkpoint, unless there
// is one.
func wait(ctx context.Context, r *plugin.Run[sumArgs]) error {
	checkpoint := filepath.Join(r.WorkDir, "checkpoint")
	if _, err := os.Stat(checkpoint); err == nil {
		return nil
	}
	r.Progress(0, 0, "rows", "waiting")
	<-ctx.Done()
	if err := os.WriteFile(checkpoint, []byte("stopped"), 0o644); err != nil {
		return err
	}
	return ctx.Err()
}

type promptArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"The rows."`
	Prompt  plugin.Prompt  `quern:"prompt,required" doc:"The prompt to start from."`
	System  string         `quern:"system,required" doc:"The system message."`
}

// prompter produces a prompt with another system message.
type prompter struct{}

func (prompter) Prepare(_ context.Context, p *plugin.Prepare[promptArgs]) error {
	p.AddPrompt("prompt")
	p.SetValueType(cty.Object(map[string]cty.Type{"messages": plugin.PromptMessages}))
	return nil
}

func (prompter) Run(_ context.Context, r *plugin.Run[promptArgs]) error {
	system := cty.ObjectVal(map[string]cty.Value{"role": cty.StringVal("system"), "content": cty.StringVal(r.Args.System)})
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"messages": cty.ListVal([]cty.Value{system})}))
	return nil
}

type meanArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"The rows."`
	X       plugin.Column  `quern:"x,required,feature" type:"number" doc:"What is known."`
	Y       plugin.Column  `quern:"y,required" type:"number" doc:"What is predicted."`
}

// mean trains a model that predicts the mean.
type mean struct{}

const meanFormat = "conform.mean/v1"

func (mean) Prepare(_ context.Context, p *plugin.Prepare[meanArgs]) error {
	p.AddModel("", meanFormat, plugin.Signature{
		Inputs: data.Schema{{Name: "x", Type: "float64"}}, Outputs: data.Schema{{Name: "y", Type: "float64"}},
	})
	return nil
}

func (mean) Run(ctx context.Context, r *plugin.Run[meanArgs]) error {
	total, rows := 0.0, 0
	for rec, err := range r.Dataset(r.Args.Dataset).Batches(ctx, data.Arguments.Refs(r.Args.Y.Key)) {
		if err != nil {
			return err
		}
		ys := rec.Column(0).(*array.Float64)
		for i := range ys.Len() {
			total += ys.Value(i)
			rows++
		}
	}
	folder, err := r.Folder("")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "mean.json"), fmt.Appendf(nil, "%g", total/float64(rows)), 0o644)
}

func (mean) ModelFormats() []string { return []string{meanFormat} }

func (mean) LoadModel(_ context.Context, m *plugin.ModelFiles) (plugin.Predictor, error) {
	path, err := m.Path("mean.json")
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var p predictor
	return &p, json.Unmarshal(b, &p.mean)
}

type predictor struct{ mean float64 }

func (p *predictor) Predict(_ context.Context, rec arrow.RecordBatch) (arrow.RecordBatch, []plugin.RowError, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, data.Schema{{Name: "y", Type: "float64"}}.Arrow())
	defer b.Release()
	var failed []plugin.RowError
	for i := range int(rec.NumRows()) {
		b.Field(0).(*array.Float64Builder).Append(p.mean)
		if rec.Column(0).IsNull(i) {
			failed = append(failed, plugin.RowError{Row: i, Message: "there is no x"})
		}
	}
	return b.NewRecordBatch(), failed, nil
}
