package rows

import (
	"context"
	"fmt"
	"iter"
	"math"
	"path/filepath"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/ordering"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type mixArgs struct {
	Parts     []mixPart `quern:"part,required,block" doc:"A dataset of the mixture."`
	Total     *float64  `quern:"total" doc:"The size of the result: a number of rows or, if the parts have a 'size', the sum of it, such as a number of tokens. By default, it is as large as 'max_epochs' allows."`
	MaxEpochs float64   `quern:"max_epochs" default:"1" doc:"How often the rows of a part can be in the result at most. With 2.5, half of the rows are in it three times, and the others twice."`
	Origin    string    `quern:"origin" doc:"The name of a column for the part that a row comes from. By default, there is no such column."`
	Seed      int64     `quern:"seed" default:"0" doc:"The seed. Another seed chooses other rows."`
	ordering.Limit

	columns data.Schema // of the parts
}

type mixPart struct {
	Name   string         `quern:"name,label" doc:"The name of the part."`
	Input  plugin.Dataset `quern:"input,required" doc:"The dataset. All parts must have the same columns."`
	Weight float64        `quern:"weight,required" doc:"The weight of the part in the result. Weights need not add up to 1."`
	Size   plugin.Column  `quern:"size" type:"number" rows_of:".input" doc:"What a row takes of the total, such as 'row.tokens'. By default, each row takes 1. Give it for all parts or for none."`
}

const mixDoc = `Mixes the rows of several datasets in given proportions.

A hash of a row's values and the seed decides which rows are taken if not all are needed, so that the choice does not depend on the order of the rows. If a part has too few rows for its weight, they are repeated, but not more often than ` + "`max_epochs`" + ` allows: then the stage fails and says what is missing.

The parts are interleaved evenly, so that any longer stretch of the result has their proportions. The rows of a part keep their order. To mix them further, follow with transform "shuffle".

The value ` + "`parts`" + ` has, for each part, ` + "`rows`" + ` and ` + "`size`" + ` of the dataset, ` + "`taken_rows`" + ` and ` + "`taken_size`" + ` of the result, ` + "`epochs`" + `, and ` + "`share`" + ` of the result's size.

` + "```hcl" + `
transform "mix" "training" {
  total      = 2000000
  max_epochs = 4
  part "web" {
    input  = transform.web
    weight = 0.8
    size   = row.tokens
  }
  part "code" {
    input  = transform.code
    weight = 0.2
    size   = row.tokens
  }
}
` + "```"

var mixValue = cty.Object(map[string]cty.Type{"parts": cty.Map(cty.Object(map[string]cty.Type{
	"rows": cty.Number, "size": cty.Number, "taken_rows": cty.Number, "taken_size": cty.Number, "epochs": cty.Number, "share": cty.Number,
}))})

// mix implements transform "mix".
type mix struct{}

func (m *mixPart) at(argument string) string { return "part." + m.Name + "." + argument }

// Prepare checks that the parts fit together, and declares their columns.
func (mix) Prepare(_ context.Context, p *plugin.Prepare[mixArgs]) error {
	a := p.Args
	if err := a.Check(); p.Known("memory_limit") && err != nil {
		return err
	}
	if !p.Known("origin") {
		return plugin.ArgumentErrorf("origin", "origin must be known at plan time\nIt is the name of a column, so it cannot depend on the result of another stage.")
	}
	if p.Known("max_epochs") && !(a.MaxEpochs > 0) {
		p.Errorf("max_epochs", "max_epochs must be more than 0")
	}
	if a.Total != nil && !(*a.Total >= 0) {
		p.Errorf("total", "The total is negative\ntotal must be at least 0.")
	}
	a.columns = p.Input(a.Parts[0].Input.Key).Schema
	for i := range a.Parts {
		a.Parts[i].check(p)
	}
	declared := a.columns
	if a.Origin != "" {
		declared = append(slices.Clone(a.columns), data.Column{Name: a.Origin, Type: "string"})
	}
	p.SetValueType(mixValue)
	p.AddDataset("", declared)
	selectParts(p)
	for _, c := range a.columns {
		var sources []plugin.LineageSource
		for _, m := range a.Parts {
			sources = append(sources, plugin.LineageSource{Input: m.Input.Key, Column: c.Name, Unchanged: true})
		}
		p.SetLineage("", c.Name, sources...)
	}
	if a.Origin != "" {
		p.SetLineage("", a.Origin)
	}
	return nil
}

