package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/document"
)

// An evaluation on rows that a model was trained on says little about new rows.
// Where the datasets are the same, the plan sees it. Rows that two datasets
// share, such as duplicates on both sides of a split, are counted here, once for
// each result, and are part of it.

// withOverlap adds what is counted to the values of an evaluation.
func (r *run) withOverlap(ctx context.Context, w *work, v cty.Value) (cty.Value, error) {
	t := w.overlapType()
	if t == cty.NilType {
		return v, nil
	}
	counts, known := map[string]*plan.Overlap{}, map[string]*plan.Overlap{}
	names := w.overlapSubjects()
	for _, key := range slices.Sorted(maps.Keys(names)) {
		in := w.inputs[key]
		trained, err := r.trainedOn(in)
		if err != nil {
			return cty.NilVal, err
		}
		same := sameOverlap(in, trained)
		count, ok := known[same]
		if !ok {
			if count, err = r.overlap(ctx, w, in, trained); err != nil {
				return cty.NilVal, fmt.Errorf("count the rows that %s was trained on: %w", in.of.Address, err)
			}
			known[same] = count
		}
		counts[names[key]] = count
	}
	attrs := map[string]cty.Value{}
	if v != cty.NilVal {
		maps.Copy(attrs, v.AsValueMap())
	}
	attrs[plan.OverlapName] = plan.OverlapValue(t, counts)
	return cty.ObjectVal(attrs), nil
}

// overlapType is the type of what is counted; cty.NilType: nothing is.
func (w *work) overlapType() cty.Type {
	if t := w.ValueType.Type; w.Kind == kind.Evaluate && t != cty.NilType && t.HasAttribute(plan.OverlapName) {
		return t.AttributeType(plan.OverlapName)
	}
	return cty.NilType
}

// overlapSubjects are the names of the subjects that are trained models, by
// input key.
func (w *work) overlapSubjects() map[string]string {
	var trained []string
	for key, in := range w.inputs {
		if in.of.Kind == plan.KindModel && in.of.Of != "" && in.language == nil {
			trained = append(trained, key)
		}
	}
	return plan.OverlapSubjects(trained)
}

// sameOverlap is equal for models that have the same features and were trained on
// the same datasets.
func sameOverlap(in *input, trained []*input) string {
	parts := []string{in.of.Of, string(in.artifact.Features)}
	for _, t := range trained {
		parts = append(parts, t.ref.Digest)
	}
	return strings.Join(parts, "\n")
}

// warnOverlap warns of what was counted, unless the plan has done so.
func (w *work) warnOverlap(res *StageResult, v cty.Value) {
	if w.overlapType() == cty.NilType || v == cty.NilVal || !v.Type().HasAttribute(plan.OverlapName) || w.Action == plan.Keep || w.Action == plan.Reuse {
		return
	}
	names := w.overlapSubjects()
	for _, key := range slices.Sorted(maps.Keys(names)) {
		in := w.inputs[key]
		d := plan.ReadOverlap(v.GetAttr(plan.OverlapName), names[key]).Warning(w.RangeOf(key), in.of.Address, in.features)
		if d != nil {
			res.Diagnostics = append(res.Diagnostics, d)
		}
	}
}

