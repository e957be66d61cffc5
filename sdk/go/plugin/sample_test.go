package plugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// sample returns a plugin with a type of each kind.
func sample() plugin.Plugin {
	config := &struct {
		Greeting string `quern:"greeting" default:"\"hello\""`
	}{}
	return plugin.Plugin{
		Name: "sample", Version: "1.2.3", Config: config,
		Configure: func(_ context.Context, root string) error {
			if !filepath.IsAbs(root) {
				return fmt.Errorf("root %q is not absolute", root)
			}
			if config.Greeting == "" {
				return plugin.ArgumentErrorf("greeting", "a greeting is required")
			}
			return nil
		},
		Types: []plugin.Type{
			plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "sample_numbers", BehaviorVersion: 1}, numbers{}),
			plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "sample_length", BehaviorVersion: 1, Doc: "Counts bytes. Nothing else."}, length{}),
			plugin.NewMapper(plugin.Info{Kind: plugin.KindTransform, Name: "sample_copy", BehaviorVersion: 1}, copier{}),
			plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "sample_twins", BehaviorVersion: 1}, twins{}),
			plugin.NewRunner(plugin.Info{Kind: plugin.KindTrain, Name: "sample_mean", BehaviorVersion: 1}, mean{}),
			plugin.NewRunner(plugin.Info{Kind: plugin.KindEvaluate, Name: "sample_error", BehaviorVersion: 1}, meanError{}),
			plugin.NewDeployment(plugin.Info{Kind: plugin.KindDeploy, Name: "sample_file", BehaviorVersion: 1}, file{}),
		},
	}
}

// ---- a source --------------------------------------------------------------

type numbersArgs struct {
	Upto int `quern:"upto,required" doc:"The greatest number."`
	Bad  int `quern:"bad" doc:"A number that is set aside."`
}

type numbers struct{}

func (numbers) Prepare(_ context.Context, p *plugin.Prepare[numbersArgs]) error {
	if p.Known("upto") && p.Args.Upto < 0 {
		p.Errorf("upto", "must not be negative\nIt is %d.", p.Args.Upto)
	}
	p.AddDataset("", data.Schema{{Name: "n", Type: "int64"}, {Name: "word", Type: "string"}})
	if p.Known("upto") {
		rows := int64(p.Args.Upto)
		p.SetEstimate(plugin.Estimate{Rows: &rows})
	}
	return nil
}

func (numbers) Fingerprint(_ context.Context, a *numbersArgs, memo []byte) (plugin.Fingerprint, error) {
	return plugin.Fingerprint{Value: fmt.Sprint(a.Upto), Memo: append(memo, 'x'), Summary: fmt.Sprintf("%d numbers", a.Upto)}, nil
}

