package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/overlap"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/document"
)

// An evaluation on rows that a model was trained on says little about new rows.
// If the datasets are the same, the plan detects it. Rows that two datasets
// share, such as duplicates on both sides of a split, are counted here, once
// for each result, and the counts are part of the result.
type overlaps struct {
	*stage.Stage
	actions   *action.Store
	blobs     *blob.Store
	artifacts *stage.Artifacts
}

// add adds the counts to the values of an evaluation.
func (o *overlaps) add(ctx context.Context, v cty.Value) (cty.Value, error) {
	t := o.OverlapType()
	if t == cty.NilType {
		return v, nil
	}
	counts, known := map[string]*plan.Overlap{}, map[string]*plan.Overlap{}
	names := o.OverlapSubjects()
	for _, key := range slices.Sorted(maps.Keys(names)) {
		in := o.Inputs[key]
		trained, err := o.trainedOn(in)
		if err != nil {
			return cty.NilVal, err
		}
		same := sameOverlap(in, trained)
		count, ok := known[same]
		if !ok {
			if count, err = o.count(ctx, in, trained); err != nil {
				return cty.NilVal, fmt.Errorf("count the rows that %s was trained on: %w", in.Of.Address, err)
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

// sameOverlap is equal for models that have the same features and were trained on
// the same datasets.
func sameOverlap(in *stage.Input, trained []*stage.Input) string {
	parts := []string{in.Of.Of, string(in.Artifact.Features)}
	for _, t := range trained {
		parts = append(parts, t.Ref.Digest)
	}
	return strings.Join(parts, "\n")
}

// trainedOn returns the datasets that the stage which trained a model received.
// It returns nil if there are none, or if they are not known.
func (o *overlaps) trainedOn(in *stage.Input) ([]*stage.Input, error) {
	entry, err := o.entry(in.Action)
	if err != nil || entry == nil {
		return nil, err
	}
	var all []*stage.Input
	for _, ref := range entry.Inputs {
		if ref.Role != "" {
			continue
		}
		maker, err := o.entry(ref.Action)
		if err != nil {
			return nil, err
		}
		if maker == nil || maker.Outputs[ref.Port].Digest != ref.Digest {
			return nil, nil
		}
		a, err := o.artifacts.Get(maker.Outputs[ref.Port])
		if blob.Unavailable(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if a.Kind == artifact.Dataset {
			all = append(all, &stage.Input{Of: &plan.Input{Address: ref.Address, Kind: plan.KindDataset}, Ref: maker.Outputs[ref.Port], Artifact: a})
		}
	}
	return all, nil
}

// entry returns the entry of a key, or nil if none can be read.
func (o *overlaps) entry(key string) (*action.Entry, error) {
	if key == "" {
		return nil, nil
	}
	entry, err := o.actions.Get(key)
	if damaged := (*document.Damaged)(nil); errors.As(err, &damaged) {
		return nil, nil
	}
	return entry, err
}

// count counts the evaluated rows whose features the model has seen in
// training. It returns nil if that is not possible.
func (o *overlaps) count(ctx context.Context, model *stage.Input, trained []*stage.Input) (*plan.Overlap, error) {
	args := modelFeatures(model)
	if len(args) == 0 {
		return nil, nil
	}
	of, err := o.Compute(o.Inputs[model.Of.Of], args)
	if err != nil {
		return nil, err
	}
	var in []*stage.Computation
	for _, t := range trained {
		// A dataset without these columns is not what the features were
		// computed from.
		if c, err := o.Compute(t, args); err == nil {
			in = append(in, c)
		}
	}
	if len(in) == 0 {
		return nil, nil
	}
	counted := &plan.Overlap{}
	counted.Rows, counted.Distinct, err = overlap.Count(func(yield func([16]byte)) (err error) {
		counted.N, counted.Skipped, err = of.Keys(ctx, o.blobs, yield)
		return err
	}, func(yield func([16]byte)) error {
		for _, c := range in {
			if _, _, err := c.Keys(ctx, o.blobs, yield); err != nil {
				return &unreadable{err}
			}
		}
		return nil
	})
	// The evaluation itself does not need the training rows.
	if lost := (*unreadable)(nil); errors.As(err, &lost) && blob.Unavailable(err) {
		return nil, nil
	}
	return counted, err
}

// unreadable is the error for training rows that cannot be read.
type unreadable struct{ error }

func (e *unreadable) Unwrap() error { return e.error }

func modelFeatures(model *stage.Input) []stage.RowArgument {
	var args []stage.RowArgument
	for _, name := range slices.Sorted(maps.Keys(model.Features)) {
		args = append(args, stage.RowArgument{Key: name, Expr: model.Features[name]})
	}
	return args
}