// trainedOn are the datasets that the stage which made a model was given. nil:
// there are none, or it is not known what they were.
func (r *run) trainedOn(in *input) ([]*input, error) {
	made, ok := r.saver.instance(in.of.Address)
	if !ok {
		return nil, nil
	}
	entry, err := r.entry(made.ActionKey)
	if err != nil || entry == nil {
		return nil, err
	}
	var all []*input
	for _, ref := range entry.Inputs {
		if ref.Role != "" {
			continue
		}
		maker, err := r.entry(ref.Action)
		if err != nil {
			return nil, err
		}
		if maker == nil || maker.Outputs[ref.Port].Digest != ref.Digest {
			return nil, nil
		}
		a, err := r.artifacts.get(maker.Outputs[ref.Port])
		if blob.Unavailable(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if a.Kind == artifact.Dataset {
			all = append(all, &input{of: &plan.Input{Address: ref.Address, Kind: plan.KindDataset}, ref: maker.Outputs[ref.Port], artifact: a})
		}
	}
	return all, nil
}

// entry is the entry of a key; nil: there is none that can be read.
func (r *run) entry(key string) (*action.Entry, error) {
	if key == "" {
		return nil, nil
	}
	entry, err := r.Store.Actions.Get(key)
	if damaged := (*document.Damaged)(nil); errors.As(err, &damaged) {
		return nil, nil
	}
	return entry, err
}

// overlap counts the evaluated rows whose features a model has seen in training;
// nil: it cannot be told.
func (r *run) overlap(ctx context.Context, w *work, model *input, trained []*input) (*plan.Overlap, error) {
	args := modelFeatures(model)
	if len(args) == 0 {
		return nil, nil
	}
	of, err := r.newComputation(w, w.inputs[model.of.Of], args)
	if err != nil {
		return nil, err
	}
	var in []*computation
	for _, t := range trained {
		// One without the features' columns is not what they were made of.
		if c, err := r.newComputation(w, t, args); err == nil {
			in = append(in, c)
		}
	}
	if len(in) == 0 {
		return nil, nil
	}
	o := &plan.Overlap{}
	o.Rows, o.Distinct, err = countShared(func(yield func([16]byte)) (err error) {
		o.N, o.Skipped, err = of.keys(ctx, r.Store.Blobs, yield)
		return err
	}, func(yield func([16]byte)) error {
		for _, c := range in {
			if _, _, err := c.keys(ctx, r.Store.Blobs, yield); err != nil {
				return &unreadable{err}
			}
		}
		return nil
	}, mostKeys)
	// The evaluation itself does not need the rows of training.
	if lost := (*unreadable)(nil); errors.As(err, &lost) && blob.Unavailable(err) {
		return nil, nil
	}
	return o, err
}

// unreadable is the error for rows of training.
type unreadable struct{ error }

func (e *unreadable) Unwrap() error { return e.error }

func modelFeatures(model *input) []rowArgument {
	var args []rowArgument
	for _, name := range slices.Sorted(maps.Keys(model.features)) {
		args = append(args, rowArgument{key: name, expr: model.features[name]})
	}
	return args
}

// keys yields a key of the arguments' values of each row. Rows whose values are
// all empty are skipped, and so are those on which an expression fails.
func (c *computation) keys(ctx context.Context, blobs *blob.Store, yield func([16]byte)) (n, skipped int64, err error) {
	shards, err := c.manifest.Files(blobs, c.columns)
	if err != nil {
		return 0, 0, err
	}
	for rec, err := range data.Read(ctx, shards, c.columns, 0) {
		if err != nil {
			return 0, 0, err
		}
		columns := make([]arrow.Array, len(c.programs))
		for i, p := range c.programs {
			if columns[i], _, err = p.Eval(ctx, rec); err != nil {
				return 0, 0, fmt.Errorf("feature %q: %w", c.args[i].key, err)
			}
		}
		keys, err := dataset.RowKeys(array.NewRecordBatch(c.stored.Arrow(), columns, rec.NumRows()), c.stored.Names(), "")
		if err != nil {
			return 0, 0, err
		}
		for i, key := range keys {
			if allEmpty(columns, i) {
				skipped++
				continue
			}
			n++
			yield(key)
		}
	}
	return n, skipped, nil
}

// allEmpty says whether all values of a row are null or texts of nothing but
// white space.
func allEmpty(columns []arrow.Array, row int) bool {
	return !slices.ContainsFunc(columns, func(a arrow.Array) bool {
		if a.IsNull(row) {
			return false
		}
		texts, ok := a.(interface{ Value(int) string })
		return !ok || strings.TrimSpace(texts.Value(row)) != ""
	})
}