// selectParts declares how many rows the result has of each part, as far as this is
// known.
func selectParts(p *plugin.Prepare[mixArgs]) {
	a, weights := p.Args, 0.0
	for i := range a.Parts {
		if !p.Known(a.Parts[i].at("weight")) {
			return
		}
		weights += a.Parts[i].Weight
	}
	if !p.Known("total") || !p.Known("max_epochs") {
		return
	}
	for i := range a.Parts {
		m := &a.Parts[i]
		s := plugin.Selection{RowsOf: m.Input.Key, Size: m.Size.Key}
		switch {
		case a.Total == nil:
			s.Share, s.Weight = &a.MaxEpochs, &m.Weight
		case m.Size.IsSet():
			size := *a.Total * m.Weight / weights
			s.Exactly = &size
		default:
			rows := math.Floor(*a.Total*m.Weight/weights + 0.5)
			s.Exactly = &rows
		}
		p.Select("", s)
	}
}

// check reports what is wrong with a part.
func (m *mixPart) check(p *plugin.Prepare[mixArgs]) {
	first := &p.Args.Parts[0]
	p.ReadAll(m.at("input"))
	if p.Known(m.at("weight")) && !(m.Weight > 0) {
		p.Errorf(m.at("weight"), "The weight of %q is not positive\nweight must be more than 0. Remove the part if you do not need it.", m.Name)
	}
	if m.Size.IsSet() != first.Size.IsSet() {
		p.Errorf(m.at("size"), "Only some parts have a size\nGive size for all parts, or for none to count rows.")
	}
	own, all := p.Input(m.at("input")).Schema, p.Args.columns
	for _, c := range own {
		if have, _, ok := all.Lookup(c.Name); !ok || have.Type != c.Type {
			p.Errorf(m.at("input"), "The column %q (%s) of %q does not fit the first part\nAll parts must have the same columns. Those of %q are %v. Rename or convert columns with transform \"map\".", c.Name, c.Type, m.Name, first.Name, all)
		}
	}
	for _, c := range all {
		if _, _, ok := own.Lookup(c.Name); !ok {
			p.Errorf(m.at("input"), "The dataset %q has no column %q\nAll parts must have the same columns, and %q has it.", m.Name, c.Name, first.Name)
		}
	}
}

// portion is what is taken of a part.
type portion struct {
	*mixPart
	in     *plugin.DatasetInput
	refs   [][]data.Ref
	sorter *ordering.Sorter // of the sizes of rows, by their hashes

	rows, takenRows int64
	size, takenSize float64
	epochs          int64  // how often all rows are taken
	extra           rowSet // rows that are taken once more
}

// Run measures the parts, decides what is taken of each, and interleaves them.
func (mix) Run(ctx context.Context, r *plugin.Run[mixArgs]) error {
	a := r.Args
	limit, err := a.Bytes()
	if err != nil {
		return err
	}
	portions := make([]*portion, len(a.Parts))
	for i := range a.Parts {
		m := &portion{mixPart: &a.Parts[i], in: r.Dataset(a.Parts[i].Input)}
		m.refs = [][]data.Ref{data.Columns.Refs(a.columns.Names()...)}
		if m.Size.IsSet() {
			m.refs = append(m.refs, data.Arguments.Refs(m.Size.Key))
		}
		m.sorter = ordering.NewSorter(sizeSchema, filepath.Join(r.WorkDir, "sort"), limit/int64(len(a.Parts)))
		defer m.sorter.Close()
		if err := m.measure(ctx, a, r.Progress); err != nil {
			return err
		}
		portions[i] = m
	}
	if err := divide(ctx, a, portions); err != nil {
		return err
	}
	r.SetValue(mixtureValue(portions))
	return interleave(ctx, r, portions)
}

var sizeSchema = data.Schema{{Name: "size", Type: "float64"}}.Arrow()