func (numbers) Read(_ context.Context, a *numbersArgs, w *plugin.RowWriter) error {
	b := array.NewRecordBuilder(memory.DefaultAllocator, w.Schema().Arrow())
	defer b.Release()
	for n := 1; n <= a.Upto; n++ {
		w.Progress(int64(n), int64(a.Upto), "rows", "")
		if n == a.Bad {
			if err := w.Quarantine(fmt.Sprintf("line %d", n), fmt.Sprintf("%d \xff", n), errors.New("bad number")); err != nil {
				return err
			}
			continue
		}
		b.Field(0).(*array.Int64Builder).Append(int64(n))
		b.Field(1).(*array.StringBuilder).Append(strings.Repeat("i", n))
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	return w.Write(rec)
}

// ---- a labeler -------------------------------------------------------------

type lengthArgs struct {
	Input plugin.Dataset `quern:"input,required"`
	Text  plugin.Column  `quern:"text,required" type:"string"`
	Limit *int64         `quern:"limit" doc:"A longer text fails."`
	Rules []rule         `quern:"rule,block"`

	prepared bool
}

type rule struct {
	Name string        `quern:"name,label"`
	When plugin.Column `quern:"when,required" type:"bool"`
	Add  int64         `quern:"add" default:"1"`
}

type length struct{}

func (length) Prepare(_ context.Context, p *plugin.Prepare[lengthArgs]) error {
	p.KeepInput("input")
	p.AddColumn(p.Name(), "int64")
	if p.Args.Limit != nil && *p.Args.Limit == 13 {
		p.Warnf("limit", "13 brings bad luck")
	}
	return nil
}

func (length) Open(_ context.Context, a *lengthArgs) error {
	a.prepared = true
	return nil
}

func (length) Concurrency() int { return 3 }

func (length) Map(_ context.Context, a *lengthArgs, b *plugin.Batch) error {
	if !a.prepared {
		return errors.New("Map was called before Open")
	}
	text := b.Strings(a.Text)
	for i := range b.N {
		s, ok := text.At(i)
		if !ok {
			continue
		}
		n := int64(len(s))
		for _, r := range a.Rules {
			if holds, _ := b.Bools(r.When).At(i); holds {
				n += r.Add
			}
		}
		if a.Limit != nil && n > *a.Limit {
			b.Fail(i, false, fmt.Errorf("%d bytes are too many", n))
			continue
		}
		b.SetInt(b.Name(), i, n)
	}
	return nil
}

// ---- a mapper that passes arrays on ----------------------------------------

type copyArgs struct {
	Input   plugin.Dataset           `quern:"input,required"`
	Columns map[string]plugin.Column `quern:"columns,required"`
}

type copier struct{}

func (copier) Prepare(_ context.Context, p *plugin.Prepare[copyArgs]) error {
	p.KeepInput("input")
	p.ReadColumns("input", "n")
	p.DropColumn("n")
	for _, name := range slices.Sorted(maps.Keys(p.Args.Columns)) {
		typ, _ := p.RowArgument("columns." + name)
		p.AddColumn(name+"_copy", typ)
	}
	p.AddColumn("n_copy", "int64")
	return nil
}

func (copier) Map(_ context.Context, a *copyArgs, b *plugin.Batch) error {
	if b.Name() == "faulty" {
		b.SetInt("undeclared", 0, 1)
	}
	for name, c := range a.Columns {
		v := b.Array(c.Key)
		v.Retain()
		b.SetArray(name+"_copy", v)
	}
	n := b.InputColumn("n")
	n.Retain()
	b.SetArray("n_copy", n)
	return nil
}

// ---- a mapper that reads a column and an argument of one name ----------------

type twinsArgs struct {
	Input plugin.Dataset `quern:"input,required"`
	Text  plugin.Column  `quern:"text,required" type:"string"`
}

type twins struct{}

func (twins) Prepare(_ context.Context, p *plugin.Prepare[twinsArgs]) error {
	p.KeepInput("input")
	p.ReadAll("input")
	p.AddColumn("of_column", "string")
	p.AddColumn("of_argument", "string")
	return nil
}

func (twins) Map(_ context.Context, a *twinsArgs, b *plugin.Batch) error {
	column, argument := b.InputColumn("text"), b.Array(a.Text.Key)
	column.Retain()
	argument.Retain()
	b.SetArray("of_column", column)
	b.SetArray("of_argument", argument)
	return nil
}

// ---- a trainer whose model predicts ----------------------------------------

type meanArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required"`
	X       plugin.Column  `quern:"x,required,feature" type:"number"`
	Y       plugin.Column  `quern:"y,required" type:"number"`
}

type mean struct{}

const meanFormat = "sample.mean/v1"

func (mean) Prepare(_ context.Context, p *plugin.Prepare[meanArgs]) error {
	p.AddModel("", meanFormat, plugin.Signature{
		Inputs: data.Schema{{Name: "x", Type: "float64"}}, Outputs: data.Schema{{Name: "y", Type: "float64"}},
	})
	p.AddDataset("seen", data.Schema{{Name: "y", Type: "float64"}})
	p.SetValueType(cty.Object(map[string]cty.Type{"mean": cty.Number, "rows": cty.Number}))
	return nil
}

func (mean) Run(ctx context.Context, r *plugin.Run[meanArgs]) error {
	in := r.Dataset(r.Args.Dataset)
	sum := 0.0
	for rec, err := range in.Batches(ctx, data.Arguments.Refs(r.Args.Y.Key)) {
		if err != nil {
			return err
		}
		ys := rec.Column(0).(*array.Float64)
		for i := range ys.Len() {
			sum += ys.Value(i)
		}
		if err := r.Write("seen", rec); err != nil {
			return err
		}
		r.Progress(rec.NumRows(), in.Rows, "rows", "adding up")
	}
	average := sum / float64(in.Rows)
	dir, err := r.Folder("")
	if err != nil {
		return err
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"mean": cty.NumberFloatVal(average), "rows": cty.NumberIntVal(in.Rows)}))
	return os.WriteFile(filepath.Join(dir, "mean.json"), fmt.Appendf(nil, "%g", average), 0o644)
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
	var p meanModel
	return &p, json.Unmarshal(b, &p.mean)
}

type meanModel struct{ mean float64 }

func (m *meanModel) Predict(_ context.Context, rec arrow.RecordBatch) (arrow.RecordBatch, []plugin.RowError, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, data.Schema{{Name: "y", Type: "float64"}}.Arrow())
	defer b.Release()
	var errs []plugin.RowError
	for i := range int(rec.NumRows()) {
		b.Field(0).(*array.Float64Builder).Append(m.mean)
		if rec.Column(0).IsNull(i) {
			errs = append(errs, plugin.RowError{Row: i, Message: "no x"})
		}
	}
	return b.NewRecordBatch(), errs, nil
}