// measure adds up the sizes of the rows, and sorts them by the hashes of the
// rows.
func (m *portion) measure(ctx context.Context, a *mixArgs, progress func(done, total int64, unit, message string)) error {
	h := hasher{seed: uint64(a.Seed)}
	for rec, err := range m.in.Batches(ctx, m.refs...) {
		if err != nil {
			return err
		}
		sizes, err := m.sizes(rec)
		if err != nil {
			return err
		}
		column := sizeColumn(sizes)
		for i, size := range sizes {
			place, err := h.place(rec.Columns()[:len(a.columns)], i)
			if err == nil {
				err = m.sorter.Add(ordering.AppendOrdinal(place[:], m.rows), ordering.Row{Batch: column, Index: i})
			}
			if err != nil {
				column.Release()
				return err
			}
			m.size += size
			m.rows++
		}
		column.Release()
		progress(m.rows, m.in.Rows, "rows", "measure "+m.Name)
	}
	return nil
}

func sizeColumn(sizes []float64) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, sizeSchema)
	defer b.Release()
	b.Field(0).(*array.Float64Builder).AppendValues(sizes, nil)
	return b.NewRecordBatch()
}

// sizes returns the sizes of the rows of a batch.
func (m *portion) sizes(rec arrow.RecordBatch) ([]float64, error) {
	out := make([]float64, rec.NumRows())
	for i := range out {
		out[i] = 1
	}
	if !m.Size.IsSet() {
		return out, nil
	}
	values := rec.Column(int(rec.NumCols()) - 1)
	for i := range out {
		out[i] = math.NaN()
		switch v := values.(type) {
		case *array.Int64:
			if v.IsValid(i) {
				out[i] = float64(v.Value(i))
			}
		case *array.Float64:
			if v.IsValid(i) {
				out[i] = v.Value(i)
			}
		}
		if !(out[i] >= 0) || math.IsInf(out[i], 0) {
			return nil, plugin.ArgumentErrorf(m.at("size"), "A row of %q has no valid size\nIts size is %s, but must be a number of at least 0. Filter such rows out first.", m.Name, values.ValueStr(i))
		}
	}
	return out, nil
}

// divide decides how much is taken of each part.
func divide(ctx context.Context, a *mixArgs, portions []*portion) error {
	weights, largest, total := 0.0, 0.0, math.Inf(1)
	for _, m := range portions {
		weights += m.Weight
		largest = max(largest, m.size)
	}
	for _, m := range portions {
		total = min(total, a.MaxEpochs*m.size*weights/m.Weight)
	}
	if a.Total != nil {
		total = *a.Total
	}
	for _, m := range portions {
		target := total * m.Weight / weights
		if m.size == 0 && (target > 0 || largest > 0) {
			return plugin.ArgumentErrorf(m.at("input"), "The dataset %q has nothing to take\nIts weight is %g, but its size is 0. Remove the part, or check the stages that it depends on.", m.Name, m.Weight)
		}
		if most := a.MaxEpochs * m.size; target > most*(1+1e-9) {
			return plugin.ArgumentErrorf(m.at("weight"), "The dataset %q is too small for its weight\nIts share of the total is %.6g, but its size is %.6g and max_epochs is %g. Lower total or its weight, or raise max_epochs to at least %.3g.", m.Name, target, m.size, a.MaxEpochs, math.Ceil(1000*target/m.size)/1000)
		}
		if err := m.take(ctx, target); err != nil {
			return err
		}
	}
	return nil
}

// take chooses rows whose sizes add up to about target.
func (m *portion) take(ctx context.Context, target float64) error {
	m.extra = newRowSet(m.rows)
	if m.size == 0 {
		return nil
	}
	m.epochs = int64(target/m.size + 1e-9)
	m.takenRows, m.takenSize = m.epochs*m.rows, float64(m.epochs)*m.size
	rest, got := target-m.takenSize, 0.0
	for e, err := range m.sorter.Sorted(ctx) {
		if err != nil {
			return err
		}
		size := e.Row.Batch.Column(0).(*array.Float64).Value(e.Row.Index)
		if got+size/2 > rest {
			break
		}
		_, row := ordering.Ordinal(e.Key)
		m.extra.add(row)
		got += size
		m.takenRows++
	}
	m.takenSize += got
	return nil
}

func mixtureValue(portions []*portion) cty.Value {
	total, parts := 0.0, map[string]cty.Value{}
	for _, m := range portions {
		total += m.takenSize
	}
	for _, m := range portions {
		epochs, share := 0.0, 0.0
		if m.size > 0 && total > 0 {
			epochs, share = m.takenSize/m.size, m.takenSize/total
		}
		parts[m.Name] = cty.ObjectVal(map[string]cty.Value{
			"rows": cty.NumberIntVal(m.rows), "size": cty.NumberFloatVal(m.size), "taken_rows": cty.NumberIntVal(m.takenRows),
			"taken_size": cty.NumberFloatVal(m.takenSize), "epochs": cty.NumberFloatVal(epochs), "share": cty.NumberFloatVal(share),
		})
	}
	return cty.ObjectVal(map[string]cty.Value{"parts": cty.MapVal(parts)})
}

// placed is a row with its place in the result, from 0 to 1.
type placed struct {
	ordering.Row
	at float64
}

// taken yields the rows that are taken, with places that are as far apart as
// their sizes.
func (m *portion) taken(ctx context.Context) iter.Seq2[placed, error] {
	return func(yield func(placed, error) bool) {
		before := 0.0
		for epoch := range m.epochs + 1 {
			row := int64(0)
			for rec, err := range m.in.Batches(ctx, m.refs...) {
				if err != nil {
					yield(placed{}, err)
					return
				}
				sizes, err := m.sizes(rec)
				if err != nil {
					yield(placed{}, err)
					return
				}
				for i, size := range sizes {
					if row++; epoch == m.epochs && !m.extra.has(row-1) {
						continue
					}
					if !yield(placed{ordering.Row{Batch: rec, Index: i}, (before + size/2) / max(m.takenSize, 1e-300)}, nil) {
						return
					}
					before += size
				}
			}
		}
	}
}

// interleave writes the rows of all parts by their places.
func interleave(ctx context.Context, r *plugin.Run[mixArgs], portions []*portion) error {
	a := r.Args
	schema := a.columns
	if a.Origin != "" {
		schema = append(slices.Clone(schema), data.Column{Name: a.Origin, Type: "string"})
	}
	out := ordering.NewOutput(schema.Arrow(), func(rec arrow.RecordBatch) error { return r.Write("", rec) })
	defer out.Release()
	heads, err := startAll(ctx, portions)
	defer func() {
		for _, h := range heads {
			h.stop()
		}
	}()
	var done, total int64
	for _, m := range portions {
		total += m.takenRows
	}
	for ; err == nil; done++ {
		var first *partHead
		for _, h := range heads {
			if h.more && (first == nil || h.row.at < first.row.at) {
				first = h
			}
		}
		if first == nil {
			return out.Flush()
		}
		for c := range a.columns {
			if err := ordering.AppendValue(out.Builder.Field(c), first.row.Batch.Column(c), first.row.Index); err != nil {
				return fmt.Errorf("column %q: %w", a.columns[c].Name, err)
			}
		}
		if a.Origin != "" {
			out.Builder.Field(len(a.columns)).(*array.StringBuilder).Append(first.name)
		}
		if err = out.Added(first.row.Bytes()); err == nil {
			err = first.advance()
		}
		if done%8192 == 0 {
			r.Progress(done, total, "rows", "")
		}
	}
	return err
}

// partHead is the next row of a part.
type partHead struct {
	name string
	row  placed
	more bool
	next func() (placed, error, bool)
	stop func()
}

func (h *partHead) advance() error {
	var err error
	h.row, err, h.more = h.next()
	return err
}

func startAll(ctx context.Context, portions []*portion) ([]*partHead, error) {
	var heads []*partHead
	for _, m := range portions {
		if m.takenRows == 0 {
			continue
		}
		h := &partHead{name: m.Name}
		h.next, h.stop = iter.Pull2(m.taken(ctx))
		heads = append(heads, h)
		if err := h.advance(); err != nil {
			return heads, err
		}
	}
	return heads, nil
}