// ---- an evaluator that has models predict ----------------------------------

type errorArgs struct {
	Dataset  plugin.Dataset                  `quern:"dataset,required"`
	Target   plugin.Column                   `quern:"target,required" type:"number"`
	Subjects map[string]plugin.ColumnOrModel `quern:"subjects,required" type:"number"`
}

type meanError struct{}

func (meanError) Prepare(_ context.Context, p *plugin.Prepare[errorArgs]) error {
	p.AddReport("")
	p.SetValueType(cty.Object(map[string]cty.Type{"errors": cty.Map(cty.Number)}))
	return nil
}

func (meanError) Run(ctx context.Context, r *plugin.Run[errorArgs]) error {
	dir, err := r.Folder("")
	if err != nil {
		return err
	}
	errs := map[string]cty.Value{}
	for name, s := range r.Args.Subjects {
		e, err := r.Args.measure(ctx, r, s)
		if err != nil {
			return fmt.Errorf("subject %s: %w", name, err)
		}
		errs[name] = cty.NumberFloatVal(e)
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"errors": cty.MapVal(errs)}))
	return os.WriteFile(filepath.Join(dir, "report.md"), []byte("# Errors\n"), 0o644)
}

func (a *errorArgs) measure(ctx context.Context, r *plugin.Run[errorArgs], s plugin.ColumnOrModel) (float64, error) {
	sum, rows := 0.0, 0
	column := s.Key
	if m, ok := s.Model(); ok {
		column = m.Key + "." + r.Model(m).Signature.Inputs[0].Name
	}
	for rec, err := range r.Dataset(a.Dataset).Batches(ctx, data.Arguments.Refs(a.Target.Key, column)) {
		if err != nil {
			return 0, err
		}
		guess := rec.Column(1).(*array.Float64)
		if m, ok := s.Model(); ok {
			in := array.NewRecordBatch(r.Model(m).Signature.Inputs.Arrow(), []arrow.Array{rec.Column(1)}, rec.NumRows())
			out, _, err := r.Model(m).Predict(ctx, in)
			in.Release()
			if err != nil {
				return 0, err
			}
			defer out.Release()
			guess = out.Column(0).(*array.Float64)
		}
		target := rec.Column(0).(*array.Float64)
		for i := range target.Len() {
			sum += math.Abs(target.Value(i) - guess.Value(i))
			rows++
		}
	}
	return sum / float64(rows), nil
}

// ---- a deployment ----------------------------------------------------------

type fileArgs struct {
	Artifact plugin.Artifact `quern:"artifact,required"`
	Path     string          `quern:"path,required"`
}

type file struct{}

func (file) Prepare(_ context.Context, p *plugin.Prepare[fileArgs]) error {
	p.SetValueType(cty.Object(map[string]cty.Type{"path": cty.String}))
	return nil
}

func (file) Read(_ context.Context, r *plugin.DeploymentReadRequest[fileArgs]) (*plugin.DeploymentState, error) {
	if _, err := os.Stat(r.State.Value.GetAttr("path").AsString()); err != nil {
		return nil, nil
	}
	return r.State, nil
}

func (file) Plan(_ context.Context, p *plugin.DeploymentPlanRequest[fileArgs]) (*plugin.DeploymentPlan, error) {
	digest, known := p.Digest("artifact")
	switch {
	case p.Prior == nil:
		return &plugin.DeploymentPlan{Action: plugin.ActionCreate}, nil
	case p.Prior.Value.GetAttr("path").AsString() != p.Args.Path:
		return &plugin.DeploymentPlan{Action: plugin.ActionReplace, Changes: []plugin.DeploymentChange{{Argument: "path", ForcesReplacement: true}}}, nil
	case !known || digest != string(p.Prior.Private):
		return &plugin.DeploymentPlan{Action: plugin.ActionUpdate}, nil
	}
	return &plugin.DeploymentPlan{Action: plugin.ActionNone}, nil
}

func (file) Apply(_ context.Context, a *plugin.DeploymentApplyRequest[fileArgs]) (*plugin.DeploymentState, error) {
	in := a.Artifact(a.Args.Artifact)
	state := &plugin.DeploymentState{
		Value:   cty.ObjectVal(map[string]cty.Value{"path": cty.StringVal(a.Args.Path)}),
		Private: []byte(in.Digest),
	}
	return state, os.WriteFile(a.Args.Path, []byte(in.Digest), 0o644)
}

func (file) Delete(_ context.Context, d *plugin.DeploymentDeleteRequest[fileArgs]) error {
	err := os.Remove(d.State.Value.GetAttr("path").AsString())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
